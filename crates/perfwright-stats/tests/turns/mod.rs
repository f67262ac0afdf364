//! The gate's statistics in simulation: how often it is wrong, how often it finds 3 %, and where it sees a series
//! change. Seeds are fixed; bounds are 5 standard deviations of the simulation.

use perfwright_stats::turns::{self, Looks, Verdict};
use perfwright_stats::{Rng, change_points, false_discovery_rates};

const ALPHA: f64 = 0.01;
const LEAST: f64 = 0.01;
/// The gate may call a bench the same whose difference matters, if only just, more often than it may raise a false
/// alarm: each of two one-sided tests has this level.
const SAME_ALPHA: f64 = 0.05;

/// A standard normal draw: Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.uniform()).cos()
}

/// What a busy machine does to a pair of batches: 3 % of noise, and one in ten is disturbed by up to ten times more,
/// on either side.
fn disturbed(rng: &mut Rng) -> f64 {
    let noise = 0.03 * normal(rng);
    match rng.uniform() < 0.1 {
        true => noise + 0.3 * normal(rng) * rng.uniform(),
        false => noise,
    }
}

/// Groups of 12 batches; each group has an offset of its own.
fn groups(rng: &mut Rng, count: usize, effect: f64, spread: f64) -> Vec<Vec<f64>> {
    let group = |_| {
        let offset = effect + spread * normal(rng);
        (0..12).map(|_| offset + disturbed(rng)).collect()
    };
    (0..count).map(group).collect()
}

/// The first verdict of a comparison with looks that is not "can't tell", by the gate's rule; early looks see the
/// first groups.
fn sequential(rng: &mut Rng, effect: f64, spread: f64, least: f64) -> Verdict {
    let looks = Looks::new(ALPHA, &[0.2, 0.5, 1.0]);
    let all = groups(rng, 30, effect, spread);
    for look in looks.iter() {
        let seen = &all[..(30.0 * look.at) as usize];
        let found = turns::median(seen, 1);
        let verdict = found.verdict(least, look.alpha);
        if verdict != Verdict::CannotTell {
            return verdict;
        }
        if found.is_same(least, 2.0 * look.alpha * SAME_ALPHA / ALPHA) {
            return Verdict::Same;
        }
    }
    Verdict::CannotTell
}

/// How many of `trials` are `verdict`.
fn count(
    trials: usize,
    wanted: impl Fn(Verdict) -> bool,
    mut trial: impl FnMut(u64) -> Verdict,
) -> f64 {
    (0..trials as u64)
        .filter(|&seed| wanted(trial(seed)))
        .count() as f64
}

/// So many false verdicts may there be: the mean and 5 standard deviations.
fn bound(trials: usize, probability: f64) -> f64 {
    let n = trials as f64;
    n * probability + 5.0 * (n * probability * (1.0 - probability)).sqrt()
}

#[test]
fn the_interval_misses_as_often_as_it_says_with_heavy_tails_and_few_groups() {
    let trials = 1_000;
    for (count_of_groups, spread) in [(6, 0.0), (6, 0.02), (20, 0.01)] {
        let mut missed = 0.0;
        for seed in 0..trials {
            let mut rng = Rng::new(seed as u64);
            let (low, high) =
                turns::median(&groups(&mut rng, count_of_groups, 0.0, spread), 1).interval(0.05);
            missed += f64::from(low > 0.0 || high < 0.0);
        }
        assert!(
            missed <= bound(trials, 0.05),
            "{count_of_groups} groups: {missed}"
        );
        assert!(
            missed > 0.01 * trials as f64,
            "too wide to find anything: {missed}"
        );
    }
}

#[test]
fn looks_share_their_error_and_identical_programs_are_rarely_called_different() {
    let trials = 1_000;
    let different = |verdict| matches!(verdict, Verdict::Better | Verdict::Worse);
    // The hardest case that must not be called: an effect of just what matters.
    let wrong = count(
        trials,
        |verdict| verdict == Verdict::Worse,
        |seed| sequential(&mut Rng::new(seed), LEAST, 0.005, LEAST),
    );
    assert!(wrong <= bound(trials, ALPHA / 2.0), "{wrong}");
    let missed = count(
        trials,
        |verdict| verdict == Verdict::Same,
        |seed| sequential(&mut Rng::new(seed), LEAST, 0.005, LEAST),
    );
    assert!(missed <= bound(trials, SAME_ALPHA), "{missed}");
    // Without a least effect, every difference is called.
    let wrong = count(trials, different, |seed| {
        sequential(&mut Rng::new(seed), 0.0, 0.005, 1e-9)
    });
    assert!(wrong <= bound(trials, ALPHA), "{wrong}");
    // Identical programs and a least effect of 1 %: never in so many.
    let wrong = count(trials, different, |seed| {
        sequential(&mut Rng::new(seed), 0.0, 0.005, LEAST)
    });
    assert_eq!(wrong, 0.0);
}

