//! `/debug/perfwright/`: what Go has no counterpart of.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use perfwright_cpu::{MAX_FREQUENCY_HZ, Mode};
use serde_json::{Value, json};

use super::capture::{self, blocking, encode};
use super::reply::Reply;
use super::{Query, Shared};
use crate::metrics::{Metrics, RouteFigures};
use crate::source::{CaptureError, CpuRequest};

/// Answers `/debug/perfwright/NAME`.
pub(super) async fn answer(shared: &Arc<Shared>, name: &str, query: &Query<'_>) -> Reply {
    let answered = match name {
        "" => Ok(Reply::html(index())),
        "status" => status(shared).await,
        "profile" => profile(shared, query).await,
        #[cfg(feature = "viewer")]
        "view" => view(shared, query).await,
        #[cfg(feature = "flamegraph")]
        "flamegraph.svg" => flamegraph(shared, query).await,
        _ => other(shared, name, query).await,
    };
    answered.unwrap_or_else(|reply| reply)
}

/// Pages of spans, if there are any.
async fn other(shared: &Arc<Shared>, name: &str, query: &Query<'_>) -> Result<Reply, Reply> {
    #[cfg(feature = "spans")]
    if let Some(answered) = super::spans::answer(shared, name, query).await {
        return answered;
    }
    #[cfg(not(feature = "spans"))]
    let _ = (shared, name, query);
    let why = "there is no such page; see /debug/perfwright/";
    Err(Reply::error(StatusCode::NOT_FOUND, why))
}

const PAGES: &[(&str, &str)] = &[
    #[cfg(feature = "viewer")]
    (
        "view?seconds=5",
        "the viewer, with a CPU profile of so many seconds, the heap and spans: one file to keep or send",
    ),
    (
        "status",
        "what the profilers, the captures and the requests come to (JSON)",
    ),
    (
        "profile?seconds=30",
        "CPU profile (pprof); also frequency_hz=N and mode=wall",
    ),
    #[cfg(feature = "flamegraph")]
    (
        "flamegraph.svg?seconds=5",
        "flamegraph of the CPU; also of=heap or of=allocs, and group_by=route",
    ),
    #[cfg(feature = "spans")]
    ("spans", "time by route and span path (JSON)"),
    #[cfg(feature = "spans")]
    ("slowest", "the slowest requests (JSON)"),
    #[cfg(feature = "spans")]
    ("trace.json", "the slowest requests for Perfetto or Chrome"),
    ("../pprof/", "what Go serves too"),
];

fn index() -> String {
    let rows: String = PAGES
        .iter()
        .map(|(page, what)| format!("<li><a href=\"{page}\">{page}</a>: {what}</li>\n"))
        .collect();
    format!(
        "<html>\n<head>\n<title>/debug/perfwright/</title>\n</head>\n<body>\n<ul>\n{rows}</ul>\n</body>\n</html>"
    )
}

pub(super) fn refused(error: CaptureError) -> Reply {
    match error {
        CaptureError::Busy => Reply::error(
            StatusCode::CONFLICT,
            "a capture is running; try again when it is over",
        ),
        CaptureError::Unavailable(why) => Reply::error(
            StatusCode::SERVICE_UNAVAILABLE,
            format_args!("failed to {why}"),
        ),
    }
}

fn bad(why: impl std::fmt::Display) -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, why)
}

async fn status(shared: &Arc<Shared>) -> Result<Reply, Reply> {
    let asked = Arc::clone(shared);
    let looked = blocking(move || (asked.source.status(), spans_status(&asked)));
    let (sampled, spans) = looked.await.map_err(refused)?;
    Ok(Reply::json(&json!({
        "pid": std::process::id(),
        "perfwright": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": shared.started.elapsed().as_secs_f64(),
        "source": sampled,
        "captures": shared.captures.status(),
        "context": {
            "nodes": perfwright_context::node_count(),
            "max_nodes": perfwright_context::max_nodes(),
            "overflowed": perfwright_context::overflowed(),
        },
        "spans": spans,
        "requests": shared.metrics.as_ref().map(requests),
    })))
}

#[cfg(feature = "spans")]
fn spans_status(shared: &Shared) -> Option<Value> {
    super::spans::status(shared)
}

#[cfg(not(feature = "spans"))]
fn spans_status(_: &Shared) -> Option<Value> {
    None
}

fn requests(metrics: &Metrics) -> Value {
    let routes: Vec<_> = metrics.routes().iter().map(route).collect();
    json!({ "overflowed": metrics.overflowed(), "routes": routes })
}

fn route(figures: &RouteFigures) -> Value {
    let by_fate: serde_json::Map<_, _> = figures
        .requests
        .iter()
        .map(|&(fate, count)| (fate.to_owned(), count.into()))
        .collect();
    let millis = |at: usize| {
        figures
            .latency
            .map(|latency| latency[at].as_secs_f64() * 1e3)
    };
    json!({
        "route": figures.route,
        "method": figures.method,
        "in_flight": figures.in_flight,
        "requests": by_fate,
        "body_cancelled": figures.body_cancelled,
        "body_errors": figures.body_errors,
        "panics": figures.panics,
        "request_bytes": figures.request_bytes,
        "response_bytes": figures.response_bytes,
        "latency_ms_p50": millis(0),
        "latency_ms_p90": millis(1),
        "latency_ms_p99": millis(2),
    })
}

