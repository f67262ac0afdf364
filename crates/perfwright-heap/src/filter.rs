//! Which blocks may be sampled ones: a set of bits that every free reads.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// A pointer to bits, and in its low six bits how far to shift a hash to get a position in them: one load gives
/// both. The bits are aligned to a cache line and have `1 << (64 - shift)` positions.
pub(crate) struct Word(AtomicPtr<AtomicU64>);

/// What a [`Word`] holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bits(*const AtomicU64);

// SAFETY: bits are atomics that are never unmapped.
unsafe impl Send for Bits {}
// SAFETY: as above.
unsafe impl Sync for Bits {}

const MASK: usize = 63;

#[repr(align(64))]
struct Line([AtomicU64; 8]);

static ONES: Line = Line([const { AtomicU64::new(u64::MAX) }; 8]);
static ZEROS: Line = Line([const { AtomicU64::new(0) }; 8]);

/// Says yes to every block.
pub(crate) const EVERYTHING: Bits = Bits((&raw const ONES.0).cast::<AtomicU64>()).shifted(63);
/// Says no to every block.
pub(crate) const NOTHING: Bits = Bits((&raw const ZEROS.0).cast::<AtomicU64>()).shifted(63);

impl Bits {
    /// The bits at `words`, which is aligned to a cache line; `1 << log2` of them, at least 64 and never unmapped.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    pub(crate) fn new(words: *const AtomicU64, log2: u32) -> Bits {
        debug_assert!(words.addr() & MASK == 0 && (6..64).contains(&log2));
        Bits(words).shifted(64 - log2 as usize)
    }

    const fn shifted(self, shift: usize) -> Bits {
        Bits(self.0.wrapping_byte_add(shift))
    }

    /// False only if the block is no sampled one.
    #[inline(always)]
    pub(crate) fn may_hold(self, block: u64) -> bool {
        let shift = self.0.addr() & MASK;
        let position = hash(block) >> shift;
        let words = self.0.wrapping_byte_sub(shift);
        // SAFETY: `1 << (64 - shift)` bits lie there, and are never unmapped.
        let word = unsafe { &*words.add((position >> 6) as usize) };
        word.load(Ordering::Relaxed) >> (position & 63) & 1 != 0
    }
}

impl Word {
    pub(crate) const fn new(bits: Bits) -> Word {
        Word(AtomicPtr::new(bits.0.cast_mut()))
    }

    pub(crate) fn store(&self, bits: Bits) {
        self.0.store(bits.0.cast_mut(), Ordering::Release);
    }

    /// False only if the block is no sampled one.
    #[inline(always)]
    pub(crate) fn may_hold(&self, block: *const u8) -> bool {
        self.load().may_hold(block.addr() as u64)
    }

    #[inline(always)]
    pub(crate) fn load(&self) -> Bits {
        Bits(self.0.load(Ordering::Acquire))
    }
}

/// Multiply-shift: the upper bits depend on all lower ones, so that alignment does not matter.
///
/// Source: Dietzfelbinger et al., "A reliable randomized algorithm for the closest-pair problem",
/// J. Algorithms 25 (1997); the factor is 2^64 over the golden ratio.
#[inline(always)]
pub(crate) fn hash(block: u64) -> u64 {
    block.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
