//! pprof-alloc's own sampler around the system's allocator, at its default rate of 512 KiB.

use pprof_alloc::PprofAlloc;

#[global_allocator]
static ALLOC: PprofAlloc = PprofAlloc::new().with_pprof();

fn main() -> anyhow::Result<()> {
    perfwright_heap_benches::child(|| ())
}
