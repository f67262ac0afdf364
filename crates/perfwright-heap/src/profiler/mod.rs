//! Sampling: what needs stacks to be walked.
//!
//! From below: [`arena`] gives memory beside the heap; [`live`], [`counted`] and [`sites`] keep tables in it, each
//! without locks or system calls; [`books`] makes accounts of them, with [`history`] for what grows; [`hook`] is
//! where the allocator comes in, with stacks from [`stacks`]; [`session`] is one run of the profiler, from start
//! to stop, [`render`] makes profiles of it, and [`places`] looks for what grows.
//!
//! All but the last four have tests that Miri runs, as have the threads' counters (the arena is never unmapped):
//! `MIRIFLAGS=-Zmiri-ignore-leaks cargo +nightly miri test -p perfwright-heap --lib -- profiler lock draw thread::`

mod arena;
mod books;
mod counted;
mod history;
pub(crate) mod hook;
mod live;
mod places;
mod render;
pub(crate) mod session;
mod sites;
mod stacks;
