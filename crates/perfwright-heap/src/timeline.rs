//! The memory of the process over time, in bounded space.

use std::time::{Duration, Instant, SystemTime};

use crate::{Allocator, AllocatorStats, MemoryReader, ProcessMemory, Totals};

#[cfg(test)]
mod tests;

/// Points that [`Timeline::new`] keeps at most: 768 KiB.
const DEFAULT_POINTS: usize = 1024;

/// Everything that is known about memory at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// What the system says.
    pub process: ProcessMemory,
    /// Exact counts of what went through [`SampledAlloc`](crate::SampledAlloc); `None` where that is not the
    /// global allocator.
    pub totals: Option<Totals>,
    /// What the allocator says; `None` where it says nothing.
    pub allocator: Option<AllocatorStats>,
}

impl Reading {
    /// Bytes allocated and not freed yet, exactly.
    pub fn live_bytes(&self) -> Option<u64> {
        let totals = self.totals?;
        // The counters of a thread are not read at one instant: a free may be seen before its allocation.
        Some(totals.allocated_bytes.saturating_sub(totals.freed_bytes))
    }
}

/// One or more observations in a row.
///
/// Live bytes have a low and a high of their own, since those of the counters they come from do not give them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// When its first observation was made, since the timeline began.
    pub from: Duration,
    /// When its last observation was made.
    pub to: Duration,
    /// How many observations it stands for.
    pub observations: u64,
    /// The last observation.
    pub last: Reading,
    /// Each value's lowest in these observations.
    pub low: Reading,
    /// Each value's highest.
    pub high: Reading,
    /// The fewest live bytes.
    pub live_bytes_low: Option<u64>,
    /// The most live bytes.
    pub live_bytes_high: Option<u64>,
}

/// A bounded series of readings.
///
/// Whoever has a timer calls [`Timeline::observe`]; no thread is made for it. When the series is full, two
/// neighbours become one each, and from then on a point takes twice as many observations. It keeps their
/// lows and highs, so a peak is never lost, only less exactly placed.
///
/// ```
/// let mut timeline = perfwright_heap::Timeline::new();
/// let block = std::hint::black_box(vec![1_u8; 1 << 20]);
/// timeline.observe();
/// drop(block);
/// timeline.observe();
/// assert_eq!(timeline.points().len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Timeline {
    begin: Instant,
    began: SystemTime,
    reader: MemoryReader,
    allocator: Option<Allocator>,
    max_points: usize,
    points: Vec<Point>,
    /// How many observations a point takes.
    per_point: u64,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// An empty timeline that begins now, of 1,024 points at most.
    pub fn new() -> Self {
        Self::with_max_points(DEFAULT_POINTS)
    }

    /// An empty timeline of `max_points` at most; fewer than 2 count as 2. A point takes 768 bytes.
    pub fn with_max_points(max_points: usize) -> Self {
        let max_points = max_points.max(2);
        Self {
            begin: Instant::now(),
            began: SystemTime::now(),
            reader: MemoryReader::new(),
            allocator: Allocator::detect(),
            max_points,
            // Now, so that observing does not allocate; and not as a part of what is measured.
            points: crate::thread::inside(|| Vec::with_capacity(max_points)),
            per_point: 1,
        }
    }

    /// Reads everything there is and adds it: 65 microseconds where it was measured, nearly all of it in `/proc` and
    /// `/sys`. jemalloc's statistics come on top.
    pub fn observe(&mut self) -> Reading {
        let reading = Reading {
            process: self.reader.read(),
            totals: Totals::read(),
            allocator: self.allocator.map(Allocator::stats),
        };
        self.add(self.begin.elapsed(), reading);
        reading
    }

    /// Adds a reading made `at` after the beginning: not before the one added last.
    pub fn add(&mut self, at: Duration, reading: Reading) {
        let point = Point::new(at, reading);
        if let Some(last) = self.points.last_mut()
            && last.observations < self.per_point
        {
            last.append(&point);
            return;
        }
        if self.points.len() == self.max_points {
            self.halve();
            // With an odd number of points the last one has room left.
            return self.add(at, reading);
        }
        self.points.push(point);
    }

    /// The points, in order. The last one may still take observations.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// When it began.
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// The allocator whose statistics the readings hold.
    pub fn allocator(&self) -> Option<Allocator> {
        self.allocator
    }

    fn halve(&mut self) {
        let halves = self.points.len().div_ceil(2);
        for half in 0..halves {
            let mut point = self.points[2 * half];
            if let Some(next) = self.points.get(2 * half + 1) {
                point.append(next);
            }
            self.points[half] = point;
        }
        self.points.truncate(halves);
        self.per_point *= 2;
    }
}

