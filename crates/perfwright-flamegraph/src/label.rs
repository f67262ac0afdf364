//! What boxes are called: short, one line, safe for XML and for the folded lines that inferno reads.

use std::cell::RefCell;
use std::collections::HashMap;

use perfwright_analyze::short_name;

/// The longest label, in characters. A box as wide as a screen holds about this many.
const MAX_CHARS: usize = 160;

/// Makes labels, and remembers of which function each is.
pub(crate) struct Names {
    full: bool,
    of_label: RefCell<HashMap<String, String>>,
}

impl Names {
    pub(crate) fn new(full: bool) -> Self {
        Self {
            full,
            of_label: RefCell::new(HashMap::new()),
        }
    }

    /// The label of a function.
    pub(crate) fn label(&self, name: &str) -> String {
        let label = if self.full {
            clean(name)
        } else {
            clean(&short_name(name))
        };
        let mut of_label = self.of_label.borrow_mut();
        of_label
            .entry(label.clone())
            .or_insert_with(|| name.to_owned());
        label
    }

    /// The name of the first function that has this label.
    pub(crate) fn name(&self, label: &str) -> Option<String> {
        self.of_label.borrow().get(label).cloned()
    }
}

/// A name as a label. In a folded line `;` parts frames, the last words are counts if they are numbers, and
/// `# ` begins a comment, so these look a little different.
pub(crate) fn clean(name: &str) -> String {
    let one_line = printable(&shortened(name.trim()));
    let mut label = one_line.trim().replace(';', ",");
    if label.starts_with("# ") {
        label.replace_range(1..2, "\u{a0}");
    }
    let last_space = label.rfind(' ');
    if let Some(at) = last_space.filter(|&at| looks_like_count(&label[at + 1..])) {
        label.replace_range(at..=at, "\u{a0}");
    }
    match label.as_str() {
        "" => "(unnamed)".to_owned(),
        // Inferno draws these two as gaps between threads.
        "-" | "--" => label.replace('-', "\u{2010}"),
        _ => label,
    }
}

/// The beginning and the end of a long name.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_CHARS || name.chars().nth(MAX_CHARS).is_none() {
        return name.to_owned();
    }
    let half = MAX_CHARS / 2;
    let head: String = name.chars().take(half).collect();
    let mut tail: Vec<char> = name.chars().rev().take(half - 1).collect();
    tail.reverse();
    format!("{head}…{}", tail.into_iter().collect::<String>())
}

/// Text that XML may hold, in one line.
pub(crate) fn printable(text: &str) -> String {
    let harmless = |c: char| match c {
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        // They turn the direction of writing, of all that follows as well.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() || (c.is_whitespace() && c != '\u{a0}') => ' ',
        c => c,
    };
    text.chars().map(harmless).collect()
}

/// Text for the inside of an XML element.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn looks_like_count(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHARS, clean};

    #[test]
    fn labels_are_one_frame_of_a_folded_line() {
        for (name, expected) in [
            ("main", "main"),
            ("<[u8; 8] as Debug>::fmt", "<[u8, 8] as Debug>::fmt"),
            ("a\nb\tc", "a b c"),
            ("worker 12", "worker\u{a0}12"),
            ("worker 1.5", "worker\u{a0}1.5"),
            ("f(int, long)", "f(int, long)"),
            ("# no comment", "#\u{a0}no comment"),
            ("  ", "(unnamed)"),
            ("", "(unnamed)"),
            ("nul\0", "nul"),
            ("evil\u{202e}", "evil\u{fffd}"),
        ] {
            assert_eq!(clean(name), expected, "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_both_ends() {
        let label = clean(&format!("first{}last", "é".repeat(10_000)));
        assert_eq!(label.chars().count(), MAX_CHARS);
        assert!(
            label.starts_with("first") && label.ends_with("last"),
            "{label}"
        );
    }
}
