//! What was recorded, as plain data.

use perfwright_model::Profile;

use crate::histogram::Histogram;

/// What the layer recorded up to a moment. All times are nanoseconds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// One entry per span path that closed at least once or is open now, in no particular order.
    pub paths: Vec<PathStats>,
    /// What could not be recorded, and what there was.
    pub audit: Audit,
    /// When the recording began, in nanoseconds since the Unix epoch.
    pub time_nanos: i64,
    /// For how long, in nanoseconds.
    pub duration_nanos: u64,
}

/// An element of a span path: a callsite, or the normalised statement or request that names a leaf.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
#[non_exhaustive]
pub struct SpanName {
    /// The span's name, or the template of a statement.
    pub name: String,
    /// The span's target.
    pub target: String,
    /// The source file; empty when unknown.
    pub file: String,
    /// The line, 1-based; `None` when unknown.
    pub line: Option<u32>,
}

/// The spans of one path, added up when they closed. Times are nanoseconds.
///
/// `total = union of busy times + idle`: for a span that no two threads have entered at once
/// `total_ns = busy_ns + idle_ns`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PathStats {
    /// The `route` label of the path's context, else the name of its outermost span.
    pub route: String,
    /// The spans from the outermost to the one that is meant.
    pub path: Vec<SpanName>,
    /// How many closed.
    pub count: u64,
    /// How many are open now.
    pub open: u64,
    /// How often they were entered; the enter by which a dropped future is destroyed is not counted.
    pub polls: u64,
    /// Entered, summed over threads.
    pub busy_ns: u64,
    /// From creation to the last exit, but entered by nobody.
    pub idle_ns: u64,
    /// From the last exit to the close: somebody kept the span.
    pub held_ns: u64,
    /// From creation to the last exit; a span that was never entered ends at its close.
    pub total_ns: u64,
    /// Busy as the innermost span of its thread.
    pub self_busy_ns: u64,
    /// Idle while no child was open.
    pub self_idle_ns: u64,
    /// The shortest total.
    pub min_ns: u64,
    /// The longest total.
    pub max_ns: u64,
    /// The longest single poll.
    pub max_poll_ns: u64,
    /// How many had an error: an event at ERROR level, a field `error` or `otel.status_code` = `ERROR`.
    pub errors: u64,
    /// Rows returned and affected, where a database told.
    pub rows: u64,
    /// The distribution of totals.
    pub histogram: Histogram,
}

impl Snapshot {
    /// As a profile: sample types `count`, `busy` (the default), `idle`, with the path as the stack and the
    /// label `route`. Values are each path's own, so that a tree adds them up: `self_busy_ns`,
    /// `self_idle_ns`; the wall time of a path is busy plus idle.
    pub fn profile(&self) -> Profile {
        Profile::default()
    }
}

/// What the layer saw and what it had to leave out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Audit {
    /// Spans that closed and are counted.
    pub spans: u64,
    /// Spans that are open now.
    pub open: u64,
    /// Paths that exist.
    pub paths: u64,
    /// Spans of paths for which there was no room: they count under `(other)`.
    pub overflowed: u64,
    /// Spans that were not followed, because too many were open.
    pub untracked: u64,
    /// Exits without their enter, on the thread where they happened.
    pub stray_exits: u64,
    /// Spans that were left out of kept requests, which were too large.
    pub cut_from_requests: u64,
    /// Requests that were not candidates because there are too many routes.
    pub unrouted_requests: u64,
}
