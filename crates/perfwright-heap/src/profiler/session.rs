//! One run of the profiler: its thread, its view of the process, its questions to the accounts.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use perfwright_model::{Period, SampleType};
use perfwright_record::loader_generation;
use perfwright_stack::Image;

use super::hook;
use super::places;
use super::render::{Copy, Renderer, types};
use super::stacks::{self, Publisher};
use crate::audit::Audit;
use crate::error::StartError;
use crate::options::{MIN_MEMORY_BYTES, Options};
use crate::sampler::{Capture, Suspect, Suspects};
use crate::{thread, totals};

/// There is one global allocator, so there is one sampler.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// How often the profiler's thread looks whether libraries came or went.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// So many stacks that lay in memory unknown to the code map, between two looks, make it worth a new one.
const PROBED_STACKS: u64 = 16;

/// In a forked child no sampler runs.
pub(crate) fn forget_running() {
    RUNNING.store(false, Ordering::Release);
}

pub(crate) struct Session {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// A forked child inherits the value, but not the running profiler.
    pid: u32,
}

struct Shared {
    options: Options,
    max_memory_bytes: usize,
    started: Instant,
    started_at: SystemTime,
    state: Mutex<State>,
    wake: Condvar,
    view: Mutex<View>,
    own_cpu_nanos: AtomicU64,
}

struct State {
    stop: bool,
    rate: u64,
    rate_min: u64,
    rate_max: u64,
    paused: bool,
    seed: u64,
}

/// What is known of the process's code.
struct View {
    image: Image,
    publisher: Publisher,
    generation: u64,
    probed: u64,
}

impl Session {
    pub(crate) fn start(options: Options) -> Result<Session, StartError> {
        if !totals::is_installed() {
            return Err(StartError::NotInstalled);
        }
        if RUNNING.swap(true, Ordering::AcqRel) {
            return Err(StartError::AlreadyRunning);
        }
        let started = thread::inside(|| Self::start_alone(options));
        if started.is_err() {
            RUNNING.store(false, Ordering::Release);
        }
        started
    }

    fn start_alone(options: Options) -> Result<Session, StartError> {
        let os = |action| move |error| StartError::Os { action, error };
        let generation = loader_generation();
        let image = Image::load().map_err(os("read the process's mappings"))?;
        let mut publisher = Publisher::default();
        publisher.publish(image.code_map());
        stacks::find_shims();
        let max_memory_bytes = options.max_memory_bytes.max(MIN_MEMORY_BYTES);
        if !hook::open(max_memory_bytes) {
            return Err(os("reserve memory for the profiler's tables")(
                io::Error::last_os_error(),
            ));
        }
        let seed = options.seed.unwrap_or_else(any_seed);
        let rate = options.rate_bytes;
        let shared = Arc::new(Shared {
            options,
            max_memory_bytes,
            started: Instant::now(),
            started_at: SystemTime::now(),
            state: Mutex::new(State {
                stop: false,
                rate,
                rate_min: rate,
                rate_max: rate,
                paused: false,
                seed,
            }),
            wake: Condvar::new(),
            view: Mutex::new(View {
                image,
                publisher,
                generation,
                probed: 0,
            }),
            own_cpu_nanos: AtomicU64::new(0),
        });
        let its = Arc::clone(&shared);
        let spawned = std::thread::Builder::new()
            .name("perfwright-heap".into())
            .spawn(move || thread::inside(|| its.run()));
        let thread = match spawned {
            Ok(thread) => thread,
            Err(error) => {
                hook::close();
                return Err(os("start the profiler's thread")(error));
            }
        };
        thread::configure(rate, seed);
        Ok(Session {
            shared,
            thread: Some(thread),
            pid: std::process::id(),
        })
    }

    fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    pub(crate) fn snapshot(&self) -> Capture {
        let copy = self.copy();
        thread::inside(|| {
            let types = [types("alloc"), types("inuse")].concat();
            self.render(copy.as_ref(), types, |renderer, copy| {
                for (row, site) in copy.sites.iter().enumerate() {
                    renderer.add(site, row == 0, &[site.allocated, site.in_use]);
                }
            })
        })
    }

