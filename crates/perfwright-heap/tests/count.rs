//! Exact counts under the parallel test harness, with `SampledAlloc` as the global allocator.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::HashSet;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

use perfwright_heap::{Counted, SampledAlloc, Totals, count, try_count};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

/// Allocations, reallocations, bytes; frees, bytes.
fn numbers<T>(counted: &Counted<T>) -> [u64; 5] {
    [
        counted.allocations,
        counted.reallocations,
        counted.allocated_bytes,
        counted.frees,
        counted.freed_bytes,
    ]
}

/// A block of `size` bytes.
#[inline(never)]
fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

#[test]
fn nothing_is_nothing() {
    let counted = count(|| black_box(1) + 1);
    assert_eq!(counted.value, 2);
    assert_eq!(numbers(&counted), [0; 5]);
    assert_eq!(counted.peak_live_bytes, 0);
    assert_eq!((counted.sites().len(), counted.without_stack()), (0, 0));
}

#[test]
fn every_kind_of_allocation_counts() {
    let layout = Layout::from_size_align(100, 64).unwrap();
    let counted = count(|| {
        // SAFETY: every block is freed once, with the layout it has then.
        unsafe {
            let zeroed = black_box(alloc_zeroed(layout));
            assert_eq!(*zeroed.add(99), 0);
            let plain = black_box(alloc(layout));
            let grown = black_box(realloc(plain, layout, 1000));
            dealloc(zeroed, layout);
            dealloc(grown, Layout::from_size_align(1000, 64).unwrap());
        }
    });
    assert_eq!(numbers(&counted), [3, 1, 1200, 3, 1200]);
    assert_eq!(counted.peak_live_bytes, 1100);
}

#[test]
fn a_growing_vec_shows_its_reallocations() {
    let counted = count(|| {
        let mut bytes = Vec::with_capacity(8);
        bytes.extend_from_slice(&[1_u8; 8]);
        for _ in 0..24 {
            bytes.push(black_box(2));
        }
        bytes
    });
    assert_eq!(counted.value.capacity(), 32);
    assert_eq!(numbers(&counted), [3, 2, 8 + 16 + 32, 2, 8 + 16]);
    assert_eq!(counted.peak_live_bytes, 32);
}

#[test]
fn frees_of_older_blocks_count_and_the_peak_is_above_the_beginning() {
    let old = block(5000);
    let counted = count(|| {
        drop(old);
        let first = block(3000);
        drop(block(1000));
        drop(first);
    });
    assert_eq!(numbers(&counted), [2, 0, 4000, 3, 9000]);
    // 5,000 bytes went first, so the most is still below what was there.
    assert_eq!(counted.peak_live_bytes, 0);
    let counted = count(|| {
        let first = block(3000);
        drop(block(1000));
        drop(block(1500));
        first
    });
    assert_eq!(counted.peak_live_bytes, 4500);
}

#[test]
fn threads_do_not_see_each_other() {
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let barrier = &barrier;
            scope.spawn(move || {
                for _ in 0..50 {
                    barrier.wait();
                    let counted = count(|| {
                        (0..100 * thread).for_each(|_| drop(block(10 * thread)));
                    });
                    let n = 100 * thread as u64;
                    let bytes = n * 10 * thread as u64;
                    assert_eq!(numbers(&counted), [n, 0, bytes, n, bytes]);
                }
            });
        }
    });
}

#[test]
fn an_outer_count_has_the_inner_one_and_nothing_of_counting() {
    let outer = count(|| {
        drop(block(1));
        let inner = count(|| {
            let innermost = count(|| drop(block(100)));
            assert_eq!(numbers(&innermost), [1, 0, 100, 1, 100]);
            drop(innermost);
            drop(block(10));
        });
        assert_eq!(numbers(&inner), [2, 0, 110, 2, 110]);
        assert_eq!(inner.peak_live_bytes, 100);
        drop(inner);
        drop(block(1000));
    });
    assert_eq!(numbers(&outer), [4, 0, 1111, 4, 1111]);
    assert_eq!(outer.peak_live_bytes, 1000);
    let sites: u64 = outer.sites().map(|site| site.allocations).sum();
    assert_eq!((sites, outer.without_stack()), (4, 0));
}

#[test]
fn a_panic_ends_its_count_and_no_other() {
    let outer = count(|| {
        let inside = catch_unwind(AssertUnwindSafe(|| {
            count(|| {
                drop(block(100));
                std::panic::resume_unwind(Box::new(7_u8));
            })
        }));
        assert_eq!(*inside.unwrap_err().downcast::<u8>().unwrap(), 7);
        block(1000)
    });
    // The panic itself allocates something too.
    assert!(outer.allocations >= 3, "{outer:?}");
    assert!(outer.sites().any(|site| site.allocated_bytes == 1000));
    assert!(outer.sites().any(|site| site.allocated_bytes == 100));
    let after = count(|| drop(block(10)));
    assert_eq!(numbers(&after), [1, 0, 10, 1, 10]);
}

#[test]
fn what_is_freed_on_another_thread_is_not_counted_here() {
    let counted = count(|| {
        let moved = block(100);
        std::thread::scope(|scope| {
            let drops = || {
                let there = count(|| drop(moved));
                assert_eq!(numbers(&there), [0, 0, 0, 1, 100]);
            };
            scope.spawn(drops).join().unwrap();
        });
    });
    let own = counted.sites().filter(|site| site.allocated_bytes == 100);
    assert_eq!(own.count(), 1);
    // What starting a thread takes is counted, and what that thread does is not.
    assert!(
        counted.allocations > 1 && counted.frees < counted.allocations + 1,
        "{counted:?}"
    );
}

