//! Two programs measured in turns.

use crate::Rng;

/// A ratio with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The geometric mean of the pairs' ratios; NaN without pairs.
    pub ratio: f64,
    /// The lower end; 0 if there are too few pairs to tell.
    pub low: f64,
    /// The upper end; infinite if there are too few pairs to tell.
    pub high: f64,
    /// How many pairs it rests on.
    pub pairs: usize,
}

/// Below this many pairs the interval is everything.
const FEWEST_PAIRS: usize = 5;
/// So many that the ends of the interval move by about 2 % of its width with the seed.
const RESAMPLES: usize = 2_000;

/// How large `a` is relative to `b`, from pairs that were measured one right after the other, so that what
/// disturbs the machine disturbs both. Pairs with a value that is not a positive number are left out, as is what
/// is longer in one slice.
///
/// The interval is the bootstrap-t interval of the mean log-ratio: Efron and Tibshirani, "An Introduction to the
/// Bootstrap" (1993), chapter 12. It keeps its coverage with 10 to 30 pairs, where the percentile interval is too
/// narrow.
pub fn log_ratio(a: &[f64], b: &[f64], seed: u64) -> Estimate {
    let usable = |value: f64| value.is_finite() && value > 0.0;
    let logs: Vec<f64> = (a.iter().zip(b))
        .filter(|&(&a, &b)| usable(a) && usable(b))
        .map(|(a, b)| (a / b).ln())
        .collect();
    let (mean, error) = mean_and_error(logs.iter().copied(), logs.len());
    let (low, high) = match logs.len() {
        count if count < FEWEST_PAIRS => (f64::NEG_INFINITY, f64::INFINITY),
        _ if error == 0.0 => (mean, mean),
        _ => bootstrap_t(&logs, mean, error, seed),
    };
    Estimate {
        ratio: mean.exp(),
        low: low.exp(),
        high: high.exp(),
        pairs: logs.len(),
    }
}

fn bootstrap_t(logs: &[f64], mean: f64, error: f64, seed: u64) -> (f64, f64) {
    let mut rng = Rng::new(seed);
    let mut drawn = vec![0.0; logs.len()];
    let mut pivots: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            drawn.fill_with(|| logs[rng.below(logs.len())]);
            let (m, e) = mean_and_error(drawn.iter().copied(), drawn.len());
            // A resample of one repeated value says that any distance is possible in its direction.
            match m == mean {
                true => 0.0,
                false => (m - mean) / e,
            }
        })
        .collect();
    pivots.sort_by(f64::total_cmp);
    let cut = RESAMPLES / 40;
    let (lowest, highest) = (pivots[cut], pivots[RESAMPLES - 1 - cut]);
    (mean - highest * error, mean - lowest * error)
}

/// The mean and its standard error.
fn mean_and_error(values: impl Iterator<Item = f64> + Clone, count: usize) -> (f64, f64) {
    let n = count as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}
