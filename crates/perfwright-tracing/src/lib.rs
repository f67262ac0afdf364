//! A bounded call tree of `tracing` spans: busy and idle time, the slowest requests, labels for samples.

mod chrome;
mod clock;
mod fields;
mod histogram;
mod layer;
mod local;
mod options;
mod paths;
mod request;
mod shared;
mod snapshot;
mod span;
mod spans;
#[cfg(feature = "tokio")]
mod spawn;
mod sql;
mod table;
mod tally;
mod tree;

pub use chrome::write_chrome_trace;
pub use clock::Clock;
pub use histogram::Histogram;
pub use layer::SpanLayer;
pub use options::Options;
pub use perfwright_context::{InContext, WithContext, label, propagate, with_label, with_word};
pub use request::{Request, RequestSpan, Slice};
pub use snapshot::{Audit, PathStats, Snapshot, SpanName};
pub use spans::{Spans, installed};
#[cfg(feature = "tokio")]
pub use spawn::{spawn, spawn_blocking};
