//! What sampling at 99 Hz, the README's default, costs a program: batches with and without, interleaved in
//! one process in random order, CPU time of the whole process, so the collector counts.

use std::hint::black_box;

use anyhow::{Result, bail};
use perfwright_cpu::{Engine, Options, Sampler};
use perfwright_stats::paired;

use crate::{
    child::{Role, cpu_seconds, spawn, tell},
    workload,
};

/// Many short pairs: what disturbs a shared machine changes from second to second, and hits both of a pair.
const PAIRS: usize = 400;
/// About a fifth of a second: some 20 samples.
const UNITS: u64 = 5_000;

/// One piece of code for both sides: inlined twice, the two copies differed by up to 16 %.
#[inline(never)]
fn batch(seed: u64) -> f64 {
    let start = cpu_seconds();
    let mut state = seed;
    for _ in 0..UNITS {
        state = black_box(workload::unit(state));
    }
    cpu_seconds() - start
}

/// A batch under the sampler; its start and stop are not part of it, as in a service that leaves it on.
fn sampled_batch(who: &str, seed: u64) -> Result<f64> {
    match who {
        "none" => Ok(batch(seed)),
        "pprof-rs" => {
            let guard = pprof::ProfilerGuardBuilder::default()
                .frequency(99)
                .build()?;
            let seconds = batch(seed);
            drop(guard);
            Ok(seconds)
        }
        "timer" | "perf" => {
            let options = Options::new().engine(if who == "perf" {
                Engine::Perf
            } else {
                Engine::Timer
            });
            let sampler = Sampler::start(options)?;
            // The first samples read the process's mappings, once.
            batch_warm_up();
            let seconds = batch(seed);
            sampler.stop();
            Ok(seconds)
        }
        other => bail!("no engine is called {other}"),
    }
}

fn batch_warm_up() {
    let mut state = 7;
    for _ in 0..UNITS / 4 {
        state = black_box(workload::unit(state));
    }
}

pub(crate) fn child(role: &Role) -> Result<()> {
    let who = role.word(1);
    batch_warm_up();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for pair in 0..PAIRS as u64 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if random & 1 == 0 {
            with.push(sampled_batch(who, pair)?);
            without.push(batch(pair));
        } else {
            without.push(batch(pair));
            with.push(sampled_batch(who, pair)?);
        }
    }
    let estimate = paired::log_ratio(&with, &without, 1);
    tell("ratio", estimate.ratio);
    tell("low", estimate.low);
    tell("high", estimate.high);
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    println!(
        "CPU time with the sampler at 99 Hz over without, {PAIRS} interleaved pairs, median and 95 % interval"
    );
    for who in ["none", "timer", "perf", "pprof-rs"] {
        let numbers = spawn(&format!("overhead {who}"))?;
        let percent = |key| (numbers[key] - 1.0) * 100.0;
        println!(
            "  {who:<9} {:>+6.2} %  [{:+.2}, {:+.2}]",
            percent("ratio"),
            percent("low"),
            percent("high")
        );
    }
    Ok(())
}
