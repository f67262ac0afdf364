//! The share of CPU time that samples account for: every engine, 99 and 999 Hz, 1, 2 and 8 threads.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use perfwright_cpu::{Engine, Options, Sampler};

use crate::{
    child::{Role, cpu_seconds, spawn, tell},
    workload,
};

const ENGINES: [&str; 3] = ["perf", "timer", "pprof-rs"];
const SECONDS: u64 = 5;

pub(crate) fn child(role: &Role) -> Result<()> {
    let (hz, threads) = (role.number(2)? as u32, role.number(3)?);
    let (cpu, sampled) = match role.word(1) {
        "perf" => ours(Engine::Perf, hz, threads)?,
        "timer" => ours(Engine::Timer, hz, threads)?,
        "pprof-rs" => theirs(hz, threads)?,
        other => bail!("no engine is called {other}"),
    };
    tell("cpu_s", cpu);
    tell("sampled_s", sampled);
    Ok(())
}

/// Keeps `threads` threads busy for some seconds of wall time; returns the CPU time that they took.
fn busy(threads: u64) -> f64 {
    let start = cpu_seconds();
    let end = Instant::now() + Duration::from_secs(SECONDS);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut seed = thread;
                while Instant::now() < end {
                    seed = black_box(workload::unit(seed));
                }
            });
        }
    });
    cpu_seconds() - start
}

/// CPU seconds spent, and CPU seconds in the samples: real ones, not the leaf that shows the rest.
fn ours(engine: Engine, hz: u32, threads: u64) -> Result<(f64, f64)> {
    let options = Options::new().engine(engine).frequency_hz(hz);
    let sampler = Sampler::start(options)?;
    let cpu = busy(threads);
    let capture = sampler.stop();
    Ok((cpu, capture.audit.sampled_nanos as f64 / 1e9))
}

fn theirs(hz: u32, threads: u64) -> Result<(f64, f64)> {
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(hz as i32)
        .build()?;
    let cpu = busy(threads);
    let samples: isize = guard.report().build_unresolved()?.data.values().sum();
    // What its pprof output says a sample stands for.
    Ok((cpu, samples as f64 / f64::from(hz)))
}

pub(crate) fn run() -> Result<()> {
    println!("share of CPU time that samples account for, in %, {SECONDS} s each");
    println!(
        "  {:>4} {:>8}   {}",
        "Hz",
        "threads",
        ENGINES.map(|engine| format!("{engine:>9}")).join(" ")
    );
    for hz in [99, 999] {
        for threads in [1, 2, 8] {
            let mut row = Vec::new();
            for engine in ENGINES {
                let numbers = spawn(&format!("accounting {engine} {hz} {threads}"))?;
                row.push(format!(
                    "{:>9.1}",
                    numbers["sampled_s"] / numbers["cpu_s"] * 100.0
                ));
            }
            println!("  {hz:>4} {threads:>8}   {}", row.join(" "));
        }
    }
    Ok(())
}
