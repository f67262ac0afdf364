//! A bounded call tree of `tracing` spans: busy and idle time, the slowest requests, labels for samples.

mod chrome;
mod clock;
mod histogram;
mod layer;
mod options;
mod request;
mod snapshot;
mod spans;
#[cfg(feature = "tokio")]
mod spawn;

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
