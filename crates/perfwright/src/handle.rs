//! The public noun: Perfwright as it runs in a program, while the value lives.

use std::fmt;
#[cfg(feature = "service")]
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use perfwright_cpu::{Capture, Engine, Mode, Options};

#[cfg(feature = "continuous")]
use crate::continuous::{Keep, Kept};
use crate::environment::{self, Setting};
use crate::error::StartError;
#[cfg(all(feature = "heap", unix))]
use crate::memory::{Memory, MemoryOptions};
use crate::output::{self, WriteError};
use crate::recorder::Recorder;
#[cfg(feature = "service")]
use crate::service::Service;

/// Starts the always-on profilers with their defaults: CPU time at 99 Hz, the heap every 512 KiB if its allocator is
/// [`SampledAlloc`](crate::heap::SampledAlloc).
///
/// It never fails: where nothing can be sampled, that is said once on standard error and in
/// [`Perfwright::status`], and the program goes on.
pub fn start() -> Perfwright {
    Perfwright::builder().start_or_explain()
}

/// Perfwright in this process. Dropping it ends sampling, and whatever else it runs.
#[derive(Debug)]
#[must_use = "sampling ends when the value is dropped: write `let _perfwright = perfwright::start();`"]
pub struct Perfwright {
    // Fields are dropped in this order: who asks the recorder goes before it.
    #[cfg(feature = "service")]
    service: Service,
    #[cfg(feature = "continuous")]
    kept: Option<Kept>,
    recorder: Arc<Recorder>,
    problems: Vec<String>,
}

/// What is to run, and how.
///
/// ```no_run
/// use perfwright::{Engine, Perfwright};
///
/// # fn main() -> Result<(), perfwright::StartError> {
/// let perfwright = Perfwright::builder().frequency_hz(199).engine(Engine::Timer).start()?;
/// # drop(perfwright);
/// # Ok(()) }
/// ```
///
/// # From the environment
/// An operator changes settings without a new build; what the environment says goes before what the program says. A
/// variable that is not understood is told on standard error and ignored.
///
/// | variable | example | sets |
/// |---|---|---|
/// | `PERFWRIGHT` | `off` | nothing is started |
/// | `PERFWRIGHT_FREQUENCY_HZ` | `199` | [`Builder::frequency_hz`] |
/// | `PERFWRIGHT_HEAP_RATE` | `64k`, `off` | bytes between two samples of the heap |
/// | `PERFWRIGHT_LISTEN` | `127.0.0.1:6060` | the debug listener (feature `service`) |
/// | `PERFWRIGHT_KEEP` | `/var/lib/shop/profiles` | a folder that captures are kept in (feature `continuous`) |
/// | `PERFWRIGHT_KEEP_BYTES`, `PERFWRIGHT_KEEP_AGE` | `1g`, `7d` | the bounds of that folder |
/// | `PERFWRIGHT_EVERY`, `PERFWRIGHT_LENGTH` | `60s`, `10s` | how often a capture is kept or sent, and how long it is |
/// | `PERFWRIGHT_PUSH` | `http://pyroscope:4040` | where captures are sent (feature `push`) |
/// | `PERFWRIGHT_PUSH_NAME`, `PERFWRIGHT_PUSH_TOKEN` | `shop`, a bearer token | under which name, with what token |
#[derive(Clone)]
#[must_use = "a builder does nothing until `start`"]
pub struct Builder {
    options: Options,
    #[cfg(all(feature = "heap", unix))]
    memory: MemoryOptions,
    #[cfg(feature = "spans")]
    spans: Option<crate::spans::Options>,
    #[cfg(feature = "continuous")]
    keep: (Option<Keep>, By),
    #[cfg(feature = "service")]
    listen: Option<(SocketAddr, By)>,
    is_off: bool,
    controllable: bool,
    reads_environment: bool,
}

/// Who wants something. What the program asks for and does not get is its error; the operator's wish is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Program,
    #[cfg_attr(
        not(any(feature = "continuous", feature = "service")),
        expect(dead_code, reason = "there is nothing that can fail")
    )]
    Operator,
}

/// What runs, and what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The engine that samples now; `None`: nothing does.
    pub engine: Option<Engine>,
    /// Whether a command such as `cargo perfwright profile` ordered the capture that runs now.
    pub commanded: bool,
    /// What did not start, and why.
    pub problems: Vec<String>,
}

