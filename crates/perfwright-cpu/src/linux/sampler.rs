//! The running sampler: the collector's thread, and who may ask it for what.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, ptr};

use perfwright_model::Profile;
use perfwright_stack::Image;

use super::books::{self, Books};
use super::collector::Collector;
use super::engine::perf::{self, PerfEvent};
use super::handler::{self, Setup, WAKE};
use super::loader;
use super::slots;
use super::sys::{gettid, next_random, own_cpu_nanos, random_seed};
use crate::audit::Audit;
use crate::error::StartError;
use crate::options::{Engine, Mode, Options};
use crate::sampler::{Capture, Running};

/// A stack copied for a repair: what lies between an interrupted libc function and its caller is far less.
const REPAIR_BYTES: usize = 32 << 10;
/// A stack copied whole, for programs without frame pointers.
const WHOLE_BYTES: usize = 64 << 10;
/// CPU time that the probe for perf signals may take.
const PROBE_NANOS: u64 = 20_000_000;
/// How long stopping waits for handlers to leave: far above what a preempted one needs.
const QUIET_WAIT: Duration = Duration::from_secs(1);

/// Counts forks of this process; a sampler that was started before a fork is off in the child.
static FORKS: AtomicU64 = AtomicU64::new(0);

struct Shared {
    books: Mutex<(Collector, Books)>,
    stopping: AtomicBool,
    /// What was captured at the stop.
    last: Mutex<Option<Capture>>,
}

/// The running sampler.
struct NativeSampler {
    /// Not dropped in a forked child: there the lock may be held, and the tables be half changed, for ever.
    shared: ManuallyDrop<Arc<Shared>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    forks: u64,
}

/// Starts the collector and waits until sampling has begun.
pub(crate) fn start(options: &Options) -> Result<(Box<dyn Running>, Engine), StartError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let options = bounded(options);
    let thread = spawn(move || run(options, sender))?;
    match receiver.recv() {
        Ok(Ok((shared, engine))) => {
            let forks = FORKS.load(Ordering::Acquire);
            let shared = ManuallyDrop::new(shared);
            Ok((
                Box::new(NativeSampler {
                    shared,
                    thread: Mutex::new(Some(thread)),
                    forks,
                }),
                engine,
            ))
        }
        Ok(Err(error)) => {
            let _ = thread.join();
            Err(error)
        }
        Err(_) => {
            let _ = thread.join();
            let error = io::Error::other("the collector thread ended");
            Err(StartError::Os {
                action: "start the collector thread",
                error,
            })
        }
    }
}

fn bounded(options: &Options) -> Options {
    let mut options = options.clone();
    options.max_stack_depth = options.max_stack_depth.clamp(1, 2_048);
    options.max_threads = options.max_threads.clamp(1, slots::MAX_SLOTS);
    options
}

/// Starts the collector's thread with all signals blocked: they are the program's.
fn spawn(body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    // SAFETY: fills and uses two local signal sets; the caller's mask is put back.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let thread = thread::Builder::new()
            .name("perfwright-cpu".into())
            .spawn(body);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        thread.map_err(|error| StartError::Os {
            action: "start the collector thread",
            error,
        })
    }
}

