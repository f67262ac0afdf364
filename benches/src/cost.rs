//! What one sample costs inside the signal handler, at several depths.
//!
//! Real signals of each profiler's own timers. A handler of ours stands before the profiler's and reads the
//! clock around it, the same way for both, so that what is counted is what the profiler's handler does beyond
//! an empty one.

use std::{
    ffi::{c_int, c_void},
    hint::black_box,
    mem::MaybeUninit,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use perfwright_cpu::{Engine, Options, Sampler};

use crate::{
    child::{Role, median, spawn, tell},
    workload,
};

const HZ: u32 = 250;
const SECONDS: u64 = 4;
const ROUNDS: usize = 3;
const DEPTHS: [usize; 3] = [5, 50, 100];

type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The profiler's handler, as an address.
static INNER: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// What each call took, in ns; as many as can come.
static NANOS: [AtomicU64; 1 << 14] = [const { AtomicU64::new(0) }; 1 << 14];

unsafe extern "C" fn timed(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the address is that of the handler that was installed before, with SA_SIGINFO.
    let inner: Handler = unsafe { std::mem::transmute(INNER.load(Relaxed)) };
    let start = nanos();
    // SAFETY: the arguments are the kernel's for this signal.
    unsafe { inner(signal, info, context) };
    let took = nanos() - start;
    if let Some(slot) = NANOS.get(TAKEN.fetch_add(1, Relaxed)) {
        slot.store(took, Relaxed);
    }
}

fn nanos() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: fills `time`; async-signal-safe.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Runs `work` with our handler before the installed one.
fn with_timed_handler(work: impl FnOnce()) -> Result<()> {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: asks for the action; the kernel fills `old`.
    let old = unsafe {
        ensure!(libc::sigaction(libc::SIGPROF, std::ptr::null(), old.as_mut_ptr()) == 0);
        old.assume_init()
    };
    ensure!(
        old.sa_flags & libc::SA_SIGINFO != 0,
        "the profiler's handler takes three arguments"
    );
    INNER.store(old.sa_sigaction, Relaxed);
    let mut new = old;
    new.sa_sigaction = timed as Handler as usize;
    // SAFETY: `timed` has the signature that SA_SIGINFO asks for.
    ensure!(unsafe { libc::sigaction(libc::SIGPROF, &new, std::ptr::null_mut()) } == 0);
    work();
    // SAFETY: puts back what was there.
    ensure!(unsafe { libc::sigaction(libc::SIGPROF, &old, std::ptr::null_mut()) } == 0);
    Ok(())
}

fn spin(depth: usize) {
    let end = Instant::now() + Duration::from_secs(SECONDS);
    workload::at_depth(depth, &mut || {
        let mut state = 1_u64;
        while Instant::now() < end {
            for _ in 0..10_000 {
                state = black_box(
                    state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1),
                );
            }
        }
    });
}

pub(crate) fn child(role: &Role) -> Result<()> {
    let depth = role.number(2)? as usize;
    match role.word(1) {
        "perfwright" => {
            let sampler = Sampler::start(Options::new().engine(Engine::Timer).frequency_hz(HZ))?;
            with_timed_handler(|| spin(depth))?;
            let capture = sampler.stop();
            let profile = &capture.profile;
            let depths = profile
                .samples()
                .map(|sample| profile.stack(sample.stack).count());
            tell("frames", depths.max().unwrap_or(0) as f64);
        }
        "pprof-rs" => {
            let guard = pprof::ProfilerGuardBuilder::default()
                .frequency(HZ as i32)
                .build()?;
            with_timed_handler(|| spin(depth))?;
            let report = guard.report().build_unresolved()?;
            tell(
                "frames",
                report
                    .data
                    .keys()
                    .map(|stack| stack.frames.len())
                    .max()
                    .unwrap_or(0) as f64,
            );
        }
        other => bail!("no profiler is called {other}"),
    }
    let taken = TAKEN.load(Relaxed).min(NANOS.len());
    ensure!(taken > 100, "only {taken} signals came");
    let mut nanos: Vec<f64> = NANOS[..taken]
        .iter()
        .map(|slot| slot.load(Relaxed) as f64)
        .collect();
    tell("mean_us", nanos.iter().sum::<f64>() / taken as f64 / 1e3);
    tell("median_us", median(&mut nanos) / 1e3);
    tell("signals", taken as f64);
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    println!(
        "cost of a sample above an empty handler, real signals, us (median; mean), median of {ROUNDS} runs"
    );
    for depth in DEPTHS {
        let mut rows = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (row, who) in rows.iter_mut().zip(["perfwright", "pprof-rs"]) {
                row.push(spawn(&format!("cost {who} {depth}"))?);
            }
        }
        let of = |row: &[crate::child::Numbers], key: &str| {
            median(&mut row.iter().map(|numbers| numbers[key]).collect::<Vec<_>>())
        };
        let [us, them] = &rows;
        println!(
            "  {:>4.0} frames: perfwright {:.2}; {:.2}   pprof-rs {:.2}; {:.2}   ratio {:.0}; {:.0}",
            of(us, "frames"),
            of(us, "median_us"),
            of(us, "mean_us"),
            of(them, "median_us"),
            of(them, "mean_us"),
            of(them, "median_us") / of(us, "median_us"),
            of(them, "mean_us") / of(us, "mean_us"),
        );
    }
    Ok(())
}
