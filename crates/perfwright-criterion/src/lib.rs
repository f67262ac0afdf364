//! Helpers for [criterion](https://docs.rs/criterion) 0.8.
#![forbid(unsafe_code)]

#[cfg(all(feature = "harness", unix))]
mod counted;
#[cfg(all(feature = "tokio", unix))]
mod executor;
#[cfg(all(feature = "harness", unix))]
mod files;
#[cfg(all(feature = "harness", unix))]
mod measurement;
#[cfg(all(feature = "harness", unix))]
mod profiler;
pub mod protocol;
pub mod saved;
pub mod shard;
#[cfg(all(feature = "suite", unix))]
pub mod suite;
pub mod table;
#[cfg(all(feature = "harness", unix))]
mod words;

#[cfg(all(feature = "harness", unix))]
pub use counted::{AsyncCountedBencher, CountedBencher, CountedGroup, CriterionExt};
#[cfg(all(feature = "tokio", unix))]
pub use executor::Tokio;
#[cfg(all(feature = "harness", unix))]
pub use measurement::{CpuTimes, ProcessCpu, ThreadCpu, Timer};
/// The allocator that counts.
#[cfg(all(feature = "suite", unix))]
pub use perfwright_heap as heap;
/// How a cost grows with a size.
pub use perfwright_stats::complexity;
#[cfg(all(feature = "harness", unix))]
pub use profiler::Profiler;
#[cfg(all(feature = "suite", unix))]
pub use suite::{Bencher, Suite};

/// criterion's default configuration with our [`Profiler`].
#[cfg(all(feature = "harness", unix))]
pub fn config() -> criterion::Criterion {
    criterion::Criterion::default().with_profiler(Profiler::new())
}
