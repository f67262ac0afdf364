//! An HTTP service's profiles and metrics, by route.
//!
//! Three parts, each of use alone:
//! - [`ServiceLayer`], a tower layer around any `http` service (axum, hyper, tonic): it counts and times requests by
//!   route template, and labels what threads do with the route, so that CPU and heap samples tell routes apart;
//! - [`Metrics`], what was counted, beside the process, the heap, the tokio runtime and gauges of your own, as text for
//!   Prometheus;
//! - [`DebugRoutes`], Go's `/debug/pprof/` (for `go tool pprof`, Pyroscope, Parca), `/debug/perfwright/` and
//!   `/metrics`, on a loopback listener of their own ([`DebugListener`]) or in your router behind a token.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use perfwright_service::{DebugListener, DebugRoutes, Metrics, ServiceLayer, Standalone};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = Metrics::new();
//! metrics.gauge("db_pool_idle_connections", "Connections that wait in the pool.", &[("pool", "main")], || 3.0)?;
//!
//! // After routing, so that the layer knows the route. With axum turn on the feature `axum`.
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(|| async { "hello" }))
//!     .layer(ServiceLayer::new(&metrics));
//!
//! // `go tool pprof http://localhost:6060/debug/pprof/profile?seconds=5`, and Prometheus at `/metrics`.
//! let routes = DebugRoutes::builder(Standalone::new()).metrics(&metrics);
//! let _debug = DebugListener::bind("127.0.0.1:6060", routes)?;
//!
//! axum::serve(tokio::net::TcpListener::bind("0.0.0.0:8080").await?, app).await?;
//! # Ok(()) }
//! ```
//!
//! In the application's own router instead, the routes take a token or an explicit word:
//! ```
//! # use axum::Router;
//! # use perfwright_service::{DebugRoutes, Standalone};
//! let routes = DebugRoutes::builder(Standalone::without_heap()).bearer_token("from a secret");
//! let app: Router = Router::new().nest_service("/debug", routes);
//! ```
//!
//! # The five key figures
//! | figure | metric |
//! |---|---|
//! | latency percentiles | `http_server_first_byte_seconds`, `http_server_request_duration_seconds` (to the end of the body) |
//! | throughput | `http_server_requests_total` |
//! | error rate | the same with `status=~"5xx\|error\|panic"`; of gRPC `http_server_grpc_responses_total` |
//! | resource use | `process_cpu_seconds_total`, `process_resident_memory_bytes`, `heap_live_bytes`, `tokio_worker_busy_seconds_total` |
//! | concurrency | `http_server_requests_in_flight` |
//!
//! # What it costs
//! A request takes some 0.4 microseconds in axum, a third of it axum's own for any layer (the repository's bench
//! `service`): atomics in shards, three readings of the processor's counter, no lock and no text. A scrape or a profile
//! costs nothing until it is asked for. Memory is bounded by [`MetricsOptions::max_routes`]; one CPU capture runs at a
//! time.
//!
//! # What it will not do
//! Use a raw path as a label. Catch panics. Retry, limit or change requests. Listen beyond loopback, or serve profiles
//! in your router, unless told how that is guarded.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `symbolize` | yes | names instead of addresses in profiles |
//! | `axum` | no | routes from axum's `MatchedPath` |
//! | `flamegraph` | no | `/debug/perfwright/flamegraph.svg` |
//! | `spans` | no | a `tracing` span for each request, and what `perfwright-tracing` recorded |
#![forbid(unsafe_code)]

mod debug;
mod layer;
mod listener;
mod metrics;
mod source;

pub use debug::{DebugBody, DebugRoutes, DebugRoutesBuilder};
pub use layer::{
    Measured, RequestBody, RequestHead, ResponseBody, ResponseFuture, Route, ServiceLayer,
};
pub use listener::{DebugListener, ListenError};
pub use metrics::{Exposition, Metrics, MetricsOptions, RegisterError, RouteFigures};
pub use source::{CaptureError, CpuRequest, RunningCapture, Source, Standalone, audit_json};
