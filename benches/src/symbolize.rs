//! Names for the addresses of the example service's profile: the same program, the same requests.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use axum::{body::Body, http::Request};
use perfwright_cpu::{Engine, Options, Sampler};
use perfwright_symbolize::Symbolizer;
use shop::{AppState, Fixes, Scale, db::Storage, router};
use tower::ServiceExt as _;

use crate::child::{Role, cpu_seconds, median, memory_mb, reset_peak, spawn, tell};

const HZ: u32 = 250;
const LOAD: Duration = Duration::from_secs(6);
const ROUNDS: usize = 3;

const REQUESTS: [&str; 5] = [
    "/products?search=oak+chair+under+80",
    "/products/17",
    "/orders?customer=17",
    "/reports/sales?month=2024-03",
    "/orders/export?month=2024-03",
];

/// Asks the service for these pages, in process, for some seconds.
fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let storage = Storage::open(None, Scale::FULL, Fixes::none()).await?;
        let service = router(AppState::new(storage.pool.clone(), Fixes::none()));
        let end = Instant::now() + LOAD;
        for path in REQUESTS.iter().cycle().take_while(|_| Instant::now() < end) {
            let response = service
                .clone()
                .oneshot(Request::get(*path).body(Body::empty())?)
                .await?;
            ensure!(
                response.status().is_success(),
                "{path} answered {}",
                response.status()
            );
        }
        storage.close().await
    })
}

pub(crate) fn child(role: &Role) -> Result<()> {
    match role.word(1) {
        "perfwright" => perfwright(),
        _ => pprof_rs(),
    }
}

fn perfwright() -> Result<()> {
    let options = Options::new().engine(Engine::Timer).frequency_hz(HZ);
    let sampler = Sampler::start(options)?;
    serve()?;
    let mut profile = sampler.stop().profile;
    tell("samples", profile.total(0) as f64);
    measured(|| {
        let report = Symbolizer::new(Default::default()).symbolize(&mut profile);
        tell("resolved", report.resolved as f64);
        Ok(())
    })
}

fn pprof_rs() -> Result<()> {
    let guard = pprof::ProfilerGuardBuilder::default()
        .frequency(HZ as i32)
        .build()?;
    serve()?;
    // Counted first, so that what is measured is what `build` adds: the names.
    let samples: isize = guard.report().build_unresolved()?.data.values().sum();
    tell("samples", samples as f64);
    measured(|| {
        black_box(guard.report().build()?);
        Ok(())
    })
}

fn measured(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = memory_mb("VmRSS")?;
    reset_peak()?;
    let start = cpu_seconds();
    work()?;
    tell("cpu_s", cpu_seconds() - start);
    tell("peak_mb", memory_mb("VmHWM")? - before);
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    println!("symbolizing the example service's profile, {LOAD:?} at {HZ} Hz, median of {ROUNDS}");
    let mut rows = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (row, who) in rows.iter_mut().zip(["perfwright", "pprof-rs"]) {
            row.push(spawn(&format!("symbolize {who}")).with_context(|| who.to_owned())?);
        }
    }
    let of = |row: &[crate::child::Numbers], key: &str| {
        median(&mut row.iter().map(|numbers| numbers[key]).collect::<Vec<_>>())
    };
    for (row, who) in rows.iter().zip(["perfwright", "pprof-rs"]) {
        println!(
            "  {who:<11} {:.3} CPU-s, peak +{:.1} MB, {:.0} samples",
            of(row, "cpu_s"),
            of(row, "peak_mb"),
            of(row, "samples")
        );
    }
    let ratio = |key| of(&rows[1], key) / of(&rows[0], key);
    println!(
        "  ratio       {:.1} x less CPU, {:.1} x less memory",
        ratio("cpu_s"),
        ratio("peak_mb")
    );
    Ok(())
}
