//! The engines for Linux, and the sampler that runs them.
//!
//! ```text
//!  thread 1 ... thread n          (perf event or CPU timer each; or the collector's queued signal)
//!      | SIGPROF
//!      v
//!  handler ──> ring of the thread's slot ──> collector thread ──> recorder ──> Profile
//!      ^                                          |
//!      └──────── published CodeMap <── Image <────┘
//! ```

mod books;
mod collector;
mod engine;
mod handler;
mod loader;
mod recorder;
mod ring;
mod sampler;
mod slots;
mod sys;
mod threads;

#[cfg(feature = "pprof-engine")]
pub(crate) use handler::is_foreign;
pub(crate) use sampler::start;
