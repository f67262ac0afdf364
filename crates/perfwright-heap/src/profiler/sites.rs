//! Where samples came from: one row for each stack and context, with what is counted there.

use std::ptr::NonNull;

use super::arena::{Arena, Zeroed};
use super::history::History;

/// Objects and bytes, unsampled sample by sample, in whole numbers so that what goes comes out as exactly what it
/// went in: objects in 1/65,536, bytes in 1/256.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Amount {
    objects: u64,
    bytes: u64,
    objects_variance: f64,
    bytes_variance: f64,
}

const OBJECT: f64 = 65_536.0;
const BYTE: f64 = 256.0;

impl Amount {
    /// What a sampled block of `size` bytes stands for.
    pub(crate) fn of(size: u64, weight: f64) -> Amount {
        let bytes = size as f64;
        // The estimate's variance is the sum of s^2 (1 - p) / p over all allocations, sampled or not. Each is
        // here with probability p, so a sampled one adds 1/p of that: with w = 1/p, s^2 w (w - 1).
        let variance = weight * (weight - 1.0);
        Amount {
            objects: (weight * OBJECT).round() as u64,
            bytes: (bytes * weight * BYTE).round() as u64,
            objects_variance: variance,
            bytes_variance: bytes * bytes * variance,
        }
    }

    pub(crate) fn add(&mut self, other: Amount) {
        self.objects = self.objects.wrapping_add(other.objects);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.objects_variance += other.objects_variance;
        self.bytes_variance += other.bytes_variance;
    }

    pub(crate) fn subtract(&mut self, other: Amount) {
        self.objects = self.objects.wrapping_sub(other.objects);
        self.bytes = self.bytes.wrapping_sub(other.bytes);
        // Rounding must not leave less than nothing, nor something where nothing is.
        let left = |from: f64, less: f64| (from - less).max(0.0);
        self.objects_variance = left(self.objects_variance, other.objects_variance);
        self.bytes_variance = left(self.bytes_variance, other.bytes_variance);
        if self.objects == 0 {
            *self = Amount::default();
        }
    }

    /// Whole objects.
    pub(crate) fn objects(&self) -> u64 {
        (self.objects as f64 / OBJECT).round() as u64
    }

    /// Whole bytes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.bytes as f64 / BYTE).round() as u64
    }

    /// Bytes in 1/256, to compare and to sum.
    pub(crate) fn fine_bytes(&self) -> u64 {
        self.bytes
    }

    /// One standard deviation of the objects that sampling brings in.
    pub(crate) fn objects_error(&self) -> f64 {
        self.objects_variance.sqrt()
    }

    /// One standard deviation of the bytes.
    pub(crate) fn bytes_error(&self) -> f64 {
        self.bytes_variance.sqrt()
    }
}

/// A stack and a context, and what was sampled there.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    hash: u64,
    /// The context word without the instance.
    pub(crate) context: u64,
    frames: *const u64,
    frame_count: u32,
    /// Live samples.
    pub(crate) live: u32,
    /// All samples.
    pub(crate) samples: u64,
    pub(crate) allocated: Amount,
    pub(crate) in_use: Amount,
    /// What was in use at the peak of this number; of an older one: it is what is in use now.
    pub(crate) frozen: Amount,
    pub(crate) frozen_at: u64,
    pub(crate) history: History,
}

// SAFETY: numbers, and a pointer that may be null where the count is 0.
unsafe impl Zeroed for Site {}

impl Site {
    /// Leaf first: a place in the leaf's code, then return addresses. Valid until the arena is cleared.
    pub(crate) fn stack(&self) -> &[u64] {
        if self.frame_count == 0 {
            return &[];
        }
        // SAFETY: the pool's, written once before the row was.
        unsafe { std::slice::from_raw_parts(self.frames, self.frame_count as usize) }
    }

    /// What was in use at peak `number`, the last one.
    pub(crate) fn at_peak(&self, number: u64) -> Amount {
        if self.frozen_at == number {
            self.frozen
        } else {
            self.in_use
        }
    }

    /// Keeps the value at peak `number` if it is the first change since.
    pub(crate) fn freeze(&mut self, number: u64) {
        if self.frozen_at != number {
            self.frozen = self.in_use;
            self.frozen_at = number;
        }
    }
}

