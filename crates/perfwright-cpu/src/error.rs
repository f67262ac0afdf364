//! Why a sampler did not start.

use std::{fmt, io};

/// Why [`Sampler::start`](crate::Sampler::start) refused. The message fits "failed to {error}" and says
/// what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// Another sampler runs in this process; there is one SIGPROF.
    AlreadyRunning,
    /// Something else in this process handles SIGPROF.
    ForeignHandler,
    /// A frequency of 0.
    FrequencyZero,
    /// A frequency that the machine can't give.
    FrequencyTooHigh {
        /// What was asked, in Hz.
        asked: u32,
        /// The highest that can be had, in Hz.
        max: u32,
    },
    /// Perf events were asked for and can't be had.
    PerfUnavailable {
        /// What was tried and how it ended.
        why: String,
        /// What would help.
        help: String,
    },
    /// This platform or build has no such engine.
    Unsupported {
        /// What was asked for.
        what: String,
        /// What would help.
        help: String,
    },
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
        f.write_str("start the CPU sampler: ")?;
        match self {
            Self::AlreadyRunning => f.write_str(
                "another one is running in this process; stop it first, or take a snapshot of that one",
            ),
            Self::ForeignHandler => f.write_str(
                "SIGPROF already has a handler that is not ours; stop the other profiler in this process \
                 (gperftools, the pprof crate, a language runtime) first",
            ),
            Self::FrequencyZero => {
                f.write_str("a frequency of 0 Hz samples nothing; use 99 for always-on, 999 for a short look")
            }
            Self::FrequencyTooHigh { asked, max } => {
                write!(f, "{asked} Hz is more than can be had here; use at most {max}")
            }
            Self::PerfUnavailable { why, help } => {
                write!(f, "perf events are not available ({why}); {help}")
            }
            Self::Unsupported { what, help } => write!(f, "{what} is not available; {help}"),
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
