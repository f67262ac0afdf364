//! HTTP services: the tower layer, metrics, and the routes under `/debug`.
//!
//! ```no_run
//! use perfwright::Perfwright;
//!
//! # async fn run(router: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
//! let perfwright = Perfwright::builder().listen("127.0.0.1:6060".parse()?).start()?;
//! let router = router.layer(perfwright.service_layer());
//! # Ok(()) }
//! ```
//!
//! `go tool pprof http://127.0.0.1:6060/debug/pprof/profile` reads a profile of it, Prometheus scrapes `/metrics`, and
//! samples have the label `route`.

use std::net::SocketAddr;
use std::sync::Arc;

use perfwright_cpu::{Capture, Mode, Options};
pub use perfwright_service::*;
use serde_json::{Value, json};

use crate::recorder::{LendError, Recorder, Window, WindowError};

/// What the process serves, beside what it does for itself.
#[derive(Debug)]
pub(crate) struct Service {
    metrics: Metrics,
    recorder: Arc<Recorder>,
    listener: Option<DebugListener>,
}

impl Service {
    pub(crate) fn new(recorder: &Arc<Recorder>) -> Service {
        Service {
            metrics: Metrics::new(),
            recorder: Arc::clone(recorder),
            listener: None,
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn routes(&self) -> DebugRoutesBuilder {
        DebugRoutes::builder(AlwaysOn(Arc::clone(&self.recorder))).metrics(&self.metrics)
    }

    pub(crate) fn listen(&mut self, address: SocketAddr) -> Result<(), String> {
        let listener = DebugListener::bind(address, self.routes());
        self.listener = Some(listener.map_err(|error| error.to_string())?);
        Ok(())
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(DebugListener::local_addr)
    }
}

/// The always-on samplers as a source of captures: they go on undisturbed while a window of them is looked at. What
/// they do not do, such as another frequency, is a capture of its own in their place.
struct AlwaysOn(Arc<Recorder>);

impl Source for AlwaysOn {
    fn begin_cpu(&self, request: CpuRequest) -> Result<Box<dyn RunningCapture>, CaptureError> {
        let recorder = Arc::clone(&self.0);
        if request.frequency_hz.is_none() && request.mode == Mode::Cpu {
            match recorder.open_window() {
                Ok(window) => return Ok(Box::new(Looking { recorder, window })),
                // Nothing is sampled all the time: then for this once.
                Err(WindowError::Off) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut options = Options::new().mode(request.mode);
        if let Some(hz) = request.frequency_hz {
            options = options.frequency_hz(hz);
        }
        recorder.lend(options)?;
        Ok(Box::new(Loan {
            recorder: Some(recorder),
        }))
    }

    fn heap(&self) -> Option<perfwright_heap::Capture> {
        Some(self.0.memory.sampler()?.snapshot())
    }

    fn status(&self) -> Value {
        let (engine, commanded) = self.0.running();
        let cpu = self.0.snapshot();
        let heap = self.heap();
        json!({
            "cpu": {
                "engine": engine.map(|engine| engine.to_string()),
                "commanded": commanded,
                "audit": cpu.map(|capture| audit_json(capture.audit.to_comments())),
            },
            "heap": {
                "sampled": heap.is_some(),
                "audit": heap.map(|capture| audit_json(capture.audit.to_comments())),
            },
        })
    }
}

/// A window of the always-on sampler.
struct Looking {
    recorder: Arc<Recorder>,
    window: Window,
}

impl RunningCapture for Looking {
    fn finish(self: Box<Self>) -> Result<Capture, CaptureError> {
        Ok(self.recorder.look(&self.window)?)
    }
}

/// The sampler, for a capture of its own; it is given back in any case.
struct Loan {
    /// `None` once it was given back.
    recorder: Option<Arc<Recorder>>,
}

impl RunningCapture for Loan {
    fn finish(mut self: Box<Self>) -> Result<Capture, CaptureError> {
        let closed = || CaptureError::Unavailable("finish the capture: the program ends".into());
        let recorder = self.recorder.take();
        recorder
            .and_then(|recorder| recorder.give_back())
            .ok_or_else(closed)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // A client that went away.
        drop(self.recorder.take().map(|recorder| recorder.give_back()));
    }
}

impl From<WindowError> for CaptureError {
    fn from(error: WindowError) -> CaptureError {
        match error {
            WindowError::Busy => CaptureError::Busy,
            error => CaptureError::Unavailable(error.to_string()),
        }
    }
}

impl From<LendError> for CaptureError {
    fn from(error: LendError) -> CaptureError {
        match error {
            LendError::Busy => CaptureError::Busy,
            LendError::Closed => {
                CaptureError::Unavailable("begin a capture: the program ends".into())
            }
            LendError::Start(error) => error.into(),
        }
    }
}
