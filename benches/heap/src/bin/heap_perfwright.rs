//! Ours at its default rate of 512 KiB, with live tracking, which is always on.

use perfwright_heap::SampledAlloc;

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

fn main() -> anyhow::Result<()> {
    perfwright_heap_benches::child(|| ())
}