    pub(crate) fn peak(&self) -> Option<Capture> {
        let copy = self.copy()?;
        if copy.peak.number == 0 {
            return None;
        }
        thread::inside(|| {
            let types = types("inuse").to_vec();
            Some(self.render(Some(&copy), types, |renderer, copy| {
                for (row, site) in copy.sites.iter().enumerate() {
                    renderer.add(site, row == 0, &[site.at_peak(copy.peak.number)]);
                }
            }))
        })
    }

    pub(crate) fn suspects(&self) -> Suspects {
        let copy = self.copy();
        thread::inside(|| {
            let mut suspects = Vec::new();
            let capture = self.render(copy.as_ref(), types("inuse").to_vec(), |renderer, copy| {
                let now = self.shared.started.elapsed();
                for place in places::growing(copy) {
                    let (growth, in_use) = (place.growth, place.in_use);
                    renderer.add(&copy.sites[place.row], false, &[in_use]);
                    suspects.push(Suspect {
                        live_bytes: in_use.bytes(),
                        live_objects: in_use.objects(),
                        growth_bytes_per_second: growth.per_second / 256.0,
                        growth_error: growth.per_second_error / 256.0,
                        p_value: growth.p_value,
                        oldest_age: now.saturating_sub(Duration::from_nanos(growth.oldest_nanos)),
                        survived_share: growth.survived,
                    });
                }
            });
            Suspects {
                profile: capture.profile,
                suspects,
            }
        })
    }

    pub(crate) fn mark(&self) {
        if self.is_ours() {
            self.shared.mark();
        }
    }

    pub(crate) fn set_rate(&self, rate: u64) {
        self.reconfigure(|state| {
            state.rate = rate;
            state.rate_min = state.rate_min.min(rate);
            state.rate_max = state.rate_max.max(rate);
        });
    }

    pub(crate) fn pause(&self) {
        self.reconfigure(|state| state.paused = true);
    }

    pub(crate) fn resume(&self) {
        self.reconfigure(|state| state.paused = false);
    }

    fn reconfigure(&self, change: impl FnOnce(&mut State)) {
        if !self.is_ours() {
            return;
        }
        let mut state = lock(&self.shared.state);
        change(&mut state);
        let rate = if state.paused { 0 } else { state.rate };
        // With the state locked, so that the last change is the one that holds.
        thread::configure(rate, state.seed);
    }

    /// In the child of a fork there is nothing to copy.
    fn copy(&self) -> Option<Copy> {
        if !self.is_ours() {
            return None;
        }
        thread::inside(Copy::take)
    }

