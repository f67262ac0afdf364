//! An embeddable profiling toolkit: CPU and heap profiles with flamegraphs, spans that own their samples, metrics and
//! debug endpoints, always on, in a few lines.
//!
//! One line at the top of `main`:
//!
//! ```no_run
//! let _perfwright = perfwright::start();
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
//! A service turns on more, each a feature that stands alone too:
//!
//! ```no_run
//! # #[cfg(all(feature = "axum", feature = "continuous", feature = "spans"))]
//! # fn service(router: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
//! use perfwright::{Perfwright, continuous::Keep, spans};
//!
//! let perfwright = Perfwright::builder()
//!     .spans(spans::Options::new())               // `tracing` spans own their samples
//!     .listen("127.0.0.1:6060".parse()?)          // /debug/pprof, /debug/perfwright, /metrics
//!     .keep(Keep::new("/var/lib/shop/profiles"))  // the minute before an incident
//!     .start()?;
//! let router = router.layer(perfwright.service_layer()); // samples and metrics by route
//! # Ok(()) }
//! ```
//!
//! # What it costs
//! - CPU: a sample interrupts its thread for 1 microsecond on a quiet machine, up to 14 on a busy one (the
//!   repository's bench `cost`), 99 times per second of CPU time.
//!   A thread that does nothing is never interrupted. One thread more wakes some tens of times per
//!   second to collect and to find new threads.
//! - The heap: a nanosecond for an allocation with its free, a stack walk for one in 512 KiB allocated (the
//!   repository's `benches/heap`), and two threads more that wake about once per second. Only with the allocator.
//! - Spans and requests: the repository's `benches/spans` and `benches/service` print it beside the peers.
//! - Memory: bounded by [`Options::max_memory_bytes`] (64 MiB at most by default, a few MiB in practice),
//!   whatever the traffic and however long it runs. Beyond it new stacks are counted together and said
//!   to be so. The heap, spans and routes have bounds of their own, and say what was beyond them.
//! - Names are resolved when a profile is written, not while sampling; [`Perfwright::cpu`] resolves none.
//!
//! # What it will not do
//! Fail or panic over profiling: [`start`] returns a value in any case, says on standard error what could
//! not be had, and [`Perfwright::status`] says it again. It opens no port and writes no file that was not asked
//! for, and uses `SIGPROF` alone; a program that uses that itself is left alone.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `heap` | yes | [`heap`]: the heap profiler's allocator, exact counts for tests, the memory timeline |
//! | `heap-jemalloc`, `heap-mimalloc` | no | that allocator's statistics in the timeline |
//! | `symbolize` | yes | names, files and lines in what [`Perfwright::write`] writes |
//! | `flamegraph` | no | [`Perfwright::write`] draws `cpu.svg`; `/debug/perfwright/flamegraph.svg` |
//! | `spans` | no | `perfwright::spans`: a `tracing-subscriber` layer |
//! | `service`, `axum` | no | `perfwright::service`: a tower layer, metrics, the routes under `/debug`; routes from axum |
//! | `viewer` | no | `/debug/perfwright/view`: the viewer with the profiles in it |
//! | `continuous` | no | `perfwright::continuous`: captures kept in a bounded ring of files |
//! | `push`, `push-tls` | no | captures sent to a Pyroscope-compatible server |
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
