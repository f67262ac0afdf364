//! The public noun: start, look, stop.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use perfwright_model::{Importer, Profile};

use crate::audit::Audit;
use crate::error::StartError;
use crate::options::{Engine, MAX_FREQUENCY_HZ, Options};

/// There is one SIGPROF, so there is one sampler.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// What was sampled, and what the sampler says about it.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Sample types `samples`/`count` and `cpu`/`nanoseconds` (wall mode: `wall`/`nanoseconds`), the second
    /// the default. Locations have an AVMA and a mapping, no frames: the interrupted instruction for the
    /// leaf, the return address minus one for callers. Pseudo leaves in square brackets have a frame only.
    pub profile: Profile,
    /// The same facts that stand in the profile's comments.
    pub audit: Audit,
}

impl Capture {
    /// What was sampled between `earlier`, a snapshot of the same sampler, and this one.
    #[must_use]
    pub fn since(&self, earlier: &Capture) -> Capture {
        let audit = self.audit.since(&earlier.audit);
        let profile = self.profile.since(&earlier.profile);
        // One sampler's captures always have the same sample types.
        let difference =
            profile.unwrap_or_else(|_| Profile::new(self.profile.sample_types().to_vec()));
        let mut profile = without_negative(&difference);
        profile.meta = difference.meta;
        profile.meta.comments = audit.to_comments();
        Capture { profile, audit }
    }
}

/// Time that no sample stood for may have got one by the later capture; then it counts where that one is.
fn without_negative(profile: &Profile) -> Profile {
    let mut kept = Profile::new(profile.sample_types().to_vec());
    let mut importer = Importer::new(profile);
    for sample in profile.samples() {
        if sample.values.iter().all(|&value| value >= 0) {
            let stack = importer.stack(&mut kept, sample.stack);
            let labels = importer.labels(&mut kept, sample.labels);
            kept.push_sample(stack, labels, sample.values);
        }
    }
    kept
}

/// A running sampler. Use it from any thread; dropping it stops it.
#[must_use = "sampling stops when the sampler is dropped"]
pub struct Sampler {
    running: Box<dyn Running>,
    engine: Engine,
    /// A forked child inherits the value, but not the running sampler.
    pid: u32,
}

/// What an engine does once it runs.
pub(crate) trait Running: Send + Sync {
    /// What was sampled since the start or the last reset.
    fn capture(&self, reset: bool) -> Capture;
    /// Ends sampling; the second time it does nothing. What was sampled can still be captured.
    fn stop(&self);
}

impl Sampler {
    /// Starts sampling all threads of this process.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way and what to do. Nothing is left installed then.
    pub fn start(options: Options) -> Result<Sampler, StartError> {
        check(&options)?;
        if RUNNING.swap(true, Ordering::AcqRel) {
            return Err(StartError::AlreadyRunning);
        }
        let started = start_engine(&options);
        if started.is_err() {
            RUNNING.store(false, Ordering::Release);
        }
        let (running, engine) = started?;
        Ok(Sampler {
            running,
            engine,
            pid: std::process::id(),
        })
    }

    /// What was sampled since the start or the last [`Sampler::take`]. Sampling goes on.
    pub fn snapshot(&self) -> Capture {
        self.running.capture(false)
    }

    /// Like [`Sampler::snapshot`], and starts afresh: the next capture begins here.
    pub fn take(&self) -> Capture {
        self.running.capture(true)
    }

    /// Stops, and returns what was sampled since the start or the last [`Sampler::take`].
    pub fn stop(self) -> Capture {
        self.running.stop();
        self.running.capture(true)
    }

    /// The engine that runs; never [`Engine::Auto`].
    pub fn engine(&self) -> Engine {
        self.engine
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.running.stop();
        if self.pid == std::process::id() {
            RUNNING.store(false, Ordering::Release);
        }
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

fn check(options: &Options) -> Result<(), StartError> {
    match options.frequency_hz {
        0 => Err(StartError::FrequencyZero),
        asked if asked > MAX_FREQUENCY_HZ => Err(StartError::FrequencyTooHigh {
            asked,
            max: MAX_FREQUENCY_HZ,
        }),
        _ => Ok(()),
    }
}

/// In a forked child no sampler runs, whatever the parent had. Async-signal-safe.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) fn allow_start() {
    RUNNING.store(false, Ordering::Release);
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn start_engine(options: &Options) -> Result<(Box<dyn Running>, Engine), StartError> {
    match options.engine {
        #[cfg(feature = "pprof-engine")]
        Engine::PprofRs => crate::pprof_rs::start(options),
        #[cfg(not(feature = "pprof-engine"))]
        Engine::PprofRs => Err(StartError::Unsupported {
            what: "the pprof-rs engine".into(),
            help: "build perfwright-cpu with the feature pprof-engine, or use the perf or timer engine".into(),
        }),
        _ => crate::linux::start(options),
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn start_engine(options: &Options) -> Result<(Box<dyn Running>, Engine), StartError> {
    #[cfg(any(
        all(feature = "pprof-engine", target_os = "linux"),
        all(unix, not(target_os = "linux"))
    ))]
    if matches!(options.engine, Engine::Auto | Engine::PprofRs) {
        return crate::pprof_rs::start(options);
    }
    Err(StartError::Unsupported {
        what: format!("the engine {} on this platform", options.engine),
        help: "CPU sampling needs Unix; perf and timer need Linux on x86-64 or aarch64".into(),
    })
}
