//! A CPU and wall-clock sampling profiler that runs inside the process it profiles.
//!
//! You give [`Options`]; [`Sampler::start`] finds all threads of the process, now and as they come and go,
//! without their cooperation. [`Sampler::snapshot`], [`Sampler::take`] and [`Sampler::stop`] return a
//! [`Capture`]: a [`Profile`](perfwright_model::Profile) with raw addresses and mappings (symbolize it with
//! `perfwright-symbolize`), and an [`Audit`] that says what was expected, seen and lost.
//!
//! ```no_run
//! # fn main() -> Result<(), perfwright_cpu::StartError> {
//! use perfwright_cpu::{Options, Sampler};
//!
//! let sampler = Sampler::start(Options::new().frequency_hz(99))?;
//! // ... the program works ...
//! let capture = sampler.stop();
//! println!("{}", capture.audit);
//! # Ok(()) }
//! ```
//!
//! A sample is the interrupted address and the return addresses above it, the thread's name and TID, and the
//! labels that the thread's context word ([`perfwright_context`]) stood for. Its two values are a count and a
//! time in nanoseconds. Time that no sample stands for is a leaf in square brackets, never silently missing.
//!
//! It will not: symbolize, write files, see other processes, sample its own collector thread, or run in a
//! forked child (the sampler is off there). Two samplers at once, or beside another user of SIGPROF, are an
//! error. Linux on x86-64 and aarch64 has the engines described at [`Engine`]; other Unix uses the `pprof`
//! crate; elsewhere starting is an error.

mod audit;
mod error;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;
mod options;
#[cfg(any(
    all(feature = "pprof-engine", target_os = "linux"),
    all(unix, not(target_os = "linux"))
))]
mod pprof_rs;
mod sampler;

pub use audit::Audit;
pub use error::StartError;
pub use options::{Engine, MAX_FREQUENCY_HZ, Mode, Options, UnknownName};
pub use sampler::{Capture, Sampler};
