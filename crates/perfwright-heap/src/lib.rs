//! A sampled heap profiler around any global allocator.

mod allocator;
mod allocator_stats;
mod filter;
mod fork;
mod lock;
mod process_memory;
mod thread;
mod totals;
mod watch;

pub use allocator::SampledAlloc;
pub use allocator_stats::{Allocator, AllocatorStats};
pub use process_memory::{MemoryReader, ProcessMemory};
pub use totals::Totals;
pub use watch::{Crossing, Threshold, Watch, WatchOptions};
