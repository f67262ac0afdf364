//! Names with wildcards.

use std::fmt;

/// A name in which `*` stands for any characters, none included. Everything else stands for itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// A pattern from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is no wildcard in it.
    pub fn is_exact(&self) -> bool {
        !self.text.contains('*')
    }

    /// `GET /orders` as its method, if it begins with one, and the rest.
    pub(crate) fn method_and_path(&self) -> (Option<&str>, Self) {
        let split = self.text.split_once(' ');
        let is_method =
            |word: &str| word.bytes().all(|b| b.is_ascii_uppercase()) && !word.is_empty();
        match split.filter(|(word, _)| is_method(word)) {
            Some((method, path)) => (Some(method), Self::new(path)),
            None => (None, self.clone()),
        }
    }

    /// What every name that matches begins with, and what it ends with.
    pub(crate) fn ends(&self) -> (&str, &str) {
        let head = self.text.split('*').next().unwrap_or("");
        let tail = self.text.rsplit('*').next().unwrap_or("");
        (head, tail)
    }

    /// Whether a name matches. Takes time in proportion to the name's length times the number of wildcards.
    pub fn matches(&self, name: &str) -> bool {
        let Some((head, rest)) = self.text.split_once('*') else {
            return self.text == name;
        };
        let Some(mut left) = name.strip_prefix(head) else {
            return false;
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*').filter(|part| !part.is_empty()) {
            match left.find(part) {
                Some(at) => left = &left[at + part.len()..],
                None => return false,
            }
        }
        left.ends_with(tail)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether one of several patterns matches; without any, everything does.
pub(crate) fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        let check = |pattern, name, expected| {
            assert_eq!(
                Pattern::new(pattern).matches(name),
                expected,
                "{pattern} {name}"
            );
        };
        check("parse", "parse", true);
        check("parse", "parser", false);
        check("serde_json::*", "serde_json::de::from_str", true);
        check("serde_json::*", "serde_yaml::de", false);
        check("*::parse", "a::b::parse", true);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c", false);
        check("ab*ba", "aba", false);
        check("*", "", true);
        check("", "x", false);
        check("**x**", "axb", true);
        check("é*", "été", true);
    }
}
