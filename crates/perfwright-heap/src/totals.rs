//! Exact counts.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::thread;

/// What went through [`SampledAlloc`](crate::SampledAlloc): exact, since the program began.
///
/// Sizes are those asked for. A `realloc` is an allocation of the new size and a free of the old.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Totals {
    /// Blocks allocated.
    pub allocations: u64,
    /// Bytes allocated.
    pub allocated_bytes: u64,
    /// Blocks freed.
    pub frees: u64,
    /// Bytes freed.
    pub freed_bytes: u64,
}

impl Totals {
    /// The sums over all threads, running and ended; `None` if [`SampledAlloc`](crate::SampledAlloc) is not the
    /// global allocator.
    ///
    /// What threads do while it reads may be in it or not: a free may be counted whose allocation, in another
    /// thread, is not. It takes some nanoseconds a thread, holding back threads that begin or end.
    #[must_use]
    pub fn read() -> Option<Totals> {
        is_installed().then(thread::totals)
    }

    /// Bytes allocated and not freed yet.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.allocated_bytes.saturating_sub(self.freed_bytes)
    }

    pub(crate) fn add(&mut self, other: Totals) {
        // Wrapping: nothing here may panic. 2^64 bytes are far.
        self.allocations = self.allocations.wrapping_add(other.allocations);
        self.allocated_bytes = self.allocated_bytes.wrapping_add(other.allocated_bytes);
        self.frees = self.frees.wrapping_add(other.frees);
        self.freed_bytes = self.freed_bytes.wrapping_add(other.freed_bytes);
    }
}

/// Whether [`SampledAlloc`](crate::SampledAlloc) is the program's global allocator: one allocation tells, the
/// first time.
pub(crate) fn is_installed() -> bool {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.load(Ordering::Relaxed) {
        return true;
    }
    let before = thread::own_counts().totals.allocations;
    drop(black_box(Box::new(black_box(1_u8))));
    let installed = thread::own_counts().totals.allocations != before;
    INSTALLED.store(installed, Ordering::Relaxed);
    installed
}
