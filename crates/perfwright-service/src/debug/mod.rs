//! The routes under `/debug`, as a tower service.

mod capture;
mod own;
mod pprof;
mod reply;
#[cfg(feature = "spans")]
mod spans;
mod text;
mod threads;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use subtle::ConstantTimeEq;
use tower_service::Service;

use crate::metrics::Metrics;
use crate::source::Source;
use capture::Captures;
use reply::Reply;

pub use reply::DebugBody;

/// The longest capture unless told otherwise.
const MAX_SECONDS: u64 = 300;

/// The body of a request that has one is read up to so many bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// The routes under `/debug`: Go's `/debug/pprof/`, Perfwright's own `/debug/perfwright/`, and `/metrics`, as a tower
/// service that never fails.
///
/// The default way is [`DebugListener::bind`](crate::DebugListener::bind), a loopback listener beside the
/// application. To mount them in the application's own router they must be guarded by a token
/// ([`DebugRoutesBuilder::bearer_token`]) or said to be open ([`DebugRoutesBuilder::unguarded`]): behind a proxy every
/// peer is loopback. With axum `nest_service("/debug", routes)` or `route_service("/debug/{*path}", routes)`; the
/// prefix `/debug` may be stripped.
///
/// | path | what |
/// |---|---|
/// | `/debug/pprof/` | index, as Go's |
/// | `/debug/pprof/profile?seconds=30` | CPU profile (gzipped pprof) |
/// | `/debug/pprof/heap`, `allocs` | heap profile; `seconds=N`: what changed in N seconds; `debug=1`: text |
/// | `/debug/pprof/goroutine` | the process's threads, by name and state; `debug=1`, `debug=2`: text |
/// | `/debug/pprof/threadcreate` | how many threads there are |
/// | `/debug/pprof/block`, `mutex` | empty: not measured, as in Go until it is turned on |
/// | `/debug/pprof/cmdline`, `symbol` | as Go's |
/// | `/debug/perfwright/status` | what the profilers, the captures and the requests come to, as JSON |
/// | `/debug/perfwright/profile` | like Go's; `frequency_hz=N`, `mode=wall` |
/// | `/debug/perfwright/view?seconds=5` | the viewer, with a CPU profile, the heap and spans in it (feature `viewer`) |
/// | `/debug/perfwright/flamegraph.svg` | `of=cpu`, `heap`, `allocs`, of spans `busy`, `idle` or `wall`, `seconds=5`, `group_by=route` (feature `flamegraph`) |
/// | `/debug/perfwright/spans`, `spans.pb.gz` | time by route and span path, as JSON and pprof (feature `spans`) |
/// | `/debug/perfwright/slowest`, `trace.json` | the slowest requests, as JSON and for Perfetto (feature `spans`) |
/// | `/metrics` | [`Metrics::render`] |
///
/// One CPU capture runs at a time. While it does, another is refused: with 500 under `/debug/pprof` (as Go), 409 under
/// `/debug/perfwright`. A client that goes away ends its capture. It needs a tokio runtime with time enabled.
#[derive(Clone)]
pub struct DebugRoutes {
    shared: Arc<Shared>,
}

/// [`DebugRoutes`] in the making. Guarded or not: there is no third way to end it, except
/// [`DebugListener`](crate::DebugListener).
#[must_use = "a builder does nothing until it is guarded, unguarded or bound"]
pub struct DebugRoutesBuilder {
    shared: Shared,
}

struct Shared {
    source: Arc<dyn Source>,
    metrics: Option<Metrics>,
    #[cfg(feature = "spans")]
    spans: Option<perfwright_tracing::Spans>,
    max_seconds: u64,
    token: Option<Vec<u8>>,
    captures: Captures,
    started: Instant,
}

impl DebugRoutes {
    /// Routes whose captures come from `source`.
    pub fn builder(source: impl Source) -> DebugRoutesBuilder {
        DebugRoutesBuilder {
            shared: Shared {
                source: Arc::new(source),
                metrics: None,
                #[cfg(feature = "spans")]
                spans: None,
                max_seconds: MAX_SECONDS,
                token: None,
                captures: Captures::default(),
                started: Instant::now(),
            },
        }
    }
}

impl DebugRoutes {
    /// The longest capture.
    pub(crate) fn max_duration(&self) -> Duration {
        Duration::from_secs(self.shared.max_seconds)
    }
}

impl DebugRoutesBuilder {
    /// What to serve under `/metrics`, and to show in the status.
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.shared.metrics = Some(metrics.clone());
        self
    }

    /// The recording to serve under `/debug/perfwright/spans`; without it, that of the process's latest
    /// [`SpanLayer`](perfwright_tracing::SpanLayer).
    #[cfg(feature = "spans")]
    pub fn spans(mut self, spans: &perfwright_tracing::Spans) -> Self {
        self.shared.spans = Some(spans.clone());
        self
    }

    /// The longest capture that a client may ask for, 300 s by default; longer ones are refused with 400.
    pub fn max_duration(mut self, max: Duration) -> Self {
        self.shared.max_seconds = max.as_secs().max(1);
        self
    }

    /// Serves only requests with `Authorization: Bearer TOKEN`; others get 401. An empty token lets nobody in.
    pub fn bearer_token(mut self, token: impl Into<String>) -> DebugRoutes {
        self.shared.token = Some(token.into().into_bytes());
        self.finish()
    }

    /// Serves everybody who reaches them. Profiles tell function names, routes and labels, and a capture costs CPU
    /// time: be sure that only those reach them who may.
    pub fn unguarded(self) -> DebugRoutes {
        self.finish()
    }

    pub(crate) fn finish(self) -> DebugRoutes {
        DebugRoutes {
            shared: Arc::new(self.shared),
        }
    }
}

