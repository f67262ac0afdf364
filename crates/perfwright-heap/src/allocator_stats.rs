//! What the allocator itself says, where it says anything.
//!
//! glibc is left out on purpose: its `mallinfo2` visits every free chunk with the arena locked. That took
//! 73 ms in a heap of 360 MB with half a million holes, during which every thread that allocates waits.

/// An allocator that gives statistics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Allocator {
    /// jemalloc, as linked by `tikv-jemalloc-sys` (feature `jemalloc`).
    Jemalloc,
    /// mimalloc, as linked by `libmimalloc-sys` (feature `mimalloc`).
    Mimalloc,
}

impl Allocator {
    /// The allocator's name.
    pub const fn name(self) -> &'static str {
        match self {
            Allocator::Jemalloc => "jemalloc",
            Allocator::Mimalloc => "mimalloc",
        }
    }

    /// The one that serves the program's Rust allocations, if it is one of these and its feature is on.
    ///
    /// That it is linked does not say that it is used, so this allocates a block and asks whose it is.
    pub fn detect() -> Option<Self> {
        #[cfg(feature = "jemalloc")]
        if jemalloc::is_used() {
            return Some(Allocator::Jemalloc);
        }
        #[cfg(feature = "mimalloc")]
        if mimalloc::is_used() {
            return Some(Allocator::Mimalloc);
        }
        None
    }

    /// Its statistics now. All `None` without the allocator's feature.
    pub fn stats(self) -> AllocatorStats {
        match self {
            #[cfg(feature = "jemalloc")]
            Allocator::Jemalloc => jemalloc::stats(),
            #[cfg(feature = "mimalloc")]
            Allocator::Mimalloc => mimalloc::stats(),
            #[cfg(not(all(feature = "jemalloc", feature = "mimalloc")))]
            _ => AllocatorStats::default(),
        }
    }
}

/// Statistics of an allocator, in bytes. `None` is unknown, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct AllocatorStats {
    /// In blocks that the program holds, rounded up to size classes.
    pub allocated_bytes: Option<u64>,
    /// In pages that hold at least one such block. More than `allocated_bytes` by what is fragmented.
    pub active_bytes: Option<u64>,
    /// In physical memory, by the allocator's own books: pages in use, metadata, and freed pages that were
    /// not given back yet.
    pub resident_bytes: Option<u64>,
    /// In mapped extents.
    pub mapped_bytes: Option<u64>,
    /// Kept as address space only, to be used again.
    pub retained_bytes: Option<u64>,
    /// Committed: backed by memory, or it would be when touched.
    pub committed_bytes: Option<u64>,
}

#[cfg(feature = "jemalloc")]
mod jemalloc {
    use tikv_jemalloc_ctl::{Result, epoch, stats as jemalloc, thread};

    use super::AllocatorStats;

    pub(super) fn is_used() -> bool {
        let counts = || -> Result<bool> {
            let allocated = thread::allocatedp::read()?;
            let before = allocated.get();
            drop(std::hint::black_box(Vec::<u8>::with_capacity(64)));
            Ok(allocated.get() > before)
        };
        counts().unwrap_or(false)
    }

    pub(super) fn stats() -> AllocatorStats {
        // Without a new epoch the numbers are those of the last one.
        if epoch::advance().is_err() {
            return AllocatorStats::default();
        }
        let bytes = |read: Result<usize>| read.ok().map(|bytes| bytes as u64);
        AllocatorStats {
            allocated_bytes: bytes(jemalloc::allocated::read()),
            active_bytes: bytes(jemalloc::active::read()),
            resident_bytes: bytes(jemalloc::resident::read()),
            mapped_bytes: bytes(jemalloc::mapped::read()),
            retained_bytes: bytes(jemalloc::retained::read()),
            committed_bytes: None,
        }
    }
}

#[cfg(feature = "mimalloc")]
mod mimalloc {
    use std::ptr::null_mut;

    use libmimalloc_sys::{mi_is_in_heap_region, mi_process_info};

    use super::AllocatorStats;

    pub(super) fn is_used() -> bool {
        let block = std::hint::black_box(Vec::<u8>::with_capacity(64));
        // SAFETY: looks the address up and does not read through it.
        unsafe { mi_is_in_heap_region(block.as_ptr().cast()) }
    }

    pub(super) fn stats() -> AllocatorStats {
        let mut committed = 0;
        // SAFETY: every pointer is null, which is documented to be skipped, or to a number to be filled.
        unsafe {
            mi_process_info(
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
                &mut committed,
                null_mut(),
                null_mut(),
            );
        }
        AllocatorStats {
            committed_bytes: Some(committed as u64).filter(|&bytes| bytes > 0),
            ..AllocatorStats::default()
        }
    }
}
