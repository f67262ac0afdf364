//! Known values, and simulations of what the intervals and tests promise. Seeds are fixed; bounds are 5 standard
//! deviations of the simulation.

mod turns;

use perfwright_stats::{
    Rng, Share, effective_count, effective_count_of_groups, false_discovery_rates, paired,
    two_sided_p,
};

/// A standard normal draw: Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.uniform()).cos()
}

/// How many of `n` draws succeed.
fn binomial(rng: &mut Rng, n: usize, p: f64) -> f64 {
    (0..n).filter(|_| rng.uniform() < p).count() as f64
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

#[test]
fn equal_weights_count_fully_and_unequal_ones_less() {
    close(effective_count([2.0; 50]), 50.0);
    close(effective_count([1.0, 3.0]), 1.6);
    close(effective_count([]), 0.0);
    close(
        effective_count_of_groups([(10.0, 5.0), (4.0, 2.0), (9.0, 0.0)]),
        7.0,
    );
    close(
        effective_count_of_groups([(2.0, 2.0), (3.0, 1.0)]),
        25.0 / 11.0,
    );
}

#[test]
fn deviation_and_interval_of_known_shares() {
    // 520 of 1,000 where 500 are expected: 20 / sqrt(250).
    close(
        Share::new(520.0, 1000.0, 1000.0).deviation_from(0.5),
        1.264_911_064_067_352,
    );
    assert_eq!(
        Share::new(1.0, 2.0, 10.0).deviation_from(0.0),
        f64::INFINITY
    );
    // Wilson's interval for 8 of 10 at 1.96: 0.4901 to 0.9433.
    let (low, high) = Share::new(8.0, 10.0, 10.0).interval(1.959_963_984_540_054);
    assert!(
        (low - 0.4901).abs() < 1e-3 && (high - 0.9433).abs() < 1e-3,
        "{low} {high}"
    );
    assert_eq!(Share::new(0.0, 0.0, 0.0).interval(2.0), (0.0, 1.0));
}

#[test]
fn a_comparison_is_the_corrected_two_sample_test() {
    // As a table of counts: N (|ad - bc| - N/2)² / (products of the margins) = 100 · 450² / 6,000,000 = 27/8.
    let found = Share::new(15.0, 50.0, 50.0).compare(Share::new(25.0, 50.0, 50.0));
    close(found.difference, 0.2);
    close(found.p_value, two_sided_p((27.0f64 / 8.0).sqrt()));
    let empty = Share::new(0.0, 0.0, 0.0);
    assert_eq!(empty.compare(empty).p_value, 1.0);
    let same = Share::new(0.0, 5.0, 5.0);
    assert_eq!(same.compare(same).p_value, 1.0);
}

#[test]
fn profiles_of_the_same_thing_rarely_differ() {
    let mut rng = Rng::new(1);
    for share in [0.002, 0.05, 0.4] {
        let draw = |rng: &mut Rng| Share::new(binomial(rng, 1_000, share), 1_000.0, 1_000.0);
        let trials = 2_000;
        let alarms = (0..trials)
            .filter(|_| draw(&mut rng).compare(draw(&mut rng)).p_value < 0.05)
            .count() as f64;
        // At most 5 % of 2,000, standard deviation 9.7; the correction makes it fewer for small shares.
        assert!(
            alarms < 100.0 + 49.0,
            "{alarms} alarms at a share of {share}"
        );
        assert!(
            share < 0.05 || alarms > 40.0,
            "{alarms} alarms: the test has no power"
        );
    }
}

#[test]
fn weighted_samples_have_the_error_of_their_effective_count() {
    // Weights 1 to 4: the deviation must be standard normal, so its mean square is 1.
    let mut rng = Rng::new(2);
    let trials = 2_000;
    let mut squares = 0.0;
    for _ in 0..trials {
        let weights: Vec<f64> = (0..400).map(|_| 1.0 + rng.below(4) as f64).collect();
        let total: f64 = weights.iter().sum();
        let part: f64 = weights.iter().filter(|_| rng.uniform() < 0.3).sum();
        let share = Share::new(part, total, effective_count(weights.iter().copied()));
        squares += share.deviation_from(0.3).powi(2);
    }
    // The mean of 2,000 squares has a standard deviation of sqrt(2 / 2,000) = 0.032.
    let mean = squares / f64::from(trials);
    assert!((mean - 1.0).abs() < 0.16, "{mean}");
}

#[test]
fn false_discoveries_stay_below_their_rate() {
    let mut rng = Rng::new(3);
    let (mut false_share, mut true_found) = (0.0, 0);
    let trials = 100;
    for _ in 0..trials {
        // 80 functions that are the same, 20 that grew from 5 % to 9 %.
        let p_values: Vec<f64> = (0..100)
            .map(|index| {
                let grown = if index < 20 { 0.09 } else { 0.05 };
                let draw = |rng: &mut Rng, p| Share::new(binomial(rng, 1_000, p), 1_000.0, 1_000.0);
                draw(&mut rng, 0.05).compare(draw(&mut rng, grown)).p_value
            })
            .collect();
        let rates = false_discovery_rates(&p_values);
        let found: Vec<usize> = (0..100).filter(|&index| rates[index] < 0.05).collect();
        let wrong = found.iter().filter(|&&index| index >= 20).count();
        true_found += found.len() - wrong;
        false_share += wrong as f64 / found.len().max(1) as f64;
    }
    let rate = false_share / f64::from(trials);
    // A trial's share of false discoveries varies by less than 0.1: 5 x 0.1 / sqrt(100).
    assert!(rate < 0.05 + 0.05, "{rate}");
    assert!(
        true_found > 100 * 20 / 2,
        "{true_found} of 2,000 real differences found"
    );
}

#[test]
fn the_ratio_is_the_geometric_mean() {
    let estimate = paired::log_ratio(&[2.0, 8.0], &[1.0, 1.0], 0);
    close(estimate.ratio, 4.0);
    assert_eq!(
        (estimate.low, estimate.high, estimate.pairs),
        (0.0, f64::INFINITY, 2)
    );
    let exact = paired::log_ratio(&[3.0; 6], &[2.0; 6], 0);
    close(exact.low, 1.5);
    close(exact.high, 1.5);
    let holes = paired::log_ratio(&[1.0, f64::NAN, 0.0, 4.0], &[1.0, 1.0, 1.0, -1.0], 0);
    assert_eq!(holes.pairs, 1);
    assert!(paired::log_ratio(&[], &[], 0).ratio.is_nan());
}

#[test]
fn the_interval_depends_on_nothing_but_its_input() {
    let a = [1.1, 1.0, 1.3, 0.9, 1.2, 1.15];
    let b = [1.0, 1.05, 1.1, 1.0, 0.95, 1.0];
    assert_eq!(paired::log_ratio(&a, &b, 9), paired::log_ratio(&a, &b, 9));
    let (one, other) = (paired::log_ratio(&a, &b, 1), paired::log_ratio(&a, &b, 2));
    let width = one.high - one.low;
    assert!(
        (one.high - other.high).abs() < width / 5.0,
        "{one:?} {other:?}"
    );
}

/// The share of trials in which the interval holds the true ratio of 1.25.
fn coverage(seed: u64, pairs: usize, noise: impl Fn(&mut Rng) -> f64) -> f64 {
    let mut rng = Rng::new(seed);
    let trials = 250;
    let held = (0..trials)
        .filter(|&trial| {
            let b: Vec<f64> = (0..pairs).map(|_| (0.3 * normal(&mut rng)).exp()).collect();
            let a: Vec<f64> = b.iter().map(|b| 1.25 * b * noise(&mut rng).exp()).collect();
            let estimate = paired::log_ratio(&a, &b, trial);
            (estimate.low..=estimate.high).contains(&1.25)
        })
        .count();
    held as f64 / trials as f64
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    // 95 % of 250 has a standard deviation of 1.4 points.
    let even = coverage(4, 20, |rng| 0.05 * normal(rng));
    assert!(even > 0.95 - 0.07, "{even}");
    // Exponential noise: one-sided disturbances, as a busy machine makes them. Skewness costs the bootstrap-t
    // interval about a point with 20 pairs.
    let skewed = coverage(5, 20, |rng| 0.05 * (-(1.0 - rng.uniform()).ln() - 1.0));
    assert!(skewed > 0.94 - 0.07, "{skewed}");
    println!("coverage of the 95 % interval, 20 pairs: normal {even}, exponential {skewed}");
}
