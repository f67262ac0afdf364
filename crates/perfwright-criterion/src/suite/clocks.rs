//! What a batch took: wall and CPU clocks, waits and allocations, read around it.

use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use perfwright_heap::Totals;

use crate::protocol::{Allocated, Measured};

impl Measured {
    /// Runs `work` and measures it.
    pub(crate) fn of(work: &mut dyn FnMut()) -> Measured {
        let totals = Totals::read();
        let waits = waits();
        let (process, thread) = (process_nanos(), thread_nanos());
        let start = Instant::now();
        perfwright_gate_collected(work);
        let wall = start.elapsed();
        let (thread_end, process_end) = (thread_nanos(), process_nanos());
        let waits_end = self::waits();
        Measured {
            wall_nanos: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX),
            process_nanos: process_end.saturating_sub(process),
            thread_nanos: thread_end.saturating_sub(thread),
            waits: waits_end.saturating_sub(waits),
            allocated: totals.zip(Totals::read()).map(|(a, b)| Allocated {
                allocations: b.allocations.wrapping_sub(a.allocations),
                bytes: b.allocated_bytes.wrapping_sub(a.allocated_bytes),
            }),
        }
    }

    /// Takes in what another part of the same batch took.
    pub(crate) fn add(&mut self, other: Measured) {
        self.wall_nanos += other.wall_nanos;
        self.process_nanos += other.process_nanos;
        self.thread_nanos += other.thread_nanos;
        self.waits += other.waits;
        self.allocated = match (self.allocated, other.allocated) {
            (Some(a), Some(b)) => Some(Allocated {
                allocations: a.allocations.wrapping_add(b.allocations),
                bytes: a.bytes.wrapping_add(b.bytes),
            }),
            (a, b) => a.or(b),
        };
    }
}

/// Callgrind counts what runs inside the function of this name, and nothing else: the gate asks it to. Profiles tell by
/// it what is measured.
#[inline(never)]
fn perfwright_gate_collected(work: &mut dyn FnMut()) {
    work();
    // Without anything after the call it would be a jump, which leaves no frame on the stack.
    std::hint::black_box(&work);
}

pub(crate) fn process_nanos() -> u64 {
    nanos(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

pub(crate) fn thread_nanos() -> u64 {
    nanos(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn nanos(clock: ClockId) -> u64 {
    // Both clocks are everywhere. They begin at 0 and do not overflow 64 bits in 500 years.
    clock_gettime(clock).map_or(0, |time| {
        time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
    })
}

/// How often the process gave up its CPU by itself; 0 where the system does not tell.
fn waits() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.voluntary_context_switches() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::Duration;

    #[test]
    fn waiting_is_seen_as_a_wait_and_not_as_cpu_time() {
        let slept = Measured::of(&mut || std::thread::sleep(Duration::from_millis(20)));
        assert!(slept.wall_nanos >= 20_000_000, "{slept:?}");
        assert!(slept.waits >= 1, "{slept:?}");
        assert!(slept.thread_nanos < slept.wall_nanos / 2, "{slept:?}");
    }

    #[test]
    fn other_threads_count_for_the_process_and_not_for_the_thread() {
        let elsewhere = Measured::of(&mut || {
            let busy = std::thread::spawn(|| (0..3_000_000_u64).map(black_box).sum::<u64>());
            assert!(busy.join().is_ok_and(|sum| sum > 0));
        });
        assert!(
            elsewhere.process_nanos > 2 * elsewhere.thread_nanos,
            "{elsewhere:?}"
        );
        assert!(elsewhere.waits >= 1, "{elsewhere:?}");
    }
}