    fn render(
        &self,
        copy: Option<&Copy>,
        types: Vec<SampleType>,
        fill: impl FnOnce(&mut Renderer<'_>, &Copy),
    ) -> Capture {
        let Some(copy) = copy else {
            return forked(types);
        };
        let shared = &self.shared;
        let mut view = lock(&shared.view);
        view.refresh_if_loaded();
        let mut renderer = Renderer::new(types, &view.image);
        fill(&mut renderer, copy);
        let Renderer {
            mut profile,
            errors,
            ..
        } = renderer;
        drop(view);
        let audit = shared.audit(copy);
        profile.meta.period = Some(Period {
            sample_type: SampleType::new("space", "bytes"),
            value: i64::try_from(audit.rate_bytes).unwrap_or(i64::MAX),
        });
        profile.meta.time_nanos = i64::try_from(audit.started_nanos).ok();
        profile.meta.duration_nanos = i64::try_from(audit.duration_nanos).ok();
        profile.meta.comments = audit.to_comments();
        Capture {
            profile,
            errors,
            audit,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if !self.is_ours() {
            // There is no such thread in a forked child to wait for or to detach.
            std::mem::forget(thread);
            return;
        }
        thread::inside(|| {
            thread::configure(0, 0);
            lock(&self.shared.state).stop = true;
            self.shared.wake.notify_all();
            if let Some(thread) = thread {
                // It has panicked if this fails, which is no reason to panic here.
                let _ = thread.join();
            }
            hook::close();
        });
        RUNNING.store(false, Ordering::Release);
    }
}

impl Shared {
    /// The profiler's thread.
    fn run(&self) {
        block_signals();
        let interval = match self.options.epoch {
            Duration::ZERO => LOOK_INTERVAL,
            epoch => epoch,
        };
        let mut looked = Instant::now();
        let mut state = lock(&self.state);
        let mut next = Instant::now() + interval;
        while !state.stop {
            let left = next.saturating_duration_since(Instant::now());
            if left > Duration::ZERO {
                state = self
                    .wake
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            }
            drop(state);
            // After a long stop of the process there is one epoch, not many short ones.
            next = Instant::now() + interval;
            if !self.options.epoch.is_zero() {
                self.mark();
            }
            if looked.elapsed() >= LOOK_INTERVAL {
                looked = Instant::now();
                self.look();
            }
            self.own_cpu_nanos
                .store(thread_cpu_nanos(), Ordering::Relaxed);
            state = lock(&self.state);
        }
    }

    fn mark(&self) {
        let nanos = nanos(self.started.elapsed());
        if let Some(open) = hook::books().session_mut() {
            open.clock.tick(nanos);
        }
    }

    /// Makes a new code map if there is new code, or many new stacks.
    fn look(&self) {
        let probed = hook::books()
            .session()
            .map_or(0, |open| open.counters.probed);
        let mut view = lock(&self.view);
        if probed >= view.probed + PROBED_STACKS {
            view.probed = probed;
            view.refresh();
        } else {
            view.refresh_if_loaded();
        }
    }

    fn audit(&self, copy: &Copy) -> Audit {
        let state = lock(&self.state);
        let started = self.started_at.duration_since(SystemTime::UNIX_EPOCH);
        let counters = copy.counters;
        Audit {
            rate_bytes: state.rate,
            rate_bytes_min: state.rate_min,
            rate_bytes_max: state.rate_max,
            paused: state.paused,
            started_nanos: nanos(started.unwrap_or_default()),
            duration_nanos: nanos(self.started.elapsed()),
            samples: counters.samples,
            live_samples: counters.live_samples,
            // The first takes what found no room.
            sites: copy.sites.len() as u64 - 1,
            untracked: counters.untracked,
            over_memory: counters.other,
            truncated: counters.truncated,
            rootless: counters.rootless,
            unknown_stack: counters.unknown_stack,
            false_hits: hook::false_hits(),
            memory_bytes: copy.memory_bytes as u64,
            memory_bytes_max: self.max_memory_bytes as u64,
            own_cpu_nanos: self.own_cpu_nanos.load(Ordering::Relaxed),
            notes: Vec::new(),
        }
    }
}

impl View {
    fn refresh_if_loaded(&mut self) {
        let generation = loader_generation();
        if generation != self.generation {
            self.generation = generation;
            self.refresh();
        }
    }

    fn refresh(&mut self) {
        // What can't be read now is read at the next look; until then the old map serves.
        if self.image.refresh().unwrap_or(false) {
            self.publisher.publish(self.image.code_map());
        }
    }
}

fn forked(types: Vec<SampleType>) -> Capture {
    let audit = Audit {
        notes: vec!["the process was forked: the profiler runs in the parent only".into()],
        ..Audit::default()
    };
    let mut profile = perfwright_model::Profile::new(types);
    profile.meta.comments = audit.to_comments();
    Capture {
        profile,
        errors: Vec::new(),
        audit,
    }
}

/// What a panic left behind is still right: nothing here panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    nanos(now.unwrap_or_default()) ^ u64::from(std::process::id()) << 32
}

/// The program's signals are for its own threads.
fn block_signals() {
    // SAFETY: fills a set, and blocks it in this thread.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

fn thread_cpu_nanos() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the time.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
