//! Resident memory of starting the sampler, after its first second of samples.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::Result;
use perfwright_cpu::{Engine, Options, Sampler};

use crate::{
    child::{Role, median, memory_mb, spawn, tell},
    workload,
};

const ROUNDS: usize = 5;

/// A second of work, at a moderate depth.
fn second() {
    let end = Instant::now() + Duration::from_secs(1);
    workload::at_depth(20, &mut || {
        let mut seed = 1;
        while Instant::now() < end {
            seed = black_box(workload::unit(seed));
        }
    });
}

pub(crate) fn child(role: &Role) -> Result<()> {
    // The program's own memory first, so that only the sampler's is added.
    second();
    let before = memory_mb("VmRSS")?;
    match role.word(1) {
        "none" => second(),
        "pprof-rs" => {
            let guard = pprof::ProfilerGuardBuilder::default()
                .frequency(99)
                .build()?;
            second();
            tell("mb", memory_mb("VmRSS")? - before);
            drop(guard);
            return Ok(());
        }
        engine => {
            let options = Options::new().engine(if engine == "perf" {
                Engine::Perf
            } else {
                Engine::Timer
            });
            let sampler = Sampler::start(options)?;
            second();
            tell("mb", memory_mb("VmRSS")? - before);
            sampler.stop();
            return Ok(());
        }
    }
    tell("mb", memory_mb("VmRSS")? - before);
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    println!(
        "resident memory added by starting the sampler at 99 Hz and running a second, median of {ROUNDS}, MB"
    );
    for who in ["none", "timer", "perf", "pprof-rs"] {
        let mut values = Vec::new();
        for _ in 0..ROUNDS {
            values.push(spawn(&format!("memory {who}"))?["mb"]);
        }
        println!("  {who:<9} {:>7.1}", median(&mut values));
    }
    Ok(())
}
