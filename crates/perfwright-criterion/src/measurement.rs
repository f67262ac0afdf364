//! CPU time as criterion's measurement.

use std::sync::atomic::{AtomicBool, Ordering};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};

use crate::suite::clocks::{process_nanos, thread_nanos};

/// A measurement that can be made anywhere: what [`CriterionExt`](crate::CriterionExt) needs to measure by.
///
/// All values of a type have to measure the same. It is there for criterion's [`WallTime`], for [`ProcessCpu`] and for
/// [`ThreadCpu`]; implement it for a measurement of your own.
pub trait Timer: Measurement {
    /// The measurement.
    fn timer() -> Self;
}

impl Timer for WallTime {
    fn timer() -> WallTime {
        WallTime
    }
}

/// CPU time of all threads of the process: for benches that use several threads or an async runtime.
///
/// What other programs do to the machine hardly shows in it, nor does waiting: a bench that gets slower because it
/// waits for a lock, a disk or the network is as fast as before by this clock. Time that the process's other
/// threads use by themselves is in it, too.
///
/// ```no_run
/// use criterion::Criterion;
/// use perfwright_criterion::ProcessCpu;
///
/// let mut criterion = Criterion::default().with_measurement(ProcessCpu);
/// criterion.bench_function("sum", |bencher| {
///     bencher.iter(|| (0..std::hint::black_box(100_u64)).sum::<u64>())
/// });
/// ```
///
/// Saved results do not say what was measured. Compare a baseline only with what was measured alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessCpu;

impl Timer for ProcessCpu {
    fn timer() -> ProcessCpu {
        ProcessCpu
    }
}

impl Measurement for ProcessCpu {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        process_nanos()
    }

    fn end(&self, start: u64) -> u64 {
        process_nanos().saturating_sub(start)
    }

    fn add(&self, a: &u64, b: &u64) -> u64 {
        a + b
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, value: &u64) -> f64 {
        *value as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        nanoseconds()
    }
}

/// CPU time of the thread that runs the bench: for benches that use no other thread.
///
/// It sees nothing of the process's other threads: neither a profiler's that disturbs [`ProcessCpu`], nor those that
/// work for the bench. So it watches both clocks. Where the process used over 5 % more than the thread, it says so on
/// standard error, once, and measures 0, which makes criterion refuse the bench: it saves no result.
///
/// Everything else is as for [`ProcessCpu`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadCpu;

/// What [`ThreadCpu`] reads, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuTimes {
    /// Of the thread.
    pub thread: u64,
    /// Of the process.
    pub process: u64,
}

/// Below so many nanoseconds more than the thread's, the process's time says nothing: the clocks are not read at the
/// same time, and something may always run for a moment.
const LEAST_EXCESS: u64 = 50_000;

impl CpuTimes {
    /// Whether threads other than the bench's worked: more than 5 % of what it did, and more than can be chance.
    pub fn others_worked(self) -> bool {
        let excess = self.process.saturating_sub(self.thread);
        excess > self.thread / 20 && excess > LEAST_EXCESS
    }
}

/// Says why, once: criterion names each bench that took no time.
fn refuse(times: CpuTimes) -> f64 {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        let ratio = times.process as f64 / times.thread.max(1) as f64;
        eprintln!(
            "error: failed to measure by the thread's CPU time: the process used {ratio:.2} times as much, so other \
             threads work too. Measure with ProcessCpu. (criterion says of each such bench that it took zero time.)"
        );
    }
    0.0
}

impl Timer for ThreadCpu {
    fn timer() -> ThreadCpu {
        ThreadCpu
    }
}

impl Measurement for ThreadCpu {
    type Intermediate = CpuTimes;
    type Value = CpuTimes;

    fn start(&self) -> CpuTimes {
        let process = process_nanos();
        let thread = thread_nanos();
        CpuTimes { thread, process }
    }

    fn end(&self, start: CpuTimes) -> CpuTimes {
        let thread = thread_nanos();
        let process = process_nanos();
        CpuTimes {
            thread: thread.saturating_sub(start.thread),
            process: process.saturating_sub(start.process),
        }
    }

    fn add(&self, a: &CpuTimes, b: &CpuTimes) -> CpuTimes {
        CpuTimes {
            thread: a.thread + b.thread,
            process: a.process + b.process,
        }
    }

    fn zero(&self) -> CpuTimes {
        CpuTimes::default()
    }

    fn to_f64(&self, times: &CpuTimes) -> f64 {
        match times.others_worked() {
            true => refuse(*times),
            false => times.thread as f64,
        }
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        nanoseconds()
    }
}

/// How criterion writes times.
fn nanoseconds() -> &'static dyn ValueFormatter {
    static WALL: WallTime = WallTime;
    WALL.formatter()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    fn burn() {
        assert!((0..200_000_u64).map(black_box).sum::<u64>() > 0);
    }

    /// The same clock read by hand outside and inside of a measurement: it lies between.
    #[test]
    fn process_cpu_is_what_the_clock_says_by_hand() {
        for _ in 0..20 {
            let outer = process_nanos();
            let start = ProcessCpu.start();
            let inner = process_nanos();
            burn();
            let inner = process_nanos() - inner;
            let measured = ProcessCpu.end(start);
            let outer = process_nanos() - outer;
            assert!(
                inner <= measured && measured <= outer,
                "{inner} {measured} {outer}"
            );
            assert!(inner > 0);
        }
    }

    #[test]
    fn thread_cpu_is_what_the_clock_says_by_hand() {
        let clock = ThreadCpu;
        for _ in 0..20 {
            let outer = thread_nanos();
            let start = clock.start();
            let inner = thread_nanos();
            burn();
            let inner = thread_nanos() - inner;
            let measured = clock.end(start).thread;
            let outer = thread_nanos() - outer;
            assert!(
                inner <= measured && measured <= outer,
                "{inner} {measured} {outer}"
            );
        }
    }

    #[test]
    fn a_thread_that_helps_makes_the_threads_clock_refuse() {
        let clock = ThreadCpu;
        let start = clock.start();
        std::thread::scope(|scope| {
            scope.spawn(burn);
            scope.spawn(burn);
        });
        let times = clock.end(start);
        assert!(times.others_worked(), "{times:?}");
        assert_eq!(clock.to_f64(&times), 0.0);
    }

    #[test]
    fn a_little_more_is_no_other_thread() {
        let times = |thread, process| CpuTimes { thread, process };
        assert!(!times(1_000_000, 1_049_000).others_worked());
        assert!(!times(1_000_000, 1_050_000).others_worked());
        assert!(times(1_000_000, 1_050_001).others_worked());
        assert!(!times(100, 50_100).others_worked());
        assert!(!times(100, 0).others_worked());
        let clock = ThreadCpu;
        assert_eq!(clock.to_f64(&times(1_000_000, 1_049_000)), 1_000_000.0);
        let sum = clock.add(&times(1, 2), &times(3, 4));
        assert_eq!(sum, times(4, 6));
    }
}
