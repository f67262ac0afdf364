//! Exact counts of what one piece of code allocates, for tests.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::ptr;

use perfwright_model::{Location, Profile, SampleType};
use thiserror::Error;

use crate::thread::{self, Event, Observer, ThreadCounts};
use crate::totals;

#[cfg(all(unix, not(target_arch = "arm")))]
mod backtrace;

/// Frames of a stack that are kept, from the leaf.
const MAX_DEPTH: usize = 128;
/// Distinct stacks that are kept.
const MAX_SITES: usize = 2048;
/// Addresses of all distinct stacks together.
const MAX_FRAMES: usize = 64 << 10;
/// Allocations whose stack is looked at. Unwinding takes microseconds: beyond this they are only counted.
const MAX_CAPTURES: u64 = 64 << 10;
/// Slots of the index over the stacks; a power of two, at most half full.
const SLOTS: usize = 2 * MAX_SITES;
/// Frames of ours between the unwinder and the allocator's method: `capture`, `observed`, the slow path.
#[cfg(all(unix, not(target_arch = "arm")))]
const OWN_FRAMES: usize = 3;

const REST: &str = "[perfwright: stacks not kept]";

/// What [`count`] counted.
///
/// An allocation that could not be served is not counted. `realloc` is one allocation of the new size and one
/// free of the old size, so that what a growing `Vec` asks for is all there; [`Counted::reallocations`] says how
/// many of the allocations were such.
#[non_exhaustive]
pub struct Counted<T> {
    /// What the closure returned. Its memory is freed later than the count ended.
    pub value: T,
    /// Allocations, reallocations included.
    pub allocations: u64,
    /// How many of the allocations were reallocations.
    pub reallocations: u64,
    /// Bytes asked for.
    pub allocated_bytes: u64,
    /// Frees, reallocations included; of blocks that were allocated before the count, too.
    pub frees: u64,
    /// Bytes freed.
    pub freed_bytes: u64,
    /// The most bytes that were live at once, beyond what was live when the count began.
    pub peak_live_bytes: u64,
    sites: Sites,
}

/// Allocations that came from one stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Site<'a> {
    /// Return addresses, the innermost caller first.
    pub stack: &'a [u64],
    /// Allocations, reallocations included.
    pub allocations: u64,
    /// How many of them were reallocations.
    pub reallocations: u64,
    /// Bytes asked for.
    pub allocated_bytes: u64,
}

/// Why nothing was counted. Fits "failed to {error}".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "count allocations: SampledAlloc is not this program's global allocator. Put this into the test (or the \
     program's main file): #[global_allocator] static ALLOC: SampledAlloc = SampledAlloc::system();"
)]
#[non_exhaustive]
pub struct NotInstalled;

/// Runs `work` and counts what it allocates and frees on this thread, exactly.
///
/// Other threads are not counted, neither tests that run at the same time nor those that `work` starts. Counts
/// may be nested; the outer one has all of the inner one, but not what counting itself took. If `work` panics,
/// the panic goes on and the count is over.
///
/// Each allocation's stack is unwound, for the first 65,536, which takes longer than the allocation. Up to 2,048
/// distinct stacks are kept, see [`Counted::sites`]. An optimised build may leave out
/// allocations that nobody looks at; [`std::hint::black_box`] keeps them.
///
/// ```
/// use perfwright_heap::{SampledAlloc, count};
///
/// #[global_allocator]
/// static ALLOC: SampledAlloc = SampledAlloc::system();
///
/// # fn main() {
/// let counted = count(|| vec![1, 2, 3]);
/// assert_eq!(counted.allocations, 1);
/// assert_eq!(counted.allocated_bytes, 12);
/// assert_eq!(counted.value, [1, 2, 3]);
/// # }
/// ```
///
/// # Panics
/// If [`SampledAlloc`](crate::SampledAlloc) is not the global allocator: a count of 0 would be no count.
#[track_caller]
pub fn count<T>(work: impl FnOnce() -> T) -> Counted<T> {
    match try_count(work) {
        Ok(counted) => counted,
        Err(error) => panic!("failed to {error}"),
    }
}

