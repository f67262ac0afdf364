//! The public noun: Perfwright as it runs in a program, while the value lives.

use std::path::Path;
use std::sync::Arc;

use perfwright_cpu::{Capture, Engine, Mode, Options, StartError};

#[cfg(all(feature = "heap", unix))]
use crate::memory::{Memory, MemoryOptions};
use crate::output::{self, WriteError};
use crate::recorder::Recorder;

/// Starts the always-on profiler with its defaults: CPU time at 99 Hz.
///
/// It never fails: where nothing can be sampled, that is said once on standard error and in
/// [`Perfwright::status`], and the program goes on.
pub fn start() -> Perfwright {
    Perfwright::builder().start_or_explain()
}

/// A profiler of this process. Dropping it ends sampling.
#[derive(Debug)]
#[must_use = "sampling ends when the profiler is dropped: write `let _profiler = perfwright::start();`"]
pub struct Perfwright {
    recorder: Arc<Recorder>,
    not_running: Option<String>,
}

/// How a profiler is to sample.
///
/// ```no_run
/// use perfwright::{Engine, Perfwright};
///
/// # fn main() -> Result<(), perfwright::StartError> {
/// let profiler = Perfwright::builder().frequency_hz(199).engine(Engine::Timer).start()?;
/// # drop(profiler);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start`"]
pub struct Builder {
    options: Options,
    #[cfg(all(feature = "heap", unix))]
    memory: MemoryOptions,
    controllable: bool,
}

/// Whether a profiler samples, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The engine that samples now; `None`: nothing does.
    pub engine: Option<Engine>,
    /// Whether a command such as `cargo perfwright profile` ordered the capture that runs now.
    pub commanded: bool,
    /// Why the always-on sampler did not start.
    pub problem: Option<String>,
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
            controllable: true,
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
            why: self
                .not_running
                .clone()
                .unwrap_or_else(|| "nothing is sampled now".to_owned()),
        })?;
        output::write_capture(capture, folder.as_ref())?;
        #[cfg(all(feature = "heap", unix))]
        if let Some(heap) = self.heap() {
            output::write_heap(heap, folder.as_ref())?;
        }
        Ok(())
    }

    /// Whether it samples.
    pub fn status(&self) -> Status {
        let (engine, commanded) = self.recorder.running();
        Status {
            engine,
            commanded,
            problem: self.not_running.clone(),
        }
    }
}

impl Drop for Perfwright {
    fn drop(&mut self) {
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

    /// Starts sampling.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way and what to do.
    pub fn start(self) -> Result<Perfwright, StartError> {
        let (recorder, started) = self.launch();
        started.map(|()| Perfwright {
            recorder,
            not_running: None,
        })
    }

    fn start_or_explain(self) -> Perfwright {
        let (recorder, started) = self.launch();
        let not_running = started.err().map(|error| error.to_string());
        if let Some(why) = &not_running {
            eprintln!("perfwright: failed to {why}; the program goes on without profiles");
        }
        Perfwright {
            recorder,
            not_running,
        }
    }

    fn launch(self) -> (Arc<Recorder>, Result<(), StartError>) {
        let recorder = Arc::new(Recorder::new(
            self.options,
            #[cfg(all(feature = "heap", unix))]
            Memory::new(self.memory),
        ));
        #[cfg(unix)]
        if self.controllable && crate::agent::attach(&recorder) {
            return (recorder, Ok(()));
        }
        let started = recorder.start_always_on();
        #[cfg(all(feature = "heap", unix))]
        if let Err(error) = recorder.memory.start_always_on() {
            eprintln!("perfwright: failed to {error}; the program goes on without heap profiles");
        }
        (recorder, started)
    }
}

fn always_on_options() -> Options {
    match cfg!(target_os = "linux") {
        true => Options::new().engine(Engine::Timer),
        false => Options::new(),
    }
}
