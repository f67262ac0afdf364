//! Captures over and over: kept in a bounded ring of files, so that the minute before an incident can be looked at
//! afterwards, and sent to a server.
//!
//! ```no_run
//! use perfwright::{Perfwright, continuous::Keep};
//!
//! # fn main() -> Result<(), perfwright::StartError> {
//! let _perfwright = Perfwright::builder()
//!     .keep(Keep::new("/var/lib/shop/profiles").max_bytes(1 << 30))
//!     .start()?;
//! # Ok(()) }
//! ```
//!
//! What the always-on samplers see anyway is written down: nothing more is sampled, and what a capture costs is
//! copying, naming and writing it, on a thread of its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use perfwright_continuous::*;
use perfwright_model::Profile;

use crate::environment::{NO_FEATURE, Setting};
use crate::output::{pprof_bytes, resolve};
use crate::recorder::{Recorder, WindowError};

/// How captures are kept and sent.
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is given to the builder"]
pub struct Keep {
    schedule: Schedule,
    folder: Option<(PathBuf, RingOptions)>,
    #[cfg(feature = "push")]
    push: Option<PushOptions>,
}

impl Keep {
    /// To keep captures of a minute each, one after the other, in this folder: at most 256 MiB and a week of them,
    /// unless it is said otherwise. Folders can be shared by processes.
    pub fn new(folder: impl Into<PathBuf>) -> Keep {
        Keep {
            folder: Some((folder.into(), RingOptions::new())),
            ..Keep::nothing()
        }
    }

    fn nothing() -> Keep {
        Keep {
            schedule: Schedule::new(MINUTE, MINUTE),
            folder: None,
            #[cfg(feature = "push")]
            push: None,
        }
    }

    /// To send captures of a minute each to a Pyroscope-compatible server.
    #[cfg(feature = "push")]
    pub fn pushing(options: PushOptions) -> Keep {
        Keep {
            push: Some(options),
            ..Keep::nothing()
        }
    }

    /// To send them too.
    #[cfg(feature = "push")]
    pub fn push(mut self, options: PushOptions) -> Keep {
        self.push = Some(options);
        self
    }

    /// A capture of this length every so often.
    pub fn schedule(mut self, every: Duration, length: Duration) -> Keep {
        self.schedule = Schedule::new(every, length.min(every));
        self
    }

    /// The most disk space that this process's captures take.
    pub fn max_bytes(mut self, bytes: u64) -> Keep {
        if let Some((_, options)) = &mut self.folder {
            *options = options.clone().max_bytes(bytes);
        }
        self
    }

    /// Older captures are removed.
    pub fn max_age(mut self, age: Duration) -> Keep {
        if let Some((_, options)) = &mut self.folder {
            *options = options.clone().max_age(age);
        }
        self
    }

