//! The profiler in a program that has it: each test is alone with it, and finds its own allocations by a label.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod accuracy;
mod lifecycle;
mod moments;
mod program;
mod stacks;
mod stress;

use std::alloc::System;

use perfwright_heap::SampledAlloc;

#[global_allocator]
static ALLOC: SampledAlloc<System> = SampledAlloc::system();
