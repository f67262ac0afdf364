//! Metrics in Prometheus's text format: one page, as it was scraped.

use std::collections::BTreeMap;

use super::{Data, Error, Reading, SourceError, all_missing};
use crate::{
    budgets::Select,
    metric::{Metric, quantile},
    names::{REQUESTS, is_failed},
    pattern,
};

/// Samples of a page, at most.
const MAX_SAMPLES: usize = 1_000_000;

/// A page of metrics.
pub(super) struct Page {
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Page {
    /// Reads a page.
    pub(super) fn parse(text: &str) -> Result<Self, SourceError> {
        let mut samples = Vec::new();
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
            samples.push(sample);
        }
        Ok(Self { samples })
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |sample| sample.name == name)
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

    fn label(&self, key: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }

    fn is_selected(&self, select: &Select) -> bool {
        let mut wanted = select.labels.iter();
        wanted.all(|(key, patterns)| {
            self.label(key)
                .is_some_and(|value| pattern::any(patterns, value))
        })
    }

    /// The labels as text, without some.
    fn subject(&self, without: &[&str]) -> String {
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

/// A metric by name: its value, or percentiles of a histogram; one reading for each set of labels.
pub(super) fn measure(page: Option<&Page>, select: &Select, stats: &[String]) -> Vec<Reading> {
    let (Some(page), Some(name)) = (page, &select.name) else {
        return all_missing(stats, "there is no page of metrics");
    };
    let mut readings = Vec::new();
    for stat in stats {
        let before = readings.len();
        match quantile(stat) {
            Some(quantile) => {
                for (subject, histogram) in histograms(page, name, select, &["le"]) {
                    readings.push(Reading::new(subject, stat, histogram.quantile(quantile)));
                }
            }
            None => {
                for sample in page.named(name).filter(|sample| sample.is_selected(select)) {
                    let data = match sample.value.is_finite() {
                        true => Ok(Data::exact(sample.value)),
                        false => Err("the value is no number".to_owned()),
                    };
                    readings.push(Reading::new(sample.subject(&[]), stat, data));
                }
            }
        }
        if readings.len() == before {
            let why = format!("the page has no {name} of this selection");
            readings.push(Reading::new("", stat, Err(why)));
        }
    }
    readings
}

/// What a service tells of its requests, by route.
pub(super) fn service(
    page: &Page,
    metric: Metric,
    select: &Select,
    stats: &[String],
) -> Vec<Reading> {
    let without = match metric {
        Metric::Latency => &["le", "status"][..],
        Metric::ErrorRate => &["le"],
        _ => return all_missing(stats, "a page of metrics does not tell this: give a run"),
    };
    let found = histograms(page, REQUESTS, select, without);
    if found.is_empty() {
        let why = format!("the page has no {REQUESTS} of this selection");
        return all_missing(stats, &why);
    }
    let mut readings = Vec::new();
    for stat in stats {
        match quantile(stat) {
            Some(quantile) => {
                let reading = |(subject, histogram): (&String, &Histogram)| {
                    Reading::new(subject, stat, histogram.quantile(quantile))
                };
                readings.extend(found.iter().map(reading));
            }
            None if metric == Metric::ErrorRate => readings.push(error_rate(page, select, stat)),
            None => {
                let why = format!("a histogram does not tell {stat}");
                readings.push(Reading::new("", stat, Err(why)));
            }
        }
    }
    readings
}

/// The share of requests that failed.
fn error_rate(page: &Page, select: &Select, stat: &str) -> Reading {
    let name = format!("{REQUESTS}_count");
    let (mut errors, mut all) = (0.0, 0.0);
    for sample in page
        .named(&name)
        .filter(|sample| sample.is_selected(select))
    {
        all += sample.value;
        if sample.label("status").is_some_and(is_failed) {
            errors += sample.value;
        }
    }
    let data = match all > 0.0 {
        true => Ok(Data::share((errors / all).clamp(0.0, 1.0), all)),
        false => Err("there were no requests".to_owned()),
    };
    Reading::new("", stat, data)
}

/// Counts of values, by the upper bounds of buckets; each counts those below, too.
struct Histogram {
    buckets: Vec<(f64, f64)>,
}

/// Histograms of a name, those summed up that differ only in the labels `without`.
fn histograms(
    page: &Page,
    name: &str,
    select: &Select,
    without: &[&str],
) -> BTreeMap<String, Histogram> {
    let bucket = format!("{name}_bucket");
    let mut found: BTreeMap<String, Histogram> = BTreeMap::new();
    for sample in page
        .named(&bucket)
        .filter(|sample| sample.is_selected(select))
    {
        let bound = sample.label("le").map(|le| match le {
            "+Inf" => Ok(f64::INFINITY),
            le => le.parse::<f64>(),
        });
        let Some(Ok(bound)) = bound else { continue };
        let histogram = found.entry(sample.subject(without)).or_insert(Histogram {
            buckets: Vec::new(),
        });
        match histogram
            .buckets
            .iter_mut()
            .find(|(known, _)| *known == bound)
        {
            Some((_, count)) => *count += sample.value,
            None => histogram.buckets.push((bound, sample.value)),
        }
    }
    for histogram in found.values_mut() {
        histogram.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    found
}

impl Histogram {
    /// The quantile, in a straight line through its bucket; all that is known is that it lies in it.
    fn quantile(&self, quantile: f64) -> Result<Data, String> {
        let all = self.buckets.last().map_or(0.0, |(_, count)| *count);
        if all.is_nan() || all <= 0.0 {
            return Err("the histogram is empty".to_owned());
        }
        let rank = quantile * all;
        let at = self.buckets.iter().position(|(_, count)| *count >= rank);
        let at = at.ok_or("the histogram's counts do not ascend")?;
        let (high, upto) = self.buckets[at];
        let (low, below) = match at {
            0 => (0.0_f64.min(high), 0.0),
            _ => self.buckets[at - 1],
        };
        let value = match high.is_finite() {
            true if upto > below => {
                low + (high - low) * ((rank - below) / (upto - below)).clamp(0.0, 1.0)
            }
            true => high,
            // Beyond the last bound nothing is known but that.
            false => low,
        };
        Ok(Data {
            error: Error::Between(low, high),
            samples: Some(all),
            ..Data::exact(value)
        })
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

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let histogram = Histogram {
            buckets: vec![(0.1, 50.0), (0.2, 90.0), (f64::INFINITY, 100.0)],
        };
        let median = histogram.quantile(0.5).unwrap();
        assert_eq!(
            (median.value, median.error),
            (0.1, Error::Between(0.0, 0.1))
        );
        let p95 = histogram.quantile(0.95).unwrap();
        assert_eq!(p95.error, Error::Between(0.2, f64::INFINITY));
        assert!(
            Histogram {
                buckets: Vec::new()
            }
            .quantile(0.5)
            .is_err()
        );
    }
}
