//! Helpers for [criterion](https://docs.rs/criterion) 0.8: what a bench costs beside its time, where that goes, how it
//! grows, and whether it changed.
//!
//! criterion measures time, on a wall clock. This crate adds, each by itself:
//!
//! | what | how |
//! |---|---|
//! | allocations, bytes and CPU time of an iteration, counted beside the timing | [`CriterionExt::counted`], [`CriterionExt::counted_group`] |
//! | a profile of the bench: viewer, flamegraph, pprof, also of the heap | [`Profiler`], by criterion's `--profile-time` |
//! | CPU time in place of the wall clock | [`ProcessCpu`], [`ThreadCpu`] |
//! | how a cost grows with its input: O(n log n), and how sure that is | [`CriterionExt::sweep`], [`complexity`] |
//! | async benches on tokio (feature `tokio`) | `Tokio`, [`CountedBencher::to_async`] |
//! | benches that a gate compares in turns, with all of the above | [`Suite`], [`main!`] |
//! | saved results, of criterion 0.3 to 0.8, and what was counted | [`saved`] |
//! | a table of results, with the change against a baseline | [`table`] |
//! | benches dealt out to several machines by how long they take | [`shard`] |
//!
//! # Start here
//! In Cargo.toml, beside criterion:
//!
//! ```toml
//! [dev-dependencies]
//! criterion = { version = "0.8", default-features = false, features = ["cargo_bench_support"] }
//! perfwright-criterion = "0.1"
//!
//! [[bench]]
//! name = "words"
//! harness = false
//! ```
//!
//! and in `benches/words.rs`:
//!
//! ```no_run
//! use criterion::{Criterion, criterion_group, criterion_main};
//! use perfwright_criterion::{CriterionExt as _, Profiler, heap::SampledAlloc};
//!
//! #[global_allocator]
//! static ALLOC: SampledAlloc = SampledAlloc::system(); // counts; costs about a nanosecond an allocation
//!
//! fn words(criterion: &mut Criterion) {
//!     criterion.counted("words", |bencher| {
//!         bencher.iter(|| "one two three".split(' ').map(str::to_owned).collect::<Vec<_>>())
//!     });
//! }
//!
//! criterion_group! {
//!     name = benches;
//!     config = Criterion::default().with_profiler(Profiler::new());
//!     targets = words
//! }
//! criterion_main!(benches);
//! ```
//!
//! | command | what it does |
//! |---|---|
//! | `cargo bench` | criterion's output, and a line `counts: 71.20 ns of CPU, 4 allocations, 83 bytes` for each bench |
//! | `cargo bench -- --profile-time 5` | `target/criterion/words/profile/profile.html` and its like |
//! | `PERFWRIGHT_COUNT=10 cargo bench -- --test` | counts only, in seconds, the same on every machine |
//! | `cargo perfwright bench` | runs them and prints a table; `--profile`, `--count`, `--shard 1/3` |
//! | `cargo perfwright bench --against main` | a verdict, if the benches are a [`Suite`] |
//!
//! # Which clock
//! The wall clock is what users wait for, and what everything else on the machine disturbs. CPU time leaves out
//! waiting, also that of the bench: for locks, disks, the network. Of the process ([`ProcessCpu`]) it is right for
//! async and multi-threaded benches. Of the thread ([`ThreadCpu`]) it is right for benches of one thread in a program
//! that has others, and it refuses where they work for it. Neither makes criterion's comparison with a saved baseline
//! trustworthy: two runs of the same code, minutes apart, differ by more than its test expects, by every clock. Measure
//! in turns to know (`--against`).
//!
//! # Allocations
//! They are counted where the clocks are read, around the iterations: what [`CountedBencher::iter_batched`] sets up
//! is not in it, and what all threads allocate is. criterion drops a measurement of 0, so they are no measurement of
//! criterion's but are kept beside it, in `target/criterion/BENCH/new/perfwright.json` ([`saved::Counts`]), and with
//! the baseline that criterion saves. A budget can hold them: `metric = "bench"`, `limits = ["allocs <= 4"]`.
//!
//! # What it will not do
//! Judge: [`table`] tells a change with an interval, and no verdict. Run anywhere but on Unix: elsewhere only [`saved`],
//! [`shard`], [`table`] and [`protocol`] exist, which is also what is left without the default feature `harness`.
//! Read cargo-criterion's files. Know where results go if `Criterion::output_directory` was called.
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
