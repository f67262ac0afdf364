//! When to dump a heap profile because memory runs out.

use std::time::{Duration, Instant};

use crate::ProcessMemory;

#[cfg(test)]
mod tests;

/// A crossing counts again after memory has been this share of the threshold below it.
const REARM_BELOW: f64 = 0.1;

/// How much memory is too much.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Threshold {
    /// The process's resident set size, in bytes.
    ResidentBytes(u64),
    /// The cgroup's working set, in bytes (see [`ProcessMemory::cgroup_working_set_bytes`]).
    CgroupBytes(u64),
    /// The cgroup's working set as a share of its limit, 0 to 1. Never passed without a limit, or by a
    /// share that is not above 0.
    CgroupShare(f64),
}

/// What to watch for, and how often a dump is worth it.
///
/// ```
/// use std::time::Duration;
/// use perfwright_heap::{Threshold, WatchOptions};
///
/// let options = WatchOptions::new()
///     .threshold(Threshold::CgroupShare(0.9))
///     .threshold(Threshold::ResidentBytes(2 << 30))
///     .max_dumps(3)
///     .min_interval(Duration::from_secs(600));
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct WatchOptions {
    thresholds: Vec<Threshold>,
    max_dumps: u32,
    min_interval: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl WatchOptions {
    /// No threshold yet, 5 dumps at most, a minute between them at least.
    pub fn new() -> Self {
        Self {
            thresholds: Vec::new(),
            max_dumps: 5,
            min_interval: Duration::from_secs(60),
        }
    }

    /// One threshold more.
    #[must_use]
    pub fn threshold(mut self, threshold: Threshold) -> Self {
        self.thresholds.push(threshold);
        self
    }

    /// How many dumps the watch asks for in all.
    #[must_use]
    pub fn max_dumps(mut self, max_dumps: u32) -> Self {
        self.max_dumps = max_dumps;
        self
    }

    /// The least time between two dumps.
    #[must_use]
    pub fn min_interval(mut self, min_interval: Duration) -> Self {
        self.min_interval = min_interval;
        self
    }
}

/// A threshold that was passed, and the dump that it asks for.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Crossing {
    /// The threshold; of several that were passed together, the first in the options.
    pub threshold: Threshold,
    /// The threshold in bytes.
    pub threshold_bytes: u64,
    /// What was measured against it, in bytes.
    pub used_bytes: u64,
    /// Which dump this is, from 1.
    pub number: u32,
}

/// Asks for a dump when memory passes a threshold.
///
/// Whoever has a timer calls [`Watch::tick`]; no thread is made for it.
///
/// ```text
///            used >= threshold, interval over, dumps left: dump
///         ┌──────────────────────────────────────────────────────┐
///   armed │                                                      │ fired
///         └──────────────────────────────────────────────────────┘
///            used < threshold - 10 %
/// ```
///
/// A crossing within the interval after the last dump is not forgotten: it dumps when the interval is over, if
/// memory is still above. If it is not, [`Watch::missed`] counts it.
#[derive(Clone, Debug)]
pub struct Watch {
    begin: Instant,
    states: Vec<State>,
    max_dumps: u32,
    min_interval: Duration,
    dumps: u32,
    last: Option<Duration>,
    missed: u64,
}

#[derive(Clone, Copy, Debug)]
struct State {
    threshold: Threshold,
    armed: bool,
    /// Above since a tick that might not dump.
    held_back: bool,
}

impl Watch {
    /// A watch with all its thresholds armed.
    pub fn new(options: WatchOptions) -> Self {
        let armed = |threshold| State {
            threshold,
            armed: true,
            held_back: false,
        };
        Self {
            begin: Instant::now(),
            states: options.thresholds.into_iter().map(armed).collect(),
            max_dumps: options.max_dumps,
            min_interval: options.min_interval,
            dumps: 0,
            last: None,
            missed: 0,
        }
    }

    /// Calls `dump` if a dump is due with this reading of memory, and returns what it returned.
    pub fn tick<T>(
        &mut self,
        memory: &ProcessMemory,
        dump: impl FnOnce(&Crossing) -> T,
    ) -> Option<T> {
        let crossing = self.decide(self.begin.elapsed(), memory)?;
        Some(dump(&crossing))
    }

    /// The decision alone: whether a dump is due, `at` being the time since any beginning, and not before
    /// that of the call before. A dump that is due counts as made.
    pub fn decide(&mut self, at: Duration, memory: &ProcessMemory) -> Option<Crossing> {
        let may_dump = self.dumps < self.max_dumps
            && self
                .last
                .is_none_or(|last| at.saturating_sub(last) >= self.min_interval);
        let mut crossing = None;
        for state in &mut self.states {
            let Some((used_bytes, threshold_bytes)) = state.threshold.measure(memory) else {
                continue;
            };
            let is_above = used_bytes >= threshold_bytes;
            let low = threshold_bytes as f64 * (1.0 - REARM_BELOW);
            if is_above && state.armed {
                state.armed = !may_dump;
                state.held_back = !may_dump;
                if may_dump && crossing.is_none() {
                    crossing = Some(Crossing {
                        threshold: state.threshold,
                        threshold_bytes,
                        used_bytes,
                        number: self.dumps + 1,
                    });
                }
            } else if (used_bytes as f64) < low {
                self.missed += u64::from(state.held_back);
                state.held_back = false;
                state.armed = true;
            }
        }
        if crossing.is_some() {
            self.dumps += 1;
            self.last = Some(at);
        }
        crossing
    }

    /// How many dumps it has asked for.
    pub fn dumps(&self) -> u32 {
        self.dumps
    }

    /// Crossings without a dump: memory fell before the interval was over, or no dumps were left.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Threshold {
    /// What is used, and how much is too much, in bytes; `None` if either is unknown.
    fn measure(self, memory: &ProcessMemory) -> Option<(u64, u64)> {
        match self {
            Threshold::ResidentBytes(bytes) => Some((memory.resident_bytes?, bytes)),
            Threshold::CgroupBytes(bytes) => Some((memory.cgroup_working_set_bytes()?, bytes)),
            Threshold::CgroupShare(share) => {
                let bytes = (memory.cgroup_limit_bytes? as f64 * share).ceil();
                let used = memory.cgroup_working_set_bytes()?;
                // Not for a share that is no number.
                (bytes > 0.0).then_some((used, bytes as u64))
            }
        }
    }
}
