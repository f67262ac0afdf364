//! The filter of sampled blocks with a count for each bit, so that bits clear when their last block is freed.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::arena::Arena;
use crate::filter::{Bits, hash};

/// Bits at the start: half a KiB. A larger filter takes lines of the cache that the program could use.
const FIRST_LOG2: u32 = 12;
/// Bits for each sampled block that is live, at least: at most one free in so many looks at the table for nothing.
const BITS_PER_BLOCK: u64 = 64;

/// Written under a lock; its bits are read by everybody who frees.
pub(crate) struct CountedFilter {
    words: NonNull<AtomicU64>,
    /// How many blocks each bit stands for; 255 stays.
    counts: NonNull<u8>,
    log2: u32,
    len: u64,
}

// SAFETY: it owns its memory; the bits are atomics.
unsafe impl Send for CountedFilter {}

impl CountedFilter {
    /// A filter without blocks; `None` if the arena is full.
    pub(crate) fn new(arena: &mut Arena) -> Option<CountedFilter> {
        CountedFilter::with_bits(arena, FIRST_LOG2)
    }

    fn with_bits(arena: &mut Arena, log2: u32) -> Option<CountedFilter> {
        Some(CountedFilter {
            words: arena.alloc((1 << log2) / 64)?,
            counts: arena.alloc(1 << log2)?,
            log2,
            len: 0,
        })
    }

    /// What threads that free are to read.
    pub(crate) fn bits(&self) -> Bits {
        Bits::new(self.words.as_ptr(), self.log2)
    }

    /// True if a larger one would do better.
    pub(crate) fn is_crowded(&self) -> bool {
        self.len * BITS_PER_BLOCK > 1 << self.log2
    }

    /// Gives back what only the writer needs. The bits stay, for late readers; those of all old filters together are
    /// smaller than the new one's.
    pub(crate) fn retire(self, arena: &mut Arena) {
        // SAFETY: from this arena, and only read and written through this value, which is gone now.
        unsafe { arena.give_back(self.counts, 1 << self.log2) };
    }

    /// An empty one of twice the size; `None` if the arena is full.
    pub(crate) fn larger(&self, arena: &mut Arena) -> Option<CountedFilter> {
        CountedFilter::with_bits(arena, self.log2 + 1)
    }

    pub(crate) fn insert(&mut self, block: u64) {
        let (word, bit, count) = self.place(block);
        *count = count.saturating_add(1);
        word.fetch_or(bit, Ordering::Relaxed);
        self.len += 1;
    }

    /// Takes a block out that was inserted.
    pub(crate) fn remove(&mut self, block: u64) {
        let (word, bit, count) = self.place(block);
        if *count < u8::MAX {
            *count -= 1;
        }
        if *count == 0 {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
        self.len -= 1;
    }

    fn place(&mut self, block: u64) -> (&AtomicU64, u64, &mut u8) {
        let position = (hash(block) >> (64 - self.log2)) as usize;
        // SAFETY: there are `1 << log2` bits and counts.
        let (word, count) = unsafe {
            (
                self.words.add(position / 64).as_ref(),
                self.counts.add(position).as_mut(),
            )
        };
        (word, 1 << (position % 64), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw;

    fn ones(filter: &CountedFilter) -> u32 {
        let words = (1 << filter.log2) / 64;
        // SAFETY: so many words are there.
        (0..words)
            .map(|i| unsafe { filter.words.add(i).as_ref() })
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum()
    }

    #[test]
    fn it_never_misses_and_ends_empty() {
        let mut arena = Arena::reserve(1 << 20).unwrap();
        let mut filter = CountedFilter::with_bits(&mut arena, 8).unwrap();
        let mut random = 3;
        let mut held = Vec::new();
        for _ in 0..if cfg!(miri) { 300 } else { 10_000 } {
            let block = 16 * (1 + draw::next(&mut random) % 10_000);
            if held.len() < 200 {
                filter.insert(block);
                held.push(block);
            } else {
                filter.remove(held.swap_remove(block as usize % 200));
            }
            assert!(held.iter().all(|&block| filter.bits().may_hold(block)));
        }
        for block in held {
            filter.remove(block);
        }
        assert_eq!(ones(&filter), 0);
    }

    #[test]
    fn false_hits_are_as_rare_as_bits_are() {
        let mut arena = Arena::reserve(1 << 20).unwrap();
        let mut filter = CountedFilter::with_bits(&mut arena, 10).unwrap();
        // Neighbours, as an allocator gives them.
        for i in 0..16 {
            filter.insert(0x7f12_3456_0000 + i * 64);
        }
        assert!(!filter.is_crowded());
        filter.insert(0x7f00_0000_0010);
        assert!(filter.is_crowded());
        let asked = if cfg!(miri) { 1_000 } else { 100_000_u32 };
        let hits = (0..u64::from(asked))
            .filter(|i| filter.bits().may_hold(0x5555_0000_0000 + i * 48))
            .count() as f64;
        // 17 of 1,024 bits; multiply-shift promises at most twice a random function's.
        assert!(hits < 2.0 * f64::from(asked) * 17.0 / 1024.0, "{hits}");
    }

    #[test]
    fn a_larger_one_takes_over() {
        let mut arena = Arena::reserve(1 << 20).unwrap();
        let filter = CountedFilter::with_bits(&mut arena, 8).unwrap();
        let mut larger = filter.larger(&mut arena).unwrap();
        larger.insert(48);
        assert!(larger.bits().may_hold(48));
        assert!(!filter.bits().may_hold(48));
        assert!(
            CountedFilter::with_bits(&mut arena, 20).is_none(),
            "no room in the arena"
        );
    }
}
