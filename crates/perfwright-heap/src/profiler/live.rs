//! The sampled blocks that were not freed yet, by address.

use std::ptr::NonNull;

use super::arena::{Arena, Zeroed};

/// A sampled block.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Record {
    /// Its address.
    pub(crate) block: u64,
    pub(crate) size: u64,
    /// How many blocks of this size it stands for.
    pub(crate) weight: f64,
    pub(crate) site: u32,
    /// When it was born.
    pub(crate) epoch: u32,
}

// SAFETY: numbers. A block of address 0 is no record.
unsafe impl Zeroed for Record {}

const FIRST_SLOTS: usize = 64;

/// A hash table of records with linear probing, in an arena. At most 3/4 full.
pub(crate) struct Live {
    slots: NonNull<Record>,
    /// A power of two, or 0.
    capacity: usize,
    len: usize,
}

// SAFETY: it owns its slots.
unsafe impl Send for Live {}

impl Live {
    pub(crate) const fn empty() -> Live {
        Live {
            slots: NonNull::dangling(),
            capacity: 0,
            len: 0,
        }
    }

    /// Adds a record; its address is in none yet. False if there is no room and none to be had.
    pub(crate) fn insert(&mut self, record: Record, arena: &mut Arena) -> bool {
        if (self.len + 1) * 4 > self.capacity * 3
            && !self.grow(arena)
            && self.len + 1 >= self.capacity
        {
            return false;
        }
        self.place(record);
        self.len += 1;
        true
    }

    /// True if the address is a record's.
    pub(crate) fn holds(&self, block: u64) -> bool {
        self.find(block).is_some()
    }

    /// Takes the record of an address out.
    pub(crate) fn remove(&mut self, block: u64) -> Option<Record> {
        let mut hole = self.find(block)?;
        let removed = *self.slot(hole);
        // Those behind it that would rather stand here move up, so that no search ends early.
        let mut next = hole;
        loop {
            next = (next + 1) & (self.capacity - 1);
            let record = *self.slot(next);
            if record.block == 0 {
                break;
            }
            let wants = self.home(record.block);
            let from_wanted = next.wrapping_sub(wants) & (self.capacity - 1);
            let from_hole = next.wrapping_sub(hole) & (self.capacity - 1);
            if from_wanted >= from_hole {
                *self.slot(hole) = record;
                hole = next;
            }
        }
        self.slot(hole).block = 0;
        self.len -= 1;
        Some(removed)
    }

    pub(crate) fn for_each(&self, mut look: impl FnMut(&Record)) {
        for at in 0..self.capacity {
            let record = self.slot(at);
            if record.block != 0 {
                look(record);
            }
        }
    }

    fn find(&self, block: u64) -> Option<usize> {
        if self.capacity == 0 {
            return None;
        }
        let mut at = self.home(block);
        loop {
            match self.slot(at).block {
                0 => return None,
                found if found == block => return Some(at),
                _ => at = (at + 1) & (self.capacity - 1),
            }
        }
    }

    fn place(&mut self, record: Record) {
        let mut at = self.home(record.block);
        while self.slot(at).block != 0 {
            at = (at + 1) & (self.capacity - 1);
        }
        *self.slot(at) = record;
    }

    fn grow(&mut self, arena: &mut Arena) -> bool {
        let capacity = (self.capacity * 2).max(FIRST_SLOTS);
        let Some(slots) = arena.alloc::<Record>(capacity) else {
            return false;
        };
        let old = std::mem::replace(
            self,
            Live {
                slots,
                capacity,
                len: self.len,
            },
        );
        old.for_each(|record| self.place(*record));
        if old.capacity > 0 {
            // SAFETY: from this arena, and nobody else knows it.
            unsafe { arena.give_back(old.slots, old.capacity) };
        }
        true
    }

    fn home(&self, block: u64) -> usize {
        (block.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as usize & (self.capacity - 1)
    }

    #[allow(
        clippy::mut_from_ref,
        reason = "the table is behind a lock; each use is one access"
    )]
    fn slot(&self, at: usize) -> &mut Record {
        debug_assert!(at < self.capacity);
        // SAFETY: within the slots, which are ours; no two of these references live at once.
        unsafe { self.slots.add(at).as_mut() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::draw;

    fn record(block: u64) -> Record {
        Record {
            block,
            size: block / 2,
            weight: 1.5,
            site: 3,
            epoch: 4,
        }
    }

    #[test]
    fn it_holds_what_a_map_holds() {
        let mut arena = Arena::reserve(1 << 20).unwrap();
        let mut live = Live::empty();
        let mut expected = HashMap::new();
        let mut random = 7;
        for _ in 0..if cfg!(miri) { 1_000 } else { 100_000 } {
            // Few addresses, so that they come and go.
            let block = 16 * (1 + draw::next(&mut random) % 500);
            if expected.remove(&block).is_some() {
                assert!(live.holds(block));
                assert_eq!(live.remove(block), Some(record(block)));
            } else {
                assert!(!live.holds(block));
                assert_eq!(live.remove(block), None);
                assert!(live.insert(record(block), &mut arena));
                expected.insert(block, ());
            }
            assert_eq!(live.len, expected.len());
        }
        live.for_each(|record| assert!(expected.remove(&record.block).is_some()));
        assert!(expected.is_empty());
    }

    #[test]
    fn a_full_table_refuses_and_goes_on() {
        let mut arena = Arena::reserve(64 * size_of::<Record>()).unwrap();
        let mut live = Live::empty();
        let held = (1..=100)
            .filter(|i| live.insert(record(i * 16), &mut arena))
            .count();
        assert_eq!(held, 63, "one slot stays free, to end a search");
        assert_eq!(live.remove(16), Some(record(16)));
        assert!(live.insert(record(1600), &mut arena));
        assert!(!live.insert(record(1616), &mut arena));
        assert!(!Live::empty().holds(16));
    }
}
