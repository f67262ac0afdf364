//! All that needs Linux: its signal frames, `/proc/self/maps` and ELF modules.
//!
//! Handler side, from below: [`rule`] and [`table`] say how to find a caller, [`code_map`] which
//! table holds at an address and where stacks are, [`stack_memory`] reads them, [`walk`](mod@walk)
//! goes from frame to frame. Collector side: [`proc_maps`], [`elf`] and [`bytes`] feed [`image`],
//! which builds the map; [`unwind`] takes over where the tables don't suffice.

mod bytes;
mod code_map;
mod elf;
mod image;
mod proc_maps;
mod regs;
mod rule;
mod stack_memory;
mod table;
mod unwind;
mod walk;

pub use code_map::{CodeMap, FpState, StackBounds};
pub use image::{Image, Module};
pub use regs::{Regs, thread_pointer};
pub use stack_memory::copy_stack;
pub use unwind::Unwound;
pub use walk::{Walk, WalkEnd, walk};
