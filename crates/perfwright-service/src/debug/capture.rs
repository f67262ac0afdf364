//! Captures on behalf of clients: one at a time, off the threads that poll, ended when the client goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use perfwright_model::Profile;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Shared;
use crate::source::{CaptureError, CpuRequest, RunningCapture};

/// Profiles that are resolved and written at once; each may take some tens of megabytes for a moment.
const MAX_WORK: usize = 4;

/// Snapshots that are kept at once for their difference from a later one.
const MAX_DELTAS: usize = 4;

/// What runs, and what ran.
pub(super) struct Captures {
    cpu: Arc<Cpu>,
    work: Arc<Semaphore>,
    deltas: Arc<Semaphore>,
}

#[derive(Default)]
struct Cpu {
    is_running: AtomicBool,
    finished: AtomicU64,
    refused: AtomicU64,
    abandoned: AtomicU64,
}

impl Default for Captures {
    fn default() -> Self {
        Captures {
            cpu: Arc::default(),
            work: Arc::new(Semaphore::new(MAX_WORK)),
            deltas: Arc::new(Semaphore::new(MAX_DELTAS)),
        }
    }
}

impl Captures {
    pub(super) fn status(&self) -> serde_json::Value {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        serde_json::json!({
            "cpu_running": self.cpu.is_running.load(Ordering::Relaxed),
            "cpu_finished": count(&self.cpu.finished),
            "cpu_refused": count(&self.cpu.refused),
            "cpu_abandoned": count(&self.cpu.abandoned),
        })
    }

    /// Room to make a profile in, kept while it is made; `None` if there is none now.
    pub(super) fn try_work(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.work).try_acquire_owned().ok()
    }

    /// The same, waiting for it.
    pub(super) async fn work(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.work).acquire_owned().await.ok()
    }

    /// Room to keep a snapshot in while time passes; `None` if there is none now.
    pub(super) fn try_delta(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.deltas).try_acquire_owned().ok()
    }

    fn try_cpu(&self) -> Option<Turn> {
        if self.cpu.is_running.swap(true, Ordering::AcqRel) {
            self.cpu.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Turn(Arc::clone(&self.cpu)))
    }
}

/// The one turn that there is at a time.
struct Turn(Arc<Cpu>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.is_running.store(false, Ordering::Release);
    }
}

/// A capture that runs. Dropped before [`Running::finish`] it is abandoned.
struct Running {
    // Before the turn: the next capture must not begin until this one is gone.
    capture: Option<Box<dyn RunningCapture>>,
    turn: Option<Turn>,
}

impl Running {
    fn finish(mut self) -> Result<perfwright_cpu::Capture, CaptureError> {
        let Some(capture) = self.capture.take() else {
            return Err(CaptureError::Busy);
        };
        let finished = capture.finish();
        if let Some(turn) = &self.turn {
            turn.0.finished.fetch_add(1, Ordering::Relaxed);
        }
        finished
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(capture) = self.capture.take() else {
            return;
        };
        let turn = self.turn.take();
        if let Some(turn) = &turn {
            turn.0.abandoned.fetch_add(1, Ordering::Relaxed);
        }
        let abandon = move || {
            drop(capture);
            drop(turn);
        };
        // It may wait for a thread: not on one that polls.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(abandon)),
            Err(_) => abandon(),
        }
    }
}

/// Captures CPU samples for a time. Dropping the future abandons it.
pub(super) async fn cpu(
    shared: &Arc<Shared>,
    request: CpuRequest,
    length: Duration,
) -> Result<perfwright_cpu::Capture, CaptureError> {
    let Some(turn) = shared.captures.try_cpu() else {
        return Err(CaptureError::Busy);
    };
    let source = Arc::clone(&shared.source);
    let begin = move || {
        source.begin_cpu(request).map(|capture| Running {
            capture: Some(capture),
            turn: Some(turn),
        })
    };
    let running = blocking(begin).await??;
    tokio::time::sleep(length).await;
    blocking(move || running.finish()).await?
}

/// Runs work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CaptureError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| {
        CaptureError::Unavailable(
            "finish the work: it panicked or the runtime is shutting down".into(),
        )
    })
}

/// Gives a profile its names and writes it as gzipped pprof.
pub(super) fn encode(mut profile: Profile) -> Vec<u8> {
    resolve(&mut profile);
    let mut bytes = Vec::new();
    // Writing into memory does not fail.
    let _ = perfwright_format::pprof::write_gzip(&profile, &mut bytes);
    bytes
}

#[cfg(feature = "symbolize")]
pub(super) fn resolve(profile: &mut Profile) {
    use perfwright_symbolize::{Options, Symbolizer};
    // What stays unresolved has a name such as `libfoo.so!0x1234`, so nothing is lost without the report.
    let _report = Symbolizer::new(Options::default()).symbolize(profile);
}

#[cfg(not(feature = "symbolize"))]
pub(super) fn resolve(_: &mut Profile) {}