impl Perfwright {
    /// Settings to change before the start.
    pub fn builder() -> Builder {
        Builder {
            options: always_on_options(),
            #[cfg(all(feature = "heap", unix))]
            memory: MemoryOptions {
                heap: Some(perfwright_heap::Options::new()),
                dump: None,
            },
            #[cfg(feature = "spans")]
            spans: None,
            #[cfg(feature = "continuous")]
            keep: (None, By::Program),
            #[cfg(feature = "service")]
            listen: None,
            is_off: false,
            controllable: true,
            reads_environment: true,
        }
    }

    /// What was sampled since the start or the last [`Perfwright::take_cpu`]; sampling goes on. `None`
    /// while nothing is sampled. The profile holds addresses; [`Perfwright::write`] resolves them.
    pub fn cpu(&self) -> Option<Capture> {
        self.recorder.snapshot()
    }

    /// Like [`Perfwright::cpu`], and begins anew, for one profile per minute or hour. `None` also while a
    /// command's capture runs: its samples are the command's.
    pub fn take_cpu(&self) -> Option<Capture> {
        self.recorder.take()
    }

    /// What was allocated since the start, and what of that is in use: `None` unless the global allocator is
    /// [`SampledAlloc`](crate::heap::SampledAlloc). The profile holds addresses; [`Perfwright::write`] resolves them.
    #[cfg(all(feature = "heap", unix))]
    pub fn heap(&self) -> Option<perfwright_heap::Capture> {
        Some(self.recorder.memory.sampler()?.snapshot())
    }

    /// What was in use when most was.
    #[cfg(all(feature = "heap", unix))]
    pub fn heap_peak(&self) -> Option<perfwright_heap::Capture> {
        self.recorder.memory.sampler()?.peak()
    }

    /// Places in the program whose allocations look like leaks, the worst first.
    #[cfg(all(feature = "heap", unix))]
    pub fn heap_suspects(&self) -> Option<perfwright_heap::Suspects> {
        Some(self.recorder.memory.sampler()?.suspects())
    }

    /// The process's memory since the start, read once a second and kept in bounded space; empty while the heap
    /// is not sampled.
    #[cfg(all(feature = "heap", unix))]
    pub fn memory(&self) -> Vec<perfwright_heap::Point> {
        self.recorder.memory.points()
    }

    /// Writes a snapshot into `folder`, which is made if absent: `cpu.pb.gz` (pprof), `cpu.folded`, and
    /// `cpu.svg` with the feature `flamegraph`; if the heap is sampled `heap.pb.gz` and so on too. Each file
    /// appears complete or not at all.
    ///
    /// Resolving names takes CPU time and memory for a moment; do it off the request path.
    ///
    /// # Errors
    /// [`WriteError::NotRunning`] while nothing is sampled, else the file that could not be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<(), WriteError> {
        let capture = self.cpu().ok_or_else(|| WriteError::NotRunning {
            why: match self.problems.first() {
                Some(problem) => problem.clone(),
                None => "nothing is sampled now".to_owned(),
            },
        })?;
        output::write_capture(capture, folder.as_ref())?;
        #[cfg(all(feature = "heap", unix))]
        if let Some(heap) = self.heap() {
            output::write_heap(heap, folder.as_ref())?;
        }
        Ok(())
    }

    /// Captures that are kept and sent, as [`Builder::keep`] ordered.
    #[cfg(feature = "continuous")]
    pub fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// The tower layer that counts and times the requests of a service by route, and labels samples with the route.
    #[cfg(feature = "service")]
    pub fn service_layer(&self) -> perfwright_service::ServiceLayer {
        perfwright_service::ServiceLayer::new(self.metrics())
    }

    /// What requests, the process, the heap and the runtime came to, as `/metrics` tells it.
    #[cfg(feature = "service")]
    pub fn metrics(&self) -> &perfwright_service::Metrics {
        self.service.metrics()
    }

    /// The routes under `/debug` and `/metrics`, to be mounted in a router of the program's own.
    #[cfg(feature = "service")]
    pub fn debug_routes(&self) -> perfwright_service::DebugRoutesBuilder {
        self.service.routes()
    }

    /// Where [`Builder::listen`] listens; of port 0 the one that it got.
    #[cfg(feature = "service")]
    pub fn debug_address(&self) -> Option<SocketAddr> {
        self.service.address()
    }

    /// What runs.
    pub fn status(&self) -> Status {
        let (engine, commanded) = self.recorder.running();
        Status {
            engine,
            commanded,
            problems: self.problems.clone(),
        }
    }
}

