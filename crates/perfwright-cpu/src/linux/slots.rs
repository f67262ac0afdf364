//! The pool of slots: what the signal handler knows about the thread it interrupts.
//!
//! A slot belongs to one thread at a time. Slots are mapped once and never freed, so that a signal that comes
//! late finds memory, and the generation tells it that the slot has a new owner.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::ring::Ring;
use super::sys::map_memory;

/// How many threads can be sampled at once, at most.
pub(crate) const MAX_SLOTS: usize = 16_384;
/// File descriptors at or above this can't be told apart by the handler; such threads get a timer.
pub(crate) const MAX_FDS: usize = 1 << 20;

/// All fields are atomics whose all-zero state is "free": slots come from zeroed pages.
pub(crate) struct Slot {
    /// Bumped when the slot is given out; 0 means it never was.
    generation: AtomicU32,
    /// TID of the owner, 0 if free.
    pub(crate) tid: AtomicI32,
    /// The owner's thread pointer, once it was seen: comparing it is cheaper than asking for the TID.
    pub(crate) thread_pointer: AtomicU64,
    /// Perf: the event's file descriptor, -1 otherwise.
    pub(crate) fd: AtomicI32,
    /// Nanoseconds that a sample stands for (perf: the period now running).
    pub(crate) period_nanos: AtomicU64,
    /// Perf that sees the kernel: the thread's CPU clock at its last sample. 0: a sample stands for its period.
    pub(crate) cpu_seen: AtomicU64,
    /// Nanoseconds between samples on average.
    pub(crate) base_period_nanos: AtomicU64,
    /// Perf: after how many signals the period changes.
    pub(crate) change_every: AtomicU64,
    /// State of the random numbers; never 0.
    pub(crate) random: AtomicU64,
    /// Wall: a signal is under way; the fields below are the collector's message to it.
    pub(crate) wall_pending: AtomicBool,
    pub(crate) wall_nanos: AtomicU64,
    pub(crate) wall_idle: AtomicBool,
    /// Signals that came for this slot.
    pub(crate) signals: AtomicU64,
    /// Samples for which the ring had no room.
    pub(crate) dropped: AtomicU64,
    /// An estimate of what the handler took, from every 16th signal.
    pub(crate) handler_nanos: AtomicU64,
    pub(crate) ring: Ring,
}

static POOL: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());
/// Slot number + 1 by file descriptor of its perf event.
static FDS: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// Reserves the pool, the first time in this process. Costs address space, not memory.
pub(crate) fn prepare() -> io::Result<()> {
    if POOL.load(Ordering::Acquire).is_null() {
        let slots = map_memory(MAX_SLOTS * size_of::<Slot>())?;
        let fds = map_memory(MAX_FDS * size_of::<AtomicU32>())?;
        FDS.store(fds.cast(), Ordering::Release);
        POOL.store(slots.cast(), Ordering::Release);
    }
    Ok(())
}

/// The slot of this number. Async-signal-safe.
pub(crate) fn get(index: usize) -> Option<&'static Slot> {
    let pool = POOL.load(Ordering::Acquire);
    if pool.is_null() || index >= MAX_SLOTS {
        return None;
    }
    // SAFETY: the pool is MAX_SLOTS slots, page-aligned, never unmapped, and zeroed pages are valid slots.
    Some(unsafe { &*pool.add(index) })
}

fn fd_entry(fd: i32) -> Option<&'static AtomicU32> {
    let fds = FDS.load(Ordering::Acquire);
    let index = usize::try_from(fd).ok().filter(|&fd| fd < MAX_FDS)?;
    // SAFETY: the table is MAX_FDS entries, never unmapped; zeroed pages are valid entries.
    (!fds.is_null()).then(|| unsafe { &*fds.add(index) })
}

/// Says that signals of this file descriptor are for this slot (`None`: for none). False if it is too high.
pub(crate) fn bind_fd(fd: i32, slot: Option<u32>) -> bool {
    let Some(entry) = fd_entry(fd) else {
        return false;
    };
    entry.store(slot.map_or(0, |slot| slot + 1), Ordering::Release);
    true
}

/// The slot whose perf event has this file descriptor. Async-signal-safe.
pub(crate) fn by_fd(fd: i32) -> Option<&'static Slot> {
    let number = fd_entry(fd)?.load(Ordering::Acquire).checked_sub(1)?;
    get(number as usize)
}

/// The slot that a timer or a queued signal names, if it still has the owner it was made for.
/// Async-signal-safe.
pub(crate) fn by_token(token: u64) -> Option<&'static Slot> {
    let slot = get((token & 0xffff_ffff) as usize)?;
    let generation = slot.generation.load(Ordering::Acquire);
    (u64::from(generation) == token >> 32 && generation != 0).then_some(slot)
}

impl Slot {
    /// What travels with the signals for this slot.
    pub(crate) fn token(&self, index: u32) -> u64 {
        u64::from(self.generation.load(Ordering::Acquire)) << 32 | u64::from(index)
    }

    /// Gives the free slot to a thread.
    pub(crate) fn assign(&self, tid: i32, period_nanos: u64, seed: u64) -> io::Result<()> {
        self.ring.prepare()?;
        if self.tid.load(Ordering::Acquire) != 0 {
            // Left over from a sampler that a fork cut off: its threads do not exist here.
            // SAFETY: the slot is free by the books of the sampler that runs now.
            unsafe { self.ring.reset() };
        }
        let generation = self
            .generation
            .load(Ordering::Relaxed)
            .wrapping_add(1)
            .max(1);
        self.generation.store(generation, Ordering::Release);
        self.thread_pointer.store(0, Ordering::Release);
        self.fd.store(-1, Ordering::Release);
        self.cpu_seen.store(0, Ordering::Release);
        self.period_nanos.store(period_nanos, Ordering::Release);
        self.base_period_nanos
            .store(period_nanos, Ordering::Release);
        // Rarely enough to cost little (see the handler), often enough for many changes in a short profile.
        let change_every = if period_nanos < 4_000_000 { 16 } else { 8 };
        self.change_every.store(change_every, Ordering::Release);
        self.random.store(seed | 1, Ordering::Release);
        self.wall_pending.store(false, Ordering::Release);
        for counter in [&self.signals, &self.dropped, &self.handler_nanos] {
            counter.store(0, Ordering::Release);
        }
        self.tid.store(tid, Ordering::Release);
        Ok(())
    }

    /// Takes the slot back from a thread that ended, or whose signals were turned off.
    ///
    /// # Safety
    /// No signal for this slot is being handled.
    pub(crate) unsafe fn release(&self) {
        self.tid.store(0, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
        // SAFETY: the producer is gone (the caller's word), and the collector, which calls this, is the consumer.
        unsafe { self.ring.reset() };
    }
}
