//! The profiler's own memory, beside the program's heap: a reserved range that is touched from its start.

use std::ptr::{self, NonNull};

/// Blocks are handed out in powers of two from this size on, so that one given back fits the next of its size.
const MIN_CLASS: u32 = 6;
const CLASSES: usize = 48;

/// A range of zeroed memory that grows by being touched. It is never unmapped: a thread that frees may still be
/// reading a filter that was replaced long ago.
pub(crate) struct Arena {
    start: *mut u8,
    len: usize,
    /// How much of it may be handed out.
    limit: usize,
    used: usize,
    /// Blocks given back, by the power of two of their size: a list through their first word.
    free: [*mut u8; CLASSES],
}

// SAFETY: it owns the range.
unsafe impl Send for Arena {}

impl Arena {
    /// No memory at all.
    pub(crate) const fn empty() -> Arena {
        Arena {
            start: ptr::null_mut(),
            len: 0,
            limit: 0,
            used: 0,
            free: [ptr::null_mut(); CLASSES],
        }
    }

    /// Reserves a range of `len` bytes. `None` if the system refuses.
    pub(crate) fn reserve(len: usize) -> Option<Arena> {
        let start = map(len)?;
        Some(Arena {
            start: start.as_ptr(),
            len,
            limit: len,
            ..Arena::empty()
        })
    }

    /// A block of zeroes for `count` values, aligned to a cache line; `None` if the range is full.
    pub(crate) fn alloc<T: Zeroed>(&mut self, count: usize) -> Option<NonNull<T>> {
        let bytes = count.checked_mul(size_of::<T>())?;
        let class = class_of(bytes)?;
        let slot = &mut self.free[class as usize];
        if let Some(block) = NonNull::new(*slot) {
            // SAFETY: a free block holds the next one's address, and is at least a cache line long.
            unsafe {
                *slot = block.cast::<*mut u8>().read();
                block.as_ptr().write_bytes(0, bytes);
            }
            return Some(block.cast());
        }
        let size = 1_usize << class;
        if size > self.limit - self.used {
            return None;
        }
        // SAFETY: within the range.
        let block = unsafe { self.start.add(self.used) };
        self.used += size;
        NonNull::new(block.cast())
    }

    /// Takes back what [`Arena::alloc`] gave for `count` values. Nobody writes to it any more; late readers of
    /// atomics may read anything.
    ///
    /// # Safety
    /// It came from this arena's `alloc` with the same count, and is not used again.
    pub(crate) unsafe fn give_back<T: Zeroed>(&mut self, block: NonNull<T>, count: usize) {
        let Some(class) = class_of(count * size_of::<T>()) else {
            return;
        };
        let slot = &mut self.free[class as usize];
        // SAFETY: the block is ours again, aligned and at least a cache line long.
        unsafe { block.cast::<*mut u8>().write(*slot) };
        *slot = block.as_ptr().cast();
    }

    /// Bytes handed out, as far as the range was touched.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used
    }

    /// Bytes reserved.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Starts over: everything is zero and free, `limit` bytes at most are handed out.
    ///
    /// # Safety
    /// Nothing that was handed out is written to, or read by other than late readers of atomics.
    pub(crate) unsafe fn clear(&mut self, limit: usize) {
        // SAFETY: the range is ours.
        unsafe { zero(self.start, self.used) };
        self.used = 0;
        self.limit = limit.min(self.len);
        self.free = [ptr::null_mut(); CLASSES];
    }
}

/// Types for which zeroed memory is a value.
///
/// # Safety
/// All-zero bytes are a valid value, and it needs no more alignment than a cache line.
pub(crate) unsafe trait Zeroed {}

// SAFETY: integers, and atomics of them.
unsafe impl Zeroed for u8 {}
// SAFETY: as above.
unsafe impl Zeroed for u32 {}
// SAFETY: as above.
unsafe impl Zeroed for u64 {}
// SAFETY: as above.
unsafe impl Zeroed for std::sync::atomic::AtomicU64 {}

fn class_of(bytes: usize) -> Option<u32> {
    let class = bytes
        .checked_next_power_of_two()?
        .trailing_zeros()
        .max(MIN_CLASS);
    ((class as usize) < CLASSES).then_some(class)
}

#[cfg(not(miri))]
fn map(len: usize) -> Option<NonNull<u8>> {
    // SAFETY: a fresh mapping.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    // Bits and tables are read at random: a huge page would be touched for a few lines of it.
    // SAFETY: the mapping is ours. It is a hint; without it the profiler takes more memory.
    unsafe { libc::madvise(start, len, libc::MADV_NOHUGEPAGE) };
    NonNull::new(start.cast())
}

/// # Safety
/// The bytes are the arena's, and nobody looks at them meanwhile.
#[cfg(not(miri))]
unsafe fn zero(start: *mut u8, len: usize) {
    // Gives the pages back too.
    // SAFETY: the caller's contract; a private anonymous mapping reads as zeroes afterwards.
    if len > 0 && unsafe { libc::madvise(start.cast(), len, libc::MADV_DONTNEED) } != 0 {
        // SAFETY: the caller's contract.
        unsafe { start.write_bytes(0, len) };
    }
}

/// Miri knows no reserved memory.
#[cfg(miri)]
fn map(len: usize) -> Option<NonNull<u8>> {
    let layout = std::alloc::Layout::from_size_align(len, 4096).ok()?;
    // SAFETY: the length is not 0 in any test.
    NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })
}

/// # Safety
/// The bytes are the arena's, and nobody looks at them meanwhile.
#[cfg(miri)]
unsafe fn zero(start: *mut u8, len: usize) {
    // SAFETY: the caller's contract.
    unsafe { start.write_bytes(0, len) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_comes_again_and_is_zero() {
        let mut arena = Arena::reserve(1 << 16).unwrap();
        let first = arena.alloc::<u64>(100).unwrap();
        assert_eq!(first.as_ptr().addr() % 64, 0);
        // SAFETY: ours, 100 long.
        unsafe {
            first.as_ptr().write_bytes(0xff, 100);
            arena.give_back(first, 100);
        }
        let second = arena.alloc::<u64>(120).unwrap();
        assert_eq!(first, second, "both take a KiB");
        // SAFETY: ours, 120 long.
        assert!((0..120).all(|i| unsafe { second.add(i).read() } == 0));
        assert_eq!(arena.used_bytes(), 1024);
    }

    #[test]
    fn a_full_arena_says_so() {
        let mut arena = Arena::reserve(4096).unwrap();
        assert!(arena.alloc::<u8>(2048).is_some());
        assert!(arena.alloc::<u8>(2049).is_none());
        assert!(arena.alloc::<u8>(2048).is_some());
        assert!(arena.alloc::<u8>(1).is_none());
        assert!(arena.alloc::<u64>(usize::MAX).is_none());
        // SAFETY: nothing was kept.
        unsafe { arena.clear(2048) };
        assert!(arena.alloc::<u8>(2048).is_some());
        assert!(arena.alloc::<u8>(1).is_none(), "a lower limit");
        assert!(Arena::empty().alloc::<u8>(1).is_none());
    }
}
