//! A sampled heap profiler around any global allocator.

mod allocator_stats;
mod process_memory;
mod watch;

pub use allocator_stats::{Allocator, AllocatorStats};
pub use process_memory::{MemoryReader, ProcessMemory};
pub use watch::{Crossing, Threshold, Watch, WatchOptions};
