//! The one sampler of the process, and whose it is at the moment.
//!
//! ```text
//!            start_always_on           begin(order)
//!      Off ------------------> AlwaysOn ----------> Commanded
//!       |                          ^                 |  |
//!       |       begin(order)       | end / abandon   |  |
//!       +--------------------------+-----------------+  |
//!                                                       v
//!      any state ---- close (drop, or the process exits) ----> Closed
//! ```
//!
//! `Lent`, for a capture that a debug route asks for, is like `Commanded`, but writes nothing.
//!
//! Leaving `Commanded` by `end` or `close` writes what was captured to the order's file.

use std::fmt;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use perfwright_cpu::{Capture, Engine, Options, Sampler, StartError};

#[cfg(all(feature = "heap", unix))]
use crate::memory::Memory;
use crate::output::{WriteError, write_raw};

#[cfg(unix)]
use crate::control::{CaptureOrder, HeapOrder};
#[cfg(feature = "spans")]
use crate::spans::SpanWindow;

/// How long a process that exits waits for another thread that is just writing the profile.
const EXIT_WAIT: Duration = Duration::from_secs(5);

/// The sampler and its state; shared by the profiler, the control thread and the exit hook.
pub(crate) struct Recorder {
    always_on: Options,
    /// The heap beside the CPU; it keeps its own state.
    #[cfg(all(feature = "heap", unix))]
    pub(crate) memory: std::sync::Arc<Memory>,
    phase: Mutex<Phase>,
    /// Counts what makes earlier snapshots and later ones no two of one growing profile.
    epoch: AtomicU64,
}

/// The time from a moment on, in what the always-on sampler sees; it goes on undisturbed.
#[cfg(any(feature = "continuous", feature = "service"))]
#[derive(Debug)]
pub(crate) struct Window {
    epoch: u64,
    base: Capture,
}

/// Why nothing is lent.
#[cfg(feature = "service")]
#[derive(Debug)]
pub(crate) enum LendError {
    Busy,
    Closed,
    Start(StartError),
}

/// Why there is no capture of a time.
#[cfg(any(feature = "continuous", feature = "service"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowError {
    /// A command captures.
    Busy,
    /// Nothing is sampled.
    Off,
    /// The sampler began anew meanwhile, for a command's capture or for [`Recorder::take`].
    Disturbed,
}

#[cfg(any(feature = "continuous", feature = "service"))]
impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WindowError::Busy => "capture: a command's capture is running",
            WindowError::Off => "capture: nothing is sampled",
            WindowError::Disturbed => "capture: the sampler began anew meanwhile",
        })
    }
}

enum Phase {
    Off,
    AlwaysOn(Sampler),
    Commanded {
        sampler: Sampler,
        out: PathBuf,
        #[cfg(feature = "spans")]
        spans: Option<SpanWindow>,
    },
    /// Somebody in the process captures for a moment, as the always-on sampler does not.
    #[cfg(feature = "service")]
    Lent {
        sampler: Sampler,
        /// Whether the always-on sampler ran before.
        resume: bool,
    },
    Closed,
}

impl Recorder {
    /// A recorder that samples nothing yet.
    pub(crate) fn new(
        always_on: Options,
        #[cfg(all(feature = "heap", unix))] memory: std::sync::Arc<Memory>,
    ) -> Recorder {
        Recorder {
            always_on,
            #[cfg(all(feature = "heap", unix))]
            memory,
            phase: Mutex::new(Phase::Off),
            epoch: AtomicU64::new(0),
        }
    }

    /// Starts the always-on sampler.
    pub(crate) fn start_always_on(&self) -> Result<(), StartError> {
        let mut phase = self.lock();
        if let Phase::Off = *phase {
            *phase = Phase::AlwaysOn(Sampler::start(self.always_on.clone())?);
        }
        Ok(())
    }

