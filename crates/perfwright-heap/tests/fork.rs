//! Forks of a process whose other threads allocate, sampled at a high rate: no child may wait for ever.
//!
//! A program of its own, because a forked child of a test harness has a part of the harness.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use perfwright_heap::{Options, SampledAlloc, Sampler, Totals};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

const FORKS: usize = 200;
/// How long a child may take that needs milliseconds.
const STARTS: u32 = 50;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn no_child_hangs() {
    let options = Options::new()
        .rate_bytes(256)
        .epoch(Duration::from_millis(1));
    let sampler = Sampler::start(options).expect("nothing is in the way");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| churn(&stop));
        }
        // Threads that are listed and leave the list.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                std::thread::spawn(|| drop(black_box(vec![1_u8; 5000])))
                    .join()
                    .expect("the thread ends well");
            }
        });
        let bad: Vec<_> = (0..FORKS)
            .filter_map(|_| fork_once(&sampler, false))
            .collect();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(bad, [] as [String; 0], "of {FORKS} forks");
    });
    // Starting a sampler starts a thread, and the standard library has a lock for that which a fork may copy held
    // while another thread is starting. So none is here.
    stop.store(false, Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| churn(&stop));
        }
        std::thread::sleep(Duration::from_millis(100));
        let bad: Vec<_> = (0..STARTS)
            .filter_map(|_| fork_once(&sampler, true))
            .collect();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(
            bad,
            [] as [String; 0],
            "of {STARTS} forks that start a sampler"
        );
    });
    let capture = sampler.stop();
    assert!(
        capture.audit.samples > 1000,
        "the parent goes on: {}",
        capture.audit
    );
}

fn churn(stop: &AtomicBool) {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        blocks.push(black_box(Vec::with_capacity(100 + blocks.len() * 10)));
        if blocks.len() > 100 {
            blocks.clear();
        }
    }
}

/// Forks, lets the child allocate, free, and ask; says what went wrong.
fn fork_once(sampler: &Sampler, starts: bool) -> Option<String> {
    // Sampled here, freed there.
    let block = vec![1_u8; 100_000];
    // SAFETY: the child only does what is documented to work there, and leaves by `_exit`. glibc's allocator
    // works in a forked child.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let failed = in_child(sampler, block, starts).err().unwrap_or(0);
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(failed) };
    }
    drop(block);
    let begin = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: waits for our child.
        let ended = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if ended == pid {
            return (status != 0).then(|| format!("status {status}"));
        }
        if begin.elapsed() > PATIENCE {
            // SAFETY: our child.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            return Some("hung".into());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The number of the step that went wrong.
fn in_child(sampler: &Sampler, block: Vec<u8>, starts: bool) -> Result<(), i32> {
    let check = |right: bool, step: i32| if right { Ok(()) } else { Err(step) };
    drop(block);
    let before = Totals::read().expect("it is the global allocator");
    let blocks: Vec<Vec<u8>> = (1..200).map(|i| black_box(vec![1; i * 10])).collect();
    let counted = Totals::read().expect("still").allocations - before.allocations;
    drop(blocks);
    check(counted == 200, 1)?;
    // The parent's sampler is off here; another works.
    check(sampler.snapshot().profile.sample_count() == 0, 2)?;
    check(sampler.peak().is_none(), 3)?;
    sampler.mark();
    sampler.pause();
    if !starts {
        return Ok(());
    }
    let own = Sampler::start(Options::new().rate_bytes(64)).map_err(|_| 4)?;
    drop(black_box(vec![1_u8; 100_000]));
    check(own.stop().audit.samples > 0, 5)
}
