//! A bounded call tree of `tracing` spans: busy and idle time, the slowest requests, labels for samples.
//!
//! You give a service that uses `tracing` one more layer. You get, per path of spans: how many, how long
//! somebody was in them (busy) and how long nobody was (idle), of that what no child explains, a latency
//! histogram, errors, queries by template; the slowest requests of each route as whole trees; and, while a
//! thread is in a span, a context word ([`perfwright_context`]) by which samplers tell whose CPU time and
//! whose memory it is.
//!
//! ```
//! use perfwright_tracing::{SpanLayer, write_chrome_trace};
//! use tracing::info_span;
//! use tracing_subscriber::prelude::*;
//!
//! let layer = SpanLayer::new();
//! let spans = layer.spans();
//! let subscriber = tracing_subscriber::registry().with(layer);
//! // A program calls `subscriber.init()`.
//! tracing::subscriber::with_default(subscriber, || {
//!     for _ in 0..3 {
//!         let _request = info_span!("request").entered();
//!         let _query = info_span!("load user").entered();
//!     }
//! });
//!
//! assert_eq!(perfwright_tracing::installed().unwrap().snapshot().audit.spans, 6);
//! let snapshot = spans.take();
//! let load = snapshot.paths.iter().find(|stats| stats.path.len() == 2).unwrap();
//! assert_eq!((load.route.as_str(), load.path[1].name.as_str(), load.count), ("request", "load user", 3));
//! assert!(load.histogram.quantile(0.99) >= Some(load.min_ns));
//!
//! // A flamegraph of busy or idle time, and the slowest requests for Perfetto.
//! let profile = snapshot.profile();
//! assert_eq!(profile.total(0), 6);
//! let mut trace = Vec::new();
//! write_chrome_trace(&spans.slowest(), &mut trace)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What the times mean
//! ```text
//! created    enter exit        enter  exit            close
//!    |..idle..|busy|....idle....|busy...|.....held.....|
//!    |................total.............|
//! ```
//! - **Busy** is how long threads had the span entered; **self** busy of that, how long it was the innermost
//!   span of its thread. All self busy times add up to the time that threads spent in spans.
//! - **Idle** is from creation to the last exit, when nobody had it entered: the time that a future waits, to
//!   be polled or for something. A gap is idle time of this span, whatever other spans its thread is in
//!   meanwhile. **Self** idle is what of that no open child covers.
//! - **Total** ends at the last exit; what follows until the close is **held**.
//! - An instrumented future is entered once more to be dropped. That is busy, but no poll.
//!
//! Queries that sqlx reports are leaves below the span they happen in, by statement without its values. sqlx
//! tells how long each took, not when it was polled: so they are `total`, and `idle` as far as the span
//! around them was idle and nothing else explains that. sea-orm's and reqwest-tracing's spans are named by
//! statement, or method and host.
//!
//! # Routes and labels
//! The context of a span is its parent's, with labels that were set inside it ([`label`]), and its own name;
//! that of a span without a parent is what the thread had, so a `route` that a middleware set. The route of a
//! path is that label; where there is none, the name of the outermost span. To other threads and tasks a
//! context goes by [`propagate`], [`WithContext`] or, with the feature `tokio`, `spawn` and `spawn_blocking`.
//! In rayon's pools `propagate` is all that it takes, around the closure that is spawned; [`with_word`] in
//! one that is called many times.
//!
//! # What it costs
//! A span with a field, created, entered, left and closed: 107 ns on top of the `Registry`'s own 73. A poll:
//! 40 ns. Of both a third to a half is reading the clock. Known paths take no lock that another thread wants
//! and allocate nothing but for chosen fields. `benches/spans` has it beside its peers.
//!
//! A subscriber of its own would save most of the `Registry`'s part, and is not there: it takes the same four
//! looks at the clock, and a service with only that subscriber has no log.
//!
//! Memory does not grow with the number of spans. A thread needs 0.2 to 1 KB per path that it closes spans of,
//! and up to 0.4 MB to remember paths where labels are many. Open spans take 256 bytes, at most 65,536 of
//! them; a kept request at most 50 KB, five for each of at most 64 routes, and as much while it is open, of
//! at most 512 requests. Everything left out is counted in [`Audit`].
//!
//! # What it will not do
//! Follow spans that a global filter disables, tell on-CPU from blocked (samples do), survive a span whose
//! guard is forgotten with exact times, or keep what is beyond its bounds.

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
