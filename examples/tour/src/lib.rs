//! Words and how often they are in a text: something to bench.

use std::collections::HashMap;

/// How often each word is in the text.
pub fn count_words(text: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    counts
}

/// The most frequent words first, equals in the order of the alphabet.
pub fn ranking(counts: &HashMap<String, usize>) -> Vec<(&str, usize)> {
    let mut ranking: Vec<_> = counts
        .iter()
        .map(|(word, count)| (word.as_str(), *count))
        .collect();
    ranking.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    ranking
}

/// A text of so many words.
pub fn text(words: u64) -> String {
    let word = |number: u64| format!("word{} ", number * 7_919 % (words / 4 + 1));
    (0..words).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_come_first() {
        let counts = count_words("b a A c b a");
        assert_eq!(ranking(&counts), [("a", 3), ("b", 2), ("c", 1)]);
        assert_eq!(count_words(&text(40)).values().sum::<usize>(), 40);
    }
}
