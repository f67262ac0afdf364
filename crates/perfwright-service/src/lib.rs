//! An HTTP service's profiles and metrics, by route.
//!
//! Three parts, each of use alone:
//! - [`ServiceLayer`], a tower layer around any `http` service: it counts and times requests by route template, and
//!   labels what threads do with the route, so that CPU and heap samples tell routes apart;
//! - [`Metrics`], what was counted, beside the process, the heap and the tokio runtime, as text for Prometheus;
//! - [`DebugRoutes`], Go's `/debug/pprof/` (for `go tool pprof`, Pyroscope, Parca) and `/debug/perfwright/`, on a loopback
//!   listener of their own ([`DebugListener`]) or in your router behind a token.
#![deny(unsafe_code)]

mod clock;
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
