//! jemalloc inside `SampledAlloc`: `cargo test -p perfwright-heap --features jemalloc --test jemalloc`.
#![cfg(feature = "jemalloc")]

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::hint::black_box;

use perfwright_heap::{Allocator, SampledAlloc, Timeline, Totals};

// SAFETY: the declarations of what the feature links.
unsafe extern "C" {
    fn _rjem_aligned_alloc(align: usize, size: usize) -> *mut c_void;
    fn _rjem_free(block: *mut c_void);
}

struct Jemalloc;

// SAFETY: jemalloc's blocks are as large and as aligned as asked for, and live until they are freed.
unsafe impl GlobalAlloc for Jemalloc {
    // SAFETY: the trait's contract is all that it needs.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the alignment is a power of two, at least a pointer's.
        unsafe { _rjem_aligned_alloc(layout.align().max(8), layout.size()).cast() }
    }

    // SAFETY: the trait's contract is all that it needs.
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: it came from `alloc`.
        unsafe { _rjem_free(block.cast()) }
    }
}

#[global_allocator]
static ALLOC: SampledAlloc<Jemalloc> = SampledAlloc::new(Jemalloc);

#[test]
fn its_statistics_are_in_the_timeline() {
    assert_eq!(Allocator::detect(), Some(Allocator::Jemalloc));
    let mut timeline = Timeline::new();
    assert_eq!(timeline.allocator(), Some(Allocator::Jemalloc));
    let before = timeline.observe().allocator.unwrap();
    let block = black_box(vec![1_u8; 32 << 20]);
    let with = timeline.observe().allocator.unwrap();
    drop(block);
    let rise = with.allocated_bytes.unwrap() - before.allocated_bytes.unwrap();
    assert!(rise >= 32 << 20, "{before:?} {with:?}");
    assert!(with.active_bytes >= with.allocated_bytes, "{with:?}");
    assert!(with.resident_bytes >= Some(32 << 20), "{with:?}");
    assert!(with.mapped_bytes >= with.active_bytes, "{with:?}");
    assert!(with.retained_bytes.is_some(), "{with:?}");
    assert_eq!(with.committed_bytes, None);
    let after = timeline.observe().allocator.unwrap();
    assert!(
        after.allocated_bytes < with.allocated_bytes,
        "{with:?} {after:?}"
    );
    // What SampledAlloc counts is what was asked for; size classes are above it.
    let live = Totals::read().unwrap().live_bytes();
    assert!(after.allocated_bytes.unwrap() >= live, "{after:?} {live}");
}
