//! Requests that were kept whole.

use std::collections::HashMap;

use crate::paths::PathTree;
use crate::snapshot::SpanName;
use crate::tree::{Kept, RawSlice, Record};

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
    /// How many spans and polls were left out because the tree was too large, or too many were under construction.
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

/// A kept tree with its names, `time_nanos` being when it began.
pub(crate) fn request(kept: &Kept, paths: &PathTree, time_nanos: i64) -> Request {
    let origin = kept.root.start;
    let mut records: Vec<&Record> = kept.records.iter().collect();
    // A parent was created before its children; the longer of two that were created at once may be the other's.
    records.sort_by_key(|record| (record.start, std::cmp::Reverse(record.end)));
    let mut order: Vec<&Record> = vec![&kept.root];
    order.extend(records);
    let positions: HashMap<_, _> = order
        .iter()
        .enumerate()
        .map(|(at, record)| (record.slot, at))
        .collect();
    let mut spans: Vec<RequestSpan> = order
        .iter()
        .map(|record| span(record, paths, origin))
        .collect();
    for (at, record) in order.iter().enumerate().skip(1) {
        // One whose parent was cut hangs from the root.
        let parent = record.parent.and_then(|slot| positions.get(&slot).copied());
        spans[at].parent = Some(parent.unwrap_or(0));
    }
    for (slot, slice) in &kept.slices {
        if let Some(&at) = positions.get(slot) {
            spans[at].slices.push(shown(slice, origin));
        }
    }
    let fields = kept.root.fields.as_deref();
    Request {
        route: paths.route_name(kept.route),
        trace_id: fields.and_then(|fields| fields.trace_id.clone()),
        time_nanos,
        total_ns: kept.total(),
        spans,
        cut: kept.cut,
    }
}

fn span(record: &Record, paths: &PathTree, origin: u64) -> RequestSpan {
    let fields = record.fields.iter().flat_map(|fields| &fields.chosen);
    RequestSpan {
        name: paths.name(record.path).clone(),
        parent: None,
        start_ns: record.start.saturating_sub(origin),
        end_ns: record.end.saturating_sub(origin),
        busy_ns: record.busy,
        polls: record.polls,
        error: record.error,
        fields: fields
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect(),
        slices: match record.first.thread {
            0 => Vec::new(),
            _ => vec![shown(&record.first, origin)],
        },
    }
}

fn shown(slice: &RawSlice, origin: u64) -> Slice {
    Slice {
        start_ns: slice.start.saturating_sub(origin),
        end_ns: slice.end.saturating_sub(origin),
        thread: slice.thread,
    }
}
