//! The time of requests: the time stamp counter where it can be trusted (10 ns a reading), else the system's
//! monotonic clock (24 ns).

use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds since some moment of the process. Threads may be some ticks apart: subtract with saturation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    #[cfg(target_arch = "x86_64")]
    Tsc(tsc::Rate),
    System(Instant),
}

impl Clock {
    /// The best clock of this machine. The first call takes 2 ms.
    pub(crate) fn new() -> Clock {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            if let Some(rate) = tsc::Rate::measure() {
                return Clock::Tsc(rate);
            }
            Clock::System(Instant::now())
        })
    }

    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Clock::Tsc(rate) => rate.nanos(),
            Clock::System(start) => start.elapsed().as_nanos() as u64,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod tsc {
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::time::{Duration, Instant};

    /// Long enough that the 50 ns by which a reading of the system's clock is uncertain are 25 ppm.
    const CALIBRATION: Duration = Duration::from_millis(2);

    /// How fast the counter counts.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Rate {
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
    fn is_trusted() -> bool {
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        match std::fs::read_to_string(path) {
            Ok(name) => !matches!(
                name.trim(),
                "hpet" | "acpi_pm" | "jiffies" | "refined-jiffies"
            ),
            Err(_) => false,
        }
    }

    #[inline]
    #[allow(unsafe_code, reason = "an instruction without a safe name")]
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
        let clock = Clock::new();
        let (start, begin) = (Instant::now(), clock.nanos());
        std::thread::sleep(Duration::from_millis(50));
        let (seen, passed) = (clock.nanos() - begin, start.elapsed().as_nanos() as u64);
        // Read inside of what the system measures, so it cannot be longer, the error of the rate aside.
        assert!(
            seen >= 49_000_000 && seen <= passed + passed / 100,
            "{seen} of {passed}"
        );
    }
}
