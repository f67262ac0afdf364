//! jemalloc; with `_RJEM_MALLOC_CONF=prof:true,prof_active:true,lg_prof_sample:19` its own profiler.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: Jemalloc = Jemalloc;

fn main() -> anyhow::Result<()> {
    perfwright_heap_benches::child(|| ())
}
