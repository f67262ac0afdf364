//! The questions, asked in the notation of folded stacks.

mod diff;
mod edges;
mod excerpt;
mod filter;
mod invariants;
mod labels;
mod names;
mod notation;
mod sift;
mod top;
mod tree;
