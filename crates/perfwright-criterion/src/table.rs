//! What benches took, as rows of a table.
//!
//! ```no_run
//! # fn main() -> Result<(), perfwright_criterion::saved::Error> {
//! use perfwright_criterion::table;
//!
//! for row in table::rows("target/criterion".as_ref(), Some("main"))? {
//!     let change = row.change.map_or(String::new(), |change| format!("{:+.1} %", 100.0 * (change.ratio - 1.0)));
//!     println!("{} {:?} {change}", row.name, row.median_ns.map(|median| median.value));
//! }
//! # Ok(()) }
//! ```

use std::path::Path;

use serde::Serialize;

use perfwright_stats::ratio_of_medians;

use crate::saved::{self, Bench, Error, LAST, Throughput};

/// What is drawn by chance is the same every time.
const SEED: u64 = 1;

/// A bench's last results. What is not known is `None`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// The bench's full name.
    pub name: String,
    /// The median of an iteration, in nanoseconds unless the bench measured something else.
    pub median_ns: Option<Interval>,
    /// The median relative to the baseline's.
    pub change: Option<Change>,
    /// What is processed a second, at the median.
    pub throughput: Option<Rate>,
    /// CPU time of an iteration, of all threads.
    pub cpu_ns: Option<f64>,
    /// How often an iteration allocates.
    pub allocations: Option<f64>,
    /// How many bytes it allocates.
    pub allocated_bytes: Option<f64>,
    /// What could not be read, and why.
    pub problems: Vec<String>,
}

/// A value and where the truth lies at 95 % (or at what criterion was told).
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Interval {
    /// The best guess.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The candidate's median over the baseline's, with its 95 % interval. The two were measured at different times, so
/// the interval knows nothing of what the machine did meanwhile: it is no verdict.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Change {
    /// 1.1 is 10 % slower.
    pub ratio: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// So much of something a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Rate {
    /// How much.
    pub per_second: f64,
    /// Of what: `bytes`, `elements` or `bits`.
    pub of: &'static str,
}

/// The benches of a folder by their names, compared with a saved baseline where they have it.
///
/// # Errors
/// If the folder cannot be read. What is wrong with a bench's files is in its row.
pub fn rows(root: &Path, baseline: Option<&str>) -> Result<Vec<Row>, Error> {
    let benches = saved::benches(root, LAST)?;
    Ok(benches.iter().map(|bench| row(bench, baseline)).collect())
}

fn row(bench: &Bench, baseline: Option<&str>) -> Row {
    let mut problems = Vec::new();
    // A bench that was only counted has no estimates; that is no problem.
    let estimates = found(bench.estimates(), &mut problems);
    let counts = found(bench.counts(), &mut problems).flatten();
    let median_ns = estimates.map(|estimates| Interval {
        value: estimates.median.value,
        low: estimates.median.low,
        high: estimates.median.high,
    });
    let change = baseline.and_then(|baseline| change(bench, baseline, &mut problems));
    Row {
        name: bench.name.clone(),
        median_ns,
        change,
        throughput: bench.throughput().zip(median_ns).and_then(rate),
        cpu_ns: counts.as_ref().and_then(|counts| counts.process_cpu_ns),
        allocations: counts
            .as_ref()
            .and_then(|counts| Some(counts.allocations?.count)),
        allocated_bytes: counts
            .as_ref()
            .and_then(|counts| Some(counts.allocations?.bytes)),
        problems,
    }
}

fn change(bench: &Bench, baseline: &str, problems: &mut Vec<String>) -> Option<Change> {
    let base = bench.other(baseline)?;
    let base = found(base.sample(), problems)?;
    let sample = found(bench.sample(), problems)?;
    let of = |sample: &saved::Sample| sample.per_iteration().collect::<Vec<f64>>();
    let estimate = ratio_of_medians(&of(&sample), &of(&base), SEED);
    estimate.ratio.is_finite().then_some(Change {
        ratio: estimate.ratio,
        low: estimate.low,
        high: estimate.high,
    })
}

/// What was read; what is absent is unknown, what is odd is told.
fn found<T>(read: Result<T, Error>, problems: &mut Vec<String>) -> Option<T> {
    match read {
        Ok(found) => Some(found),
        Err(error) => {
            if !error.is_not_found() {
                problems.push(format!("failed to {error}"));
            }
            None
        }
    }
}

fn rate((throughput, median): (Throughput, Interval)) -> Option<Rate> {
    let (amount, of) = match throughput {
        Throughput::Bytes(bytes) => (bytes, "bytes"),
        Throughput::Elements(elements) => (elements, "elements"),
        Throughput::Bits(bits) => (bits, "bits"),
    };
    (median.value > 0.0).then(|| Rate {
        per_second: amount as f64 * 1e9 / median.value,
        of,
    })
}