/// [`count`] without its panic.
///
/// # Errors
/// [`NotInstalled`] if [`SampledAlloc`](crate::SampledAlloc) is not the global allocator; `work` has not run.
pub fn try_count<T>(work: impl FnOnce() -> T) -> Result<Counted<T>, NotInstalled> {
    if !totals::is_installed() {
        return Err(NotInstalled);
    }
    let running = Running::begin();
    let value = work();
    let (counts, recorder) = running.end();
    Ok(Counted {
        value,
        allocations: counts.totals.allocations,
        reallocations: counts.reallocations,
        allocated_bytes: counts.totals.allocated_bytes,
        frees: counts.totals.frees,
        freed_bytes: counts.totals.freed_bytes,
        peak_live_bytes: recorder.peak,
        sites: recorder.sites,
    })
}

impl<T> Counted<T> {
    /// Where the allocations came from, in the order of their first.
    ///
    /// [`Counted::without_stack`] says how many are missing here because they were too many.
    pub fn sites(&self) -> impl ExactSizeIterator<Item = Site<'_>> {
        self.sites.rows.iter().map(|row| Site {
            stack: &self.sites.frames[row.start..][..row.len],
            allocations: row.tally.allocations,
            reallocations: row.tally.reallocations,
            allocated_bytes: row.tally.bytes,
        })
    }

    /// Allocations that belong to none of the [`sites`](Counted::sites). Where stacks are not unwound (Windows)
    /// that is all of them.
    pub fn without_stack(&self) -> u64 {
        self.sites.rest.allocations
    }

    /// The sites as a profile of addresses, to be symbolized: `alloc_objects` in `count` and `alloc_space` in
    /// `bytes`. What has no stack is under a frame that says so.
    pub fn profile(&self) -> Profile {
        let mut profile = Profile::new([
            SampleType::new("alloc_objects", "count"),
            SampleType::new("alloc_space", "bytes"),
        ]);
        profile.meta.default_sample_type = Some(0);
        let labels = profile.intern_labels(&[]);
        let mut stacks = Stacks::new();
        for site in self.sites() {
            let stack = stacks.intern(&mut profile, site.stack);
            let values = [site.allocations as i64, site.allocated_bytes as i64];
            profile.push_sample(stack, labels, &values);
        }
        let rest = self.sites.rest;
        if rest.allocations > 0 {
            let location = profile.frame_location(REST);
            let stack = profile.push_stack(perfwright_model::StackId::ROOT, location);
            profile.push_sample(stack, labels, &[rest.allocations as i64, rest.bytes as i64]);
        }
        profile
    }
}

impl<T: fmt::Debug> fmt::Debug for Counted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted")
            .field("value", &self.value)
            .field("allocations", &self.allocations)
            .field("reallocations", &self.reallocations)
            .field("allocated_bytes", &self.allocated_bytes)
            .field("frees", &self.frees)
            .field("freed_bytes", &self.freed_bytes)
            .field("peak_live_bytes", &self.peak_live_bytes)
            .field("sites", &self.sites.rows.len())
            .finish()
    }
}

thread_local! {
    /// What counting itself allocated and freed on this thread.
    static OWN: Cell<ThreadCounts> = const { Cell::new(ZERO) };
}

const ZERO: ThreadCounts = ThreadCounts {
    totals: totals::Totals {
        allocations: 0,
        allocated_bytes: 0,
        frees: 0,
        freed_bytes: 0,
    },
    reallocations: 0,
};

/// Runs what no count should see: neither its stacks nor its numbers.
fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: no observer is always right.
    let observer = unsafe { thread::observe(None) };
    let before = thread::own_counts();
    let result = work();
    let took = difference(thread::own_counts(), before);
    OWN.set(sum(OWN.get(), took));
    // SAFETY: the observer was set before and its count still runs: `work` ends none.
    unsafe { thread::observe(observer) };
    result
}

/// What the program counted on this thread.
fn counted() -> ThreadCounts {
    difference(thread::own_counts(), OWN.get())
}

fn difference(a: ThreadCounts, b: ThreadCounts) -> ThreadCounts {
    combine(a, b, u64::wrapping_sub)
}

fn sum(a: ThreadCounts, b: ThreadCounts) -> ThreadCounts {
    combine(a, b, u64::wrapping_add)
}

