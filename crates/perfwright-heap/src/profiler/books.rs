//! The accounts: what was sampled, what of it lives, and when it was most.
//!
//! One lock holds them (see [`super::hook`]); the blocks themselves lie in [`Shards`] with locks of their own, so
//! that a free that was let through by the filter for nothing needs only one of these.

use super::arena::Arena;
use super::counted::CountedFilter;
use super::history::Clock;
use super::live::{Live, Record};
use super::sites::{Amount, OTHER, Sites};
use crate::filter::{Bits, NOTHING};
use crate::lock::Lock;

const SHARDS: usize = 16;

/// The live blocks, by a hash of their address.
pub(crate) struct Shards([Lock<Live>; SHARDS]);

impl Shards {
    pub(crate) const fn new() -> Shards {
        Shards([const { Lock::new(Live::empty()) }; SHARDS])
    }

    /// The one that an address belongs to.
    pub(crate) fn of(&self, block: u64) -> &Lock<Live> {
        // Other bits than the table inside takes.
        &self.0[(block.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 60) as usize]
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &Lock<Live>> {
        self.0.iter()
    }
}

/// One allocation that was sampled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) block: u64,
    pub(crate) size: u64,
    pub(crate) weight: f64,
    /// The context word without its instance.
    pub(crate) context: u64,
    /// Leaf first.
    pub(crate) stack: &'a [u64],
    pub(crate) flaws: Flaws,
}

/// What a sample's stack lacks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flaws {
    pub(crate) truncated: bool,
    pub(crate) rootless: bool,
    pub(crate) unknown: bool,
    pub(crate) probed: bool,
}

/// What happened, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) samples: u64,
    pub(crate) live_samples: u64,
    /// Samples that found no room in the table of live blocks: in the allocated values only.
    pub(crate) untracked: u64,
    /// Samples whose stack found no room: counted together.
    pub(crate) other: u64,
    pub(crate) truncated: u64,
    pub(crate) rootless: u64,
    pub(crate) unknown_stack: u64,
    /// Stacks walked where memory had to be probed first, because they were newer than the code map.
    pub(crate) probed: u64,
}

/// The accounts of one session: from start to stop.
pub(crate) struct Books {
    /// Without: closed. Nothing is added, nothing found.
    open: Option<Open>,
    /// Kept when closed, for the next time.
    arena: Arena,
    /// Tells threads which bits to read. Called with the books locked.
    publish: fn(Bits),
}

pub(crate) struct Open {
    pub(crate) sites: Sites,
    filter: CountedFilter,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    /// In use over all sites, in 1/256 bytes, as estimated.
    in_use: u64,
    peak: Peak,
}

/// When most was in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Peak {
    /// In 1/256 bytes.
    pub(crate) in_use: u64,
    /// Each new peak has a number; 0: none yet. Sites keep what they had at it, before they first change.
    pub(crate) number: u64,
}

impl Books {
    pub(crate) const fn new(publish: fn(Bits)) -> Books {
        Books {
            open: None,
            arena: Arena::empty(),
            publish,
        }
    }

    /// Begins a session with at most `max_bytes` of memory. False if that can't be had, or is too little to begin.
    pub(crate) fn open(&mut self, shards: &Shards, max_bytes: usize) -> bool {
        self.close_for(shards, max_bytes);
        if self.arena.len() < max_bytes {
            let Some(arena) = Arena::reserve(max_bytes) else {
                return false;
            };
            // The smaller one before it stays mapped: somebody may still read its bits.
            self.arena = arena;
        }
        let arena = &mut self.arena;
        let (Some(sites), Some(filter)) = (Sites::new(arena), CountedFilter::new(arena)) else {
            return false;
        };
        (self.publish)(filter.bits());
        self.open = Some(Open {
            sites,
            filter,
            clock: Clock::new(),
            counters: Counters::default(),
            in_use: 0,
            peak: Peak::default(),
        });
        true
    }

    /// Ends the session and forgets it.
    pub(crate) fn close(&mut self, shards: &Shards) {
        self.close_for(shards, 0);
    }

    /// The next session gets `max_bytes` at most.
    fn close_for(&mut self, shards: &Shards, max_bytes: usize) {
        (self.publish)(NOTHING);
        self.open = None;
        for shard in shards.each() {
            *shard.lock() = Live::empty();
        }
        // SAFETY: sites, filter and shards, which used it, are gone. Late readers of the bits see zeroes.
        unsafe { self.arena.clear(max_bytes) };
    }

