//! Why something did not start.

use std::error::Error;
use std::fmt;

/// Why [`Builder::start`](crate::Builder::start) started nothing. Fits "failed to {error}".
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The CPU can't be sampled.
    Cpu(perfwright_cpu::StartError),
    /// Spans can't be followed.
    Spans(String),
    /// Captures can't be kept or sent.
    Keep(String),
    /// The debug listener can't be opened.
    Listen(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Cpu(error) => error.fmt(f),
            StartError::Spans(error) | StartError::Keep(error) | StartError::Listen(error) => {
                f.write_str(error)
            }
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::Cpu(error) => Some(error),
            _ => None,
        }
    }
}
