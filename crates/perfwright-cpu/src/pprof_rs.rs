//! The engine for Unix without engines of ours: the `pprof` crate, which interrupts by `setitimer`.
//!
//! It symbolizes by itself, knows no TIDs and no context words, allocates up to 100 MB and can't say what it
//! missed; the process's CPU clock says it for it.

use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use perfwright_model::{
    Frame, Function, LabelSetId, Location, LocationId, Period, Profile, SampleType, StackId, keys,
};
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder, Symbol};

use crate::audit::Audit;
use crate::error::StartError;
use crate::options::{Engine, Mode, Options};
use crate::sampler::{Capture, Running};

/// Process CPU time that no sample stands for.
const LOST: &str = "[kernel or lost]";

struct PprofSampler {
    options: Options,
    session: Mutex<Session>,
}

/// From one reset to the next.
struct Session {
    /// `None` once stopped.
    guard: Option<ProfilerGuard<'static>>,
    last: Option<Capture>,
    began: Instant,
    epoch: SystemTime,
    cpu_nanos: u64,
}

/// Starts the `pprof` crate's sampler.
pub(crate) fn start(options: &Options) -> Result<(Box<dyn Running>, Engine), StartError> {
    if options.mode == Mode::Wall {
        return Err(StartError::Unsupported {
            what: "wall mode with the pprof-rs engine".into(),
            help: "sample CPU time, or use the timer engine on Linux".into(),
        });
    }
    if is_foreign().map_err(|error| StartError::Os {
        action: "look at the SIGPROF handler",
        error,
    })? {
        return Err(StartError::ForeignHandler);
    }
    let session = Mutex::new(Session::open(options)?);
    Ok((
        Box::new(PprofSampler {
            options: options.clone(),
            session,
        }),
        Engine::PprofRs,
    ))
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn is_foreign() -> io::Result<bool> {
    crate::linux::is_foreign()
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn is_foreign() -> io::Result<bool> {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; the system fills `old` on success.
    let old = unsafe {
        if libc::sigaction(libc::SIGPROF, std::ptr::null(), old.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        old.assume_init().sa_sigaction
    };
    Ok(old != libc::SIG_DFL && old != libc::SIG_IGN)
}

impl Session {
    fn open(options: &Options) -> Result<Session, StartError> {
        // At most MAX_FREQUENCY_HZ, which fits.
        let builder = ProfilerGuardBuilder::default().frequency(options.frequency_hz as i32);
        // Unwinding from inside these deadlocks or crashes (the crate's own advice).
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let builder = builder.blocklist(&["libc", "libgcc", "pthread", "vdso"]);
        let guard = builder.build().map_err(|error| StartError::Os {
            action: "start the pprof crate's sampler",
            error: io::Error::other(error.to_string()),
        })?;
        Ok(Session {
            guard: Some(guard),
            last: None,
            began: Instant::now(),
            epoch: SystemTime::now(),
            cpu_nanos: process_cpu_nanos(),
        })
    }

    fn capture(&self, options: &Options) -> Capture {
        let cpu_nanos = process_cpu_nanos().saturating_sub(self.cpu_nanos);
        let mut builder = Builder::new(options);
        let report = self.guard.as_ref().map(|guard| guard.report().build());
        let mut notes = vec![
            "sampled by the pprof crate: setitimer follows the kernel's tick, and has no TIDs and no context labels"
                .to_string(),
        ];
        match report {
            Some(Ok(report)) => {
                report
                    .data
                    .iter()
                    .for_each(|(frames, &count)| builder.add(frames, count as u64));
            }
            Some(Err(error)) => notes.push(format!("the pprof crate failed to report: {error}")),
            None => {}
        }
        let audit = builder.finish(options, cpu_nanos, self, notes);
        Capture {
            profile: builder.profile,
            audit,
        }
    }
}

impl Running for PprofSampler {
    fn capture(&self, reset: bool) -> Capture {
        let mut session = self.lock();
        if let Some(last) = session.last.take() {
            return last;
        }
        let capture = session.capture(&self.options);
        if reset {
            // Only a new profiler starts empty.
            session.guard = None;
            if let Ok(fresh) = Session::open(&self.options) {
                *session = fresh;
            }
        }
        capture
    }

    fn stop(&self) {
        let mut session = self.lock();
        if session.guard.is_some() {
            session.last = Some(session.capture(&self.options));
            session.guard = None;
        }
    }
}

impl PprofSampler {
    fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Builder {
    profile: Profile,
    period_nanos: u64,
    delivered: u64,
    lost_nanos: u64,
}

impl Builder {
    fn new(options: &Options) -> Builder {
        let cpu = SampleType::new("cpu", "nanoseconds");
        let period_nanos = 1_000_000_000 / u64::from(options.frequency_hz);
        let mut profile = Profile::new([SampleType::new("samples", "count"), cpu.clone()]);
        profile.meta.default_sample_type = Some(1);
        profile.meta.period = Some(Period {
            sample_type: cpu,
            value: period_nanos as i64,
        });
        Builder {
            profile,
            period_nanos,
            delivered: 0,
            lost_nanos: 0,
        }
    }

    fn add(&mut self, frames: &Frames, count: u64) {
        let mut stack = StackId::ROOT;
        for symbols in frames
            .frames
            .iter()
            .rev()
            .filter(|symbols| !symbols.is_empty())
        {
            let location = self.location(symbols);
            stack = self.profile.push_stack(stack, location);
        }
        let labels = [self.profile.str_label(keys::THREAD, &frames.thread_name)];
        let labels = self.profile.intern_labels(&labels);
        self.delivered += count;
        self.record(stack, labels, count, count * self.period_nanos);
    }

    /// One address's symbols, innermost first, as pprof and the model both have them.
    fn location(&mut self, symbols: &[Symbol]) -> LocationId {
        let frames: Vec<Frame> = symbols
            .iter()
            .map(|symbol| {
                let function = Function {
                    name: self.profile.intern(&symbol.name()),
                    system_name: self.profile.intern(&symbol.sys_name()),
                    filename: self.profile.intern(&symbol.filename()),
                    start_line: None,
                };
                let function = self.profile.add_function(function);
                Frame {
                    function,
                    line: symbol.lineno.and_then(NonZeroU32::new),
                    column: None,
                }
            })
            .collect();
        self.profile.add_location(Location::default(), &frames)
    }

    fn record(&mut self, stack: StackId, labels: LabelSetId, count: u64, nanos: u64) {
        self.profile
            .record(stack, labels, &[count as i64, nanos as i64]);
    }

    /// Adds the lost time's leaf and the meta data.
    fn finish(
        &mut self,
        options: &Options,
        cpu_nanos: u64,
        session: &Session,
        notes: Vec<String>,
    ) -> Audit {
        let sampled_nanos = self.delivered * self.period_nanos;
        let lost = cpu_nanos.saturating_sub(sampled_nanos);
        if lost > self.period_nanos {
            self.lost_nanos = lost;
            let leaf = self.profile.frame_location(LOST);
            let stack = self.profile.push_stack(StackId::ROOT, leaf);
            self.record(stack, LabelSetId::EMPTY, 0, lost);
        }
        let duration_nanos = session.began.elapsed().as_nanos() as u64;
        let audit = Audit {
            engine: Engine::PprofRs,
            mode: options.mode,
            frequency_asked_hz: options.frequency_hz,
            frequency_effective_hz: self.delivered as f64 * 1e9 / cpu_nanos.max(1) as f64,
            expected: cpu_nanos / self.period_nanos,
            delivered: self.delivered,
            // Each stands for one period.
            delivered_effective: self.delivered,
            duration_nanos,
            cpu_nanos,
            sampled_nanos,
            lost_nanos: self.lost_nanos,
            tick_limited: true,
            notes,
            ..Audit::default()
        };
        let meta = &mut self.profile.meta;
        meta.time_nanos = session
            .epoch
            .duration_since(UNIX_EPOCH)
            .ok()
            .map(|time| time.as_nanos() as i64);
        meta.duration_nanos = Some(duration_nanos as i64);
        meta.comments = audit.to_comments();
        audit
    }
}

fn process_cpu_nanos() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the system writes one timespec where it says it succeeded.
    let time = unsafe {
        if libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, time.as_mut_ptr()) != 0 {
            return 0;
        }
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