/// The collector's thread, from start to stop.
fn run(options: Options, started: SyncSender<Result<(Arc<Shared>, Engine), StartError>>) {
    let collector = match set_up(options) {
        Ok(collector) => collector,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let engine = collector.engine;
    let shared = begin(collector);
    let pace = Pace::new(&lock(&shared.books).0.options);
    if started.send(Ok((Arc::clone(&shared), engine))).is_ok() {
        collect(&shared, pace);
    }
    shut_down(&shared);
}

/// Everything that can fail, up to the installed handler and the chosen engine.
fn set_up(options: Options) -> Result<Collector, StartError> {
    let os = |action| move |error| StartError::Os { action, error };
    watch_forks();
    slots::prepare().map_err(os("reserve memory"))?;
    let image = Image::load().map_err(os("read /proc/self/maps"))?;
    let framed = image.has_frame_pointers() != Some(false);
    let setup = Setup {
        max_frames: options.max_stack_depth,
        max_copy_bytes: if framed { REPAIR_BYTES } else { WHOLE_BYTES },
        context_offset: loader::context_offset(),
    };
    if !handler::install(&setup).map_err(os("install a signal handler"))? {
        return Err(StartError::ForeignHandler);
    }
    let chosen = choose_engine(&options).inspect_err(|_| handler::uninstall());
    let (engine, note) = chosen?;
    let mut collector = Collector::new(options, engine, image, gettid());
    collector.notes.extend(note);
    if setup.context_offset == handler::NO_CONTEXT {
        collector.notes.push(
            "no context labels: perfwright is linked into a shared library, whose thread-local storage a \
             signal handler must not touch"
                .into(),
        );
    }
    Ok(collector)
}

/// The engine that will run, and why it is not the first choice.
fn choose_engine(options: &Options) -> Result<(Engine, Option<String>), StartError> {
    if options.mode == Mode::Wall {
        // The collector sends the signals; no thread needs a source of its own.
        return Ok((Engine::Timer, None));
    }
    match options.engine {
        Engine::Timer => Ok((Engine::Timer, None)),
        Engine::Perf => probe_perf().map(|()| (Engine::Perf, None)),
        _ => Ok(match probe_perf() {
            Ok(()) => (Engine::Perf, None),
            Err(StartError::PerfUnavailable { why, help }) => (
                Engine::Timer,
                Some(format!("perf events are not available ({why}); {help}")),
            ),
            Err(error) => (Engine::Timer, Some(error.to_string())),
        }),
    }
}

/// Proves that a perf event of this thread delivers a signal.
fn probe_perf() -> Result<(), StartError> {
    const PERIOD_NANOS: u64 = 100_000;
    let slot = slots::get(0).ok_or_else(perf::silent)?;
    let tid = gettid();
    slot.assign(tid, PERIOD_NANOS, 1)
        .map_err(|error| perf::unavailable(&error))?;
    set_blocked(false);
    let result =
        PerfEvent::start(slot, 0, tid, PERIOD_NANOS).map_err(|error| perf::unavailable(&error));
    let result = result.and_then(|_event| {
        let until = own_cpu_nanos() + PROBE_NANOS;
        while own_cpu_nanos() < until {
            if slot.signals.load(Ordering::Relaxed) > 0 {
                return Ok(());
            }
        }
        Err(perf::silent())
    });
    // A signal that is under way arrives here, while the slot is still this thread's.
    set_blocked(true);
    // SAFETY: the event is closed, and SIGPROF is blocked on the only thread it went to.
    unsafe { slot.release() };
    result
}

/// Blocks or unblocks SIGPROF on this thread.
fn set_blocked(is_blocked: bool) {
    let how = if is_blocked {
        libc::SIG_BLOCK
    } else {
        libc::SIG_UNBLOCK
    };
    // SAFETY: fills and uses a local signal set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGPROF);
        libc::pthread_sigmask(how, &set, ptr::null_mut());
    }
}

/// Starts sampling and opens the books.
fn begin(mut collector: Collector) -> Arc<Shared> {
    WAKE.store(0, Ordering::Release);
    collector.begin();
    let books = Books::open(&collector, gettid(), own_cpu_nanos());
    Arc::new(Shared {
        books: Mutex::new((collector, books)),
        stopping: AtomicBool::new(false),
        last: Mutex::new(None),
    })
}

/// Works in rounds until it is told to stop.
fn collect(shared: &Shared, mut pace: Pace) {
    while !shared.stopping.load(Ordering::Acquire) {
        sleep(pace.next_nanos());
        let mut books = lock(&shared.books);
        let collector = &mut books.0;
        if collector.options.mode == Mode::Wall {
            collector.interrupt_some();
        }
        if pace.is_round_due() {
            pace.learn(collector.tick());
        }
    }
}

