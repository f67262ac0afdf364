//! What a thread is working on: a context word that a signal handler can read, and what it stands for.
//!
//! Every thread has one [`Word`]: the [`NodeId`] of a path of labels (route, span path, labels of your
//! own) and, optionally, an [`Instance`] (which span, which request). Setting it is one atomic store
//! into thread-local storage, so that a sampler reads it from a signal handler or a sampling allocator
//! without a lock or an allocation. What a path means is kept in a bounded, process-wide registry.
//!
//! You give: `label("tenant", "acme")` around a piece of work (or, in a library that follows spans or
//! requests, [`child`] and [`set`] around every poll). A sampler gives back: [`labels`] of the word.
//!
//! ```
//! use perfwright_context as context;
//!
//! let _tenant = context::label("tenant", "acme");
//! context::with_label("job", "reindex", || {
//!     let labels = context::labels(context::current().node());
//!     assert_eq!(labels, [("tenant".into(), "acme".into()), ("job".into(), "reindex".into())]);
//! });
//! ```
//!
//! [`WithContext::in_context`] carries a context over a future's polls, [`propagate`] to another thread.
//!
//! It will not: follow a task over an `.await` or into a thread by itself, or grow without bound: past
//! [`max_nodes`] every new path is the node [`NodeId::OTHER`] and counted in [`overflowed`].

mod carry;
mod guard;
mod instance;
mod registry;
mod word;

pub use carry::{InContext, WithContext, propagate, with_word};
pub use guard::{Guard, label, with_label};
pub use instance::{INSTANCE_SLOTS, Instance};
pub use registry::{
    DEFAULT_MAX_NODES, MAX_LABEL_BYTES, NodeId, child, is_below, labels, max_nodes, node_count,
    overflowed, set_max_nodes,
};
pub use word::{Word, current, set, word_address};
