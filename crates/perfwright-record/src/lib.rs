//! From what an engine captured to a profile: addresses to locations and stacks, context words to labels.
//!
//! The CPU sampler and the heap profiler both capture stacks as addresses and what the thread worked on as one
//! word; what these become in a [`Profile`](perfwright_model::Profile) is said here, once. It runs off the hot
//! path, and allocates.
//!
//! Names are not its business: whoever writes a profile symbolizes it. Linux on x86-64 and aarch64, like
//! [`perfwright_stack::walk`](https://docs.rs/perfwright-stack); elsewhere the crate is empty but for
//! [`context_labels`].

mod context;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod loader;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod stacks;

pub use context::context_labels;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use loader::loader_generation;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub use stacks::StackTable;
