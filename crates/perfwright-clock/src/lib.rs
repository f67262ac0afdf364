//! A monotonic clock for hot paths: the processor's time stamp counter where it can be trusted (10 ns a reading), else
//! the system's monotonic clock (24 ns).
//!
//! ```
//! use perfwright_clock::Clock;
//!
//! let clock = Clock::fastest();
//! let begin = clock.nanos();
//! // ... some work ...
//! let took = clock.nanos().saturating_sub(begin);
//! # assert!(took < 1_000_000_000);
//! ```
//!
//! It is for durations of milliseconds to minutes, not for the time of day: its rate is measured once, to within some
//! 25 millionths. Threads on different CPUs may be some ticks apart, so subtract with saturation.

use std::sync::OnceLock;
use std::time::Instant;

/// A clock of this process. All values of this type tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    #[cfg(target_arch = "x86_64")]
    Tsc(tsc::Rate),
    System(Instant),
}

impl Clock {
    /// The fastest clock of this machine that can be trusted. The first call of a process takes 2 ms, for which it
    /// compares the counter with the system's clock.
    #[must_use]
    pub fn fastest() -> Clock {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            if let Some(rate) = tsc::Rate::measure() {
                return Clock(Source::Tsc(rate));
            }
            Clock(Source::System(Instant::now()))
        })
    }

    /// Nanoseconds since some moment of the process.
    #[inline]
    #[must_use]
    pub fn nanos(&self) -> u64 {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Source::Tsc(rate) => rate.nanos(),
            Source::System(start) => start.elapsed().as_nanos() as u64,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod tsc {
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::time::{Duration, Instant};

    /// How long the counter is compared with the system's clock: a reading of that is uncertain by some 50 ns, so
    /// this leaves 25 millionths.
    const CALIBRATION: Duration = Duration::from_millis(2);

    /// How fast the counter counts.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Rate {
        base: u64,
        /// Nanoseconds a tick, times 2^32.
        per_tick: u64,
    }

    impl Rate {
        /// `None` if the counter cannot be trusted to count time.
        pub(super) fn measure() -> Option<Rate> {
            if !(is_invariant() && is_trusted()) {
                return None;
            }
            let (start, base) = (Instant::now(), ticks());
            let (mut passed, mut counted) = (Duration::ZERO, 0);
            while passed < CALIBRATION {
                std::hint::spin_loop();
                passed = start.elapsed();
                counted = ticks().saturating_sub(base);
            }
            let per_tick = (passed.as_nanos() << 32).checked_div(u128::from(counted))?;
            Some(Rate {
                base,
                per_tick: u64::try_from(per_tick).ok()?,
            })
        }

        #[inline]
        pub(super) fn nanos(self) -> u64 {
            let ticks = ticks().saturating_sub(self.base);
            ((u128::from(ticks) * u128::from(self.per_tick)) >> 32) as u64
        }
    }

    /// The processor says that the counter runs at one rate in every power state.
    fn is_invariant() -> bool {
        __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
    }

    /// The kernel has not fallen back to a slow clock, as it does when it finds the counters of the CPUs apart.
    /// Where it does not tell, the counter is not used on Linux.
    fn is_trusted() -> bool {
        let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        let slow = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];
        match std::fs::read_to_string(source) {
            Ok(name) => !slow.contains(&name.trim()),
            Err(_) => !cfg!(target_os = "linux"),
        }
    }

    #[inline]
    fn ticks() -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
        unsafe { _rdtsc() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_agrees_with_the_system() {
        let clock = Clock::fastest();
        let (start, begin) = (Instant::now(), clock.nanos());
        std::thread::sleep(Duration::from_millis(50));
        let (seen, passed) = (clock.nanos() - begin, start.elapsed().as_nanos() as u64);
        // Read inside of what the system measures, so it cannot be longer, the error of the rate aside.
        assert!(
            seen >= 49_000_000 && seen <= passed + passed / 100,
            "{seen} of {passed}"
        );
    }

    #[test]
    fn all_tell_the_same_time() {
        let before = Clock::fastest().nanos();
        let elsewhere = std::thread::spawn(|| Clock::fastest().nanos())
            .join()
            .unwrap();
        let after = Clock::fastest().nanos();
        // Counters of two CPUs may be a little apart.
        let slack = 1_000_000;
        assert!(before <= elsewhere + slack && elsewhere <= after + slack);
    }
}
