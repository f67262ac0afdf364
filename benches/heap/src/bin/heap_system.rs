//! The baseline.

use std::alloc::System;

#[global_allocator]
static ALLOC: System = System;

fn main() -> anyhow::Result<()> {
    perfwright_heap_benches::child(|| ())
}
