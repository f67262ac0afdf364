//! The open spans: a bounded hash table without locks, keyed by span id.
//!
//! A `span::Id` is unique only while its span is open, so a slot belongs to an id from creation to close, and
//! whoever keeps a slot for longer keeps its generation too.
//!
//! A slot is one of 8 neighbours of either of two homes of its id, and a search looks at all of them: so a
//! removal leaves no tombstone. The first home keeps the `Registry`'s ids together (an index into the slab of
//! a thread in the low bits, the thread above, a generation on top), so that few open spans touch little
//! memory; the second scatters, for when regions of threads overlap.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::span::SpanState;

/// Slots are allocated in blocks of this many, as they are needed.
const BLOCK: usize = 64;
const NEIGHBOURS: usize = 8;

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
        for home in [self.near(id), self.far(id)] {
            for step in 0..NEIGHBOURS {
                let index = (home + step) & self.mask;
                if let Some(slot) = self.slot(index)
                    && slot.id.load(Ordering::Acquire) == id
                {
                    return Some((index as u32, slot));
                }
            }
        }
        None
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
        for home in [self.near(id), self.far(id)] {
            for step in 0..NEIGHBOURS {
                let index = (home + step) & self.mask;
                let block = self.blocks.get(index / BLOCK)?;
                let block = block.get_or_init(|| (0..BLOCK).map(|_| Slot::default()).collect());
                let slot = &block[index % BLOCK];
                if slot.claim(id) {
                    return Some((index as u32, slot));
                }
            }
        }
        None
    }

    #[inline]
    fn near(&self, id: u64) -> usize {
        // sharded-slab: 38 bits of address, then 13 of the thread.
        let thread = (id >> 38) & 0x1fff;
        id.wrapping_add(thread.wrapping_mul(0x9e37_79b1) >> 4) as usize & self.mask
    }

    fn far(&self, id: u64) -> usize {
        (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & self.mask
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