fn combine(a: ThreadCounts, b: ThreadCounts, with: fn(u64, u64) -> u64) -> ThreadCounts {
    ThreadCounts {
        totals: totals::Totals {
            allocations: with(a.totals.allocations, b.totals.allocations),
            allocated_bytes: with(a.totals.allocated_bytes, b.totals.allocated_bytes),
            frees: with(a.totals.frees, b.totals.frees),
            freed_bytes: with(a.totals.freed_bytes, b.totals.freed_bytes),
        },
        reallocations: with(a.reallocations, b.reallocations),
    }
}

/// A count that runs. Dropped by a panic it ends the count too.
struct Running {
    /// From a `Box`, and the observer's while it is set. Null once ended.
    recorder: *mut Recorder,
    outer: Option<Observer>,
}

impl Running {
    fn begin() -> Self {
        let recorder = uncounted(|| Box::into_raw(Box::new(Recorder::new())));
        let observer = Observer {
            call: observed,
            data: recorder.cast(),
        };
        // SAFETY: the recorder lives until `stop` takes the observer back.
        let outer = unsafe { thread::observe(Some(observer)) };
        // SAFETY: nothing allocates here, so the observer does not touch it now.
        let this = unsafe { &mut *recorder };
        // Only counts set observers, so the one before is an outer count's.
        this.outer = outer.map_or(ptr::null_mut(), |outer| outer.data.cast());
        this.start = counted();
        Self { recorder, outer }
    }

    fn end(mut self) -> (ThreadCounts, Recorder) {
        let end = counted();
        let recorder = self.stop();
        (difference(end, recorder.start), recorder)
    }

    fn stop(&mut self) -> Recorder {
        // SAFETY: the outer count encloses this one, so it still runs.
        unsafe { thread::observe(self.outer) };
        let recorder = std::mem::replace(&mut self.recorder, ptr::null_mut());
        // SAFETY: it comes from a box, and neither the observer nor `self` has it any more.
        uncounted(|| *unsafe { Box::from_raw(recorder) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.recorder.is_null() {
            drop(self.stop());
        }
    }
}

struct Recorder {
    start: ThreadCounts,
    peak: u64,
    sites: Sites,
    /// The count around this one.
    outer: *mut Recorder,
}

impl Recorder {
    fn new() -> Self {
        Self {
            start: ZERO,
            peak: 0,
            sites: Sites::new(),
            outer: ptr::null_mut(),
        }
    }

    fn record(&mut self, now: ThreadCounts, event: Event, size: usize, stack: Option<&[u64]>) {
        // Memory is at its highest just after an allocation, so looking here misses no peak.
        let ThreadCounts { totals, .. } = difference(now, self.start);
        let live = totals.allocated_bytes.wrapping_sub(totals.freed_bytes);
        // Below 0 where more was freed than allocated.
        if live as i64 > self.peak as i64 {
            self.peak = live;
        }
        self.sites.add(event, size, stack);
    }

    fn wants_stack(&self) -> bool {
        self.sites.captures < MAX_CAPTURES
    }
}

/// The observer: an allocation on a thread that counts.
///
/// # Safety
/// `data` is the recorder of the innermost count of this thread.
#[inline(never)]
unsafe fn observed(data: *mut (), event: Event, size: usize) {
    let now = counted();
    let mut buffer = [0; MAX_DEPTH];
    let mut stack = None;
    let mut next: *mut Recorder = data.cast();
    // SAFETY: each recorder lives until its count ends, which is after those inside it; nothing else refers
    // to it while the observer is set.
    while let Some(recorder) = unsafe { next.as_mut() } {
        if recorder.wants_stack() {
            let len = *stack.get_or_insert_with(|| capture(&mut buffer));
            recorder.record(now, event, size, Some(&buffer[..len]));
        } else {
            recorder.record(now, event, size, None);
        }
        next = recorder.outer;
    }
}

#[cfg(all(unix, not(target_arch = "arm")))]
use backtrace::capture;

/// Windows has another unwinder, and 32-bit ARM no `_Unwind_GetIP`.
#[cfg(not(all(unix, not(target_arch = "arm"))))]
fn capture(_: &mut [u64]) -> usize {
    0
}

#[derive(Clone, Copy, Default)]
struct Tally {
    allocations: u64,
    reallocations: u64,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, event: Event, size: usize) {
        self.allocations += 1;
        self.reallocations += u64::from(event == Event::Reallocation);
        self.bytes = self.bytes.wrapping_add(size as u64);
    }
}

#[derive(Clone, Copy)]
struct Row {
    hash: u64,
    start: usize,
    len: usize,
    tally: Tally,
}

/// The distinct stacks. Everything is allocated when it is made: it must not allocate while it counts.
struct Sites {
    frames: Vec<u64>,
    rows: Vec<Row>,
    /// Open addressing: the row's number plus one, 0 where free.
    index: Vec<u32>,
    /// What belongs to no row.
    rest: Tally,
    captures: u64,
}

impl Sites {
    fn new() -> Self {
        Self {
            frames: Vec::with_capacity(MAX_FRAMES),
            rows: Vec::with_capacity(MAX_SITES),
            index: vec![0; SLOTS],
            rest: Tally::default(),
            captures: 0,
        }
    }