#[test]
fn three_percent_is_found_and_identical_programs_are_called_the_same() {
    let trials = 200;
    let found = count(
        trials,
        |verdict| verdict == Verdict::Worse,
        |seed| sequential(&mut Rng::new(seed), 0.03, 0.003, LEAST),
    );
    assert!(found >= 0.95 * trials as f64, "{found}");
    let same = count(
        trials,
        |verdict| verdict == Verdict::Same,
        |seed| sequential(&mut Rng::new(seed), 0.0, 0.003, LEAST),
    );
    assert!(same >= 0.9 * trials as f64, "{same}");
}

#[test]
fn of_many_benches_few_reported_differences_are_chance() {
    let looks = Looks::new(ALPHA, &[1.0]);
    let look = looks.iter().next().unwrap();
    let (mut reported, mut chance) = (0.0, 0.0);
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        // Of 30 benches, 5 are slower by 4 %. The others differ by just what matters.
        let p_values: Vec<f64> = (0..30)
            .map(|bench| {
                let effect = if bench < 5 { 0.04 } else { LEAST };
                let found = turns::median(&groups(&mut rng, 20, effect, 0.003), 1);
                looks.overall(look, found.p_value(LEAST))
            })
            .collect();
        for (bench, rate) in false_discovery_rates(&p_values).into_iter().enumerate() {
            reported += f64::from(rate <= ALPHA);
            chance += f64::from(rate <= ALPHA && bench >= 5);
        }
    }
    assert!(reported > 0.9 * 5.0 * 60.0, "{reported}");
    assert!(
        chance <= bound(reported as usize, ALPHA),
        "{chance} of {reported}"
    );
}

/// Pieces of (length, level) with noise of `spread`.
fn series(rng: &mut Rng, pieces: &[(usize, f64)], spread: f64) -> Vec<f64> {
    let levels = pieces
        .iter()
        .flat_map(|&(length, level)| vec![level; length]);
    levels
        .map(|level| level * (1.0 + spread * normal(rng)))
        .collect()
}

#[test]
fn changes_of_a_series_are_found_where_they_are() {
    let pieces = [(30, 100.0), (25, 110.0), (40, 104.0)];
    let trials = 40;
    let mut found = 0;
    for seed in 0..trials {
        let points = change_points(&series(&mut Rng::new(seed), &pieces, 0.01), seed);
        let near = |at: usize| points.iter().any(|point| point.index.abs_diff(at) <= 2);
        found += usize::from(near(30) && near(55) && points.len() == 2);
        for point in &points {
            assert!(point.p_value <= 0.001);
            if point.index.abs_diff(30) <= 1 {
                assert!((point.before - 100.0).abs() < 2.0 && (point.after - 110.0).abs() < 2.0);
            }
        }
    }
    assert!(found >= trials as usize * 9 / 10, "{found}");
}

#[test]
fn a_long_series_without_changes_has_none() {
    // Windows of 50 that overlap by half, 7 of them, and what is confirmed: at 0.001 each, 40 series of 200
    // have 0.3 false points by chance.
    let mut false_points = 0;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let steady: Vec<f64> = (0..200)
            .map(|_| 100.0 + 100.0 * disturbed(&mut rng))
            .collect();
        false_points += change_points(&steady, seed).len();
    }
    assert!(false_points <= 3, "{false_points}");
}

#[test]
fn short_constant_and_broken_series_have_no_changes() {
    for series in [
        vec![],
        vec![1.0],
        vec![1.0; 5],
        vec![7.0; 300],
        vec![f64::NAN; 40],
    ] {
        assert_eq!(change_points(&series, 1), []);
    }
    let mut with_gaps = vec![1.0; 20];
    with_gaps.extend([2.0; 20]);
    with_gaps[7] = f64::INFINITY;
    let points = change_points(&with_gaps, 1);
    assert_eq!(points.len(), 1, "{points:?}");
    assert_eq!(points[0].index, 20);
}
