//! What every thread keeps, and the hot path that touches it.
//!
//! A thread's state lies in its thread-local storage, without initialiser and without `Drop`, so that the first
//! access is an ordinary memory access and allocations in other thread-locals' destructors are still counted.
//! Its counters are written by the thread alone (a load and a store, no atomic addition) and may be read by
//! others.
//!
//! ```text
//!           first allocation or free              the thread's key destructor
//!   New ───────────────────────────────> Listed ──────────────────────────────> Unlisted
//!    └── no key to be had, or not Linux ──────────────────────────────────────────^
//! ```
//!
//! A listed thread's counters are read where they are. An unlisted one may vanish at any time: every call adds
//! what it counted to the process's totals at once. Both `New` and `Unlisted` come by the slow path because
//! their `slow_at` is 0 and their filter says yes to everything, which costs the hot path nothing.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::draw;
use crate::filter;
use crate::fork;
use crate::hook::{self, Record};
use crate::lock::Lock;
use crate::totals::Totals;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    /// Being listed: what that allocates is only counted.
    Joining,
    Listed,
    Unlisted,
}

/// What the hot path touches comes first, in one cache line.
#[repr(C, align(64))]
pub(crate) struct ThreadState {
    // Read by other threads, written by this one.
    allocated_bytes: AtomicU64,
    allocations: AtomicU64,
    freed_bytes: AtomicU64,
    frees: AtomicU64,

    // Written by other threads too, under the list's lock.
    /// When `allocated_bytes` gets here, the slow path looks what there is to do. 0: at every allocation.
    slow_at: AtomicU64,
    /// The filter of sampled blocks: see [`filter::Word`].
    filter: filter::Word,

    // Of this thread alone.
    reallocations: Cell<u64>,
    phase: Cell<Phase>,
    observer: Cell<Option<Observer>>,
    /// Where `allocated_bytes` is at the next sample, drawn with the rate in `config`; without one, at the next look.
    sample_at: Cell<u64>,
    config: Cell<Config>,
    random: Cell<u64>,
    /// The how manieth thread this is.
    ordinal: Cell<u64>,
    /// Above 0 in the profiler's own work, which is not sampled.
    inside: Cell<u32>,
    /// What an unlisted thread has added to the ended totals already.
    reported: Cell<Totals>,

    // Under the list's lock.
    next: AtomicPtr<ThreadState>,
    previous: AtomicPtr<ThreadState>,
}

thread_local! {
    static STATE: ThreadState = const { ThreadState::new() };
}

/// The threads that count, and what those that ended had counted.
struct Threads {
    first: *mut ThreadState,
    listed: u64,
    ended: Totals,
}

// SAFETY: the states in the list are alive (a thread leaves it before its storage goes), and only their atomics
// are touched from other threads.
unsafe impl Send for Threads {}

static THREADS: Lock<Threads> = Lock::new(Threads {
    first: ptr::null_mut(),
    listed: 0,
    ended: Totals {
        allocations: 0,
        allocated_bytes: 0,
        frees: 0,
        freed_bytes: 0,
    },
});

/// What threads that are listed later read.
static FILTER: filter::Word = filter::Word::new(filter::NOTHING);

/// How to sample: the mean distance in bytes (0: not at all) in the lower 48 bits, above it a number that changes
/// with each new configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Config(u64);

/// Without sampling the slow path is taken so often, in bytes: a request that is larger than there is memory comes by
/// it, which does not count it when it fails.
const UNSAMPLED_DISTANCE: u64 = 1 << 30;

/// The largest mean distance between samples, in bytes.
pub(crate) const MAX_RATE: u64 = (1 << 48) - 1;

impl Config {
    const OFF: Config = Config(0);

    fn rate(self) -> u64 {
        self.0 & MAX_RATE
    }

    fn with_rate(self, rate: u64) -> Config {
        let number = (self.0 >> 48).wrapping_add(1);
        Config(number << 48 | rate.min(MAX_RATE))
    }
}

static CONFIG: AtomicU64 = AtomicU64::new(Config::OFF.0);
static SEED: AtomicU64 = AtomicU64::new(0);

/// An addition by the only writer.
#[inline(always)]
fn bump(counter: &AtomicU64, by: u64) -> u64 {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(by);
    counter.store(sum, Ordering::Relaxed);
    sum
}

/// A block is about to be asked of the inner allocator. True if [`allocated_slowly`] is to be called afterwards.
#[inline(always)]
pub(crate) fn allocating(size: usize) -> bool {
    STATE.with(|state| {
        let sum = bump(&state.allocated_bytes, size as u64);
        bump(&state.allocations, 1);
        sum >= state.slow_at.load(Ordering::Relaxed)
    })
}

