//! A sampled heap profiler around any global allocator.

mod allocator;
mod allocator_stats;
mod count;
mod filter;
mod fork;
mod lock;
mod process_memory;
mod thread;
mod timeline;
mod totals;
mod watch;

pub use allocator::SampledAlloc;
pub use allocator_stats::{Allocator, AllocatorStats};
pub use count::{Counted, NotInstalled, Site, count, try_count};
pub use process_memory::{MemoryReader, ProcessMemory};
pub use timeline::{Point, Reading, Timeline};
pub use totals::Totals;
pub use watch::{Crossing, Threshold, Watch, WatchOptions};
