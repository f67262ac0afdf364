//! Exact counts, in a program of their own, without a harness that might allocate meanwhile.
//!
//! `PERFWRIGHT_THREADS=100000 cargo test --release -p perfwright-heap --test exact` runs more threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use perfwright_heap::{SampledAlloc, Totals};

#[global_allocator]
static ALLOC: SampledAlloc<System> = SampledAlloc::system();

fn totals() -> Totals {
    Totals::read().expect("it is the global allocator")
}

fn difference(after: Totals, before: Totals) -> Totals {
    Totals {
        allocations: after.allocations - before.allocations,
        allocated_bytes: after.allocated_bytes - before.allocated_bytes,
        frees: after.frees - before.frees,
        freed_bytes: after.freed_bytes - before.freed_bytes,
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Counts on the calling thread alone: what a pool of short threads allocates itself is in both measurements.
struct Work {
    allocations: u64,
    bytes: u64,
}

/// Allocates and frees blocks that no thread machinery would, and says how many.
fn work(seed: usize) -> Work {
    let mut work = Work {
        allocations: 0,
        bytes: 0,
    };
    for i in 0..10 {
        let size = 1_000 + (seed + i) % 100;
        drop(black_box(Vec::<u8>::with_capacity(size)));
        work.allocations += 1;
        work.bytes += size as u64;
    }
    work
}

fn run_threads(threads: usize, work: fn(usize) -> Work) -> Totals {
    let before = totals();
    for i in 0..threads {
        std::thread::spawn(move || {
            black_box(work(i));
        })
        .join()
        .expect("the thread ends well");
    }
    difference(totals(), before)
}

fn no_work(_: usize) -> Work {
    Work {
        allocations: 0,
        bytes: 0,
    }
}

fn main() {
    the_four_methods_count_what_was_asked_for();
    short_threads_are_exact_and_take_no_memory();
    late_destructors_count();
    what_failed_is_not_counted();
    zeroed_memory_stays_untouched();
    println!("exact counts: 5 checks passed");
}

fn the_four_methods_count_what_was_asked_for() {
    let layout = Layout::from_size_align(100, 64).unwrap();
    let before = totals();
    // SAFETY: the layouts are the blocks' own, and each block is freed once.
    unsafe {
        let block = ALLOC.alloc(layout);
        assert_eq!(block.addr() % 64, 0);
        let block = ALLOC.realloc(block, layout, 300);
        let longer = Layout::from_size_align(300, 64).unwrap();
        let zeroed = ALLOC.alloc_zeroed(longer);
        assert!(
            std::slice::from_raw_parts(zeroed, 300)
                .iter()
                .all(|&byte| byte == 0)
        );
        ALLOC.dealloc(block, longer);
        ALLOC.dealloc(zeroed, longer);
    }
    let counted = difference(totals(), before);
    let expected = Totals {
        allocations: 3,
        allocated_bytes: 700,
        frees: 3,
        freed_bytes: 700,
    };
    assert_eq!(counted, expected);
}

fn short_threads_are_exact_and_take_no_memory() {
    let threads =
        std::env::var("PERFWRIGHT_THREADS").map_or(10_000, |n| n.parse().expect("a number"));
    run_threads(100, work);
    let own = run_threads(threads, no_work);
    let resident = resident_bytes();
    let counted = run_threads(threads, work);
    let grown = resident_bytes().saturating_sub(resident);
    let (mut allocations, mut bytes) = (0, 0);
    for i in 0..threads {
        let Work {
            allocations: n,
            bytes: b,
        } = work(i);
        allocations += n;
        bytes += b;
    }
    assert_eq!(counted.allocations - own.allocations, allocations);
    assert_eq!(counted.allocated_bytes - own.allocated_bytes, bytes);
    assert_eq!(counted.frees - own.frees, allocations);
    assert_eq!(counted.freed_bytes - own.freed_bytes, bytes);
    assert!(
        grown < 1 << 20,
        "{grown} bytes more resident after {threads} threads"
    );
}

/// Allocates in the destructor of a thread-local.
struct Late(usize);

impl Drop for Late {
    fn drop(&mut self) {
        work(self.0);
    }
}

thread_local! {
    static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) };
}

fn late_work(seed: usize) -> Work {
    LATE.with(|late| *late.borrow_mut() = Some(Late(seed)));
    no_work(seed)
}

fn late_destructors_count() {
    let own = run_threads(100, no_work);
    let counted = run_threads(100, late_work);
    assert_eq!(counted.allocations - own.allocations, 1_000);
    assert_eq!(counted.frees - own.frees, 1_000);
    assert_eq!(
        counted.allocated_bytes - counted.freed_bytes,
        own.allocated_bytes - own.freed_bytes
    );
}

fn what_failed_is_not_counted() {
    let before = totals();
    let failed = Vec::<u8>::new().try_reserve_exact(isize::MAX as usize);
    assert!(failed.is_err());
    assert_eq!(totals(), before);
}

/// A block of zeroes comes from the system unmapped, and must stay so, sampled or not.
fn zeroed_memory_stays_untouched() {
    let sampler = perfwright_heap::Sampler::start(perfwright_heap::Options::new());
    let before = resident_bytes();
    let zeroes = black_box(vec![0_u8; 256 << 20]);
    let grown = resident_bytes().saturating_sub(before);
    assert!(
        grown < 4 << 20,
        "{grown} bytes resident of {}",
        zeroes.len()
    );
    drop(sampler);
}
