//! Helpers for [criterion](https://docs.rs/criterion) 0.8.
#![forbid(unsafe_code)]

pub mod protocol;
pub mod saved;
#[cfg(all(feature = "suite", unix))]
pub mod suite;

#[cfg(all(feature = "suite", unix))]
pub use suite::{Bencher, Suite};
