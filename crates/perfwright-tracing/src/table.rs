//! The open spans: a bounded hash table without locks, keyed by span id.
//!
//! A `span::Id` is unique only while its span is open, so a slot belongs to an id from creation to close, and
//! whoever keeps a slot for longer keeps its generation too.
//!
//! A slot is one of 8 neighbours of its id's home or one of 32 places all over the table, and a search looks at all
//! of them: so a removal leaves no tombstone. The home keeps the `Registry`'s ids together (an index into the slab of
//! a thread in the low bits, the thread above, a generation on top), so that few open spans touch little memory. The
//! others are for when the regions of threads overlap: each is free independently of the rest, so that all are taken
//! in a table that is half full only once in 10^9 times.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::span::SpanState;

/// Slots are allocated in blocks of this many, as they are needed.
const BLOCK: usize = 64;
const NEIGHBOURS: usize = 8;
const SCATTERED: u32 = 32;

#[derive(Debug)]
pub(crate) struct Table {
    blocks: Box<[OnceLock<Box<[Slot]>>]>,
    mask: usize,
}

#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Slot {
    /// The id of the open span, 0 for none (ids are never 0).
    id: AtomicU64,
    tenant: Mutex<Tenant>,
}

/// A generation of a slot, and the span that it is.
#[derive(Debug, Default)]
pub(crate) struct Tenant {
    generation: u32,
    is_open: bool,
    pub(crate) span: SpanState,
}

/// A slot and the generation that is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct SlotRef {
    index: u32,
    generation: u32,
}

impl SlotRef {
    /// No slot at all.
    pub(crate) const NONE: SlotRef = SlotRef {
        index: u32::MAX,
        generation: 0,
    };
}

impl Table {
    /// A table of at least `capacity` slots.
    pub(crate) fn new(capacity: usize) -> Table {
        let slots = capacity.clamp(BLOCK, 1 << 24).next_power_of_two();
        Table {
            blocks: (0..slots / BLOCK).map(|_| OnceLock::new()).collect(),
            mask: slots - 1,
        }
    }

    /// Opens a span under `id`, which `fill` makes of a blank one. `None`: no slot is free.
    #[inline]
    pub(crate) fn open(&self, id: u64, fill: impl FnOnce(&mut SpanState)) -> Option<SlotRef> {
        let (index, slot) = self.claim(id)?;
        let mut tenant = slot.lock();
        tenant.generation = tenant.generation.wrapping_add(1);
        tenant.is_open = true;
        fill(&mut tenant.span);
        Some(SlotRef {
            index,
            generation: tenant.generation,
        })
    }

    /// The open span of an id, locked.
    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<(SlotRef, MutexGuard<'_, Tenant>)> {
        let (index, slot) = self.find(id)?;
        let tenant = slot.lock();
        let generation = tenant.generation;
        tenant
            .is_open
            .then_some((SlotRef { index, generation }, tenant))
    }

