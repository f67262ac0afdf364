//! mimalloc inside `SampledAlloc`: `cargo test -p perfwright-heap --features mimalloc --test mimalloc`.
#![cfg(feature = "mimalloc")]

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::hint::black_box;

use perfwright_heap::{Allocator, SampledAlloc, Timeline};

// SAFETY: the declarations of what the feature links.
unsafe extern "C" {
    fn mi_malloc_aligned(size: usize, align: usize) -> *mut c_void;
    fn mi_free(block: *mut c_void);
}

struct Mimalloc;

// SAFETY: mimalloc's blocks are as large and as aligned as asked for, and live until they are freed.
unsafe impl GlobalAlloc for Mimalloc {
    // SAFETY: the trait's contract is all that it needs.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the alignment is a power of two.
        unsafe { mi_malloc_aligned(layout.size(), layout.align()).cast() }
    }

    // SAFETY: the trait's contract is all that it needs.
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: it came from `alloc`.
        unsafe { mi_free(block.cast()) }
    }
}

#[global_allocator]
static ALLOC: SampledAlloc<Mimalloc> = SampledAlloc::new(Mimalloc);

#[test]
fn its_statistics_are_in_the_timeline() {
    assert_eq!(Allocator::detect(), Some(Allocator::Mimalloc));
    let mut timeline = Timeline::new();
    let blocks: Vec<_> = (0..32).map(|_| black_box(vec![1_u8; 1 << 20])).collect();
    let with = timeline.observe().allocator.unwrap();
    assert!(with.committed_bytes >= Some(32 << 20), "{with:?}");
    assert_eq!(with.allocated_bytes, None);
    drop(blocks);
}
