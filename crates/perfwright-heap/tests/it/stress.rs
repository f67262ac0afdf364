//! Many threads, blocks freed by others, reallocs, threads that come and go; at the end nothing is in use.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::program::{at, start, turn, value};

/// A generator that does not allocate.
fn next(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

/// Allocates, grows, shrinks, hands over and frees until `end`.
fn storm(seed: u64, shared: &Mutex<Vec<Vec<u8>>>, end: Instant) {
    let mut random = seed * 2 + 1;
    let mut own: Vec<Vec<u8>> = Vec::new();
    while Instant::now() < end {
        for _ in 0..200 {
            let dice = next(&mut random);
            match dice % 8 {
                0..3 => own.push(Vec::with_capacity(1 + dice / 8 % 3000)),
                3 => own.push(vec![0; 1 + dice / 8 % 100_000]),
                4 if !own.is_empty() => {
                    let at = dice / 8 % own.len();
                    own[at].reserve(1 + dice / 64 % 10_000);
                }
                5 if !own.is_empty() => {
                    let at = dice / 8 % own.len();
                    own[at].shrink_to(dice / 64 % 100);
                }
                6 => {
                    let mut shared = shared.lock().unwrap();
                    shared.append(&mut own);
                    let keep = shared.len() / 2;
                    own.extend(shared.drain(keep..));
                }
                _ => {
                    let at = own.len() / 2;
                    own.truncate(at.max(own.len().saturating_sub(dice / 8 % 20)));
                }
            }
            if own.len() > 500 {
                own.truncate(100);
            }
        }
    }
}

#[test]
fn after_everything_is_freed_nothing_is_in_use() {
    let _turn = turn();
    let sampler = start(1024);
    let end = Instant::now() + Duration::from_secs(10);
    let shared: &'static Mutex<_> = Box::leak(Box::new(Mutex::new(Vec::new())));
    std::thread::scope(|scope| {
        for seed in 1..=8 {
            scope.spawn(move || {
                // Short threads, so that they come and go as well.
                while Instant::now() < end {
                    let round = end.min(Instant::now() + Duration::from_millis(200));
                    std::thread::spawn(move || at("storm", || storm(seed, shared, round)))
                        .join()
                        .unwrap();
                }
            });
        }
        scope.spawn(|| {
            for i in 0_u32.. {
                if Instant::now() >= end {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
                match i % 4 {
                    0 => drop(sampler.snapshot()),
                    1 => drop((sampler.peak(), sampler.suspects())),
                    2 => sampler.mark(),
                    _ => sampler
                        .set_rate_bytes(512 + u64::from(i % 5) * 1024)
                        .unwrap(),
                }
            }
        });
    });
    // All threads of the storm are gone; what they left goes now.
    *shared.lock().unwrap() = Vec::new();
    let capture = sampler.stop();
    assert!(capture.audit.samples > 10_000, "{}", capture.audit);
    assert_eq!(capture.audit.untracked, 0, "{}", capture.audit);
    assert_eq!(
        value(&capture, "storm", "inuse_objects"),
        0,
        "{}",
        capture.audit
    );
    assert_eq!(
        value(&capture, "storm", "inuse_space"),
        0,
        "{}",
        capture.audit
    );
}
