//! Two programs measured one after the other.

use crate::Rng;
use crate::paired::Estimate;

const RESAMPLES: usize = 1_000;

/// How large the median of `a` is relative to that of `b`, with its 95 % interval; `pairs` is the smaller number of
/// values. NaN where there are no values above 0.
///
/// The interval is that of percentiles of a bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
/// chapter 13). It knows what varies within `a` and within `b`, and nothing of what changed on the machine between
/// them: measure in turns and ask [`paired`](crate::paired) or [`turns`](crate::turns) to be sure of a difference.
pub fn ratio_of_medians(a: &[f64], b: &[f64], seed: u64) -> Estimate {
    let usable = |values: &[f64]| -> Vec<f64> {
        let usable = |value: &f64| value.is_finite() && *value > 0.0;
        values.iter().copied().filter(usable).collect()
    };
    let (mut a, mut b) = (usable(a), usable(b));
    let mut rng = Rng::new(seed);
    let mut ratios: Vec<f64> = match a.is_empty() || b.is_empty() {
        true => vec![f64::NAN],
        false => {
            let drawn = |_| resampled_median(&a, &mut rng) / resampled_median(&b, &mut rng);
            (0..RESAMPLES).map(drawn).collect()
        }
    };
    ratios.sort_by(f64::total_cmp);
    let cut = ratios.len() / 40;
    Estimate {
        ratio: median(&mut a) / median(&mut b),
        low: ratios[cut],
        high: ratios[ratios.len() - 1 - cut],
        pairs: a.len().min(b.len()),
    }
}

fn resampled_median(values: &[f64], rng: &mut Rng) -> f64 {
    let mut drawn: Vec<f64> = values
        .iter()
        .map(|_| values[rng.below(values.len())])
        .collect();
    median(&mut drawn)
}

fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    let (below, &mut high, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    match is_even {
        true => (below.iter().copied().fold(f64::MIN, f64::max) + high) / 2.0,
        false => high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_ratio_of_medians() {
        let found = ratio_of_medians(&[3.0, 1.0, 2.0], &[4.0, 4.0, 4.0, 4.0], 1);
        assert_eq!((found.ratio, found.pairs), (0.5, 3));
        assert_eq!((found.low, found.high), (0.25, 0.75));
        let none = ratio_of_medians(&[f64::NAN, -1.0], &[1.0], 1);
        assert!(none.ratio.is_nan() && none.low.is_nan() && none.pairs == 0);
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut rng = Rng::new(9);
        // Skewed, as times are: the median is 1 + ln 2 / 10.
        let mut times = |scale: f64| -> Vec<f64> {
            let draw = |rng: &mut Rng| scale * (1.0 - (1.0 - rng.uniform()).ln() / 10.0);
            (0..40).map(|_| draw(&mut rng)).collect()
        };
        let trials = 100;
        let held = (0..trials).filter(|&seed| {
            let found = ratio_of_medians(&times(1.1), &times(1.0), seed);
            found.low <= 1.1 && 1.1 <= found.high
        });
        // 95 are expected, 5 standard deviations are 11.
        let held = held.count();
        assert!(held.abs_diff(95) < 11, "{held}");
    }
}
