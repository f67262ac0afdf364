//! Load on a small hyper service with the layer, while captures run: ordinary requests, uploads, clients that go away
//! before the response or in the midst of it, slow readers, handlers and bodies that panic.
//!
//! `cargo run --release -p perfwright-service --example soak -- 60` runs for so many seconds, says what it counted, and
//! fails if a request was lost or is still counted as in flight at the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use perfwright_service::{DebugRoutes, Metrics, RequestBody, ServiceLayer, Standalone};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, Service, ServiceExt, service_fn};

/// What was sent, and what was counted of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests that reached the service.
    pub(crate) begun: u64,
    /// Requests that have a fate in the metrics.
    pub(crate) counted: u64,
    /// Requests that were in flight when all clients and connections were gone.
    pub(crate) in_flight: u64,
    /// Handlers and bodies that panicked, and panics in the metrics.
    pub(crate) panics: [u64; 2],
    /// Answers that clients read whole, and that were as they should be.
    pub(crate) answers: u64,
    /// Responses dropped before there was one, and before their end.
    pub(crate) cancelled: [u64; 2],
    /// Captures that were taken meanwhile.
    pub(crate) captures: u64,
}

/// A stream of chunks, or of a few and a panic.
struct Stream {
    chunks: u32,
    panics: Option<Arc<AtomicU64>>,
}

const CHUNK: &[u8] = &[b'x'; 8 << 10];

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.chunks.checked_sub(1) {
            Some(left) => {
                self.chunks = left;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(CHUNK)))))
            }
            None => {
                if let Some(panics) = &self.panics {
                    panics.fetch_add(1, Relaxed);
                    panic!("on purpose, in a body");
                }
                Poll::Ready(None)
            }
        }
    }
}

async fn handle(
    request: Request<RequestBody<Incoming>>,
    panics: Arc<AtomicU64>,
) -> Result<Response<Stream>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = |chunks, panics| Ok(Response::new(Stream { chunks, panics }));
    match path.as_str() {
        "/upload" => {
            // A client may hang up while it sends.
            let read = request.into_body().collect().await;
            body(u32::from(read.is_ok()), None)
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            body(1, None)
        }
        // One that its client leaves must not fit into the buffers between them, or it is whole before that.
        "/stream" if request.uri().query() == Some("endless") => body(u32::MAX, None),
        "/stream" => body(128, None),
        "/panic" => {
            tokio::task::yield_now().await;
            panics.fetch_add(1, Relaxed);
            panic!("on purpose, in a handler");
        }
        "/body-panic" => body(2, Some(panics)),
        _ => body(1, None),
    }
}

/// One client's request of the kind that its number has; whether the answer was whole.
async fn client(address: SocketAddr, number: u64) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let send = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n")
    };
    let (request, expect) = match number % 8 {
        0..=2 => (send("/ok", ""), Some(CHUNK.len())),
        3 => {
            let upload = send("/upload", "content-length: 10000\r\n").replace("GET", "POST");
            (upload + &"u".repeat(10_000), Some(CHUNK.len()))
        }
        4 => (send("/slow", ""), None),
        5 => (send("/panic", ""), None),
        6 => (send("/body-panic", ""), None),
        _ if number % 16 == 7 => (send("/stream?endless", ""), None),
        _ => (send("/stream", ""), Some(128 * CHUNK.len())),
    };
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    if number % 8 == 4 || number % 16 == 7 {
        // Goes away: before the response, or in the midst of it.
        tokio::time::sleep(Duration::from_millis(number % 5)).await;
        return false;
    }
    let mut answer = Vec::new();
    let mut buffer = vec![0; 32 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        answer.extend_from_slice(&buffer[..read]);
        if number % 32 == 15 {
            // Reads slowly.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    // The chunked encoding adds some, the head too.
    expect.is_some_and(|expect| answer.starts_with(b"HTTP/1.1 200") && answer.len() > expect)
}

/// Serves and sends until so many requests were sent or the time is up.
pub(crate) fn run(requests: u64, time: Duration) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let outcome = runtime.block_on(load(requests, time));
    // What still runs are connections of clients that went away, if any.
    runtime.shutdown_timeout(Duration::from_secs(10));
    outcome
}