impl Drop for Perfwright {
    fn drop(&mut self) {
        // The last capture that is kept has to see the sampler.
        #[cfg(feature = "continuous")]
        drop(self.kept.take());
        self.recorder.close();
    }
}

impl Builder {
    /// Samples per second of CPU time and thread; 99 by default.
    pub fn frequency_hz(mut self, frequency_hz: u32) -> Builder {
        self.options = self.options.frequency_hz(frequency_hz);
        self
    }

    /// What interrupts threads for a sample. By default [`Engine::Timer`] on Linux, whose cost is fit
    /// for always-on use; a short capture is more exact with [`Engine::Auto`].
    pub fn engine(mut self, engine: Engine) -> Builder {
        self.options = self.options.engine(engine);
        self
    }

    /// CPU time, or wall time with waiting included.
    pub fn mode(mut self, mode: Mode) -> Builder {
        self.options = self.options.mode(mode);
        self
    }

    /// All of the sampler's options at once.
    pub fn options(mut self, options: Options) -> Builder {
        self.options = options;
        self
    }

    /// How to sample the heap; every 512 KiB on average by default. It is sampled if the program's global
    /// allocator is [`SampledAlloc`](crate::heap::SampledAlloc).
    #[cfg(all(feature = "heap", unix))]
    pub fn heap(mut self, options: perfwright_heap::Options) -> Builder {
        self.memory.heap = Some(options);
        self
    }

    /// Not to sample the heap.
    #[cfg(all(feature = "heap", unix))]
    pub fn without_heap(mut self) -> Builder {
        self.memory.heap = None;
        self
    }

    /// Writes a heap profile into a folder of its own in `folder` when memory passes a threshold, and says so on
    /// standard error: what an operator wants to find after the process was killed.
    #[cfg(all(feature = "heap", unix))]
    pub fn dump_heap(
        mut self,
        when: perfwright_heap::WatchOptions,
        folder: impl Into<std::path::PathBuf>,
    ) -> Builder {
        self.memory.dump = Some((when, folder.into()));
        self
    }

    /// Whether `cargo perfwright profile` may take captures of this program when it started it; yes by
    /// default. It can only with the environment variable that it sets.
    pub fn controllable(mut self, controllable: bool) -> Builder {
        self.controllable = controllable;
        self
    }

    /// Follows the program's `tracing` spans: makes a subscriber with the span layer the process's default one. A
    /// program with a subscriber of its own adds [`SpanLayer`](crate::spans::SpanLayer) to that instead.
    #[cfg(feature = "spans")]
    pub fn spans(mut self, options: crate::spans::Options) -> Builder {
        self.spans = Some(options);
        self
    }

    /// Keeps captures in a folder, or sends them, over and over.
    #[cfg(feature = "continuous")]
    pub fn keep(mut self, keep: Keep) -> Builder {
        self.keep = (Some(keep), By::Program);
        self
    }

    /// Serves `/debug/pprof`, `/debug/perfwright` and `/metrics` at this loopback address, such as `127.0.0.1:6060`,
    /// from a thread of its own.
    #[cfg(feature = "service")]
    pub fn listen(mut self, address: SocketAddr) -> Builder {
        self.listen = Some((address, By::Program));
        self
    }