/// The block came, or null. Gives it back.
pub(crate) fn allocated_slowly(block: *mut u8, size: usize) -> *mut u8 {
    STATE.with(|state| {
        if block.is_null() {
            bump(&state.allocated_bytes, (size as u64).wrapping_neg());
            bump(&state.allocations, 1_u64.wrapping_neg());
            return block;
        }
        state.allocated_slowly(block, size, Event::Allocation)
    })
}

/// A block is about to go back to the inner allocator. True if [`freed_slowly`] is to be called before.
#[inline(always)]
pub(crate) fn freed(block: *mut u8, size: usize) -> bool {
    STATE.with(|state| {
        bump(&state.freed_bytes, size as u64);
        bump(&state.frees, 1);
        state.filter.may_hold(block)
    })
}

/// The block may be a sampled one.
pub(crate) fn freed_slowly(block: *mut u8) {
    STATE.with(|state| {
        state.settle();
        hook::take(block);
    });
}

/// A block is about to be reallocated: it may not be there any more when this is known. Gives its record, if it
/// was sampled.
#[inline(always)]
pub(crate) fn before_realloc(block: *mut u8) -> Option<Record> {
    STATE.with(|state| {
        if state.filter.may_hold(block) {
            state.take_slowly(block)
        } else {
            None
        }
    })
}

/// A block became another, or null: then the old one is as it was. `record` is what [`before_realloc`] gave.
#[inline(always)]
pub(crate) fn reallocated(
    old_size: usize,
    moved: *mut u8,
    new_size: usize,
    record: Option<Record>,
) {
    if moved.is_null() {
        if let Some(record) = record {
            hook::put_back(record);
        }
        return;
    }
    STATE.with(|state| {
        bump(&state.freed_bytes, old_size as u64);
        bump(&state.frees, 1);
        let sum = bump(&state.allocated_bytes, new_size as u64);
        bump(&state.allocations, 1);
        state
            .reallocations
            .set(state.reallocations.get().wrapping_add(1));
        if sum >= state.slow_at.load(Ordering::Relaxed) {
            state.allocated_slowly(moved, new_size, Event::Reallocation);
        }
    });
}

/// What wants to know of each allocation of one thread.
#[derive(Clone, Copy)]
pub(crate) struct Observer {
    /// Called after the inner allocator. It must not allocate.
    pub(crate) call: unsafe fn(data: *mut (), event: Event, size: usize),
    /// Its first argument.
    pub(crate) data: *mut (),
}

/// What an [`Observer`] is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Allocation,
    /// The new size of a block that was allocated before.
    Reallocation,
}

/// What one thread counted since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ThreadCounts {
    /// Reallocations are in here, as an allocation and a free each.
    pub(crate) totals: Totals,
    pub(crate) reallocations: u64,
}

/// The calling thread's counts.
pub(crate) fn own_counts() -> ThreadCounts {
    STATE.with(|state| ThreadCounts {
        totals: state.totals(),
        reallocations: state.reallocations.get(),
    })
}

/// From here on `observer` is told of each allocation of this thread; gives back the one before.
///
/// # Safety
/// `observer.data` is what `observer.call` takes, until another observer is set.
pub(crate) unsafe fn observe(observer: Option<Observer>) -> Option<Observer> {
    STATE.with(|state| {
        let before = state.observer.replace(observer);
        // The next allocation looks again.
        state.slow_at.store(0, Ordering::Relaxed);
        before
    })
}

/// Samples every `rate` bytes on average from now on, in all threads; 0: none. Threads draw from `seed`.
pub(crate) fn configure(rate: u64, seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
    let threads = THREADS.lock();
    let config = Config(CONFIG.load(Ordering::SeqCst)).with_rate(rate);
    CONFIG.store(config.0, Ordering::SeqCst);
    // After the configuration, so that a thread that overwrites this has seen that (see `arm`).
    threads.for_each(|state| state.slow_at.store(0, Ordering::SeqCst));
}

/// All threads read these bits from now on.
pub(crate) fn publish_filter(bits: filter::Bits) {
    let threads = THREADS.lock();
    FILTER.store(bits);
    threads.for_each(|state| state.filter.store(bits));
}

/// Runs the profiler's own work: what it allocates is counted and not sampled.
pub(crate) fn inside<T>(work: impl FnOnce() -> T) -> T {
    struct Leave;

    impl Drop for Leave {
        fn drop(&mut self) {
            STATE.with(|state| state.inside.set(state.inside.get() - 1));
        }
    }

    STATE.with(|state| state.inside.set(state.inside.get() + 1));
    let _leave = Leave;
    work()
}

/// The sums over all threads.
pub(crate) fn totals() -> Totals {
    let threads = THREADS.lock();
    let mut totals = threads.ended;
    threads.for_each(|state| totals.add(state.totals()));
    totals
}