    /// Does what the environment says.
    pub(crate) fn apply(
        keep: Option<Keep>,
        setting: Setting,
    ) -> Result<Option<Keep>, &'static str> {
        let mut kept = keep.clone().unwrap_or_else(Keep::nothing);
        let Schedule { every, length, .. } = kept.schedule;
        // Without a folder or a server there is nothing that these settings are about.
        let about_kept = |kept: Keep| keep.is_some().then_some(kept);
        Ok(match setting {
            Setting::Keep(folder) => {
                let options = kept.folder.map(|(_, options)| options);
                kept.folder = Some((folder.into(), options.unwrap_or_default()));
                Some(kept)
            }
            Setting::KeepBytes(bytes) => about_kept(kept.max_bytes(bytes)),
            Setting::KeepAge(age) => about_kept(kept.max_age(age)),
            Setting::Every(every) => about_kept(kept.schedule(every, length)),
            Setting::Length(length) => about_kept(kept.schedule(every, length)),
            #[cfg(feature = "push")]
            Setting::Push(url) => {
                kept.push = Some(PushOptions::new(url, program_name()));
                Some(kept)
            }
            #[cfg(feature = "push")]
            Setting::PushName(name) => about_kept(kept.with_push(|push| push.app = name)),
            #[cfg(feature = "push")]
            Setting::PushToken(token) => {
                about_kept(kept.with_push(|push| *push = push.clone().bearer(token)))
            }
            _ => return Err(NO_FEATURE),
        })
    }

    #[cfg(feature = "push")]
    fn with_push(mut self, change: impl FnOnce(&mut PushOptions)) -> Keep {
        if let Some(push) = &mut self.push {
            change(push);
        }
        self
    }

    pub(crate) fn start(self, recorder: &Arc<Recorder>) -> Result<Kept, String> {
        let mut builder = Continuous::builder(self.schedule);
        let mut ring = None;
        if let Some((folder, options)) = self.folder {
            let opened = Ring::open(folder, options).map_err(|error| error.to_string())?;
            builder = builder.sink(opened.clone());
            ring = Some(opened);
        }
        #[cfg(feature = "push")]
        let mut push = None;
        #[cfg(feature = "push")]
        if let Some(options) = self.push {
            let started = Push::start(options).map_err(|error| error.to_string())?;
            builder = builder.sink(started.clone());
            push = Some(started);
        }
        let stop = Stop::new();
        let (waiting, recorder) = (stop.clone(), Arc::clone(recorder));
        let continuous = builder
            .stop_with(stop)
            .start(move |length| capture(&recorder, &waiting, length))
            .map_err(|error| format!("start the thread that keeps captures: {error}"))?;
        Ok(Kept {
            continuous,
            ring,
            #[cfg(feature = "push")]
            push,
        })
    }
}

/// What a server calls this program unless it is told.
#[cfg(feature = "push")]
fn program_name() -> String {
    let exe = std::env::current_exe().ok();
    let stem = exe.as_deref().and_then(std::path::Path::file_stem);
    stem.map_or_else(
        || "program".into(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

const MINUTE: Duration = Duration::from_secs(60);

/// Captures that are kept and sent, as they go on.
pub struct Kept {
    continuous: Continuous,
    ring: Option<Ring>,
    #[cfg(feature = "push")]
    push: Option<Push>,
}

impl Kept {
    /// What was captured, and what was not.
    #[must_use]
    pub fn audit(&self) -> ContinuousAudit {
        self.continuous.audit()
    }

    /// The captures on disk.
    #[must_use]
    pub fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// What was sent.
    #[cfg(feature = "push")]
    #[must_use]
    pub fn push_audit(&self) -> Option<PushAudit> {
        self.push.as_ref().map(Push::audit)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("continuous", &self.continuous)
            .finish_non_exhaustive()
    }
}

/// What the samplers see in this time.
fn capture(recorder: &Recorder, stop: &Stop, length: Duration) -> Result<Vec<Part>, String> {
    let window = recorder.open_window().map_err(words)?;
    #[cfg(all(feature = "heap", unix))]
    let heap = recorder.memory.sampler().map(|sampler| {
        let base = sampler.snapshot();
        (sampler, base)
    });
    #[cfg(feature = "spans")]
    let spans = crate::spans::installed().map(|spans| {
        let base = spans.snapshot().profile();
        (spans, base)
    });
    stop.wait(length);

    let cpu = recorder.look(&window).map_err(words)?;
    if cpu.audit.over_memory > 0 {
        // The always-on profile is full: it begins anew, so that the next captures have their stacks.
        drop(recorder.take());
    }
    let mut parts = vec![part("cpu.pb.gz", cpu.profile)?];
    #[cfg(all(feature = "heap", unix))]
    if let Some((sampler, base)) = heap {
        let heap = crate::memory::during(&base, &sampler.snapshot());
        parts.push(part("heap.pb.gz", heap)?);
    }
    #[cfg(feature = "spans")]
    if let Some((spans, base)) = spans
        && let Ok(since) = spans.snapshot().profile().since(&base)
    {
        parts.push(part("spans.pb.gz", since)?);
    }
    Ok(parts)
}

fn part(kind: &str, mut profile: Profile) -> Result<Part, String> {
    resolve(&mut profile);
    let bytes = pprof_bytes(&profile).map_err(|error| format!("write {kind}: {error}"))?;
    Ok(Part::new(kind, bytes))
}

fn words(error: WindowError) -> String {
    error.to_string()
}
