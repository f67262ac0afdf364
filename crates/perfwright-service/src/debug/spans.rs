//! What `perfwright-tracing` recorded, as JSON, pprof and a trace.

use std::sync::Arc;

use http::StatusCode;
use perfwright_tracing::{PathStats, Request, RequestSpan, SpanName, Spans, write_chrome_trace};
use serde_json::{Value, json};

use super::capture::{blocking, encode};
use super::own::refused;
use super::reply::Reply;
use super::{Query, Shared};

/// Answers the pages of spans; `None` if it is none of them.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    name: &str,
    query: &Query<'_>,
) -> Option<Result<Reply, Reply>> {
    let page: fn(&Spans, usize) -> Reply = match name {
        "spans" => |spans, limit| Reply::json(&snapshot(spans, limit)),
        "spans.pb.gz" => |spans, _| Reply::file("spans.pb.gz", encode(spans.snapshot().profile())),
        "slowest" => |spans, limit| Reply::json(&slowest(spans, limit)),
        "trace.json" => |spans, _| trace(spans),
        _ => return None,
    };
    let spans = match find(shared) {
        Ok(spans) => spans,
        Err(reply) => return Some(Err(reply)),
    };
    let limit = query
        .number("limit")
        .and_then(|limit| usize::try_from(limit).ok());
    let Some(room) = shared.captures.try_work() else {
        return Some(Err(Reply::too_busy()));
    };
    let made = blocking(move || page(&spans, limit.unwrap_or(usize::MAX))).await;
    drop(room);
    Some(made.map_err(refused))
}

/// The recording that the routes were given, else the process's.
pub(super) fn find(shared: &Shared) -> Result<Spans, Reply> {
    let given = shared.spans.clone();
    given.or_else(perfwright_tracing::installed).ok_or_else(|| {
        let why =
            "no span is recorded: add perfwright_tracing::SpanLayer to the tracing subscriber";
        Reply::error(StatusCode::NOT_FOUND, why)
    })
}

/// For the status page.
pub(super) fn status(shared: &Shared) -> Option<Value> {
    let spans = find(shared).ok()?;
    let audit = spans.snapshot().audit;
    Some(json!({
        "spans": audit.spans,
        "open": audit.open,
        "paths": audit.paths,
        "overflowed": audit.overflowed,
        "untracked": audit.untracked,
        "stray_exits": audit.stray_exits,
        "cut_from_requests": audit.cut_from_requests,
        "unrouted_requests": audit.unrouted_requests,
    }))
}

/// The paths with the greatest total first.
fn snapshot(spans: &Spans, limit: usize) -> Value {
    let mut snapshot = spans.snapshot();
    snapshot
        .paths
        .sort_by_key(|path| std::cmp::Reverse(path.total_ns));
    let paths: Vec<_> = snapshot.paths.iter().take(limit).map(path).collect();
    json!({
        "time_nanos": snapshot.time_nanos,
        "duration_ns": snapshot.duration_nanos,
        "paths": paths,
    })
}

fn path(stats: &PathStats) -> Value {
    let quantile = |share| stats.histogram.quantile(share);
    json!({
        "route": stats.route,
        "path": stats.path.iter().map(name).collect::<Vec<_>>(),
        "count": stats.count,
        "open": stats.open,
        "polls": stats.polls,
        "busy_ns": stats.busy_ns,
        "idle_ns": stats.idle_ns,
        "held_ns": stats.held_ns,
        "total_ns": stats.total_ns,
        "self_busy_ns": stats.self_busy_ns,
        "self_idle_ns": stats.self_idle_ns,
        "min_ns": stats.min_ns,
        "max_ns": stats.max_ns,
        "max_poll_ns": stats.max_poll_ns,
        "total_ns_p50": quantile(0.5),
        "total_ns_p99": quantile(0.99),
        "errors": stats.errors,
        "rows": stats.rows,
    })
}

fn name(name: &SpanName) -> Value {
    json!({ "name": name.name, "target": name.target, "file": name.file, "line": name.line })
}

fn slowest(spans: &Spans, limit: usize) -> Value {
    let mut requests = spans.slowest();
    requests.sort_by_key(|request| std::cmp::Reverse(request.total_ns));
    let requests: Vec<_> = requests.iter().take(limit).map(request).collect();
    json!({ "requests": requests })
}

fn request(request: &Request) -> Value {
    json!({
        "route": request.route,
        "trace_id": request.trace_id,
        "time_nanos": request.time_nanos,
        "total_ns": request.total_ns,
        "cut": request.cut,
        "spans": request.spans.iter().map(span).collect::<Vec<_>>(),
    })
}

fn span(span: &RequestSpan) -> Value {
    let fields = span
        .fields
        .iter()
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    json!({
        "name": span.name.name,
        "target": span.name.target,
        "parent": span.parent,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "busy_ns": span.busy_ns,
        "polls": span.polls,
        "error": span.error,
        "fields": fields.collect::<serde_json::Map<_, _>>(),
    })
}

fn trace(spans: &Spans) -> Reply {
    let mut text = Vec::new();
    // Writing into memory does not fail.
    let _ = write_chrome_trace(&spans.slowest(), &mut text);
    Reply::json_text(text)
}