    fn add(&mut self, event: Event, size: usize, stack: Option<&[u64]>) {
        let row = stack
            .filter(|stack| !stack.is_empty())
            .and_then(|stack| self.row(stack));
        let tally = match row {
            Some(row) => &mut self.rows[row].tally,
            None => &mut self.rest,
        };
        tally.add(event, size);
    }

    /// The row of a stack, which is added if there is room.
    fn row(&mut self, stack: &[u64]) -> Option<usize> {
        self.captures += 1;
        let hash = hash(stack);
        let mut slot = hash as usize % SLOTS;
        // Ends: half of the slots are free.
        while let Some(row) = (self.index[slot] as usize).checked_sub(1) {
            let Row { start, len, .. } = self.rows[row];
            if self.rows[row].hash == hash && self.frames[start..][..len] == *stack {
                return Some(row);
            }
            slot = (slot + 1) % SLOTS;
        }
        if self.rows.len() == MAX_SITES || self.frames.len() + stack.len() > MAX_FRAMES {
            return None;
        }
        self.rows.push(Row {
            hash,
            start: self.frames.len(),
            len: stack.len(),
            tally: Tally::default(),
        });
        self.frames.extend_from_slice(stack);
        self.index[slot] = self.rows.len() as u32;
        Some(self.rows.len() - 1)
    }
}

impl Drop for Sites {
    fn drop(&mut self) {
        // A count around this one must not see these frees: it did not see the allocations.
        uncounted(|| {
            self.frames = Vec::new();
            self.rows = Vec::new();
            self.index = Vec::new();
        });
    }
}

fn hash(stack: &[u64]) -> u64 {
    let mix = |state: u64, address: &u64| {
        let mixed = (state ^ address).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ mixed >> 29
    };
    stack.iter().fold(0, mix)
}

/// Addresses to the stacks of a profile.
struct Stacks {
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    known: Option<(perfwright_record::StackTable, perfwright_stack::Image)>,
}

impl Stacks {
    fn new() -> Self {
        Self {
            #[cfg(all(
                target_os = "linux",
                any(target_arch = "x86_64", target_arch = "aarch64")
            ))]
            known: perfwright_stack::Image::load()
                .ok()
                .map(|image| (perfwright_record::StackTable::new(), image)),
        }
    }

    fn intern(&mut self, profile: &mut Profile, stack: &[u64]) -> perfwright_model::StackId {
        #[cfg(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        if let Some((table, image)) = &mut self.known {
            let mut addresses = [0; MAX_DEPTH];
            let addresses = &mut addresses[..stack.len()];
            addresses.copy_from_slice(stack);
            // The table takes the first for the instruction itself, not for one to return to.
            if let Some(leaf) = addresses.first_mut() {
                *leaf -= 1;
            }
            return table.intern(profile, addresses, image);
        }
        let root = perfwright_model::StackId::ROOT;
        stack.iter().rev().fold(root, |parent, address| {
            let location = Location {
                address: NonZeroU64::new(address - 1),
                ..Location::default()
            };
            let location = profile.add_location(location, &[]);
            profile.push_stack(parent, location)
        })
    }
}