    /// Starts a commanded capture in place of the always-on sampler, which resumes if that fails.
    #[cfg(unix)]
    pub(crate) fn begin(&self, options: Options, order: &CaptureOrder) -> Result<Engine, String> {
        let mut phase = self.lock();
        match *phase {
            Phase::Closed => {
                return Err("start a capture: the program has dropped its profiler".into());
            }
            Phase::Commanded { .. } => return Err("start a capture: one is already running".into()),
            #[cfg(feature = "service")]
            Phase::Lent { .. } => return Err("start a capture: one is already running".into()),
            Phase::Off | Phase::AlwaysOn(_) => {}
        }
        if let Some(heap) = &order.heap {
            self.begin_heap(heap)?;
        }
        // The sampler in it stops here: two at once are an error.
        *phase = Phase::Off;
        self.epoch.fetch_add(1, Ordering::Relaxed);
        match Sampler::start(options) {
            Ok(sampler) => {
                let engine = sampler.engine();
                *phase = Phase::Commanded {
                    sampler,
                    out: order.out.clone(),
                    #[cfg(feature = "spans")]
                    spans: order.spans.as_deref().map(SpanWindow::open),
                };
                Ok(engine)
            }
            Err(error) => {
                #[cfg(all(feature = "heap", unix))]
                self.memory.abandon();
                *phase = self.resumed();
                Err(error.to_string())
            }
        }
    }

    #[cfg(all(feature = "heap", unix))]
    fn begin_heap(&self, order: &HeapOrder) -> Result<(), String> {
        self.memory.begin(order)
    }

    #[cfg(all(not(feature = "heap"), unix))]
    fn begin_heap(&self, _: &HeapOrder) -> Result<(), String> {
        Err("sample the heap: the program's perfwright has no feature `heap`".into())
    }

    /// Ends the commanded capture and writes it.
    #[cfg(unix)]
    pub(crate) fn end(&self) -> Result<(), String> {
        let mut phase = self.lock();
        if !matches!(*phase, Phase::Commanded { .. }) {
            return Err("stop the capture: none is running".into());
        }
        let written = finish(mem::replace(&mut *phase, Phase::Off));
        #[cfg(all(feature = "heap", unix))]
        let written = written.and(self.memory.end());
        *phase = self.resumed();
        written.map_err(|error| error.to_string())
    }