/// Words of a pool's block of stacks.
const POOL_WORDS: usize = 4096;
const FIRST_ROWS: usize = 64;

/// The sites, in an arena. Row 0 takes what finds no room.
pub(crate) struct Sites {
    rows: NonNull<Site>,
    len: usize,
    capacity: usize,
    /// Row number plus 1 by hash, linear probing; twice as many slots as rows.
    index: NonNull<u32>,
    pool: NonNull<u64>,
    pool_used: usize,
}

// SAFETY: it owns its memory.
unsafe impl Send for Sites {}

/// The number of the row for what found no room.
pub(crate) const OTHER: u32 = 0;

impl Sites {
    /// Sites with the row [`OTHER`] alone; `None` if the arena is full.
    pub(crate) fn new(arena: &mut Arena) -> Option<Sites> {
        Some(Sites {
            rows: arena.alloc(FIRST_ROWS)?,
            len: 1,
            capacity: FIRST_ROWS,
            index: arena.alloc(2 * FIRST_ROWS)?,
            pool: arena.alloc(POOL_WORDS)?,
            pool_used: 0,
        })
    }

    /// The row of a stack in a context, a new one if needed; [`OTHER`] if there is no room for that.
    pub(crate) fn find_or_insert(&mut self, stack: &[u64], context: u64, arena: &mut Arena) -> u32 {
        let hash = hash(stack, context);
        let mut at = hash as usize & (2 * self.capacity - 1);
        loop {
            let row = *self.index_slot(at);
            if row == 0 {
                break;
            }
            let site = self.get(row - 1);
            if site.hash == hash && site.context == context && site.stack() == stack {
                return row - 1;
            }
            at = (at + 1) & (2 * self.capacity - 1);
        }
        self.insert(hash, stack, context, arena).unwrap_or(OTHER)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, row: u32) -> &Site {
        debug_assert!((row as usize) < self.len);
        // SAFETY: within the rows.
        unsafe { self.rows.add(row as usize).as_ref() }
    }

