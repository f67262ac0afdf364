//! The questions, asked in the notation of folded stacks.

mod names;
mod notation;
mod top;
mod tree;
