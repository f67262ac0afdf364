//! Questions to a profile: what it cost, who called it, what changed.
//!
//! You give a [`Profile`](perfwright_model::Profile) and the position of a sample type; you get plain data:
//! - [`CallTree`]: self and total along every path of calls; by function, line, file, crate or mapping
//!   ([`By`]), below the values of a label, or upside down;
//! - [`top`]: the same as a table, recursion counted once; [`by_thread`] and [`by_label`]: who used it;
//! - [`butterfly`]: the callers and callees of one function, as sums; [`CallTree::callers`] and
//!   [`CallTree::callees`] as trees;
//! - [`Filter`]: a part of a profile, as a profile; it composes with everything else; [`CallTree::sifted`]:
//!   the same of a tree; [`TreeBuilder::excerpt`]: what a filtered tree is made of;
//! - [`diff`] and [`DiffTree`]: two profiles side by side; [`Overlay`]: for pictures;
//! - [`polls`]: a CPU profile and the spans of the same time, joined: which spans computed, which blocked;
//! - [`crate_of`], [`Origin`], [`is_plumbing`], [`short_name`], [`short_path`], [`quantity`]: names and values for people.
//!
//! It reads no file and no clock, starts no thread, and judges nothing: whether a difference is chance is for
//! the caller to say. Sums saturate. Everything is iterative, so no stack is too deep.
//!
//! # Example
//! ```
//! use perfwright_analyze::{By, CallTree, NodeId, top};
//! use perfwright_model::{LabelSetId, Profile, SampleType};
//!
//! let mut profile = Profile::new([SampleType::new("cpu", "nanoseconds")]);
//! let (main, parse) = (profile.frame_location("main"), profile.frame_location("parse"));
//! let stack = profile.intern_stack_root_first([main, parse]);
//! profile.record(stack, LabelSetId::EMPTY, &[10_000_000]);
//!
//! let rows = top(&profile, 0, By::Function);
//! assert_eq!((rows[0].name.as_str(), rows[0].self_value), ("parse", 10_000_000));
//! let tree = CallTree::new(&profile, 0);
//! let main = tree.children(NodeId::ROOT).next().unwrap();
//! assert_eq!((tree.name(main), tree.node(main).total_value), ("main", 10_000_000));
//! ```
#![forbid(unsafe_code)]

mod diff;
mod edges;
mod excerpt;
mod filter;
mod grow;
mod hash;
mod labels;
mod names;
mod overlay;
mod plumbing;
mod polls;
mod quantity;
mod sift;
mod stacks;
mod symbols;
mod timeline;
mod top;
mod tree;

pub use diff::{
    Diff, DiffError, DiffNode, DiffRow, DiffTree, Weight, Whole, common_sample_type, diff,
};
pub use edges::{Butterfly, Edge, butterfly};
pub use excerpt::PathFrame;
pub use filter::Filter;
pub use labels::{LabelRow, ThreadRow, by_label, by_thread};
pub use names::{Origin, crate_of, crate_of_path, is_pseudo, short_name, short_path};
pub use overlay::{Overlay, Sides};
pub use plumbing::is_plumbing;
pub use polls::{MIN_SAMPLES, PollVerdict, Polls, polls};
pub use quantity::{percent, quantity};
pub use sift::Sift;
pub use symbols::{By, Symbol, SymbolId};
pub use top::{Row, top};
pub use tree::{CallTree, Node, NodeId, TreeBuilder, Visit};
