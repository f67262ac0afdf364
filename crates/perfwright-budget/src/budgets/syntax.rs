//! What TOML and serde find wrong, in the words of budgets; and lines of places.

use crate::{date::Date, error::Problem, units::nearest};

/// Lines of ascending places, counted once.
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    pub(super) fn of(&mut self, at: usize) -> usize {
        if let Some(between) = self.text.get(self.at..at) {
            self.line += between.matches('\n').count();
            self.at = at;
        }
        self.line
    }
}

/// What TOML or serde found.
pub(super) fn of_toml(error: &toml::de::Error, text: &str) -> Problem {
    let message = error.message().trim();
    let span = error.span().unwrap_or(0..text.len().min(1));
    let (title, rest) = match message.split_once(", expected ") {
        Some((title, rest)) => (title, rest),
        None => (message, ""),
    };
    let help = of_serde(title, rest, text.get(span.clone()).unwrap_or(""));
    // More than a line of detail is not for a title.
    let (title, label) = title.split_once('\n').unwrap_or((title, ""));
    Problem {
        title: title.to_owned(),
        span,
        label: label.trim().to_owned(),
        help,
    }
}

/// What to write instead of what serde did not expect.
fn of_serde(title: &str, expected: &str, raw: &str) -> Option<String> {
    let is_name = title.starts_with("unknown field") || title.starts_with("unknown variant");
    if is_name {
        let written = title.split('`').nth(1).unwrap_or("");
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let list = known.join(", ");
        return Some(match nearest(written, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? known are {list}"),
            None => format!("known are {list}"),
        });
    }
    if let Some(field) = title.strip_prefix("missing field ") {
        return Some(format!("add `{}`", example(field.trim_matches('`'))));
    }
    if title.starts_with("duplicate key") {
        return Some("keep one of them".to_owned());
    }
    if Date::parse(raw).is_some() {
        return Some(format!("write a date in quotes: \"{raw}\""));
    }
    match expected {
        "" => None,
        "a sequence" => Some(format!("expected a list: [{raw}]")),
        "u64" => Some("expected a whole number, not negative".to_owned()),
        "f64" => Some("expected a number".to_owned()),
        other => Some(format!("expected {other}")),
    }
}

/// How a field that must be there may look.
fn example(field: &str) -> &str {
    match field {
        "metric" => "metric = \"latency\"",
        "max" => "max = \"+3%\"",
        "objective" => "objective = \"99.9%\"",
        "for" => "for = \"5m\"",
        "from" => "from = \"2027-01-31\"",
        "limits" => "limits = [\"…\"]",
        "reason" => "reason = \"…\"",
        "until" => "until = \"2027-01-31\"",
        other => other,
    }
}
