//! What the calls of one bench took.

use crate::protocol::{Allocated, Measured};
use crate::saved::{Allocations, Counts};

/// The environment variable that makes benches count only, and how many iterations.
const VARIABLE: &str = "PERFWRIGHT_COUNT";

/// One call of a bench by criterion.
#[derive(Clone, Copy, Debug)]
struct Call {
    iterations: u64,
    /// What criterion's measurement says.
    value: f64,
    measured: Measured,
    /// How many times the clocks were read for it, before and after.
    parts: u64,
}

/// Reading the clocks takes about a microsecond of CPU time, which is in what they say: below this it would be more
/// than some percent of it.
const LEAST_PART_NANOS: u64 = 20_000;

impl Call {
    fn is_long(&self) -> bool {
        self.measured.process_nanos >= LEAST_PART_NANOS * self.parts
    }
}

/// All calls of a bench, in their order: criterion first warms up, with 1, 2, 4, ... iterations, then measures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    calls: Vec<Call>,
    /// Whether only allocations were to be counted.
    counting: bool,
}

impl Calls {
    /// How many batches of how many iterations to run where criterion asks for `asked` in one. To count only, the
    /// first call runs more of them, each by itself, after one that is not counted.
    pub(super) fn begin(&mut self, asked: u64, warm_up: impl FnOnce(u64)) -> (u64, u64) {
        let wanted = std::env::var(VARIABLE)
            .ok()
            .and_then(|text| text.parse().ok());
        match wanted {
            Some(wanted) if wanted > 0 && self.calls.is_empty() => {
                self.counting = true;
                warm_up(1);
                (wanted, 1)
            }
            _ => (1, asked),
        }
    }

    pub(super) fn push(&mut self, iterations: u64, value: f64, measured: Measured, parts: u64) {
        self.calls.push(Call {
            iterations,
            value,
            measured,
            parts,
        });
    }

    /// Whether criterion measured: it warmed up first. One call only tests the bench.
    pub(super) fn is_measured(&self) -> bool {
        self.calls.len() > 1 && !self.counting
    }

    /// Whether the bench ran to be counted only.
    pub(super) fn is_counted_only(&self) -> bool {
        self.counting
    }

    /// What criterion's measurement says of one iteration, call by call, without those that are too short beside the
    /// others to say much: most of the warm-up.
    pub(crate) fn values(&self) -> Vec<f64> {
        let most = self
            .calls
            .iter()
            .map(|call| call.iterations)
            .max()
            .unwrap_or(0);
        let long = |call: &&Call| call.iterations >= most.div_ceil(100);
        let each = |call: &Call| call.value / call.iterations as f64;
        self.later().iter().filter(long).map(each).collect()
    }

    /// What one iteration took.
    pub(super) fn counts(&self, name: &str) -> Counts {
        let iterations = self.later().iter().map(|call| call.iterations).sum();
        let mut counts = Counts::new(name, iterations);
        counts.allocations = self.allocations();
        if self.is_measured() {
            counts.process_cpu_ns = self.median(|measured| measured.process_nanos);
            counts.thread_cpu_ns = self.median(|measured| measured.thread_nanos);
            counts.wall_ns = self.median(|measured| measured.wall_nanos);
        }
        counts
    }

    /// The first call has what is made once; to count only, that was run before it.
    fn later(&self) -> &[Call] {
        match &self.calls[..] {
            [_, later @ ..] if self.is_measured() => later,
            all => all,
        }
    }

    fn allocations(&self) -> Option<Allocations> {
        let mut sum = (0_u64, Allocated::default());
        let mut same_each_time = true;
        let first = self.later().first()?;
        let reference = (first.iterations, first.measured.allocated?);
        for call in self.later() {
            let allocated = call.measured.allocated?;
            same_each_time &= is_same_each(reference, (call.iterations, allocated));
            sum.0 += call.iterations;
            sum.1.allocations += allocated.allocations;
            sum.1.bytes += allocated.bytes;
        }
        Some(Allocations {
            count: sum.1.allocations as f64 / sum.0 as f64,
            bytes: sum.1.bytes as f64 / sum.0 as f64,
            same_each_time,
        })
    }

