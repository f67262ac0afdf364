//! An embeddable profiling toolkit: CPU profiles with flamegraphs, always on, in a few lines.
//!
//! One line at the top of `main`:
//!
//! ```no_run
//! let _profiler = perfwright::start();
//! // ... the service ...
//! ```
//!
//! From then on the process samples itself, 99 times per second of CPU time and thread, for as long as
//! the value lives. [`Perfwright::cpu`] is a snapshot of what was seen so far, [`Perfwright::write`] puts it
//! into files. `cargo perfwright profile` starts such a program, takes over with a finer engine, and
//! shows where the time went; the program needs nothing else for that.
//!
//! Labels tell samples apart, by route, tenant or whatever matters:
//!
//! ```
//! let total: u64 = perfwright::with_label("job", "sum", || (1..1_000).sum());
//! # assert_eq!(total, 499_500);
//! ```
//!
//! # What it costs
//! - CPU: a sample interrupts its thread for 1 microsecond on a quiet machine, up to 14 on a busy one (the
//!   repository's bench `cost`), 99 times per second of CPU time.
//!   A thread that does nothing is never interrupted. One thread more wakes some tens of times per
//!   second to collect and to find new threads.
//! - Memory: bounded by [`Options::max_memory_bytes`] (64 MiB at most by default, a few MiB in practice),
//!   whatever the traffic and however long it runs. Beyond it new stacks are counted together and said
//!   to be so.
//! - Names are resolved when a profile is written, not while sampling; [`Perfwright::cpu`] resolves none.
//!
//! # What it will not do
//! Fail or panic over profiling: [`start`] returns a value in any case, says on standard error what could
//! not be had, and [`Perfwright::status`] says it again. It opens no port, writes no file that was not asked
//! for, and uses `SIGPROF` alone; a program that uses that itself is left alone.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `heap` | yes | [`heap`]: the heap profiler's allocator, exact counts for tests, the memory timeline |
//! | `heap-jemalloc`, `heap-mimalloc` | no | that allocator's statistics in the timeline |
//! | `symbolize` | yes | names, files and lines in what [`Perfwright::write`] writes |
//! | `flamegraph` | no | [`Perfwright::write`] draws `cpu.svg` |
//! | `pprof-engine` | no | [`Engine::PprofRs`] on Linux as well |

#[cfg(unix)]
mod agent;
#[cfg(feature = "continuous")]
pub mod continuous;
#[cfg(unix)]
#[doc(hidden)]
pub mod control;
mod environment;
mod error;
#[cfg(unix)]
mod exit;
mod handle;
#[cfg(feature = "heap")]
pub mod heap;
#[cfg(all(feature = "heap", unix))]
mod memory;
#[cfg(feature = "heap")]
#[doc(hidden)]
pub mod moment;
mod output;
mod recorder;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "spans")]
pub mod spans;

pub use error::StartError;
pub use handle::{Builder, Perfwright, Status, start};
pub use output::WriteError;
pub use perfwright_analyze as analyze;
pub use perfwright_context::{Guard, label, with_label};
pub use perfwright_cpu::{self as cpu, Audit, Capture, Engine, Mode, Options};
#[cfg(feature = "flamegraph")]
pub use perfwright_flamegraph as flamegraph;
pub use perfwright_format as format;
pub use perfwright_model as model;
#[cfg(feature = "symbolize")]
pub use perfwright_symbolize as symbolize;
