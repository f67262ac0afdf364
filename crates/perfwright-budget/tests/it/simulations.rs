//! Verdicts on samples of a known truth: how often they are wrong. Bounds are five standard deviations from what is
//! expected.

use perfwright_budget::{Budgets, Sources, Verdict};
use perfwright_model::{LabelSetId, Profile, SampleType};
use perfwright_stats::{Rng, effective_count};

use crate::{budget, check};

/// Samples of a function `a` whose true share is this; each stands for a weight that `weight` picks. As our sampler
/// does, it leaves in a comment how many samples of equal weight would tell as much.
fn sampled(rng: &mut Rng, share: f64, samples: usize, weight: impl Fn(&mut Rng) -> i64) -> Profile {
    let types = [("samples", "count"), ("cpu", "nanoseconds")];
    let mut profile = Profile::new(types.map(|(kind, unit)| SampleType::new(kind, unit)));
    profile.meta.default_sample_type = Some(1);
    let [a, b] = ["a", "b"].map(|name| {
        let location = profile.frame_location(name);
        profile.intern_stack_root_first([location])
    });
    let mut weights = Vec::with_capacity(samples);
    for _ in 0..samples {
        let stack = if rng.uniform() < share { a } else { b };
        let weight = weight(rng);
        profile.record(stack, LabelSetId::EMPTY, &[1, weight]);
        weights.push(weight as f64);
    }
    let effective = effective_count(weights);
    profile.meta.comments = vec![
        format!("perfwright audit: delivered={samples}"),
        format!(
            "perfwright audit: delivered_effective={}",
            effective.round()
        ),
    ];
    profile
}

fn one(_: &mut Rng) -> i64 {
    1
}

/// How often a share of `before` and then of `after` had each verdict, in so many tries.
struct Tally {
    held: f64,
    cannot_tell: f64,
    breach: f64,
    tries: f64,
}

fn compared(budgets: &Budgets, before: f64, after: f64, samples: usize, seed: u64) -> Tally {
    let mut rng = Rng::new(seed);
    let tries = 1000;
    let mut counts = [0.0; 3];
    for _ in 0..tries {
        let mut sources = Sources::new();
        sources.profile("cpu", sampled(&mut rng, before, samples, one));
        let baseline = sources.measure(budgets);
        sources.profile("cpu", sampled(&mut rng, after, samples, one));
        let report = check(budgets, &sources, Some(&baseline));
        match report.rows[0].verdict {
            Verdict::Held => counts[0] += 1.0,
            Verdict::CannotTell => counts[1] += 1.0,
            Verdict::Breach => counts[2] += 1.0,
            other => panic!("{other:?} of {before} and {after}"),
        }
    }
    let [held, cannot_tell, breach] = counts;
    Tally {
        held,
        cannot_tell,
        breach,
        tries: f64::from(tries),
    }
}

/// Asserts that of `tries` at most the share `expected` came about, by chance five deviations more.
fn at_most(count: f64, tries: f64, expected: f64, what: &str) {
    let bound = tries * expected + 5.0 * (tries * expected * (1.0 - expected)).sqrt();
    assert!(
        count <= bound,
        "{what}: {count} of {tries}, at most {bound:.1}"
    );
}

/// How often a normal value is more than three deviations above its mean.
const BEYOND_3: f64 = 0.00135;

fn growth(max: &str) -> Budgets {
    let text = format!("select = {{ function = \"a\" }}\nregression = {{ max = \"{max}\" }}");
    budget("profile.share", &text)
}

#[test]
fn growth_up_to_what_is_allowed_is_hardly_ever_a_breach() {
    // The truth is exactly what is allowed; then everything below is called a breach less often still.
    for (max, before, after) in [
        ("+5pp", 0.20, 0.25),
        ("+25%", 0.20, 0.25),
        ("+100%", 0.10, 0.20),
    ] {
        let found = compared(&growth(max), before, after, 500, 11);
        at_most(found.breach, found.tries, BEYOND_3, max);
        // Half of them look like more than that, and are not called held.
        at_most(found.held, found.tries, 0.5, max);
    }
}

#[test]
fn no_growth_is_held_where_the_samples_resolve_what_is_allowed() {
    // 5 points are 2.4 deviations of the difference of two shares of 20 % of 800 samples.
    let found = compared(&growth("+5pp"), 0.20, 0.20, 800, 12);
    at_most(found.breach, found.tries, 1e-6, "breach");
    at_most(found.cannot_tell, found.tries, 0.0083, "can't tell");
}

#[test]
fn growth_beyond_what_is_allowed_is_found() {
    // 20 % to 40 %, of which 5 points are allowed: 15 points are 6.9 deviations of the difference, of which
    // 3 have to be exceeded, so it is missed with what a normal value is beyond 3.9.
    let found = compared(&growth("+5pp"), 0.20, 0.40, 900, 13);
    at_most(found.tries - found.breach, found.tries, 5e-4, "missed");
}

#[test]
fn samples_of_different_weights_count_as_fewer() {
    // One in ten samples weighs 20: as many of equal weight tell as much as (Σw)² / Σw².
    let weight = |rng: &mut Rng| if rng.below(10) == 0 { 20 } else { 1 };
    let limit = "select = { function = \"a\" }\nlimits = [\"total < 30%\"]";
    let budgets = budget("profile.share", limit);
    let mut rng = Rng::new(14);
    let (tries, mut breaches, mut held) = (2000.0, 0.0, 0.0);
    for _ in 0..2000 {
        let mut sources = Sources::new();
        sources.profile("cpu", sampled(&mut rng, 0.30, 1500, weight));
        match check(&budgets, &sources, None).rows[0].verdict {
            Verdict::Breach => breaches += 1.0,
            Verdict::Held => held += 1.0,
            _ => {}
        }
    }
    // The truth is the limit itself: by far too much in one of 740 tries, below it in half of them.
    at_most(breaches, tries, BEYOND_3, "breach");
    at_most(held, tries, 0.5, "held");
    at_most(tries - held, tries, 0.5, "not held");
}
