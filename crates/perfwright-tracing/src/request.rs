//! Requests that were kept whole.

use crate::snapshot::SpanName;

/// A span tree with its times, kept because it was among the slowest of its route.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Request {
    /// The route label of the tree, else the name of its root span.
    pub route: String,
    /// The field `trace_id` of the root span.
    pub trace_id: Option<String>,
    /// When the root span was created, in nanoseconds since the Unix epoch.
    pub time_nanos: i64,
    /// The root's total in nanoseconds.
    pub total_ns: u64,
    /// The spans; the first is the root, and a parent comes before its children.
    pub spans: Vec<RequestSpan>,
    /// How many spans and polls were left out because the tree was too large.
    pub cut: u64,
}

/// A span of a kept request. Times are nanoseconds since the root's creation.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RequestSpan {
    /// What it is called.
    pub name: SpanName,
    /// Its parent's position in [`Request::spans`]; `None` for the root.
    pub parent: Option<usize>,
    /// Its creation.
    pub start_ns: u64,
    /// Its last exit.
    pub end_ns: u64,
    /// Entered, summed over threads.
    pub busy_ns: u64,
    /// How often it was entered.
    pub polls: u64,
    /// Whether it had an error.
    pub error: bool,
    /// The chosen fields of the span and of the events in it.
    pub fields: Vec<(String, String)>,
    /// When it was entered, in order of time; not all where the request was cut.
    pub slices: Vec<Slice>,
}

/// A span was entered on a thread. Times are nanoseconds since the root's creation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Slice {
    /// The enter.
    pub start_ns: u64,
    /// The exit.
    pub end_ns: u64,
    /// The thread, counted from 1 as the layer met them.
    pub thread: u32,
}
