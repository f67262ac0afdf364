//! A sampled heap profiler around any global allocator, exact counts, and a memory timeline.
//!
//! Make [`SampledAlloc`] the global allocator, around the one you have. From then on every allocation and free
//! is counted exactly ([`Totals`]), at next to no cost. [`Sampler::start`] takes samples of it: on average one for
//! each [`Options::rate_bytes`] allocated, with the stack and the context word
//! ([`perfwright_context`]: route, span, labels) of who allocates; a sampled block is found again when it is
//! freed. What comes back is a [`Capture`]: a [`Profile`](perfwright_model::Profile) of raw addresses (symbolize it
//! with `perfwright-symbolize`) with what was allocated and what is in use at each site, error bars, and an
//! [`Audit`] of what was sampled and lost. [`Sampler::peak`] is the same for the moment when most was in use,
//! [`delta`] compares two moments, [`Sampler::suspects`] names sites that keep growing.
//!
//! ```
//! # #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
//! # fn main() -> Result<(), perfwright_heap::StartError> {
//! use perfwright_heap::{Options, SampledAlloc, Sampler};
//!
//! #[global_allocator]
//! static ALLOC: SampledAlloc = SampledAlloc::system();
//!
//! let sampler = Sampler::start(Options::new())?;
//! let kept = std::hint::black_box(vec![1_u8; 64 << 20]);
//! let capture = sampler.stop();
//! let in_use = capture.profile.find_sample_type("inuse_space").unwrap();
//! assert!(capture.profile.total(in_use) >= 64 << 20);
//! println!("{}", capture.audit);
//! # drop(kept); Ok(()) }
//! # #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
//! # fn main() {}
//! ```
//!
//! Beside it: [`Timeline`] (resident memory, exact counts, the allocator's statistics over time), [`Watch`] (when
//! memory passes a threshold), [`count()`](count()) (what a piece of code allocates, for tests).
//!
//! # What it will not do
//! See memory that does not come from Rust's global allocator: `mmap`, thread stacks, C libraries' own `malloc`.
//! Know what was allocated before the start. Symbolize, write files. Run in a forked child: it is off there, and
//! never hangs one; exact counts go on. Allocate in the allocator: its tables lie beside the heap, bounded by
//! [`Options::max_memory_bytes`], and what finds no room is counted.
//!
//! A sampler runs on Linux on x86-64 and aarch64 (the latter is compiled, not run); elsewhere starting one is an
//! error, and counts take a lock for each call.
#![cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "what only sampling needs")
)]

mod allocator;
mod allocator_stats;
mod audit;
mod count;
mod draw;
mod error;
mod filter;
mod fork;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "no_hook.rs"]
mod hook;
mod lock;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
use profiler::hook;
mod options;
mod process_memory;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod profiler;
mod sampler;
mod thread;
mod timeline;
mod totals;
mod watch;

pub use allocator::SampledAlloc;
pub use allocator_stats::{Allocator, AllocatorStats};
pub use audit::Audit;
pub use count::{Counted, NotInstalled, Site, count, try_count};
pub use error::StartError;
pub use options::Options;
pub use process_memory::{MemoryReader, ProcessMemory};
pub use sampler::{Capture, Sampler, Suspect, Suspects, delta};
pub use timeline::{Point, Reading, Timeline};
pub use totals::Totals;
pub use watch::{Crossing, Threshold, Watch, WatchOptions};