    pub(crate) fn get_mut(&mut self, row: u32) -> &mut Site {
        debug_assert!((row as usize) < self.len);
        // SAFETY: within the rows, and borrowed mutably.
        unsafe { self.rows.add(row as usize).as_mut() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Site> {
        (0..self.len as u32).map(|row| self.get(row))
    }

    fn insert(&mut self, hash: u64, stack: &[u64], context: u64, arena: &mut Arena) -> Option<u32> {
        if self.len == self.capacity {
            self.grow(arena)?;
        }
        let frames = self.keep(stack, arena)?;
        let row = self.len as u32;
        self.len += 1;
        let site = self.get_mut(row);
        site.hash = hash;
        site.context = context;
        site.frames = frames;
        site.frame_count = stack.len() as u32;
        self.index_row(hash, row);
        Some(row)
    }

    fn keep(&mut self, stack: &[u64], arena: &mut Arena) -> Option<*const u64> {
        if stack.len() > POOL_WORDS {
            return None;
        }
        if self.pool_used + stack.len() > POOL_WORDS {
            self.pool = arena.alloc(POOL_WORDS)?;
            self.pool_used = 0;
        }
        // SAFETY: so many words are free there.
        let frames = unsafe {
            let frames = self.pool.as_ptr().add(self.pool_used);
            frames.copy_from_nonoverlapping(stack.as_ptr(), stack.len());
            frames
        };
        self.pool_used += stack.len();
        Some(frames)
    }

    fn grow(&mut self, arena: &mut Arena) -> Option<()> {
        let capacity = 2 * self.capacity;
        let rows = arena.alloc::<Site>(capacity)?;
        let Some(index) = arena.alloc::<u32>(2 * capacity) else {
            // SAFETY: just given.
            unsafe { arena.give_back(rows, capacity) };
            return None;
        };
        // SAFETY: the old memory is ours alone, and not used any more once the fields are set.
        unsafe {
            rows.copy_from_nonoverlapping(self.rows, self.len);
            arena.give_back(self.rows, self.capacity);
            arena.give_back(self.index, 2 * self.capacity);
        }
        (self.rows, self.index, self.capacity) = (rows, index, capacity);
        for row in 1..self.len as u32 {
            self.index_row(self.get(row).hash, row);
        }
        Some(())
    }

    fn index_row(&mut self, hash: u64, row: u32) {
        let mut at = hash as usize & (2 * self.capacity - 1);
        while *self.index_slot(at) != 0 {
            at = (at + 1) & (2 * self.capacity - 1);
        }
        *self.index_slot(at) = row + 1;
    }

    fn index_slot(&mut self, at: usize) -> &mut u32 {
        debug_assert!(at < 2 * self.capacity);
        // SAFETY: within the index, and borrowed mutably.
        unsafe { self.index.add(at).as_mut() }
    }
}

fn hash(stack: &[u64], context: u64) -> u64 {
    let mut hash = context ^ stack.len() as u64;
    for &address in stack {
        let product = u128::from(hash ^ address) * 0x9e37_79b9_7f4a_7c15;
        // The rotation keeps a zero from staying one.
        hash = ((product >> 64) as u64 ^ product as u64).wrapping_add(address.rotate_left(29));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(i: u64) -> Vec<u64> {
        (0..1 + i % 40).map(|frame| i * 1000 + frame).collect()
    }

    #[test]
    fn a_site_is_a_stack_in_a_context() {
        let mut arena = Arena::reserve(8 << 20).unwrap();
        let mut sites = Sites::new(&mut arena).unwrap();
        let count = if cfg!(miri) { 100 } else { 2_000 };
        let rows: Vec<u32> = (0..count)
            .map(|i| sites.find_or_insert(&stack(i), i % 2, &mut arena))
            .collect();
        assert_eq!(sites.len() as u64, 1 + count);
        for (i, &row) in (0..).zip(&rows) {
            assert_eq!(sites.find_or_insert(&stack(i), i % 2, &mut arena), row);
            assert_eq!(sites.get(row).stack(), stack(i));
            assert_eq!(sites.get(row).context, i % 2);
        }
        let other = sites.find_or_insert(&stack(0), 1, &mut arena);
        assert_eq!(u64::from(other), count + 1);
        let nothing = sites.find_or_insert(&[], 0, &mut arena);
        assert_ne!(nothing, OTHER, "a stack without frames is a site too");
    }

    #[test]
    fn without_room_all_is_other_and_known_sites_stay() {
        let mut arena = Arena::reserve(128 << 10).unwrap();
        let mut sites = Sites::new(&mut arena).unwrap();
        let rows: Vec<u32> = (0..1_000)
            .map(|i| sites.find_or_insert(&stack(i), 0, &mut arena))
            .collect();
        let known = rows.iter().filter(|&&row| row != OTHER).count();
        assert_eq!(sites.len(), 1 + known);
        assert!((63..1_000).contains(&known), "{known}");
        assert_eq!(sites.find_or_insert(&stack(5), 0, &mut arena), rows[5]);
        assert_eq!(rows[999], OTHER);
    }

    #[test]
    fn amounts_come_back_to_nothing() {
        let samples: Vec<Amount> = (1..1000)
            .map(|i| Amount::of(i * 37, 1.0 + 1e5 / i as f64))
            .collect();
        let mut sum = Amount::default();
        samples.iter().for_each(|&sample| sum.add(sample));
        let expected: f64 = (1..1000)
            .map(|i| (i * 37) as f64 * (1.0 + 1e5 / i as f64))
            .sum();
        assert!((sum.bytes() as f64 - expected).abs() < 2.0 + 1000.0 / 512.0);
        samples
            .iter()
            .rev()
            .for_each(|&sample| sum.subtract(sample));
        assert_eq!(sum, Amount::default());
    }

    #[test]
    fn the_variance_is_that_of_the_estimate() {
        // One allocation with p = 1/4 of 8 bytes: the estimate is 32 with 1/4, else 0: variance 192.
        let sampled = Amount::of(8, 4.0);
        assert_eq!(sampled.bytes(), 32);
        // What is expected of the variance's estimate: 1/4 of it.
        assert!((sampled.bytes_error().powi(2) / 4.0 - 192.0).abs() < 1e-9);
        assert_eq!(Amount::of(1 << 20, 1.0).bytes_error(), 0.0);
    }
}