impl Threads {
    fn for_each(&self, mut look: impl FnMut(&ThreadState)) {
        let mut next = self.first;
        while !next.is_null() {
            // SAFETY: it is in the list, so it is alive.
            let state = unsafe { &*next };
            look(state);
            next = state.next.load(Ordering::Relaxed);
        }
    }

    fn insert(&mut self, state: &ThreadState) {
        let this = ptr::from_ref(state).cast_mut();
        state.previous.store(ptr::null_mut(), Ordering::Relaxed);
        state.next.store(self.first, Ordering::Relaxed);
        // SAFETY: as in `for_each`.
        if let Some(first) = unsafe { self.first.as_ref() } {
            first.previous.store(this, Ordering::Relaxed);
        }
        self.first = this;
    }

    fn remove(&mut self, state: &ThreadState) {
        let next = state.next.load(Ordering::Relaxed);
        let previous = state.previous.load(Ordering::Relaxed);
        // SAFETY: as in `for_each`, both.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.next.store(next, Ordering::Relaxed),
            None => self.first = next,
        }
        // SAFETY: as above.
        if let Some(next) = unsafe { next.as_ref() } {
            next.previous.store(previous, Ordering::Relaxed);
        }
    }
}

impl ThreadState {
    const fn new() -> ThreadState {
        ThreadState {
            allocated_bytes: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            frees: AtomicU64::new(0),
            slow_at: AtomicU64::new(0),
            filter: filter::Word::new(filter::EVERYTHING),
            phase: Cell::new(Phase::New),
            reallocations: Cell::new(0),
            observer: Cell::new(None),
            sample_at: Cell::new(UNSAMPLED_DISTANCE),
            config: Cell::new(Config::OFF),
            random: Cell::new(0),
            ordinal: Cell::new(0),
            inside: Cell::new(0),
            reported: Cell::new(Totals {
                allocations: 0,
                allocated_bytes: 0,
                frees: 0,
                freed_bytes: 0,
            }),
            next: AtomicPtr::new(ptr::null_mut()),
            previous: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            allocations: self.allocations.load(Ordering::Relaxed),
            allocated_bytes: self.allocated_bytes.load(Ordering::Relaxed),
            frees: self.frees.load(Ordering::Relaxed),
            freed_bytes: self.freed_bytes.load(Ordering::Relaxed),
        }
    }

    #[cold]
    #[inline(never)]
    fn allocated_slowly(&self, block: *mut u8, size: usize, event: Event) -> *mut u8 {
        self.settle();
        if let Some(observer) = self.observer.get() {
            // SAFETY: `observe`'s contract.
            unsafe { (observer.call)(observer.data, event, size) };
        }
        let sum = self.allocated_bytes.load(Ordering::Relaxed);
        if self.config.get().rate() == 0 {
            // Where sampling was off, this very allocation is the first that may be sampled.
            self.adopt(sum.wrapping_sub(size as u64));
        }
        if sum >= self.sample_at.get() {
            let rate = self.config.get().rate();
            self.draw(sum);
            if rate > 0 && size > 0 && self.inside.get() == 0 {
                hook::sampled(block, size, rate);
            }
        }
        self.arm();
        block
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self, block: *mut u8) -> Option<Record> {
        self.settle();
        hook::take(block)
    }

    /// Lists a new thread, and adds up what an unlisted one counted.
    fn settle(&self) {
        if self.phase.get() == Phase::New {
            self.phase.set(Phase::Joining);
            if end::will_call(self) {
                let mut threads = THREADS.lock();
                threads.insert(self);
                threads.listed += 1;
                self.ordinal.set(threads.listed);
                self.filter.store(FILTER.load());
                self.phase.set(Phase::Listed);
            } else {
                self.phase.set(Phase::Unlisted);
            }
            fork::install();
        }
        if self.phase.get() == Phase::Unlisted {
            self.report();
        }
    }

    /// The next sample is an exponential distance from `here`, in bytes allocated. What was allocated since the
    /// last draw had its chance, so a draw may be made at any time without favouring any allocation.
    fn draw(&self, here: u64) {
        let mut random = self.random.get();
        self.sample_at
            .set(here.saturating_add(match self.config.get().rate() {
                0 => UNSAMPLED_DISTANCE,
                rate => draw::distance(&mut random, rate),
            }));
        self.random.set(random);
    }

    /// Takes over a new configuration from `here` on.
    fn adopt(&self, here: u64) -> Config {
        let config = Config(CONFIG.load(Ordering::SeqCst));
        if config != self.config.replace(config) {
            let mut seed = SEED.load(Ordering::Relaxed) ^ config.0;
            self.random
                .set(draw::next(&mut seed).wrapping_mul(2 * self.ordinal.get() + 1));
            self.draw(here);
        }
        config
    }

