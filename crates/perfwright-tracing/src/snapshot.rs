//! What was recorded, as plain data.

use std::num::NonZeroU32;

use perfwright_model::{Frame, Function, Location, Meta, Profile, SampleType, keys};

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
    /// How often they were entered. The enter by which an instrumented future is dropped is not counted: one,
    /// if not the only one, whose exit was the last thing on its thread before the span closed there.
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
    /// Rows that queries returned, or where they returned none affected, as far as the library told.
    pub rows: u64,
    /// The distribution of totals.
    pub histogram: Histogram,
}

impl Snapshot {
    /// As a profile: sample types `count`, `busy` (the default), `idle` and `wall`, which is both; the path as the
    /// stack, the label `route`.
    ///
    /// Values are each path's own (`self_busy_ns`, `self_idle_ns`), so that a tree of stacks adds up.
    pub fn profile(&self) -> Profile {
        let mut profile = Profile::new([
            SampleType::new("count", "count"),
            SampleType::new("busy", "nanoseconds"),
            SampleType::new("idle", "nanoseconds"),
            SampleType::new("wall", "nanoseconds"),
        ]);
        profile.meta = Meta {
            default_sample_type: Some(1),
            time_nanos: Some(self.time_nanos),
            duration_nanos: Some(self.duration_nanos as i64),
            ..Meta::default()
        };
        for stats in self.paths.iter().filter(|stats| stats.count > 0) {
            let locations: Vec<_> = stats
                .path
                .iter()
                .map(|name| location(&mut profile, name))
                .collect();
            let stack = profile.intern_stack_root_first(locations);
            let route = profile.str_label(keys::ROUTE, &stats.route);
            let labels = profile.intern_labels(&[route]);
            let (busy, idle) = (stats.self_busy_ns, stats.self_idle_ns);
            let values = [stats.count, busy, idle, busy.saturating_add(idle)];
            profile.record(stack, labels, &values.map(|value| value as i64));
        }
        profile
    }
}

fn location(profile: &mut Profile, name: &SpanName) -> perfwright_model::LocationId {
    let line = name.line.and_then(NonZeroU32::new);
    let function = Function {
        filename: profile.intern(&name.file),
        start_line: line,
        ..Function::named(profile.intern(&name.name))
    };
    let function = profile.add_function(function);
    let frame = Frame {
        function,
        line,
        column: None,
    };
    profile.add_location(Location::default(), &[frame])
}

/// What the layer saw and what it had to leave out: of requests and paths since the start, else of the
/// snapshot's time.
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