    /// The median over calls of nanoseconds an iteration; `None` where no batch is long enough to tell.
    fn median(&self, nanos: impl Fn(&Measured) -> u64) -> Option<f64> {
        let each = |call: &Call| nanos(&call.measured) as f64 / call.iterations as f64;
        let long = self.later().iter().filter(|call| call.is_long());
        let mut all: Vec<f64> = long.map(each).collect();
        all.sort_by(f64::total_cmp);
        let (low, high) = (
            all.get(all.len().saturating_sub(1) / 2)?,
            all.get(all.len() / 2)?,
        );
        Some((low + high) / 2.0)
    }
}

/// Whether two batches allocated the same an iteration, exactly.
fn is_same_each(a: (u64, Allocated), b: (u64, Allocated)) -> bool {
    let crossed = |of: fn(&Allocated) -> u64| {
        u128::from(of(&a.1)) * u128::from(b.0) == u128::from(of(&b.1)) * u128::from(a.0)
    };
    crossed(|allocated| allocated.allocations) && crossed(|allocated| allocated.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(each: &[(u64, u64, u64)]) -> Calls {
        let mut calls = Calls::default();
        for &(iterations, nanos, allocations) in each {
            let measured = Measured {
                wall_nanos: nanos,
                process_nanos: 2 * nanos,
                thread_nanos: nanos,
                waits: 0,
                allocated: Some(Allocated {
                    allocations,
                    bytes: 8 * allocations,
                }),
            };
            calls.push(iterations, nanos as f64, measured, 1);
        }
        calls
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn the_first_call_is_left_out_and_the_rest_averaged() {
        let calls = calls(&[
            (1, 900 * MS, 50),
            (2, 40 * MS, 6),
            (4, 40 * MS, 12),
            (8, 240 * MS, 24),
        ]);
        let counts = calls.counts("a");
        assert_eq!(counts.iterations, 14);
        let allocations = counts.allocations.unwrap();
        assert_eq!((allocations.count, allocations.bytes), (3.0, 24.0));
        assert!(allocations.same_each_time);
        // Medians of 20, 10 and 30 ms.
        assert_eq!(counts.wall_ns, Some(20e6));
        assert_eq!(counts.process_cpu_ns, Some(40e6));
        assert_eq!(counts.other_threads(), Some(1.0));
    }

    #[test]
    fn what_reading_the_clocks_would_drown_is_unknown() {
        let mut short = calls(&[(1, 900, 0), (1_000, 8_000, 0)]);
        assert_eq!(short.counts("a").process_cpu_ns, None);
        let long = short.calls[1].measured;
        let of_many_parts = |parts| {
            let mut calls = short.clone();
            let process_nanos = 1_000_000;
            calls.push(
                1_000,
                1.0,
                Measured {
                    process_nanos,
                    ..long
                },
                parts,
            );
            calls.counts("a").process_cpu_ns
        };
        assert_eq!(of_many_parts(50), Some(1_000.0));
        assert_eq!(of_many_parts(51), None);
        short.calls.clear();
        assert_eq!(short.values(), [0.0; 0]);
    }

    #[test]
    fn what_varies_is_said_to_vary() {
        let counts = calls(&[(1, 1, 0), (2, 1, 2), (2, 1, 3)]).counts("a");
        let allocations = counts.allocations.unwrap();
        assert_eq!(allocations.count, 1.25);
        assert!(!allocations.same_each_time);
    }

    #[test]
    fn an_allocator_that_does_not_count_is_unknown_not_zero() {
        let mut calls = Calls::default();
        calls.push(1, 1.0, Measured::default(), 1);
        calls.push(2, 1.0, Measured::default(), 1);
        assert_eq!(calls.counts("a").allocations, None);
    }

    #[test]
    fn short_calls_do_not_count_for_the_time() {
        let calls = calls(&[(1, 900, 0), (1, 500, 0), (200, 2_000, 0), (400, 8_000, 0)]);
        assert_eq!(calls.values(), [10.0, 20.0]);
    }
}