impl Point {
    fn new(at: Duration, reading: Reading) -> Self {
        Self {
            from: at,
            to: at,
            observations: 1,
            last: reading,
            low: reading,
            high: reading,
            live_bytes_low: reading.live_bytes(),
            live_bytes_high: reading.live_bytes(),
        }
    }

    /// Takes a later point into this one.
    fn append(&mut self, later: &Point) {
        self.to = later.to;
        self.observations += later.observations;
        self.last = later.last;
        self.low = self.low.fold(later.low, u64::min);
        self.high = self.high.fold(later.high, u64::max);
        self.live_bytes_low = known(self.live_bytes_low, later.live_bytes_low, u64::min);
        self.live_bytes_high = known(self.live_bytes_high, later.live_bytes_high, u64::max);
    }
}

/// `choose` of two values, or the one that is known.
fn known<T>(a: Option<T>, b: Option<T>, choose: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(choose(a, b)),
        (a, b) => a.or(b),
    }
}

type Choose = fn(u64, u64) -> u64;

impl Reading {
    fn fold(self, other: Self, choose: Choose) -> Self {
        Self {
            process: fold_process(self.process, other.process, choose),
            totals: known(self.totals, other.totals, |a, b| fold_totals(a, b, choose)),
            allocator: known(self.allocator, other.allocator, |a, b| {
                fold_allocator(a, b, choose)
            }),
        }
    }
}

// Every field is named, so that a new one is not forgotten here.

fn fold_process(a: ProcessMemory, b: ProcessMemory, choose: Choose) -> ProcessMemory {
    let ProcessMemory {
        resident_bytes,
        virtual_bytes,
        peak_resident_bytes,
        cgroup_used_bytes,
        cgroup_reclaimable_bytes,
        cgroup_limit_bytes,
    } = a;
    ProcessMemory {
        resident_bytes: known(resident_bytes, b.resident_bytes, choose),
        virtual_bytes: known(virtual_bytes, b.virtual_bytes, choose),
        peak_resident_bytes: known(peak_resident_bytes, b.peak_resident_bytes, choose),
        cgroup_used_bytes: known(cgroup_used_bytes, b.cgroup_used_bytes, choose),
        cgroup_reclaimable_bytes: known(
            cgroup_reclaimable_bytes,
            b.cgroup_reclaimable_bytes,
            choose,
        ),
        cgroup_limit_bytes: known(cgroup_limit_bytes, b.cgroup_limit_bytes, choose),
    }
}

fn fold_totals(a: Totals, b: Totals, choose: Choose) -> Totals {
    let Totals {
        allocations,
        allocated_bytes,
        frees,
        freed_bytes,
    } = a;
    Totals {
        allocations: choose(allocations, b.allocations),
        allocated_bytes: choose(allocated_bytes, b.allocated_bytes),
        frees: choose(frees, b.frees),
        freed_bytes: choose(freed_bytes, b.freed_bytes),
    }
}

fn fold_allocator(a: AllocatorStats, b: AllocatorStats, choose: Choose) -> AllocatorStats {
    let AllocatorStats {
        allocated_bytes,
        active_bytes,
        resident_bytes,
        mapped_bytes,
        retained_bytes,
        committed_bytes,
    } = a;
    AllocatorStats {
        allocated_bytes: known(allocated_bytes, b.allocated_bytes, choose),
        active_bytes: known(active_bytes, b.active_bytes, choose),
        resident_bytes: known(resident_bytes, b.resident_bytes, choose),
        mapped_bytes: known(mapped_bytes, b.mapped_bytes, choose),
        retained_bytes: known(retained_bytes, b.retained_bytes, choose),
        committed_bytes: known(committed_bytes, b.committed_bytes, choose),
    }
}
