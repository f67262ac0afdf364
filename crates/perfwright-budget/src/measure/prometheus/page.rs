//! One page of metrics in Prometheus's text format.

use std::collections::HashMap;

use perfwright_model::keys;

use super::SourceError;
use crate::{budgets::Select, pattern};

/// Samples of a page, at most.
const MAX_SAMPLES: usize = 1_000_000;

/// A page of metrics.
pub(super) struct Page {
    samples: Vec<Sample>,
    /// The places of the samples of each name.
    by_name: HashMap<String, Vec<u32>>,
}

pub(super) struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    pub(super) value: f64,
}

impl Page {
    /// Reads a page.
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        let mut samples: Vec<Sample> = Vec::new();
        let mut by_name: HashMap<String, Vec<u32>> = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let sample = Sample::parse(line).ok_or_else(|| {
                SourceError::new(format!("line {} of the metrics is no metric", index + 1))
            })?;
            if samples.len() >= MAX_SAMPLES {
                let what = format!("the metrics have more than {MAX_SAMPLES} samples");
                return Err(SourceError::new(what));
            }
            let place = samples.len() as u32;
            match by_name.get_mut(&sample.name) {
                Some(places) => places.push(place),
                None => drop(by_name.insert(sample.name.clone(), vec![place])),
            }
            samples.push(sample);
        }
        Ok(Self { samples, by_name })
    }

    /// How many samples it has.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The samples of a name that are selected.
    pub(super) fn selected<'p>(
        &'p self,
        name: &str,
        select: &Select,
    ) -> impl Iterator<Item = &'p Sample> {
        let places = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        let named = places.iter().map(|&place| &self.samples[place as usize]);
        named.filter(|sample| sample.is_selected(select))
    }
}

impl Sample {
    /// `name{key="value",…} 12.5 [time]`.
    fn parse(line: &str) -> Option<Self> {
        let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
        let (name, mut rest) = line.split_at(end);
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = parse_labels(inner, &mut labels)?;
        }
        let number = rest.split_whitespace().next()?;
        let value = match number {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            number => number.parse().ok()?,
        };
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }

    fn is_selected(&self, select: &Select) -> bool {
        let mut wanted = select.labels.iter();
        wanted.all(|(key, patterns)| {
            let matches = |value: &str| pattern::any(patterns, value);
            self.label(key).is_some_and(matches)
                || key == keys::ROUTE && self.method_and_route().is_some_and(|name| matches(&name))
        })
    }

    /// Its route, with its method if it has one.
    pub(super) fn route(&self) -> String {
        let alone = || self.label(keys::ROUTE).unwrap_or("").to_owned();
        self.method_and_route().unwrap_or_else(alone)
    }

    /// A route as runs and profiles name it: `GET /orders`.
    fn method_and_route(&self) -> Option<String> {
        Some(format!(
            "{} {}",
            self.label("method")?,
            self.label(keys::ROUTE)?
        ))
    }

    /// The labels as text, without some.
    pub(super) fn subject(&self, without: &[&str]) -> String {
        let kept = self
            .labels
            .iter()
            .filter(|(key, _)| !without.contains(&key.as_str()));
        let words: Vec<_> = kept.map(|(key, value)| format!("{key}={value}")).collect();
        words.join(", ")
    }
}

/// Reads labels up to their `}`; gives what follows.
fn parse_labels<'a>(mut rest: &'a str, labels: &mut Vec<(String, String)>) -> Option<&'a str> {
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((key.trim().to_owned(), value));
        rest = &after[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_with_escapes_and_times() {
        let page =
            Page::parse("# HELP a b\na{x=\"1\\\"}2\",y=\"z\"} 3.5 1700000000\nb +Inf\n").unwrap();
        assert_eq!(page.samples[0].label("x"), Some("1\"}2"));
        assert_eq!(
            (page.samples[0].value, page.samples[1].value),
            (3.5, f64::INFINITY)
        );
        for broken in ["a", "a{x=\"1} 2", "a{x} 2", "a b", "{x=\"1\"} 2"] {
            assert!(Page::parse(broken).is_err(), "{broken}");
        }
    }
}