/// Turns the sources off, makes the last capture, and leaves a handler that does nothing.
fn shut_down(shared: &Shared) {
    let mut guard = lock(&shared.books);
    let (collector, books) = &mut *guard;
    collector.disarm();
    handler::pause();
    let is_quiet = wait_until_quiet();
    *lock(&shared.last) = Some(books::capture(collector, books, true));
    handler::uninstall();
    // A handler that never leaves (a debugger holds its thread) keeps what it may look at.
    if is_quiet {
        collector.give_back();
    }
}

fn wait_until_quiet() -> bool {
    let step = Duration::from_micros(200);
    let steps = QUIET_WAIT.as_micros() / step.as_micros();
    for _ in 0..steps {
        if handler::is_quiet() {
            return true;
        }
        thread::sleep(step);
    }
    handler::is_quiet()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic under the lock is a bug of ours; the program goes on, with what was collected.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sleeps until the time is over, or a handler or a stop wakes it.
fn sleep(nanos: u64) {
    let timeout = libc::timespec {
        tv_sec: (nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: waits on a static; the kernel reads one timespec.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            WAKE.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            0,
            &raw const timeout,
        )
    };
    WAKE.store(0, Ordering::Release);
}

/// How long to sleep between rounds: short while threads are busy, long while nothing happens.
struct Pace {
    /// Wall mode: nanoseconds between two interruptions, on average.
    wall_nanos: Option<u64>,
    busy_nanos: u64,
    nanos: u64,
    waited: u64,
    random: u64,
}

/// Between rounds when nothing happens.
const IDLE_NANOS: u64 = 50_000_000;

impl Pace {
    fn new(options: &Options) -> Pace {
        let wall = options.mode == Mode::Wall;
        // A ring holds hundreds of samples; new threads are to be found soon, and each round costs 10-30 us.
        let busy_nanos = if options.frequency_hz > 250 {
            20_000_000
        } else {
            40_000_000
        };
        Pace {
            wall_nanos: wall.then(|| 1_000_000_000 / u64::from(options.frequency_hz)),
            busy_nanos,
            nanos: busy_nanos / 4,
            waited: 0,
            random: random_seed(3),
        }
    }

    fn next_nanos(&mut self) -> u64 {
        let nanos = match self.wall_nanos {
            None => self.nanos,
            Some(wall) => {
                self.random = next_random(self.random);
                handler::spread(wall, self.random)
            }
        };
        self.waited += nanos;
        nanos
    }

    fn is_round_due(&mut self) -> bool {
        let due = self.waited >= self.nanos;
        if due {
            self.waited = 0;
        }
        due
    }

    fn learn(&mut self, samples: usize) {
        self.nanos = if samples > 0 {
            self.busy_nanos
        } else {
            (self.nanos * 2).min(IDLE_NANOS)
        };
    }
}

impl NativeSampler {
    fn is_forked(&self) -> bool {
        self.forks != FORKS.load(Ordering::Acquire)
    }
}

impl Running for NativeSampler {
    fn capture(&self, reset: bool) -> Capture {
        if self.is_forked() {
            let audit = Audit {
                notes: vec!["the sampler is off in a forked child".into()],
                ..Audit::default()
            };
            return Capture {
                profile: Profile::new([]),
                audit,
            };
        }
        if let Some(last) = lock(&self.shared.last).take() {
            return last;
        }
        let mut guard = lock(&self.shared.books);
        let (collector, books) = &mut *guard;
        books::capture(collector, books, reset)
    }

    fn stop(&self) {
        if self.is_forked() {
            return;
        }
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            self.shared.stopping.store(true, Ordering::Release);
            handler::wake_collector();
            let _ = thread.join();
        }
    }
}

impl Drop for NativeSampler {
    fn drop(&mut self) {
        if !self.is_forked() {
            // SAFETY: dropped once, here, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.shared) };
        }
    }
}

/// Has every forked child turn its sampler off.
fn watch_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function only stores to atomics, which is allowed between fork and exec.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

unsafe extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::AcqRel);
    handler::disable_in_child();
    crate::sampler::allow_start();
}
