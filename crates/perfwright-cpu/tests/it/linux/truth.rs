//! Known splits of CPU time.

use std::time::Duration;

use perfwright_cpu::{Engine, Options, Sampler};

use super::names::{Named, has};
use super::process::alone;
use super::work::split;

/// 70/20/10 in a thread of its own, from about 10,000 periods; each share within 5 standard deviations.
fn known_split(engine: Engine) {
    let options = Options::new().engine(engine).frequency_hz(4_999);
    let sampler = Sampler::start(options).unwrap();
    std::thread::Builder::new()
        .name("splitter".into())
        .spawn(|| split(Duration::from_secs(2)))
        .unwrap()
        .join()
        .unwrap();
    let capture = sampler.stop();
    println!("{}", capture.audit);
    let named = Named::new(&capture);
    let sampled = named.sum(|stack| has(stack, "split"));
    for (name, truth) in [("seventy", 0.7), ("twenty_of", 0.2), ("ten_of_them", 0.1)] {
        let share = named.sum(|stack| has(stack, name)) as f64 / sampled as f64;
        // n_eff = (sum w)^2 / sum w^2. The profile has sums only; of the weights' distributions the widest seen
        // (ticks on an overloaded machine) is exponential, for which n_eff is half the number of signals.
        let effective = capture.audit.delivered as f64 / 2.0;
        let deviation = (truth * (1.0 - truth) / effective).sqrt();
        println!(
            "{name}: {share:.4} of {truth} ({:.1} sd)",
            (share - truth) / deviation
        );
        assert!((share - truth).abs() < 5.0 * deviation, "{name} {share}");
    }
}

#[test]
fn perf_finds_the_known_split() {
    if has_perf() {
        alone("linux::truth::perf_finds_the_known_split", || {
            known_split(Engine::Perf)
        });
    }
}

/// Perf where it can be had.
pub(crate) fn best() -> Engine {
    let sampler = Sampler::start(Options::new());
    sampler.map_or(Engine::Timer, |sampler| sampler.engine())
}

#[test]
fn timers_find_the_known_split() {
    alone("linux::truth::timers_find_the_known_split", || {
        known_split(Engine::Timer)
    });
}

/// Containers often forbid perf events; then there is nothing to test.
pub(crate) fn has_perf() -> bool {
    use std::sync::LazyLock;
    static HAS_PERF: LazyLock<bool> = LazyLock::new(|| {
        let sampler = Sampler::start(Options::new().engine(Engine::Perf));
        if let Err(error) = &sampler {
            eprintln!("not tested: {error}");
        }
        sampler.is_ok()
    });
    *HAS_PERF
}
