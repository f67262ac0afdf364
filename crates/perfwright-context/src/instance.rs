//! Instance slots: which span or request a word belongs to.
//!
//! A word has room for 32 bits, an identity has 64; so an identity rents a numbered slot while it is
//! alive. The generation of the slot tells a later reader that the slot has a new tenant. A reader may
//! come late: a sampler looks at the words that it recorded every now and then, when what it recorded is
//! long over. So a released slot keeps its last tenant's identity until it is rented again, which is as
//! late as possible: in the order in which they were released, and not before some thousands were.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many instances can be alive at once (slot 0 is "none").
pub const INSTANCE_SLOTS: usize = 65_535;

/// How many released slots are kept unrented: 40 bytes each, for those who use instances at all.
const RESERVE: usize = 8_192;

/// A rented slot with its generation. `Copy`: whoever acquired it releases it, once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Instance {
    slot: u16,
    generation: u16,
}

struct Slot {
    generation: u16,
    is_rented: bool,
    tenant: u64,
    task: Option<u64>,
}

struct Slots {
    /// Slot n is entry n - 1; grows to what was ever alive at once.
    slots: Vec<Slot>,
    free: VecDeque<u16>,
}

// A lock, because only those who open and close spans and those who read a profile come here; the
// signal handler only copies the word.
static SLOTS: Mutex<Slots> = Mutex::new(Slots {
    slots: Vec::new(),
    free: VecDeque::new(),
});

impl Instance {
    /// Rents a slot for `id`; `None` when all [`INSTANCE_SLOTS`] are taken (the word then goes without).
    pub fn acquire(id: u64) -> Option<Instance> {
        let mut slots = lock();
        let slot = slots.take_free()?;
        let entry = slots.entry(slot)?;
        entry.generation = entry.generation.wrapping_add(1);
        entry.is_rented = true;
        (entry.tenant, entry.task) = (id, None);
        Some(Instance {
            slot,
            generation: entry.generation,
        })
    }

    /// Gives the slot back. Releasing twice does nothing.
    pub fn release(self) {
        let mut slots = lock();
        if let Some(entry) = slots.of(self)
            && std::mem::take(&mut entry.is_rented)
        {
            slots.free.push_back(self.slot);
        }
    }

    /// The identity that rents this slot, or did before it was released; `None` once another has it.
    pub fn id(self) -> Option<u64> {
        lock().of(self).map(|slot| slot.tenant)
    }

    /// Says which task it runs in; the last one counts.
    pub fn set_task(self, task: u64) {
        if let Some(slot) = lock().of(self) {
            slot.task = Some(task);
        }
    }

    /// The task it runs in, where somebody said so; `None` once another has the slot.
    pub fn task(self) -> Option<u64> {
        lock().of(self)?.task
    }

    pub(crate) const fn to_bits(self) -> u32 {
        (self.slot as u32) | ((self.generation as u32) << 16)
    }

    pub(crate) const fn from_bits(bits: u32) -> Option<Instance> {
        let instance = Instance {
            slot: bits as u16,
            generation: (bits >> 16) as u16,
        };
        if instance.slot == 0 {
            None
        } else {
            Some(instance)
        }
    }
}

impl Slots {
    fn take_free(&mut self) -> Option<u16> {
        let is_full = self.slots.len() >= INSTANCE_SLOTS;
        if self.free.len() > RESERVE || is_full {
            return self.free.pop_front();
        }
        self.slots.push(Slot {
            generation: 0,
            is_rented: false,
            tenant: 0,
            task: None,
        });
        Some(self.slots.len() as u16)
    }

    /// The slot of an instance, unless it has another tenant by now.
    fn of(&mut self, instance: Instance) -> Option<&mut Slot> {
        let slot = self.entry(instance.slot)?;
        (slot.generation == instance.generation).then_some(slot)
    }

    fn entry(&mut self, slot: u16) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(slot).checked_sub(1)?)
    }
}

fn lock() -> MutexGuard<'static, Slots> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_slot_is_remembered_until_it_is_rented_again() {
        let first = Instance::acquire(u64::MAX).unwrap();
        assert_eq!((first.id(), first.task()), (Some(u64::MAX), None));
        first.set_task(3);
        first.release();
        first.release();
        assert_eq!((first.id(), first.task()), (Some(u64::MAX), Some(3)));
        let mut rented = 0;
        while first.id().is_some() {
            let next = Instance::acquire(rented).unwrap();
            assert_eq!((next.id(), next.task()), (Some(rented), None));
            assert_ne!(next, first);
            next.release();
            rented += 1;
        }
        assert!(rented > RESERVE as u64);
        assert_eq!(first.task(), None);
    }
}