#[inline(never)]
fn twice() -> [Vec<u8>; 2] {
    [block(10), block(20)]
}

#[cfg(unix)]
#[test]
fn stacks_tell_sites_apart() {
    let counted = count(|| {
        let kept: Vec<_> = (0..5).map(|_| black_box(twice())).collect();
        drop(kept);
        Box::new(black_box([1_u64; 100]))
    });
    let mut sites: Vec<_> = counted
        .sites()
        .map(|site| (site.allocations, site.allocated_bytes))
        .collect();
    sites.sort_unstable();
    // Five of each block, the vector of the five, and the box.
    assert_eq!(sites, [(1, 240), (1, 800), (5, 50), (5, 100)]);
    assert!(counted.sites().all(|site| site.stack.len() > 3));
    let stacks: HashSet<_> = counted.sites().map(|site| site.stack).collect();
    assert_eq!(stacks.len(), 4);
}

#[inline(never)]
fn dive(depth: u32, seed: u32) -> u32 {
    if depth == 0 {
        return block(1 + seed as usize % 2).capacity() as u32;
    }
    // Two ways at each level: 2^levels distinct stacks.
    let deeper = match seed.unbounded_shr(depth) & 1 {
        0 => dive(depth - 1, seed) ^ black_box(0),
        _ => black_box(0) ^ dive(depth - 1, seed),
    };
    black_box(deeper)
}

#[cfg(unix)]
#[test]
fn stacks_beyond_the_bounds_are_still_counted() {
    let counted = count(|| (0..1 << 13).for_each(|seed| _ = black_box(dive(13, seed))));
    assert_eq!(counted.allocations, 1 << 13);
    let in_sites: u64 = counted.sites().map(|site| site.allocations).sum();
    assert_eq!(in_sites + counted.without_stack(), 1 << 13);
    assert!(counted.without_stack() > 0, "{counted:?}");
    assert!(counted.sites().len() <= 2048);
    let profile = counted.profile();
    assert_eq!(profile.total(0), 1 << 13);
    assert_eq!(profile.total(1) as u64, counted.allocated_bytes);
    assert!(
        profile
            .find_string("[perfwright: stacks not kept]")
            .is_some()
    );
    // The recursion is cut at the depth limit, and is a site like others.
    let deep = count(|| dive(500, 0));
    assert_eq!(deep.allocations, 1);
    assert_eq!(deep.sites().next().unwrap().stack.len(), 128);
}

#[cfg(unix)]
#[test]
fn after_many_captures_stacks_are_no_longer_looked_at() {
    let counted = count(|| (0..70_000).for_each(|_| drop(block(1))));
    assert_eq!(counted.allocations, 70_000);
    assert_eq!(counted.without_stack(), 70_000 - (64 << 10));
    assert_eq!(counted.sites().len(), 1);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn the_profile_has_the_values_and_addresses_in_this_program() {
    let counted = count(twice);
    let profile = counted.profile();
    let kinds: Vec<_> = profile
        .sample_types()
        .iter()
        .map(|sample| sample.kind.as_str())
        .collect();
    assert_eq!(kinds, ["alloc_objects", "alloc_space"]);
    assert_eq!((profile.total(0), profile.total(1)), (2, 30));
    let program = std::env::current_exe().unwrap();
    for sample in profile.samples() {
        let leaf = profile.stack(sample.stack).next().unwrap();
        let mapping = profile.location(leaf).mapping.expect("a mapping");
        let file = profile.string(profile.mapping(mapping).filename);
        assert_eq!(file, program.to_str().unwrap());
    }
    // Leaf addresses lie inside calls: one less than the return address.
    let site = counted.sites().next().unwrap();
    let sample = profile.sample(0);
    let leaf = profile.stack(sample.stack).next().unwrap();
    let address = profile.location(leaf).address.unwrap().get();
    assert_eq!(address, site.stack[0] - 1);
}

/// The sampler wakes the same slow path, and starts, stops and changes its rate from another thread.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_sampler_that_comes_and_goes_changes_no_count() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use perfwright_heap::{Options, Sampler};

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let sampler = Sampler::start(Options::new().rate_bytes(1 << 10)).unwrap();
                for rate_bytes in [1, 1 << 20, 1 << 12] {
                    sampler.set_rate_bytes(rate_bytes).unwrap();
                    std::thread::yield_now();
                }
                drop(sampler);
            }
        });
        for _ in 0..300 {
            let counted = count(|| (1..=100).for_each(|size| drop(block(size))));
            assert_eq!(numbers(&counted), [100, 0, 5050, 100, 5050]);
            let in_sites: u64 = counted.sites().map(|site| site.allocations).sum();
            assert_eq!(in_sites, 100);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_totals_of_the_process_have_what_is_counted() {
    let before = Totals::read().unwrap();
    let counted = try_count(|| block(12_345_678)).unwrap();
    let after = Totals::read().unwrap();
    assert_eq!(counted.allocated_bytes, 12_345_678);
    assert!(after.allocated_bytes - before.allocated_bytes >= 12_345_678);
}
