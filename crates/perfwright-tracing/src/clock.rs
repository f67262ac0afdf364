//! What time it is: the time stamp counter where it can be trusted, else the system's monotonic clock.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A monotonic clock.
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since any fixed moment.
    fn now(&self) -> u64;
}

/// The clock of a layer. An enum, since the call of a trait object costs a tenth of a span's enter.
pub(crate) enum Source {
    #[cfg(target_arch = "x86_64")]
    Tsc(tsc::Rate),
    System(Instant),
    Custom(Arc<dyn Clock>),
}

impl Source {
    /// The fastest clock of this machine that can be trusted.
    pub(crate) fn fastest() -> Source {
        #[cfg(target_arch = "x86_64")]
        if let Some(rate) = tsc::rate() {
            return Source::Tsc(rate);
        }
        Source::System(Instant::now())
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Source::Tsc(rate) => rate.now(),
            Source::System(start) => start.elapsed().as_nanos() as u64,
            Source::Custom(clock) => clock.now(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(target_arch = "x86_64")]
            Source::Tsc(_) => "Tsc",
            Source::System(_) => "System",
            Source::Custom(_) => "Custom",
        })
    }
}

/// The time stamp counter: 10 ns a read, where the system's clock takes 24.
#[cfg(target_arch = "x86_64")]
mod tsc {
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    /// How long the counter is compared with the system's clock: reading that one is uncertain by some 50 ns,
    /// so this leaves 25 ppm.
    const CALIBRATION: Duration = Duration::from_millis(2);

    /// Nanoseconds per tick, as a fraction of 2^32, and where the counter stood.
    #[derive(Clone, Copy)]
    pub(crate) struct Rate {
        base: u64,
        per_tick: u64,
    }

    impl Rate {
        #[inline]
        pub(crate) fn now(self) -> u64 {
            // Threads of different CPUs may be a few ticks apart.
            let ticks = read().saturating_sub(self.base);
            ((u128::from(ticks) * u128::from(self.per_tick)) >> 32) as u64
        }
    }

    /// The rate, measured once per process; `None` where the counter can't be trusted.
    pub(crate) fn rate() -> Option<Rate> {
        static RATE: OnceLock<Option<Rate>> = OnceLock::new();
        *RATE.get_or_init(|| (is_invariant() && is_trusted()).then(measure).flatten())
    }

    fn measure() -> Option<Rate> {
        let (start, base) = (Instant::now(), read());
        let (mut passed, mut ticks) = (Duration::ZERO, 0);
        while passed < CALIBRATION {
            std::hint::spin_loop();
            passed = start.elapsed();
            ticks = read().saturating_sub(base);
        }
        let per_tick = (passed.as_nanos() << 32).checked_div(u128::from(ticks))?;
        Some(Rate {
            base,
            per_tick: u64::try_from(per_tick).ok()?,
        })
    }

    /// The processor says that the counter runs at one rate in every power state.
    fn is_invariant() -> bool {
        __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
    }

    /// The kernel does not use a slower clock, as it does when it finds the counters of the CPUs apart.
    fn is_trusted() -> bool {
        let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        match std::fs::read_to_string(source) {
            Ok(name) => !matches!(
                name.trim(),
                "hpet" | "acpi_pm" | "jiffies" | "refined-jiffies"
            ),
            Err(_) => !cfg!(target_os = "linux"),
        }
    }

    #[inline]
    fn read() -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
        unsafe { _rdtsc() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_fast_clock_keeps_the_systems_time() {
        let clock = Source::fastest();
        let (start, first) = (Instant::now(), clock.now());
        std::thread::sleep(Duration::from_millis(50));
        let (passed, last) = (start.elapsed().as_nanos() as u64, clock.now());
        // The two reads at either end may be far apart, but only by what the test was held up.
        let seen = last - first;
        assert!(seen >= 49_000_000, "{seen} of at least 50 ms");
        assert!(seen <= passed * 2 + 50_000_000, "{seen} of {passed}");
    }
}