    pub(crate) fn session(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    pub(crate) fn session_mut(&mut self) -> Option<&mut Open> {
        self.open.as_mut()
    }

    /// Bytes of the arena that were touched.
    pub(crate) fn arena_bytes(&self) -> usize {
        self.arena.used_bytes()
    }

    /// Enters a sample. Without a session, nothing happens.
    pub(crate) fn add(&mut self, shards: &Shards, sample: Sample<'_>) {
        let Some(open) = &mut self.open else { return };
        let site = open
            .sites
            .find_or_insert(sample.stack, sample.context, &mut self.arena);
        let amount = Amount::of(sample.size, sample.weight);
        open.count(sample.flaws, site == OTHER);
        let row = open.sites.get_mut(site);
        row.samples += 1;
        row.allocated.add(amount);
        let record = Record {
            block: sample.block,
            size: sample.size,
            weight: sample.weight,
            site,
            epoch: open.clock.epoch,
        };
        if !shards
            .of(sample.block)
            .lock()
            .insert(record, &mut self.arena)
        {
            open.counters.untracked += 1;
            return;
        }
        open.enter(&record, amount);
        open.sites.get_mut(site).history.born();
        self.widen(shards);
    }

    /// Takes out the record of a block that is about to be freed.
    pub(crate) fn remove(&mut self, shards: &Shards, block: u64) -> Option<Record> {
        let open = self.open.as_mut()?;
        let record = shards.of(block).lock().remove(block)?;
        open.leave(&record);
        Some(record)
    }

    /// Puts back what [`Books::remove`] took out: the block was not freed after all.
    pub(crate) fn restore(&mut self, shards: &Shards, record: Record) {
        let Some(open) = &mut self.open else { return };
        if record.site as usize >= open.sites.len() {
            // Another session's.
            return;
        }
        if !shards
            .of(record.block)
            .lock()
            .insert(record, &mut self.arena)
        {
            open.counters.untracked += 1;
            return;
        }
        open.enter(&record, Amount::of(record.size, record.weight));
        let clock = open.clock;
        let site = open.sites.get_mut(record.site);
        site.history.revived(&clock, record.epoch);
    }

    /// Takes a larger filter when this one is crowded. Other threads see it before any later sample is entered,
    /// so nobody who frees a sampled block reads one without it.
    fn widen(&mut self, shards: &Shards) {
        let Some(open) = &mut self.open else { return };
        if !open.filter.is_crowded() {
            return;
        }
        let Some(mut larger) = open.filter.larger(&mut self.arena) else {
            return;
        };
        for shard in shards.each() {
            shard.lock().for_each(|record| larger.insert(record.block));
        }
        let old = std::mem::replace(&mut open.filter, larger);
        (self.publish)(open.filter.bits());
        old.retire(&mut self.arena);
    }
}

impl Open {
    pub(crate) fn peak(&self) -> Peak {
        self.peak
    }

    fn count(&mut self, flaws: Flaws, is_other: bool) {
        let counters = &mut self.counters;
        counters.samples += 1;
        counters.other += u64::from(is_other);
        counters.truncated += u64::from(flaws.truncated);
        counters.rootless += u64::from(flaws.rootless);
        counters.unknown_stack += u64::from(flaws.unknown);
        counters.probed += u64::from(flaws.probed);
    }

    /// A block lives.
    fn enter(&mut self, record: &Record, amount: Amount) {
        self.filter.insert(record.block);
        self.counters.live_samples += 1;
        let site = self.sites.get_mut(record.site);
        site.freeze(self.peak.number);
        site.history.advance(&self.clock, site.in_use.fine_bytes());
        site.live += 1;
        site.in_use.add(amount);
        self.in_use = self.in_use.wrapping_add(amount.fine_bytes());
        if self.in_use > self.peak.in_use {
            self.peak.in_use = self.in_use;
            self.peak.number += 1;
        }
    }

    /// A block lives no longer.
    fn leave(&mut self, record: &Record) {
        self.filter.remove(record.block);
        self.counters.live_samples -= 1;
        let amount = Amount::of(record.size, record.weight);
        let site = self.sites.get_mut(record.site);
        site.freeze(self.peak.number);
        site.history.advance(&self.clock, site.in_use.fine_bytes());
        site.history.died(&self.clock, record.epoch);
        site.live -= 1;
        site.in_use.subtract(amount);
        self.in_use = self.in_use.wrapping_sub(amount.fine_bytes());
    }
}

#[cfg(test)]
mod tests;
