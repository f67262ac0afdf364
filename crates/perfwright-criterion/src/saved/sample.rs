//! `sample.json`.

use std::path::Path;

use serde_json::Value;

use super::Error;
use super::estimates::odd;

/// What was measured: the same number of iterations and times, at least one.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Sample {
    /// How many iterations each measurement had; above 0.
    pub iterations: Vec<f64>,
    /// How long all of them took, in nanoseconds; not below 0.
    pub times: Vec<f64>,
}

impl Sample {
    /// The time of one iteration, measurement by measurement.
    pub fn per_iteration(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        let pairs = self.times.iter().zip(&self.iterations);
        pairs.map(|(time, iterations)| time / iterations)
    }

    /// The time of all measurements together, in nanoseconds.
    pub fn total(&self) -> f64 {
        self.times.iter().sum()
    }
}

/// An object since 0.3.4, a pair of lists before.
pub(super) fn parse(path: &Path, json: &Value) -> Result<Sample, Error> {
    let list = |key: &str, position: usize| {
        let found = json.get(key).or_else(|| json.get(position));
        let numbers = found.and_then(Value::as_array).and_then(|list| {
            let numbers = list
                .iter()
                .map(|value| value.as_f64().filter(|v| v.is_finite()));
            numbers.collect::<Option<Vec<f64>>>()
        });
        numbers.ok_or_else(|| odd(path, format!("its {key} are no list of numbers")))
    };
    let sample = Sample {
        iterations: list("iters", 0)?,
        times: list("times", 1)?,
    };
    let (iterations, times) = (sample.iterations.len(), sample.times.len());
    if iterations != times || times == 0 {
        let what = format!("it has {times} times of {iterations} measurements");
        return Err(odd(path, what));
    }
    if sample.iterations.iter().any(|&n| n <= 0.0) || sample.times.iter().any(|&t| t < 0.0) {
        return Err(odd(path, "it has iterations or times below 0".into()));
    }
    Ok(sample)
}
