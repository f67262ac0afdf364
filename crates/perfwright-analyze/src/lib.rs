//! Questions to a profile: call tree, self and total, callers and callees, filters, differences.
#![forbid(unsafe_code)]

mod hash;
mod names;
mod symbols;
mod top;
mod tree;

pub use names::{Origin, crate_of, crate_of_path, is_pseudo, short_name, short_path};
pub use symbols::{By, Symbol, SymbolId};
pub use top::{Row, top};
pub use tree::{CallTree, Node, NodeId, TreeBuilder, Visit};
