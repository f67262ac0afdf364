//! Questions to a profile: call tree, self and total, callers and callees, filters, differences.
#![forbid(unsafe_code)]

mod diff;
mod edges;
mod filter;
mod hash;
mod labels;
mod names;
mod quantity;
mod symbols;
mod top;
mod tree;

pub use diff::{
    Diff, DiffError, DiffNode, DiffRow, DiffTree, Weight, Whole, common_sample_type, diff,
};
pub use edges::{Butterfly, Edge, butterfly};
pub use filter::Filter;
pub use labels::{LabelRow, ThreadRow, by_label, by_thread};
pub use names::{Origin, crate_of, crate_of_path, is_pseudo, short_name, short_path};
pub use quantity::{percent, quantity};
pub use symbols::{By, Symbol, SymbolId};
pub use top::{Row, top};
pub use tree::{CallTree, Node, NodeId, TreeBuilder, Visit};