    /// Whether the `PERFWRIGHT_*` variables count; yes by default.
    pub fn reads_environment(mut self, reads: bool) -> Builder {
        self.reads_environment = reads;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way and what to do. Nothing runs then.
    pub fn start(self) -> Result<Perfwright, StartError> {
        let (perfwright, failed) = self.launch();
        match failed {
            Some(error) => Err(error),
            None => Ok(perfwright),
        }
    }

    /// Starts what can be had, and never fails: what can't be is said once on standard error and in
    /// [`Perfwright::status`], and the program goes on.
    pub fn start_or_explain(self) -> Perfwright {
        let (mut perfwright, failed) = self.launch();
        if let Some(error) = failed {
            perfwright.problem(error.to_string());
        }
        perfwright
    }

    /// What runs, and the first thing that the program asked for and did not get.
    fn launch(mut self) -> (Perfwright, Option<StartError>) {
        let mut problems = Vec::new();
        if self.reads_environment {
            let (settings, mistakes) = environment::read(|name| std::env::var(name).ok());
            problems = mistakes;
            let undone = |(name, setting)| {
                let problem = self.apply(setting).err()?;
                Some(format!("do what {name} says: {problem}"))
            };
            problems.extend(settings.into_iter().filter_map(undone));
        }
        let recorder = Arc::new(Recorder::new(
            self.options,
            #[cfg(all(feature = "heap", unix))]
            Memory::new(self.memory),
        ));
        let mut perfwright = Perfwright {
            #[cfg(feature = "service")]
            service: Service::new(&recorder),
            #[cfg(feature = "continuous")]
            kept: None,
            recorder,
            problems: Vec::new(),
        };
        for problem in problems {
            perfwright.problem(problem);
        }
        if self.is_off {
            let problem = "start: the environment says PERFWRIGHT=off";
            perfwright.problems.push(problem.into());
            return (perfwright, None);
        }
        let mut failed = None;
        #[cfg(feature = "spans")]
        if let Some(options) = self.spans {
            let installed = crate::spans::install(options).map_err(StartError::Spans);
            perfwright.note(installed, By::Program, &mut failed);
        }
        #[cfg(unix)]
        let commanded = self.controllable && crate::agent::attach(&perfwright.recorder);
        #[cfg(not(unix))]
        let commanded = false;
        if !commanded {
            let started = perfwright.recorder.start_always_on();
            perfwright.note(started.map_err(StartError::Cpu), By::Program, &mut failed);
            #[cfg(all(feature = "heap", unix))]
            if let Err(error) = perfwright.recorder.memory.start_always_on() {
                perfwright.problem(error);
            }
        }
        #[cfg(feature = "continuous")]
        if let (Some(keep), by) = self.keep {
            let kept = keep.start(&perfwright.recorder);
            let kept = kept.map(|kept| perfwright.kept = Some(kept));
            perfwright.note(kept.map_err(StartError::Keep), by, &mut failed);
        }
        #[cfg(feature = "service")]
        if let Some((address, by)) = self.listen {
            let listening = perfwright.service.listen(address);
            perfwright.note(listening.map_err(StartError::Listen), by, &mut failed);
        }
        (perfwright, failed)
    }

    fn apply(&mut self, setting: Setting) -> Result<(), &'static str> {
        match setting {
            Setting::Switch(on) => self.is_off = !on,
            Setting::FrequencyHz(hz) => self.options = self.options.clone().frequency_hz(hz),
            #[cfg(all(feature = "heap", unix))]
            Setting::HeapRate(rate) => {
                self.memory.heap = rate.map(|rate| {
                    let options = self.memory.heap.clone();
                    let options = options.unwrap_or_default();
                    options.rate_bytes(rate)
                });
            }
            #[cfg(feature = "service")]
            Setting::Listen(address) => self.listen = Some((address, By::Operator)),
            #[cfg(feature = "continuous")]
            setting => {
                self.keep.1 = By::Operator;
                self.keep.0 = Keep::apply(self.keep.0.take(), setting)?;
            }
            #[cfg(not(feature = "continuous"))]
            _ => return Err(environment::NO_FEATURE),
        }
        Ok(())
    }
}

impl Perfwright {
    fn note(&mut self, result: Result<(), StartError>, by: By, failed: &mut Option<StartError>) {
        let Err(error) = result else { return };
        match by {
            By::Program if failed.is_none() => *failed = Some(error),
            By::Program | By::Operator => self.problem(error.to_string()),
        }
    }

    /// Tells the operator once; [`Perfwright::status`] tells it again.
    fn problem(&mut self, problem: String) {
        eprintln!("perfwright: failed to {problem}; the program goes on without");
        self.problems.push(problem);
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn always_on_options() -> Options {
    match cfg!(target_os = "linux") {
        true => Options::new().engine(Engine::Timer),
        false => Options::new(),
    }
}
