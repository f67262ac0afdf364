//! What to sample, how often, within which bounds.

use std::fmt;
use std::str::FromStr;

/// The highest frequency that [`Options::frequency_hz`] takes, in samples per CPU-second and thread.
pub const MAX_FREQUENCY_HZ: u32 = 10_000;

/// What makes a thread stop for a sample.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Engine {
    /// [`Engine::Perf`] where a probe at start shows that it works, else [`Engine::Timer`], else
    /// [`Engine::PprofRs`]. [`Audit::notes`](crate::Audit::notes) says why it fell back.
    #[default]
    Auto,
    /// Linux perf events: the thread's CPU time by a high-resolution timer, with a random period. Right
    /// attribution, also of work in step with the kernel's tick. Each sample costs a timer interrupt
    /// (dear inside virtual machines); containers often forbid it. Time in the kernel is not seen, only
    /// measured, and shown as a leaf of its own.
    Perf,
    /// Linux POSIX CPU timers, one a thread: next to no cost, works everywhere. The kernel looks at them
    /// only in its tick (often every 4 ms), so work in step with the tick lands on the wrong function:
    /// such profiles are marked [`Audit::tick_limited`](crate::Audit::tick_limited).
    Timer,
    /// The `pprof` crate (`setitimer`), for Unix other than Linux; on Linux with the feature
    /// `pprof-engine`.
    PprofRs,
}

/// Which time is sampled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Mode {
    /// CPU time: a thread that waits is not seen.
    #[default]
    Cpu,
    /// Wall-clock time: every thread is seen, with the label `state` = `on-cpu` or `off-cpu`.
    ///
    /// The signal interrupts what a thread waits in: `epoll_wait`, `nanosleep`, `poll`, `select` and
    /// timed waits return `EINTR` however the handler is installed (signal(7)). std and tokio retry;
    /// a C library may not.
    Wall,
}

/// How to sample. `Options::default()` is right for an always-on profile: 99 Hz, bounded to 64 MiB.
///
/// ```
/// use perfwright_cpu::{Engine, Options};
/// let options = Options::new().engine(Engine::Timer).frequency_hz(999);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What makes a thread stop for a sample.
    pub engine: Engine,
    /// CPU time or wall-clock time.
    pub mode: Mode,
    /// Samples per second of CPU time and thread; in wall mode rounds per second, see
    /// [`Options::wall_threads_per_tick`]. 1 to [`MAX_FREQUENCY_HZ`].
    pub frequency_hz: u32,
    /// Frames kept of a stack, counted from the leaf; 1 to 2,048. What is beyond is counted as truncated.
    pub max_stack_depth: usize,
    /// Threads sampled at once; 1 to 16,384. The time of further ones is counted and shown as lost.
    pub max_threads: usize,
    /// How large the collected profile may grow. New stacks beyond it are counted together as
    /// `[perfwright: memory limit]`. Each sampled thread has a ring of up to 512 KiB besides.
    pub max_memory_bytes: usize,
    /// In wall mode, how many threads are interrupted at each tick, in turn.
    pub wall_threads_per_tick: usize,
    /// Label samples with the number of the span instance too. Every span then has samples of its own,
    /// so the profile grows with the number of spans sampled.
    pub span_ids: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            mode: Mode::Cpu,
            frequency_hz: 99,
            max_stack_depth: 512,
            max_threads: 1_024,
            max_memory_bytes: 64 << 20,
            wall_threads_per_tick: 4,
            span_ids: false,
        }
    }
}

macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)?) => {
        impl Options {
            $(
                #[doc = concat!("Sets [`Options::", stringify!($field), "`](#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, value: $type) -> Self {
                    self.$field = value;
                    self
                }
            )*
        }
    };
}

setters! {
    engine: Engine,
    mode: Mode,
    frequency_hz: u32,
    max_stack_depth: usize,
    max_threads: usize,
    max_memory_bytes: usize,
    wall_threads_per_tick: usize,
    span_ids: bool,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A word that names no engine or mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownName {
    expected: &'static str,
    found: String,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "understand {:?}: expected {}", self.found, self.expected)
    }
}

impl std::error::Error for UnknownName {}

macro_rules! named {
    ($type:ident, $expected:literal, $($name:literal = $variant:ident),*) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($type::$variant => $name),* })
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($name => Ok($type::$variant),)*
                    _ => Err(UnknownName { expected: $expected, found: text.into() }),
                }
            }
        }
    };
}

named!(
    Engine,
    "auto, perf, timer or pprof-rs",
    "auto" = Auto,
    "perf" = Perf,
    "timer" = Timer,
    "pprof-rs" = PprofRs
);
named!(Mode, "cpu or wall", "cpu" = Cpu, "wall" = Wall);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways() {
        for engine in [Engine::Auto, Engine::Perf, Engine::Timer, Engine::PprofRs] {
            assert_eq!(engine.to_string().parse(), Ok(engine));
        }
        for mode in [Mode::Cpu, Mode::Wall] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        let error = "fast".parse::<Engine>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "understand \"fast\": expected auto, perf, timer or pprof-rs"
        );
    }
}
