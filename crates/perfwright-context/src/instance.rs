//! Instance slots: which span or request a word belongs to.
//!
//! A word has room for 32 bits, an identity has 64; so an identity rents a numbered slot while it is
//! alive. The generation of the slot tells a later reader that the slot has a new tenant. Slots are
//! reused in the order in which they were released, so that one generation of one slot comes back as
//! late as possible.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many instances can be alive at once (slot 0 is "none").
pub const INSTANCE_SLOTS: usize = 65_535;

/// A rented slot with its generation. `Copy`: whoever acquired it releases it, once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Instance {
    slot: u16,
    generation: u16,
}

struct Slot {
    generation: u16,
    tenant: Option<u64>,
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
        entry.tenant = Some(id);
        entry.task = None;
        Some(Instance {
            slot,
            generation: entry.generation,
        })
    }

    /// Gives the slot back. Releasing twice does nothing.
    pub fn release(self) {
        let mut slots = lock();
        let Some(entry) = slots.entry(self.slot) else {
            return;
        };
        if entry.generation != self.generation || entry.tenant.take().is_none() {
            return;
        }
        entry.generation = entry.generation.wrapping_add(1);
        slots.free.push_back(self.slot);
    }

    /// The identity that rents this slot; `None` once it was released.
    pub fn id(self) -> Option<u64> {
        lock().tenancy(self)?.tenant
    }

    /// Says which task it runs in, the last one counts. Without effect once it was released.
    pub fn set_task(self, task: u64) {
        if let Some(slot) = lock().tenancy(self) {
            slot.task = Some(task);
        }
    }

    /// The task it runs in, where somebody said so; `None` once it was released.
    pub fn task(self) -> Option<u64> {
        lock().tenancy(self)?.task
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
        if let Some(slot) = self.free.pop_front() {
            return Some(slot);
        }
        if self.slots.len() >= INSTANCE_SLOTS {
            return None;
        }
        self.slots.push(Slot {
            generation: 0,
            tenant: None,
            task: None,
        });
        Some(self.slots.len() as u16)
    }

    /// The slot, while this instance rents it.
    fn tenancy(&mut self, instance: Instance) -> Option<&mut Slot> {
        let slot = self.entry(instance.slot)?;
        (slot.generation == instance.generation && slot.tenant.is_some()).then_some(slot)
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
    fn a_released_slot_forgets_its_tenant() {
        let first = Instance::acquire(u64::MAX).unwrap();
        assert_eq!((first.id(), first.task()), (Some(u64::MAX), None));
        first.set_task(3);
        assert_eq!(first.task(), Some(3));
        first.release();
        first.set_task(4);
        assert_eq!((first.id(), first.task()), (None, None));
        first.release();
        let second = Instance::acquire(8).unwrap();
        assert_eq!((second.id(), second.task()), (Some(8), None));
        assert_ne!(first, second);
        second.release();
    }
}
