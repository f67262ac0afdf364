//! Why a sampler did not start.

use std::{fmt, io};

/// Why [`Sampler::start`](crate::Sampler::start) refused. The message fits "failed to {error}" and says what to
/// do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Another sampler runs in this process; there is one global allocator.
    AlreadyRunning,
    /// A rate of 0 bytes.
    RateZero,
    /// A rate that can't be had.
    RateTooHigh {
        /// What was asked, in bytes.
        asked: u64,
        /// The highest that can be had, in bytes.
        max: u64,
    },
    /// [`SampledAlloc`](crate::SampledAlloc) is not the program's global allocator.
    NotInstalled,
    /// Stacks can't be walked on this platform: allocations are counted, not sampled.
    Unsupported,
    /// The operating system refused something that sampling needs.
    Os {
        /// What was tried.
        action: &'static str,
        /// The system's answer.
        error: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("start the heap profiler: ")?;
        match self {
            Self::AlreadyRunning => f.write_str(
                "another one is running in this process; stop it first, or take a snapshot of that one",
            ),
            Self::RateZero => f.write_str(
                "a rate of 0 bytes would sample without end; use 524288 for always-on, 16384 for a short look",
            ),
            Self::RateTooHigh { asked, max } => {
                write!(f, "a rate of {asked} bytes would sample nothing; use at most {max}")
            }
            Self::NotInstalled => f.write_str(
                "SampledAlloc is not the global allocator; put this into the program's main file: \
                 #[global_allocator] static ALLOC: SampledAlloc = SampledAlloc::system();",
            ),
            Self::Unsupported => f.write_str(
                "stacks can't be walked on this platform (Linux on x86-64 and aarch64 only); \
                 exact counts work everywhere",
            ),
            Self::Os { action, error } => write!(f, "could not {action}: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Os { error, .. } => Some(error),
            _ => None,
        }
    }
}