/// A number of the query from 1 to a maximum; `None` if it is not there.
fn number(query: &Query<'_>, key: &str, max: u64) -> Result<Option<u64>, Reply> {
    let text = query.get(key);
    if text.is_empty() {
        return Ok(None);
    }
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=max).contains(number));
    let number =
        number.ok_or_else(|| bad(format_args!("{key} must be a whole number from 1 to {max}")))?;
    Ok(Some(number))
}

async fn cpu(
    shared: &Arc<Shared>,
    query: &Query<'_>,
    default: u64,
) -> Result<perfwright_cpu::Capture, Reply> {
    let seconds = number(query, "seconds", shared.max_seconds)?.unwrap_or(default);
    let seconds = seconds.min(shared.max_seconds);
    let mut request = CpuRequest::new();
    if let Some(frequency) = number(query, "frequency_hz", MAX_FREQUENCY_HZ.into())? {
        request.frequency_hz = u32::try_from(frequency).ok();
    }
    request.mode = match query.get("mode") {
        "" | "cpu" => Mode::Cpu,
        "wall" => Mode::Wall,
        _ => return Err(bad("mode must be cpu or wall")),
    };
    let length = Duration::from_secs(seconds);
    capture::cpu(shared, request, length).await.map_err(refused)
}

async fn profile(shared: &Arc<Shared>, query: &Query<'_>) -> Result<Reply, Reply> {
    let capture = cpu(shared, query, 30).await?;
    let _room = shared.captures.work().await;
    let bytes = blocking(move || encode(capture.profile))
        .await
        .map_err(refused)?;
    Ok(Reply::file("cpu.pb.gz", bytes))
}

/// The viewer with what there is to see in it.
#[cfg(feature = "viewer")]
async fn view(shared: &Arc<Shared>, query: &Query<'_>) -> Result<Reply, Reply> {
    use perfwright_viewer_html::{Embedded, page};

    let capture = cpu(shared, query, 5).await?;
    let _room = shared.captures.work().await;
    let source = Arc::clone(shared);
    let written = blocking(move || {
        let mut profiles = vec![("cpu.pb.gz", encode(capture.profile))];
        if let Some(heap) = source.source.heap() {
            profiles.push(("heap.pb.gz", encode(heap.profile)));
        }
        if let Some(spans) = spans_profile(&source) {
            profiles.push(("spans.pb.gz", encode(spans)));
        }
        let embedded: Vec<_> = profiles
            .iter()
            .map(|(name, bytes)| Embedded { name, bytes })
            .collect();
        page(&embedded)
    });
    Ok(Reply::html(written.await.map_err(refused)?))
}

#[cfg(all(feature = "viewer", feature = "spans"))]
fn spans_profile(shared: &Arc<Shared>) -> Option<perfwright_model::Profile> {
    let spans = super::spans::find(shared).ok()?;
    Some(spans.snapshot().profile())
}

#[cfg(all(feature = "viewer", not(feature = "spans")))]
fn spans_profile(_: &Arc<Shared>) -> Option<perfwright_model::Profile> {
    None
}

#[cfg(feature = "flamegraph")]
async fn flamegraph(shared: &Arc<Shared>, query: &Query<'_>) -> Result<Reply, Reply> {
    use super::pprof::Snapshot;

    let mut options = perfwright_flamegraph::Options::default();
    options.group_by = match query.get("group_by") {
        "" => None,
        key => Some(key.to_owned()),
    };
    let snapshot = async |which: Snapshot| {
        let room = shared.captures.try_work().ok_or_else(Reply::too_busy)?;
        let source = Arc::clone(&shared.source);
        let profile = blocking(move || which.take(&*source))
            .await
            .map_err(refused)?;
        let absent = || CaptureError::Unavailable("draw the heap: it is not sampled".into());
        Ok::<_, Reply>((profile.ok_or_else(absent).map_err(refused)?, Some(room)))
    };
    let (profile, _room) = match query.get("of") {
        "" | "cpu" => {
            let capture = cpu(shared, query, 5).await?;
            (capture.profile, shared.captures.work().await)
        }
        "heap" => snapshot(Snapshot::Heap).await?,
        "allocs" => snapshot(Snapshot::Allocs).await?,
        #[cfg(feature = "spans")]
        kind @ ("busy" | "idle" | "wall") => {
            options.sample_type = Some(kind.to_owned());
            let room = shared.captures.try_work().ok_or_else(Reply::too_busy)?;
            let spans = super::spans::find(shared)?;
            let profile = blocking(move || spans.snapshot().profile())
                .await
                .map_err(refused)?;
            (profile, Some(room))
        }
        _ => {
            return Err(bad(
                "of must be cpu, heap or allocs, of spans busy, idle or wall",
            ));
        }
    };
    let drawn = blocking(move || {
        let mut profile = profile;
        capture::resolve(&mut profile);
        let mut svg = Vec::new();
        perfwright_flamegraph::write_svg(&profile, &options, &mut svg).map(|_| svg)
    });
    match drawn.await.map_err(refused)? {
        Ok(svg) => Ok(Reply::svg(svg)),
        Err(error) => Err(Reply::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            format_args!("failed to {error}"),
        )),
    }
}
