//! What a customer types into the search field: `oak chair under 80`, or an article number, `CHA-00017`.

use std::sync::LazyLock;

use regex::Regex;

use crate::fixes::{Fix, Fixes};

/// More words than this are ignored: each is a condition of the query.
const MAX_WORDS: usize = 8;

/// A search, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) sku: Option<String>,
    pub(crate) words: Vec<String>,
    pub(crate) from_cents: Option<i64>,
    pub(crate) to_cents: Option<i64>,
}

impl Search {
    pub(crate) fn parse(text: &str, fixes: Fixes) -> Self {
        static PATTERNS: LazyLock<Patterns> = LazyLock::new(Patterns::compile);
        if fixes.has(Fix::RegexPerRequest) {
            PATTERNS.search(text)
        } else {
            Patterns::compile().search(text)
        }
    }
}

/// The patterns that a search is taken apart with.
struct Patterns {
    sku: Regex,
    bound: Regex,
    word: Regex,
}

impl Patterns {
    fn compile() -> Self {
        let regex = |pattern| Regex::new(pattern).expect("the patterns are constants, and tested");
        Patterns {
            sku: regex(r"(?i)\b[a-z]{3}-\d{5}\b"),
            bound: regex(r"(?i)\b(?:(under|below)|(over|above))\s+€?(\d{1,6})\b"),
            word: regex(r"[\p{L}\p{N}]+"),
        }
    }

    fn search(&self, text: &str) -> Search {
        let mut search = Search {
            sku: self.sku.find(text).map(|sku| sku.as_str().to_uppercase()),
            ..Search::default()
        };
        for bound in self.bound.captures_iter(text) {
            let cents = bound[3].parse::<i64>().ok().map(|euros| euros * 100);
            let end = if bound.get(1).is_some() {
                &mut search.to_cents
            } else {
                &mut search.from_cents
            };
            *end = cents;
        }
        let text = self.bound.replace_all(text, " ");
        let text = self.sku.replace_all(&text, " ");
        let words = self
            .word
            .find_iter(&text)
            .map(|word| word.as_str().to_lowercase());
        search.words = words.take(MAX_WORDS).collect();
        search
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Search {
        let search = Search::parse(text, Fixes::none());
        assert_eq!(
            search,
            Search::parse(text, Fixes::all()),
            "{text:?} differs when fixed"
        );
        search
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn words_and_price_bounds_are_taken_apart() {
        let search = parse("Oak  chair, under 80 over €20");
        assert_eq!(search.words, words(&["oak", "chair"]));
        assert_eq!(
            (search.from_cents, search.to_cents),
            (Some(2_000), Some(8_000))
        );
        assert_eq!(search.sku, None);
    }

    #[test]
    fn an_article_number_is_no_word() {
        let search = parse("cha-00017");
        assert_eq!(search.sku.as_deref(), Some("CHA-00017"));
        assert!(search.words.is_empty());
    }

    #[test]
    fn words_of_any_script_are_kept_and_bounded() {
        assert_eq!(parse("Küche 椅子").words, words(&["küche", "椅子"]));
        assert_eq!(parse(&"ab ".repeat(1_000)).words.len(), MAX_WORDS);
        assert_eq!(parse(""), Search::default());
    }
}
