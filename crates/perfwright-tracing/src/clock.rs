//! What time it is: the fastest clock, or one of a test's.

use std::fmt;
use std::sync::Arc;

/// A monotonic clock.
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since any fixed moment.
    fn now(&self) -> u64;
}

/// The clock of a layer. An enum, since the call of a trait object costs a tenth of a span's enter.
pub(crate) enum Source {
    Fastest(perfwright_clock::Clock),
    Custom(Arc<dyn Clock>),
}

impl Source {
    /// The fastest clock of this machine that can be trusted.
    pub(crate) fn fastest() -> Source {
        Source::Fastest(perfwright_clock::Clock::fastest())
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Source::Fastest(clock) => clock.nanos(),
            Source::Custom(clock) => clock.now(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Fastest(_) => "Fastest",
            Source::Custom(_) => "Custom",
        })
    }
}
