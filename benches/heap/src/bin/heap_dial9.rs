//! dial9's sampler at its default rate of 512 KiB, with live tracking.

use dial9_core::buffer::MemoryBuffer;
use dial9_core::recorder::recorder;
use dial9_perf_self_profile::memory_profiling::{
    Dial9Allocator, MemoryProfiler, MemoryProfilingConfig,
};

#[global_allocator]
static ALLOC: Dial9Allocator = Dial9Allocator::system();

fn main() -> anyhow::Result<()> {
    perfwright_heap_benches::child(|| {
        let recorder = recorder(MemoryBuffer::new(16 << 20).expect("a buffer")).build();
        let config = MemoryProfilingConfig::builder().track_liveset(true).build();
        let guard = MemoryProfiler::from_config(config)
            .install(recorder.handle().clone())
            .expect("dial9 starts");
        (recorder, guard)
    })
}
