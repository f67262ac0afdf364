//! Where captures come from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perfwright_cpu::{Engine, Mode, Options, Sampler, StartError};
use serde_json::{Value, json};

/// What gives the routes their captures: [`Standalone`], or a profiler of your own that runs all the time.
pub trait Source: Send + Sync + 'static {
    /// Begins a CPU capture of this process. Dropping what it returns abandons it. It may block for some
    /// milliseconds; it is not called on a thread that polls.
    ///
    /// # Errors
    /// [`CaptureError::Busy`] while another capture runs, [`CaptureError::Unavailable`] if there can be none.
    fn begin_cpu(&self, request: CpuRequest) -> Result<Box<dyn RunningCapture>, CaptureError>;

    /// What was allocated since sampling began, and what of it is in use; `None` if the heap is not sampled. It may
    /// block for some milliseconds.
    fn heap(&self) -> Option<perfwright_heap::Capture>;

    /// What there is to say about the profilers, for `/debug/perfwright/status`: engines, audits, problems. It may
    /// block for some milliseconds.
    fn status(&self) -> Value;
}

/// A CPU capture that runs.
pub trait RunningCapture: Send {
    /// Ends it.
    ///
    /// # Errors
    /// [`CaptureError`] if there is nothing to return, for example because the profiler was stopped meanwhile.
    fn finish(self: Box<Self>) -> Result<perfwright_cpu::Capture, CaptureError>;
}

/// Which CPU capture is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct CpuRequest {
    /// Samples per second of CPU time and thread; `None`: what the source finds best. A source that samples all the
    /// time may keep its own.
    pub frequency_hz: Option<u32>,
    /// CPU time, or wall time with waiting included.
    pub mode: Mode,
}

impl CpuRequest {
    /// CPU time, at what the source finds best.
    pub fn new() -> CpuRequest {
        CpuRequest::default()
    }

    /// Sets [`CpuRequest::frequency_hz`](#structfield.frequency_hz).
    #[must_use]
    pub fn frequency_hz(mut self, frequency_hz: u32) -> CpuRequest {
        self.frequency_hz = Some(frequency_hz);
        self
    }

    /// Sets [`CpuRequest::mode`](#structfield.mode).
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> CpuRequest {
        self.mode = mode;
        self
    }
}

/// Why there is no capture. Fits "failed to {error}".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// Another capture runs.
    #[error("begin a capture: another one is running")]
    Busy,
    /// There can be none.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StartError> for CaptureError {
    fn from(error: StartError) -> CaptureError {
        match error {
            StartError::AlreadyRunning => CaptureError::Busy,
            error => CaptureError::Unavailable(error.to_string()),
        }
    }
}

/// The profilers themselves: a CPU sampler that runs during a capture only, and a heap sampler from the start.
#[derive(Debug)]
pub struct Standalone {
    heap: Option<perfwright_heap::Sampler>,
    heap_problem: Option<String>,
    engine: Engine,
    latest: Arc<Mutex<Latest>>,
}

/// What the latest CPU capture said about itself.
#[derive(Debug, Default)]
struct Latest {
    audit: Option<perfwright_cpu::Audit>,
    problem: Option<String>,
}

impl Default for Standalone {
    fn default() -> Self {
        Self::new()
    }
}

impl Standalone {
    /// Samples the heap from now on, if [`SampledAlloc`](perfwright_heap::SampledAlloc) is the global allocator.
    /// What is in the way otherwise is in the status.
    pub fn new() -> Standalone {
        let heap = perfwright_heap::Sampler::start(perfwright_heap::Options::new());
        let problem = heap.as_ref().err().map(ToString::to_string);
        Standalone {
            heap: heap.ok(),
            heap_problem: problem,
            ..Standalone::without_heap()
        }
    }

    /// Leaves the heap to somebody else.
    pub fn without_heap() -> Standalone {
        Standalone {
            heap: None,
            heap_problem: None,
            engine: Engine::Auto,
            latest: Arc::default(),
        }
    }

    /// What interrupts threads for a CPU sample; by default [`Engine::Auto`].
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Standalone {
        self.engine = engine;
        self
    }
}

impl Source for Standalone {
    fn begin_cpu(&self, request: CpuRequest) -> Result<Box<dyn RunningCapture>, CaptureError> {
        let frequency_hz = request.frequency_hz.unwrap_or(FREQUENCY_HZ);
        let mut options = Options::new().engine(self.engine);
        options = options.mode(request.mode).frequency_hz(frequency_hz);
        if request.mode == Mode::Wall {
            options = options.engine(Engine::Auto);
        }
        let sampler = Sampler::start(options).map_err(CaptureError::from);
        if let Err(error) = &sampler {
            lock(&self.latest).problem = Some(error.to_string());
        }
        Ok(Box::new(Running {
            sampler: sampler?,
            latest: Arc::clone(&self.latest),
        }))
    }

    fn heap(&self) -> Option<perfwright_heap::Capture> {
        Some(self.heap.as_ref()?.snapshot())
    }

    fn status(&self) -> Value {
        let (cpu_audit, problem) = {
            let latest = lock(&self.latest);
            (latest.audit.clone(), latest.problem.clone())
        };
        let heap_audit = self.heap().map(|capture| capture.audit);
        json!({
            "cpu": {
                "always_on": false,
                "problem": problem,
                "audit": cpu_audit.map(|audit| audit_json(audit.to_comments())),
            },
            "heap": {
                "sampled": self.heap.is_some(),
                "problem": self.heap_problem,
                "audit": heap_audit.map(|audit| audit_json(audit.to_comments())),
            },
        })
    }
}

/// What Go samples at.
const FREQUENCY_HZ: u32 = 100;

struct Running {
    sampler: Sampler,
    latest: Arc<Mutex<Latest>>,
}

impl RunningCapture for Running {
    fn finish(self: Box<Self>) -> Result<perfwright_cpu::Capture, CaptureError> {
        let capture = self.sampler.stop();
        *lock(&self.latest) = Latest {
            audit: Some(capture.audit.clone()),
            problem: None,
        };
        Ok(capture)
    }
}

/// An audit's comment lines (`perfwright audit: key=value`) as an object: numbers and truth values as such, all
/// notes in a list.
pub fn audit_json(comments: impl IntoIterator<Item = String>) -> Value {
    let mut object = serde_json::Map::new();
    let mut notes = Vec::new();
    for line in comments {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let key = key.rsplit(' ').next().unwrap_or(key);
        if key == "note" {
            notes.push(Value::from(value));
            continue;
        }
        // Only what JSON reads as a number or truth value is one: not `nan`.
        let plain = serde_json::from_str(value).ok();
        let plain = plain.filter(|plain: &Value| plain.is_number() || plain.is_boolean());
        object.insert(key.to_owned(), plain.unwrap_or_else(|| value.into()));
    }
    object.insert("notes".into(), notes.into());
    Value::Object(object)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it holds is replaced whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_is_an_object() {
        let mut audit = perfwright_cpu::Audit::default();
        audit.frequency_asked_hz = 99;
        audit.tick_limited = true;
        audit.notes = vec!["a=b".into()];
        let json = audit_json(audit.to_comments());
        assert_eq!(json["frequency_asked_hz"], 99);
        assert_eq!(json["tick_limited"], true);
        assert_eq!(json["mode"], "cpu");
        assert_eq!(json["notes"], json!(["a=b"]));
    }
}
