//! A sampled heap profiler around any global allocator.

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