    /// Drops a commanded capture whose command is gone.
    #[cfg(unix)]
    pub(crate) fn abandon(&self) {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Commanded { .. }) {
            *phase = Phase::Off;
            #[cfg(all(feature = "heap", unix))]
            self.memory.abandon();
            *phase = self.resumed();
        }
    }

    /// Ends sampling for good; a commanded capture is written.
    pub(crate) fn close(&self) {
        let mut phase = self.lock();
        // The command misses the file and says so; there is nobody else to tell.
        let _ = finish(mem::replace(&mut *phase, Phase::Closed));
        #[cfg(all(feature = "heap", unix))]
        let _ = self.memory.close();
    }

    /// [`Recorder::close`] for the exit hook: gives up rather than wait for a lock that its own thread
    /// may hold (a signal handler that called `exit`).
    #[cfg(unix)]
    pub(crate) fn close_at_exit(&self) {
        let begin = Instant::now();
        while begin.elapsed() < EXIT_WAIT {
            match self.phase.try_lock() {
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
                Err(TryLockError::Poisoned(_)) => return,
                Ok(mut phase) => {
                    let _ = finish(mem::replace(&mut *phase, Phase::Closed));
                    #[cfg(all(feature = "heap", unix))]
                    let _ = self.memory.close();
                    return;
                }
            }
        }
    }

    /// A snapshot of whichever sampler runs.
    pub(crate) fn snapshot(&self) -> Option<Capture> {
        match &*self.lock() {
            Phase::AlwaysOn(sampler) | Phase::Commanded { sampler, .. } => Some(sampler.snapshot()),
            #[cfg(feature = "service")]
            Phase::Lent { sampler, .. } => Some(sampler.snapshot()),
            Phase::Off | Phase::Closed => None,
        }
    }

    /// Opens a window on the always-on sampler.
    #[cfg(any(feature = "continuous", feature = "service"))]
    pub(crate) fn open_window(&self) -> Result<Window, WindowError> {
        match &*self.lock() {
            Phase::AlwaysOn(sampler) => Ok(Window {
                epoch: self.epoch.load(Ordering::Relaxed),
                base: sampler.snapshot(),
            }),
            Phase::Off | Phase::Closed => Err(WindowError::Off),
            _ => Err(WindowError::Busy),
        }
    }

    /// What was sampled since the window was opened.
    #[cfg(any(feature = "continuous", feature = "service"))]
    pub(crate) fn look(&self, window: &Window) -> Result<Capture, WindowError> {
        let phase = self.lock();
        let now = match &*phase {
            Phase::AlwaysOn(sampler) if self.epoch.load(Ordering::Relaxed) == window.epoch => {
                sampler.snapshot()
            }
            Phase::Off | Phase::Closed => return Err(WindowError::Off),
            _ => return Err(WindowError::Disturbed),
        };
        drop(phase);
        Ok(now.since(&window.base))
    }

    /// Starts a capture in place of the always-on sampler, for somebody in the process.
    #[cfg(feature = "service")]
    pub(crate) fn lend(&self, options: Options) -> Result<(), LendError> {
        let mut phase = self.lock();
        let resume = match *phase {
            Phase::Off => false,
            Phase::AlwaysOn(_) => true,
            Phase::Closed => return Err(LendError::Closed),
            Phase::Commanded { .. } | Phase::Lent { .. } => return Err(LendError::Busy),
        };
        *phase = Phase::Off;
        self.epoch.fetch_add(1, Ordering::Relaxed);
        match Sampler::start(options) {
            Ok(sampler) => {
                *phase = Phase::Lent { sampler, resume };
                Ok(())
            }
            Err(error) => {
                if resume {
                    *phase = self.resumed();
                }
                Err(LendError::Start(error))
            }
        }
    }

    /// Ends what [`Recorder::lend`] began; `None` if the recorder was closed meanwhile.
    #[cfg(feature = "service")]
    pub(crate) fn give_back(&self) -> Option<Capture> {
        let mut phase = self.lock();
        match mem::replace(&mut *phase, Phase::Off) {
            Phase::Lent { sampler, resume } => {
                let capture = sampler.stop();
                if resume {
                    *phase = self.resumed();
                }
                Some(capture)
            }
            other => {
                *phase = other;
                None
            }
        }
    }

    /// The always-on sampler's capture, which begins anew.
    pub(crate) fn take(&self) -> Option<Capture> {
        match &*self.lock() {
            Phase::AlwaysOn(sampler) => {
                self.epoch.fetch_add(1, Ordering::Relaxed);
                Some(sampler.take())
            }
            _ => None,
        }
    }

    /// The engine that runs, and whether a command ordered it.
    pub(crate) fn running(&self) -> (Option<Engine>, bool) {
        match &*self.lock() {
            Phase::AlwaysOn(sampler) => (Some(sampler.engine()), false),
            Phase::Commanded { sampler, .. } => (Some(sampler.engine()), true),
            #[cfg(feature = "service")]
            Phase::Lent { sampler, .. } => (Some(sampler.engine()), false),
            Phase::Off | Phase::Closed => (None, false),
        }
    }

    /// The always-on sampler, or `Off` where it does not start; it was told about at the first start.
    fn resumed(&self) -> Phase {
        Sampler::start(self.always_on.clone()).map_or(Phase::Off, Phase::AlwaysOn)
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        // A phase is replaced whole, so one left by a panic is still a phase.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finish(phase: Phase) -> Result<(), WriteError> {
    match phase {
        Phase::Commanded {
            sampler,
            out,
            #[cfg(feature = "spans")]
            spans,
        } => {
            let capture = sampler.stop();
            #[cfg(feature = "spans")]
            let written = spans.map_or(Ok(()), SpanWindow::write);
            #[cfg(not(feature = "spans"))]
            let written = Ok(());
            write_raw(&capture.profile, &out).and(written)
        }
        _ => Ok(()),
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("always_on", &self.always_on)
            .finish_non_exhaustive()
    }
}
