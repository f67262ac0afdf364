//! Text with placeholders that differ from request to request.
//!
//! `{1..2000}` is a random whole number of the range (both ends included), `{red|green|blue}` one of
//! the words. Any other brace stands for itself, so JSON needs no escaping.

use std::fmt::Write as _;

use super::random::Random;

/// A parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Number { low: i64, high: i64 },
    Word(Vec<String>),
}

impl Template {
    /// Reads a text; the error is about a range that holds no number.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            literal.push_str(&rest[..open]);
            let after = &rest[open + 1..];
            let inner = &after[..after.find(['{', '}']).unwrap_or(after.len())];
            match placeholder(inner)? {
                Some(part) if after[inner.len()..].starts_with('}') => {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                    parts.push(part);
                    rest = &after[inner.len() + 1..];
                }
                _ => {
                    literal.push('{');
                    rest = after;
                }
            }
        }
        literal.push_str(rest);
        parts.push(Part::Literal(literal));
        parts.retain(|part| *part != Part::Literal(String::new()));
        Ok(Template { parts })
    }

    /// One text of the many.
    pub(crate) fn render(&self, random: &mut Random) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                // Writing to a String cannot fail.
                Part::Number { low, high } => {
                    let _ = write!(text, "{}", random.between(*low, *high));
                }
                Part::Word(words) => text.push_str(&words[random.index(words.len())]),
            }
        }
        text
    }
}

impl Template {
    /// Everything that a rendered text may be made of, one after the other: what to check once
    /// instead of every text.
    pub(crate) fn all_parts(&self) -> String {
        let text_of = |part: &Part| match part {
            Part::Literal(literal) => literal.clone(),
            Part::Number { low, .. } => low.to_string(),
            Part::Word(words) => words.concat(),
        };
        self.parts.iter().map(text_of).collect()
    }
}

/// What stands between braces, when it is a placeholder.
fn placeholder(inner: &str) -> Result<Option<Part>, String> {
    if let Some((low, high)) = inner.split_once("..") {
        let (Ok(low), Ok(high)) = (low.parse(), high.parse()) else {
            return Ok(None);
        };
        if low > high {
            return Err(format!(
                "{{{inner}}} holds no number: the first must not exceed the second"
            ));
        }
        return Ok(Some(Part::Number { low, high }));
    }
    // A quote says that this is JSON, whose strings may hold a bar.
    if inner.contains('|') && !inner.contains('"') {
        return Ok(Some(Part::Word(
            inner.split('|').map(str::to_owned).collect(),
        )));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, count: usize) -> Vec<String> {
        let template = Template::parse(text).unwrap();
        let mut random = Random::new(7);
        let mut texts: Vec<_> = (0..count).map(|_| template.render(&mut random)).collect();
        texts.sort();
        texts.dedup();
        texts
    }

    #[test]
    fn placeholders_take_every_value_they_name_and_no_other() {
        let cases: [(&str, &[&str]); 6] = [
            ("/products", &["/products"]),
            ("/p/{7..9}", &["/p/7", "/p/8", "/p/9"]),
            ("{-1..0}", &["-1", "0"]),
            (
                "/s?q={tea|red%20shoe|}&n={1..1}",
                &["/s?q=&n=1", "/s?q=red%20shoe&n=1", "/s?q=tea&n=1"],
            ),
            ("{a|b}{1..2}", &["a1", "a2", "b1", "b2"]),
            ("", &[""]),
        ];
        for (text, expected) in cases {
            assert_eq!(rendered(text, 200), expected, "{text}");
        }
    }

    #[test]
    fn braces_of_json_are_left_alone() {
        let cases = [
            (
                r#"{"customer": {3..3}, "lines": [{"sku": "a|b"}]}"#,
                r#"{"customer": 3, "lines": [{"sku": "a|b"}]}"#,
            ),
            (r#"{"open": {4..4}"#, r#"{"open": 4"#),
            ("{}{", "{}{"),
            ("{1..x}{..}{1..}", "{1..x}{..}{1..}"),
            ("{a|b", "{a|b"),
        ];
        for (text, expected) in cases {
            assert_eq!(rendered(text, 20), [expected], "{text}");
        }
    }

    #[test]
    fn a_range_without_numbers_is_an_error() {
        let error = Template::parse("/p/{9..7}").unwrap_err();
        assert_eq!(
            error,
            "{9..7} holds no number: the first must not exceed the second"
        );
    }

    #[test]
    fn the_widest_range_does_not_overflow() {
        let text = format!("{{{}..{}}}", i64::MIN, i64::MAX);
        assert!(rendered(&text, 100).len() > 90);
    }
}
