//! When a series of measurements changed.

use crate::Rng;

/// Values that are looked at together. Longer series are looked at in windows that overlap by half, as Apache Otava
/// does it: a change is then seen against what is near it, and the time grows with the length, not its square.
const WINDOW: usize = 50;
/// The fewest values on either side of a change.
const FEWEST: usize = 3;
/// Changes that chance explains with this probability or less are reported: a change point an hour of daily runs
/// would otherwise be a false one every month.
const P_VALUE: f64 = 0.001;
/// So many that a p-value of `P_VALUE` can be reached.
const PERMUTATIONS: usize = 1_999;

/// A place at which a series changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// The first value after the change.
    pub index: usize,
    /// The median of the values since the change before.
    pub before: f64,
    /// The median of the values until the next change.
    pub after: f64,
    /// The probability of a split this clear in shuffled values.
    pub p_value: f64,
}

/// The places at which a series changed, in order: E-divisive.
///
/// The series is split where the energy distance between the two sides is greatest, as long as shuffled values
/// hardly ever split so well; then the parts are. Nothing is assumed of the distribution but that values are
/// exchangeable between changes. What is not a number counts as the median of the others.
///
/// Source: Matteson and James, "A Nonparametric Approach for Multiple Change Point Analysis of Multivariate Data"
/// (JASA 109, 2014), with distances to the power of 1.
pub fn change_points(series: &[f64], seed: u64) -> Vec<ChangePoint> {
    let series = without_gaps(series);
    let mut splits: Vec<(usize, f64)> = Vec::new();
    let mut rng = Rng::new(seed);
    let mut start = 0;
    loop {
        let end = series.len().min(start + WINDOW);
        divide(&series[start..end], start, &mut rng, &mut splits);
        if end == series.len() {
            break;
        }
        start += WINDOW / 2;
    }
    confirm(&series, splits, &mut rng)
}

fn without_gaps(series: &[f64]) -> Vec<f64> {
    let known: Vec<f64> = series.iter().copied().filter(|x| x.is_finite()).collect();
    let middle = median(&known);
    let filled = series
        .iter()
        .map(|&x| if x.is_finite() { x } else { middle });
    filled.collect()
}

/// Splits a part of the series, and the parts of it.
fn divide(part: &[f64], offset: usize, rng: &mut Rng, splits: &mut Vec<(usize, f64)>) {
    let Some((at, p_value)) = significant_split(part, rng) else {
        return;
    };
    divide(&part[..at], offset, rng, splits);
    splits.push((offset + at, p_value));
    divide(&part[at..], offset + at, rng, splits);
}

/// Overlapping windows may find one change twice, some values apart, or see one at their border that is none: each
/// split is looked for again between its neighbours, and stays where it is found.
fn confirm(series: &[f64], mut splits: Vec<(usize, f64)>, rng: &mut Rng) -> Vec<ChangePoint> {
    splits.sort_by_key(|split| split.0);
    splits.dedup_by(|a, b| a.0 - b.0 < FEWEST);
    let mut at = 0;
    while at < splits.len() {
        let (before, after) = neighbours(&splits, at, series.len());
        match significant_split(&series[before..after], rng) {
            Some((index, p_value)) => {
                splits[at] = (before + index, p_value);
                at += 1;
            }
            None => {
                splits.remove(at);
                // The one before has another neighbour now.
                at = at.saturating_sub(1);
            }
        }
    }
    let points = (0..splits.len()).map(|at| {
        let (before, after) = neighbours(&splits, at, series.len());
        let (index, p_value) = splits[at];
        ChangePoint {
            index,
            before: median(&series[before..index]),
            after: median(&series[index..after]),
            p_value,
        }
    });
    points.collect()
}

/// Where the splits beside one are, or the ends of the series; no farther than a window.
fn neighbours(splits: &[(usize, f64)], at: usize, length: usize) -> (usize, usize) {
    let here = splits[at].0;
    let before = at.checked_sub(1).map_or(0, |at| splits[at].0);
    let after = splits.get(at + 1).map_or(length, |split| split.0);
    (
        before.max(here.saturating_sub(WINDOW)),
        after.min(here + WINDOW),
    )
}

/// The best split of a part and its p-value, if that is small enough.
fn significant_split(part: &[f64], rng: &mut Rng) -> Option<(usize, f64)> {
    let (at, energy) = best_split(part)?;
    let mut values = part.to_vec();
    let allowed = ((PERMUTATIONS + 1) as f64 * P_VALUE) as usize;
    let mut as_good = 1;
    for _ in 0..PERMUTATIONS {
        shuffle(&mut values, rng);
        // Equal but for rounding is as good.
        let shuffled = best_split(&values).map_or(0.0, |(_, energy)| energy);
        as_good += usize::from(shuffled >= energy * (1.0 - 1e-9));
        if as_good > allowed {
            return None;
        }
    }
    Some((at, as_good as f64 / (PERMUTATIONS + 1) as f64))
}

fn shuffle(values: &mut [f64], rng: &mut Rng) {
    for last in (1..values.len()).rev() {
        values.swap(last, rng.below(last + 1));
    }
}

/// The split with the greatest energy distance between its sides, times the harmonic weight of their sizes.
/// Moving the border by one value changes the three sums by that value's distances: the whole is quadratic.
fn best_split(part: &[f64]) -> Option<(usize, f64)> {
    let n = part.len();
    if n < 2 * FEWEST {
        return None;
    }
    let distances = |x: f64, to: &[f64]| to.iter().map(|y| (x - y).abs()).sum::<f64>();
    let (mut left, mut right, mut across) = (0.0, 0.0, 0.0);
    for (at, &x) in part.iter().enumerate() {
        right += distances(x, &part[..at]);
    }
    let mut best: Option<(usize, f64)> = None;
    for (at, &x) in part.iter().enumerate().take(n - FEWEST) {
        let (to_left, to_right) = (distances(x, &part[..at]), distances(x, &part[at + 1..]));
        left += to_left;
        right -= to_right;
        across += to_right - to_left;
        let size = at + 1;
        if size < FEWEST {
            continue;
        }
        let (l, r) = (size as f64, (n - size) as f64);
        let within = left / (l * (l - 1.0) / 2.0) + right / (r * (r - 1.0) / 2.0);
        let energy = l * r / (l + r) * (2.0 * across / (l * r) - within);
        if best.is_none_or(|(_, most)| energy > most) {
            best = Some((size, energy));
        }
    }
    best.filter(|(_, energy)| *energy > 0.0)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n.is_multiple_of(2) => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
        n => sorted[n / 2],
    }
}