    /// The span that `slot` means, locked; `None` once it was closed.
    #[inline]
    pub(crate) fn at(&self, slot: SlotRef) -> Option<MutexGuard<'_, Tenant>> {
        let tenant = self.slot(slot.index as usize)?.lock();
        (tenant.is_open && tenant.generation == slot.generation).then_some(tenant)
    }

    /// Closes the span of an id, of which `last` takes what is wanted and leaves it blank.
    #[inline]
    pub(crate) fn close<T>(
        &self,
        id: u64,
        last: impl FnOnce(SlotRef, &mut SpanState) -> T,
    ) -> Option<T> {
        let (index, slot) = self.find(id)?;
        let mut tenant = slot.lock();
        if !tenant.is_open {
            return None;
        }
        tenant.is_open = false;
        let generation = tenant.generation;
        let wanted = last(SlotRef { index, generation }, &mut tenant.span);
        drop(tenant);
        slot.id.store(0, Ordering::Release);
        Some(wanted)
    }

    /// Calls `each` for every open span.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&SpanState)) {
        let blocks = self.blocks.iter().filter_map(OnceLock::get);
        for slot in blocks.flat_map(|block| block.iter()) {
            if slot.id.load(Ordering::Relaxed) != 0 {
                let tenant = slot.lock();
                if tenant.is_open {
                    each(&tenant.span);
                }
            }
        }
    }

    #[inline]
    fn find(&self, id: u64) -> Option<(u32, &Slot)> {
        let near = self.near(id);
        match self.slot(near) {
            Some(slot) if slot.id.load(Ordering::Acquire) == id => Some((near as u32, slot)),
            _ => self.search(id),
        }
    }

    #[cold]
    fn search(&self, id: u64) -> Option<(u32, &Slot)> {
        self.places(id).find_map(|index| {
            let slot = self.slot(index)?;
            (slot.id.load(Ordering::Acquire) == id).then_some((index as u32, slot))
        })
    }

    /// A free slot for an id. One that has it already is left over from a span of which we never saw the
    /// close, for an id belongs to one open span at a time.
    #[inline]
    fn claim(&self, id: u64) -> Option<(u32, &Slot)> {
        let near = self.near(id);
        match self.slot(near) {
            Some(slot) if slot.claim(id) => Some((near as u32, slot)),
            _ => self.claim_elsewhere(id),
        }
    }

    #[cold]
    fn claim_elsewhere(&self, id: u64) -> Option<(u32, &Slot)> {
        self.places(id).find_map(|index| {
            let block = self.blocks.get(index / BLOCK)?;
            let block = block.get_or_init(|| (0..BLOCK).map(|_| Slot::default()).collect());
            let slot = &block[index % BLOCK];
            slot.claim(id).then_some((index as u32, slot))
        })
    }

    /// Where a span of this id may be.
    fn places(&self, id: u64) -> impl Iterator<Item = usize> {
        let (near, mask) = (self.near(id), self.mask);
        // Murmur3's finalizer: every bit of the id counts in every bit.
        let hash = (id ^ (id >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        // Windows of the hash: no progression, which could stay within one long run of taken slots.
        let scattered = move |n: u32| hash.rotate_left(2 * n) as usize & mask;
        let neighbours = (0..NEIGHBOURS).map(move |step| (near + step) & mask);
        neighbours.chain((0..SCATTERED).map(scattered))
    }

    #[inline]
    fn near(&self, id: u64) -> usize {
        // sharded-slab: 38 bits of address, then 13 of the thread.
        let thread = (id >> 38) & 0x1fff;
        id.wrapping_add(thread.wrapping_mul(0x9e37_79b1) >> 4) as usize & self.mask
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<&Slot> {
        self.blocks.get(index / BLOCK)?.get()?.get(index % BLOCK)
    }
}

impl Slot {
    /// Makes the slot this id's, if it is nobody's.
    #[inline]
    fn claim(&self, id: u64) -> bool {
        match self.id.load(Ordering::Relaxed) {
            0 => self
                .id
                .compare_exchange(0, id, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok(),
            tenant => tenant == id,
        }
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Tenant> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids as the `Registry` gives them: runs of indices, of several threads.
    #[test]
    fn regions_that_overlap_find_room_until_the_table_is_half_full() {
        let table = Table::new(1 << 12);
        let ids: Vec<u64> = (0..4_u64)
            .flat_map(|thread| (1..=512).map(move |index| thread << 38 | index))
            .collect();
        for &id in &ids {
            assert!(table.open(id, |_| {}).is_some(), "no room for {id:#x}");
        }
        assert!(ids.iter().all(|&id| table.get(id).is_some()));
        for &id in &ids {
            assert!(table.close(id, |_, _| ()).is_some());
            assert!(table.get(id).is_none());
        }
    }

    #[test]
    fn a_table_without_room_says_so() {
        let table = Table::new(BLOCK);
        let opened = (1..=1_000).filter(|&id| table.open(id, |_| {}).is_some());
        assert_eq!(opened.count(), BLOCK);
    }
}