    /// Decides when the slow path is next.
    fn arm(&self) {
        loop {
            let config = self.adopt(self.allocated_bytes.load(Ordering::Relaxed));
            let every_time = self.observer.get().is_some() || self.phase.get() != Phase::Listed;
            let next = if every_time { 0 } else { self.sample_at.get() };
            self.slow_at.store(next, Ordering::SeqCst);
            // `configure` may have written its 0 before this store: then its configuration is there to see.
            if CONFIG.load(Ordering::SeqCst) == config.0 {
                return;
            }
        }
    }

    /// Adds what was counted since the last time to the totals of ended threads.
    fn report(&self) {
        THREADS.lock().ended.add(self.unreported());
    }

    /// What this thread counted and the totals of ended threads do not hold; it is taken to be added now.
    fn unreported(&self) -> Totals {
        let now = self.totals();
        let before = self.reported.replace(now);
        Totals {
            allocations: now.allocations.wrapping_sub(before.allocations),
            allocated_bytes: now.allocated_bytes.wrapping_sub(before.allocated_bytes),
            frees: now.frees.wrapping_sub(before.frees),
            freed_bytes: now.freed_bytes.wrapping_sub(before.freed_bytes),
        }
    }

    /// The thread ends. What it still allocates in other destructors is counted too.
    fn unlist(&self) {
        if self.phase.replace(Phase::Unlisted) != Phase::Listed {
            return;
        }
        self.slow_at.store(0, Ordering::Relaxed);
        self.filter.store(filter::EVERYTHING);
        let mut threads = THREADS.lock();
        threads.remove(self);
        threads.ended.add(self.unreported());
    }
}

/// The end of a thread, told by a pthread key: its destructor runs after those of Rust's thread-locals.
#[cfg(target_os = "linux")]
mod end {
    use std::ffi::c_void;
    use std::ptr;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::ThreadState;

    /// The key plus 1; 0 before there is one.
    static KEY: AtomicU64 = AtomicU64::new(0);

    /// Sees to it that [`ThreadState::unlist`] is called when the thread ends; false if that can't be had.
    pub(super) fn will_call(state: &ThreadState) -> bool {
        let Some(key) = key() else { return false };
        // SAFETY: the key is ours. glibc may call its own `calloc` here, which does not come to us.
        unsafe { libc::pthread_setspecific(key, ptr::from_ref(state).cast()) == 0 }
    }

    fn key() -> Option<libc::pthread_key_t> {
        if let Some(key) = KEY.load(Ordering::Acquire).checked_sub(1) {
            return Some(key as libc::pthread_key_t);
        }
        let mut key = 0;
        // SAFETY: writes the key; the destructor fits.
        if unsafe { libc::pthread_key_create(&raw mut key, Some(thread_ends)) } != 0 {
            return None;
        }
        let stored =
            KEY.compare_exchange(0, u64::from(key) + 1, Ordering::AcqRel, Ordering::Acquire);
        match stored {
            Ok(_) => Some(key),
            Err(first) => {
                // SAFETY: nobody has seen this one.
                unsafe { libc::pthread_key_delete(key) };
                Some((first - 1) as libc::pthread_key_t)
            }
        }
    }

    unsafe extern "C" fn thread_ends(state: *mut c_void) {
        // SAFETY: `will_call` passed this thread's state, whose storage outlives the keys' destructors.
        unsafe { (*state.cast::<ThreadState>()).unlist() };
    }
}

/// Without a word when a thread ends, none is listed: slower, and as exact.
///
/// macOS frees thread-local storage in a key's destructor itself, in no promised order; Windows has no such keys.
#[cfg(not(target_os = "linux"))]
mod end {
    pub(super) fn will_call(_: &super::ThreadState) -> bool {
        false
    }
}

/// Takes the lock of the list for the time of a fork.
pub(crate) fn hold_for_fork() {
    THREADS.hold_for_fork();
}

/// Gives it back, in the parent or in the child.
///
/// # Safety
/// This thread took it with [`hold_for_fork`], or is the child's copy of the one that did.
pub(crate) unsafe fn release_after_fork() {
    // SAFETY: the caller's contract.
    unsafe { THREADS.release_after_fork() };
}

/// In a forked child only the calling thread lives on: the others count as ended. Their storage is still mapped
/// (the C library keeps it for new threads). Call it with the locks held.
pub(crate) fn forget_other_threads() {
    STATE.with(|own| {
        let mut threads = THREADS.lock();
        let mut ended = threads.ended;
        threads.for_each(|state| {
            if !ptr::eq(state, own) {
                ended.add(state.totals());
            }
        });
        threads.ended = ended;
        threads.first = ptr::null_mut();
        if own.phase.get() == Phase::Listed {
            threads.insert(own);
        }
    });
}

#[cfg(test)]
mod tests;
