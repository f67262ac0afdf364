//! A long storm: `cargo run --release -p perfwright-heap --example heap_stress -- --seconds 120`.
//!
//! Many threads that come and go allocate, grow, shrink and zero blocks, hand them to others and free what others
//! allocated, at a rate of 1 KiB that changes now and then, while snapshots, peaks and suspects are asked for. When
//! everything is freed, nothing may be in use: it says so, and ends with 1 if not.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use perfwright_heap::{Options, SampledAlloc, Sampler, Totals};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

const THREADS: u64 = 16;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let seconds = match arguments.get(1..) {
        Some([flag, seconds]) if flag == "--seconds" => seconds.parse().ok(),
        Some([]) => Some(120),
        _ => None,
    };
    let Some(seconds) = seconds else {
        eprintln!("usage: heap_stress [--seconds N]");
        return ExitCode::from(2);
    };
    match run(Duration::from_secs(seconds)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What a storm's threads share.
#[derive(Default)]
struct Shared {
    blocks: Mutex<Vec<Vec<u8>>>,
    threads: AtomicU64,
}

fn run(time: Duration) -> Result<(), String> {
    let options = Options::new()
        .rate_bytes(1024)
        .epoch(Duration::from_millis(100));
    let sampler = Sampler::start(options).map_err(|error| format!("failed to {error}"))?;
    let shared = Shared::default();
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let shared = &shared;
            scope.spawn(move || {
                for round in 0.. {
                    if Instant::now() >= end {
                        break;
                    }
                    let until = end.min(Instant::now() + Duration::from_millis(300));
                    let seed = thread << 32 | round;
                    std::thread::scope(|inner| {
                        inner.spawn(|| {
                            perfwright_context::with_label("site", "storm", || {
                                storm(seed, shared, until)
                            });
                        });
                    });
                    shared.threads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for i in 0_u64.. {
            if Instant::now() >= end {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            match i % 4 {
                0 => drop(sampler.snapshot()),
                1 => drop(sampler.peak()),
                2 => drop(sampler.suspects()),
                _ => drop(sampler.set_rate_bytes(512 + i % 5 * 1024)),
            }
        }
    });
    let before = sampler.snapshot();
    *shared.blocks.lock().map_err(|_| "a thread panicked")? = Vec::new();
    let capture = sampler.stop();
    let profile = &capture.profile;
    let in_use = |capture: &perfwright_heap::Capture| -> i64 {
        let profile = &capture.profile;
        profile
            .samples()
            .filter(|sample| profile.label_str(sample.labels, "site") == Some("storm"))
            .map(|sample| sample.values[3])
            .sum()
    };
    println!("{}", capture.audit);
    println!("threads         {}", shared.threads.load(Ordering::Relaxed));
    if let Some(totals) = Totals::read() {
        println!(
            "exact           {} allocations of {:.1} GiB, {} frees",
            totals.allocations,
            totals.allocated_bytes as f64 / (1_u64 << 30) as f64,
            totals.frees
        );
    }
    println!("sites           {}", profile.sample_count());
    println!(
        "in use          {} bytes before, {} after",
        in_use(&before),
        in_use(&capture)
    );
    match in_use(&capture) {
        0 if capture.audit.untracked == 0 => Ok(()),
        0 => Err("some samples were not tracked".into()),
        left => Err(format!("{left} bytes seem to be in use")),
    }
}

/// A generator that does not allocate.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

fn storm(seed: u64, shared: &Shared, until: Instant) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut own: Vec<Vec<u8>> = Vec::new();
    while Instant::now() < until {
        for _ in 0..200 {
            step(&mut random, &mut own, shared);
        }
    }
}

fn step(random: &mut u64, own: &mut Vec<Vec<u8>>, shared: &Shared) {
    let dice = next(random);
    let pick = |len: usize| dice / 8 % len;
    match dice % 8 {
        0..3 => own.push(Vec::with_capacity(1 + dice / 8 % 3000)),
        3 => own.push(vec![0; 1 + dice / 8 % 100_000]),
        4 if !own.is_empty() => {
            let at = pick(own.len());
            own[at].reserve(1 + dice / 64 % 10_000);
        }
        5 if !own.is_empty() => {
            let at = pick(own.len());
            own[at].shrink_to(dice / 64 % 100);
        }
        6 => {
            if let Ok(mut blocks) = shared.blocks.lock() {
                blocks.append(own);
                let keep = blocks.len() / 2;
                own.extend(blocks.drain(keep..));
            }
        }
        _ => own.truncate((own.len() / 2).max(own.len().saturating_sub(dice / 8 % 20))),
    }
    if own.len() > 500 {
        own.truncate(100);
    }
}
