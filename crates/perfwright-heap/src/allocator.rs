//! The global allocator: counts, and now and then takes a sample.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::thread;

/// An allocator that counts what goes through it, and of which a [`Sampler`](crate::Sampler) can take samples.
///
/// Make it the global allocator, around the one you would use without it:
///
/// ```
/// use std::alloc::System;
/// use perfwright_heap::SampledAlloc;
///
/// #[global_allocator]
/// static ALLOC: SampledAlloc<System> = SampledAlloc::system();
/// # fn main() {
/// let before = perfwright_heap::Totals::read().expect("it is the global allocator");
/// drop(std::hint::black_box(vec![0_u8; 1000]));
/// let after = perfwright_heap::Totals::read().unwrap();
/// assert!(after.allocated_bytes - before.allocated_bytes >= 1000);
/// # }
/// ```
///
/// **What it costs.** Exact counts are always on: a few loads and stores in the thread's own memory for each
/// allocation and each free. Sampling adds nothing to that but the samples themselves: on average one stack walk
/// for each [`Options::rate_bytes`](crate::Options::rate_bytes) allocated, and a lookup when a block is freed
/// that was sampled (or, rarely, looks like it). The repository's `benches/heap` prints the numbers.
///
/// **What is counted.** The bytes asked for, not what the allocator rounds them to. `realloc` counts the new
/// size as allocated and the old one as freed, as one allocation and one free. What failed is not
/// counted, unless it was small: a program that has no memory left for that hardly goes on. All of the program's Rust
/// code is seen; C libraries' own `malloc`, `mmap` and thread stacks are not.
///
/// `alloc`, `dealloc`, `realloc` and `alloc_zeroed` each go to the inner allocator's method of that name, so
/// what it does well (zeroed pages from the system, growing in place) it still does.
#[derive(Debug, Default)]
pub struct SampledAlloc<A = System> {
    inner: A,
}

impl SampledAlloc<System> {
    /// Around the system's allocator.
    #[must_use]
    pub const fn system() -> Self {
        Self::new(System)
    }
}

impl<A> SampledAlloc<A> {
    /// Around any allocator.
    #[must_use]
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }

    /// The allocator inside.
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

impl<A: GlobalAlloc> SampledAlloc<A> {
    /// # Safety
    /// That of `alloc`.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_slowly(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the inner allocator's.
        let block = unsafe { self.inner.alloc(layout) };
        thread::allocated_slowly(block, layout.size())
    }

    /// # Safety
    /// That of `alloc_zeroed`.
    #[cold]
    #[inline(never)]
    unsafe fn alloc_zeroed_slowly(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the inner allocator's.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        thread::allocated_slowly(block, layout.size())
    }

    /// # Safety
    /// That of `dealloc`.
    #[cold]
    #[inline(never)]
    unsafe fn dealloc_slowly(&self, block: *mut u8, layout: Layout) {
        // Before: once it is freed, another thread may have the address.
        thread::freed_slowly(block);
        // SAFETY: the caller's contract is the inner allocator's.
        unsafe { self.inner.dealloc(block, layout) }
    }
}

// SAFETY: every block comes from the inner allocator and goes back to it with its own layout.
unsafe impl<A: GlobalAlloc> GlobalAlloc for SampledAlloc<A> {
    // Counted first, so that the call of the inner allocator is the last thing to do: a jump, with nothing to keep.
    // SAFETY: `alloc`'s contract is passed on.
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if thread::allocating(layout.size()) {
            // SAFETY: the caller's contract.
            return unsafe { self.alloc_slowly(layout) };
        }
        // SAFETY: the caller's contract is the inner allocator's.
        unsafe { self.inner.alloc(layout) }
    }

    // SAFETY: `alloc_zeroed`'s contract is passed on.
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if thread::allocating(layout.size()) {
            // SAFETY: the caller's contract.
            return unsafe { self.alloc_zeroed_slowly(layout) };
        }
        // SAFETY: the caller's contract is the inner allocator's.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    // SAFETY: `dealloc`'s contract is passed on.
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if thread::freed(block, layout.size()) {
            // SAFETY: the caller's contract.
            return unsafe { self.dealloc_slowly(block, layout) };
        }
        // SAFETY: the caller's contract is the inner allocator's.
        unsafe { self.inner.dealloc(block, layout) }
    }

    // SAFETY: `realloc`'s contract is passed on.
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // As for a free; put back if nothing became of it.
        let record = thread::before_realloc(block);
        // SAFETY: the caller's contract is the inner allocator's.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        thread::reallocated(layout.size(), moved, new_size, record);
        moved
    }
}
