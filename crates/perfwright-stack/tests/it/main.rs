//! Walks of this very process, against call chains that are known because the tests make them.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod handler;
mod hostile_stacks;
mod known_callers;
mod modules;
mod stacks;
mod symbols;