impl fmt::Debug for DebugRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugRoutes")
            .field("guarded", &self.shared.token.is_some())
            .field("max_seconds", &self.shared.max_seconds)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DebugRoutesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugRoutesBuilder").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for DebugRoutes
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<DebugBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<DebugBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let (parts, body) = request.into_parts();
        Box::pin(async move { Ok(shared.answer(&parts, body).await.into_response()) })
    }
}

impl Shared {
    async fn answer<B: Body>(self: &Arc<Self>, parts: &http::request::Parts, body: B) -> Reply {
        if !self.is_allowed(&parts.headers) {
            return Reply::unauthorized();
        }
        let path = parts.uri.path();
        if !is_plain(path) {
            let why = "the path must be plain: no empty, relative or encoded parts";
            return Reply::error(StatusCode::BAD_REQUEST, why);
        }
        let path = match path.strip_prefix("/debug") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        let allowed: &[Method] = match path {
            "/pprof/symbol" => &[Method::GET, Method::HEAD, Method::POST],
            _ => &[Method::GET, Method::HEAD],
        };
        if !allowed.contains(&parts.method) {
            return Reply::not_allowed(allowed);
        }
        let query = Query::new(parts.uri.query().unwrap_or(""));
        if let Some(name) = path.strip_prefix("/pprof/") {
            let body = match parts.method {
                Method::POST => match read_body(body).await {
                    Ok(body) => Some(body),
                    Err(reply) => return reply,
                },
                _ => None,
            };
            return pprof::answer(self, name, &query, body).await;
        }
        if let Some(name) = path.strip_prefix("/perfwright/") {
            return own::answer(self, name, &query).await;
        }
        match (path, &self.metrics) {
            ("/pprof", _) => Reply::redirect("pprof/"),
            ("/perfwright", _) => Reply::redirect("perfwright/"),
            ("/metrics", Some(metrics)) => {
                let accept = parts.headers.get(http::header::ACCEPT);
                let accept = accept
                    .and_then(|accept| accept.to_str().ok())
                    .map(str::to_owned);
                // The user's gauges may take their time.
                let metrics = metrics.clone();
                match capture::blocking(move || metrics.render(accept.as_deref())).await {
                    Ok(exposition) => Reply::metrics(exposition),
                    Err(error) => Reply::error(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        format_args!("failed to {error}"),
                    ),
                }
            }
            _ => Reply::error(
                StatusCode::NOT_FOUND,
                "there is no such page; see /debug/pprof/",
            ),
        }
    }

    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let given = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, given) = value.as_bytes().split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(given)
        });
        // In constant time, the length aside.
        given.is_some_and(|given| !token.is_empty() && bool::from(given.ct_eq(token)))
    }
}

/// The answer to a request that means another host.
pub(crate) fn misdirected() -> Response<DebugBody> {
    let why = "the host is not this listener's: use localhost, 127.0.0.1 or [::1] with its port";
    Reply::error(StatusCode::FORBIDDEN, why).into_response()
}

/// Whether a path says what it means: `//`, `.`, `..` and percent signs are how filters before us are got around.
fn is_plain(path: &str) -> bool {
    let parts = path.strip_prefix('/').unwrap_or(path).split('/');
    let count = parts.clone().count();
    let mut parts = parts.enumerate();
    parts.all(|(index, part)| {
        let is_last = index + 1 == count;
        (is_last || !part.is_empty()) && part != "." && part != ".." && !part.contains(['%', '\\'])
    })
}

/// The first value of each key, as in Go: the last part of a URL.
struct Query<'a> {
    raw: &'a str,
}

impl<'a> Query<'a> {
    fn new(raw: &'a str) -> Query<'a> {
        Query { raw }
    }

    /// The value of a key, as it stands: none of ours needs encoding. Empty if there is none.
    fn get(&self, key: &str) -> &'a str {
        let mut pairs = self
            .raw
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .find(|(found, _)| *found == key)
            .map_or("", |(_, value)| value)
    }

    /// A whole number as Go's `strconv` reads it.
    fn number(&self, key: &str) -> Option<i64> {
        self.get(key).parse().ok()
    }
}

async fn read_body<B: Body>(body: B) -> Result<Vec<u8>, Reply> {
    use bytes::Buf;
    let mut body = std::pin::pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
    {
        let Ok(frame) = frame else {
            return Err(Reply::error(
                StatusCode::BAD_REQUEST,
                "the body could not be read",
            ));
        };
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.remaining() > MAX_BODY_BYTES {
            let why = "the body is larger than 64 KiB";
            return Err(Reply::error(StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            bytes.extend_from_slice(chunk);
            let len = chunk.len();
            data.advance(len);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_say_what_they_mean() {
        for path in [
            "/",
            "/debug/pprof/",
            "/debug/pprof/heap",
            "/metrics",
            "/debug/perfwright/trace.json",
        ] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "//debug/pprof/",
            "/debug//pprof/heap",
            "/debug/pprof/../x",
            "/debug/./pprof/heap",
            "/debug/pprof/..",
            "/debug/%2e%2e/heap",
            "/debug/pprof%2fheap",
            "/debug\\pprof",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn queries_are_read_like_go() {
        let query = Query::new("seconds=5&debug=1&seconds=7&empty&gc=");
        assert_eq!(query.get("seconds"), "5");
        assert_eq!(query.number("debug"), Some(1));
        assert_eq!(query.get("absent"), "");
        assert_eq!(query.number("empty"), None);
    }
}
