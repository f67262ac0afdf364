//! `estimates.json`.

use std::path::Path;

use serde_json::Value;

use super::Error;

/// One estimated value, in nanoseconds an iteration unless the bench measured something else.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Estimate {
    /// The best guess.
    pub value: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How sure the interval is, such as 0.95.
    pub confidence: f64,
    /// One standard error of the value.
    pub standard_error: f64,
}

/// What criterion estimated of a bench.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Estimates {
    /// The median of the samples.
    pub median: Estimate,
    /// Their mean.
    pub mean: Estimate,
    /// The slope of time over iterations; only where the sampling was linear. criterion prints it, or else the mean.
    pub slope: Option<Estimate>,
}

/// Up to 0.3.3 the names began with capital letters.
const NAMES: [[&str; 2]; 3] = [["median", "Median"], ["mean", "Mean"], ["slope", "Slope"]];

pub(super) fn parse(path: &Path, json: &Value) -> Result<Estimates, Error> {
    let [median, mean, slope] = NAMES.map(|names| {
        let found = names.iter().find_map(|name| json.get(*name));
        (names[0], found.filter(|found| !found.is_null()))
    });
    let needed = |(name, found): (&str, Option<&Value>)| {
        let found = found.ok_or_else(|| odd(path, format!("it has no {name}")))?;
        estimate(path, name, found)
    };
    Ok(Estimates {
        median: needed(median)?,
        mean: needed(mean)?,
        slope: match slope.1 {
            Some(found) => Some(estimate(path, slope.0, found)?),
            None => None,
        },
    })
}

fn estimate(path: &Path, name: &str, json: &Value) -> Result<Estimate, Error> {
    let number = |keys: &[&str]| {
        let found = keys.iter().try_fold(json, |json, key| json.get(*key));
        let number = found
            .and_then(Value::as_f64)
            .filter(|number| number.is_finite());
        number.ok_or_else(|| odd(path, format!("{name}.{} is no number", keys.join("."))))
    };
    Ok(Estimate {
        value: number(&["point_estimate"])?,
        low: number(&["confidence_interval", "lower_bound"])?,
        high: number(&["confidence_interval", "upper_bound"])?,
        confidence: number(&["confidence_interval", "confidence_level"])?,
        standard_error: number(&["standard_error"])?,
    })
}

/// What is no longer as it was is most likely of another version.
pub(super) fn odd(path: &Path, what: String) -> Error {
    let known = "criterion 0.3 to 0.8 are known here, and no other version";
    Error::odd(path, format!("{what} ({known})"))
}