async fn load(requests: u64, time: Duration) -> Outcome {
    const CLIENTS: u64 = 32;
    let metrics = Metrics::new();
    let (begun, panics) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let handler_panics = Arc::clone(&panics);
    let layer = ServiceLayer::new(&metrics).exact_paths([
        "/ok",
        "/upload",
        "/slow",
        "/stream",
        "/panic",
        "/body-panic",
    ]);
    let service = layer.layer(service_fn(move |request| {
        handle(request, Arc::clone(&handler_panics))
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let served = Arc::clone(&begun);
    let server = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let (service, begun) = (service.clone(), Arc::clone(&served));
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    begun.fetch_add(1, Relaxed);
                    // At once, not when the future is polled: it may be dropped before. This service is always ready.
                    service.clone().call(request)
                });
                let connection = hyper::server::conn::http1::Builder::new();
                let _ = connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let is_over = Arc::new(AtomicBool::new(false));
    let captures = tokio::spawn(capture(metrics.clone(), Arc::clone(&is_over)));

    let end = Instant::now() + time;
    let next = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let next = Arc::clone(&next);
            tokio::spawn(async move {
                let mut answers = 0;
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= requests || Instant::now() >= end {
                        return answers;
                    }
                    answers += u64::from(client(address, number).await);
                }
            })
        })
        .collect();
    let mut outcome = Outcome::default();
    for client in clients {
        outcome.answers += client.await.expect("clients do not panic");
    }
    is_over.store(true, Relaxed);
    outcome.captures = captures.await.expect("captures do not panic");
    // The server notices that clients went away when it next looks.
    for _ in 0..1_000 {
        if metrics.routes().iter().all(|route| route.in_flight == 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.abort();
    let routes = metrics.routes();
    let sum = |of: fn(&perfwright_service::RouteFigures) -> u64| routes.iter().map(of).sum::<u64>();
    Outcome {
        begun: begun.load(Relaxed),
        counted: sum(|route| route.count()),
        in_flight: sum(|route| route.in_flight),
        panics: [panics.load(Relaxed), sum(|route| route.panics)],
        cancelled: [
            sum(|route| route.fate("cancelled")),
            sum(|route| route.body_cancelled),
        ],
        ..outcome
    }
}

/// Takes one CPU profile after the other until it is over, at least one; how many.
async fn capture(metrics: Metrics, is_over: Arc<AtomicBool>) -> u64 {
    let routes = DebugRoutes::builder(Standalone::new())
        .metrics(&metrics)
        .unguarded();
    let mut captures = 0;
    loop {
        for path in [
            "/debug/pprof/profile?seconds=1",
            "/metrics",
            "/debug/perfwright/status",
        ] {
            let request = Request::get(path).body(String::new()).expect("a request");
            let Ok(response) = routes.clone().oneshot(request).await;
            captures += u64::from(response.status().is_success() && path.contains("profile"));
        }
        if is_over.load(Relaxed) {
            return captures;
        }
    }
}

#[allow(dead_code, reason = "a test includes this file for what is above")]
fn main() {
    let seconds = std::env::args()
        .nth(1)
        .map_or(60, |seconds| seconds.parse().expect("a number of seconds"));
    // A soak's panics are on purpose: thousands of messages would hide what it says.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = run(u64::MAX, Duration::from_secs(seconds));
    println!("{outcome:#?}");
    let is_right = outcome.begun == outcome.counted
        && outcome.in_flight == 0
        && outcome.panics[0] == outcome.panics[1]
        && outcome.answers + outcome.cancelled.iter().sum::<u64>() <= outcome.counted;
    assert!(is_right && outcome.captures > 0, "something was lost");
}
