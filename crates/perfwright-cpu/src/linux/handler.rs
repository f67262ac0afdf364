//! The signal handler: the only code that runs inside a signal.
//!
//! Contract: no allocation, no lock, no lazy initialisation, no formatting; `errno` is left as it was; the
//! handler touches only static atomics, its slot, the slot's ring, the published map, and the interrupted
//! stack inside bounds. It may run on a small alternate stack, so it keeps no buffers: frames go straight into
//! the ring.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{
    AtomicBool, AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

use perfwright_stack::{CodeMap, Regs, Walk, WalkEnd, copy_stack, thread_pointer, walk};

use super::ring::{HEADER_BYTES, Header, Space, flags};
use super::slots::{self, Slot};
use super::sys::{getpid, gettid, monotonic_nanos, next_random, own_cpu_nanos};

/// Off in a forked child, and before and after sampling.
static ACTIVE: AtomicBool = AtomicBool::new(false);
/// Handlers between their first and last look at shared state.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// What stacks and code look like; see `publish`.
static MAP: AtomicPtr<CodeMap> = AtomicPtr::new(std::ptr::null_mut());
/// The context word's distance from the thread pointer; `NO_CONTEXT` where that differs between threads.
static CONTEXT_OFFSET: AtomicIsize = AtomicIsize::new(NO_CONTEXT);
static MAX_FRAMES: AtomicUsize = AtomicUsize::new(0);
static MAX_COPY_BYTES: AtomicUsize = AtomicUsize::new(0);
static OWN_PID: AtomicU64 = AtomicU64::new(0);
/// The futex on which the collector sleeps; set to 1 to wake it.
pub(crate) static WAKE: AtomicU32 = AtomicU32::new(0);

pub(crate) const NO_CONTEXT: isize = isize::MAX;
/// The kernel rounds shorter task-clock periods up to this.
const MIN_PERIOD_NANOS: u64 = 10_000;
/// `_IOW('$', 4, __u64)`: give a perf event another period.
const PERF_EVENT_IOC_PERIOD: u64 = 0x4008_2404;
/// `si_code` of a file descriptor's signal (sigaction(2)).
const POLL_IN: c_int = 1;
const POLL_HUP: c_int = 6;
/// One in this many signals is timed.
const TIMED_ONE_IN: u64 = 16;

/// The kernel's `siginfo_t` on 64-bit, as far as the three kinds of signal that we cause fill it.
#[repr(C)]
pub(crate) struct SignalInfo {
    pub(crate) signal: c_int,
    pub(crate) errno: c_int,
    pub(crate) code: c_int,
    pad: c_int,
    /// Timer: its id. Queue: the sender's PID. Poll: the low half of `si_band`.
    pub(crate) first: c_int,
    /// Timer: the overrun. Queue: the sender's UID.
    pub(crate) second: c_int,
    /// Timer and queue: the sent value. Poll: the file descriptor, in the low half.
    pub(crate) value: u64,
    rest: [u64; 12],
}

impl SignalInfo {
    /// A queued signal from this process that carries `value`.
    pub(crate) fn queued(pid: i32, value: u64) -> SignalInfo {
        SignalInfo {
            signal: libc::SIGPROF,
            errno: 0,
            code: libc::SI_QUEUE,
            pad: 0,
            first: pid,
            second: 0,
            value,
            rest: [0; 12],
        }
    }
}

/// What the handler needs to know before the first signal.
pub(crate) struct Setup {
    pub(crate) max_frames: usize,
    pub(crate) max_copy_bytes: usize,
    pub(crate) context_offset: isize,
}

type Action = unsafe extern "C" fn(c_int, *mut SignalInfo, *mut c_void);

/// Installs the handler. False if SIGPROF belongs to somebody else.
pub(crate) fn install(setup: &Setup) -> io::Result<bool> {
    if is_foreign()? {
        return Ok(false);
    }
    MAX_FRAMES.store(setup.max_frames, Ordering::Release);
    MAX_COPY_BYTES.store(setup.max_copy_bytes, Ordering::Release);
    CONTEXT_OFFSET.store(setup.context_offset, Ordering::Release);
    OWN_PID.store(getpid() as u64, Ordering::Release);
    set_action(on_signal)?;
    ACTIVE.store(true, Ordering::SeqCst);
    Ok(true)
}

/// Puts a handler that does nothing in place of ours: a signal that is still under way would end the process
/// under the default action. Call when nothing sends signals any more.
pub(crate) fn uninstall() {
    ACTIVE.store(false, Ordering::SeqCst);
    if matches!(is_foreign(), Ok(false)) {
        // Can't fail: the same call succeeded with the other handler.
        let _ = set_action(on_nothing);
    }
}

/// Makes handlers in a forked child return at once, and forgets those that ran in the parent.
pub(crate) fn disable_in_child() {
    ACTIVE.store(false, Ordering::SeqCst);
    INSIDE.store(0, Ordering::SeqCst);
}

/// Makes handlers return at once, without changing the handler.
pub(crate) fn pause() {
    ACTIVE.store(false, Ordering::SeqCst);
}

/// True when no handler is looking at shared state. What was unpublished before may be freed then: whoever
/// enters later sees only what is published now.
pub(crate) fn is_quiet() -> bool {
    INSIDE.load(Ordering::SeqCst) == 0
}

/// Publishes a map and returns the one before, which must live until [`is_quiet`] was seen.
pub(crate) fn publish(map: Option<Box<CodeMap>>) -> Option<Box<CodeMap>> {
    let new = map.map_or(std::ptr::null_mut(), Box::into_raw);
    let old = MAP.swap(new, Ordering::SeqCst);
    // SAFETY: only this function puts pointers there, each from `Box::into_raw`, and takes each out once.
    (!old.is_null()).then(|| unsafe { Box::from_raw(old) })
}

/// True if SIGPROF has a handler that is neither ours nor the default.
pub(crate) fn is_foreign() -> io::Result<bool> {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; the kernel fills `old` on success.
    let old = unsafe {
        if libc::sigaction(libc::SIGPROF, std::ptr::null(), old.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        old.assume_init().sa_sigaction
    };
    let ours = [on_signal as Action as usize, on_nothing as Action as usize];
    Ok(old != libc::SIG_DFL && old != libc::SIG_IGN && !ours.contains(&old))
}

fn set_action(action: Action) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is valid (no flags, empty mask); the handler has the SA_SIGINFO signature
    // and keeps the contract at the top of this file.
    unsafe {
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = action as usize;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        if libc::sigaction(libc::SIGPROF, &new, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

unsafe extern "C" fn on_nothing(_: c_int, _: *mut SignalInfo, _: *mut c_void) {}

unsafe extern "C" fn on_signal(_: c_int, info: *mut SignalInfo, ucontext: *mut c_void) {
    // SAFETY: errno is a word of the thread, set up by libc before the thread runs any code.
    let errno = unsafe { *libc::__errno_location() };
    // Before the look at ACTIVE and MAP, in one total order with their stores: see `is_quiet`.
    INSIDE.fetch_add(1, Ordering::SeqCst);
    if ACTIVE.load(Ordering::SeqCst) {
        // SAFETY: the kernel passes a siginfo_t and a ucontext_t to an SA_SIGINFO handler.
        unsafe { handle(&*info, ucontext) };
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// How a signal came about, and for which slot.
enum Source {
    Timer { overrun: u64 },
    Perf,
    Wall,
}

fn source(info: &SignalInfo) -> Option<(Source, &'static Slot)> {
    match info.code {
        libc::SI_TIMER => {
            let overrun = u64::try_from(info.second).unwrap_or(0);
            Some((Source::Timer { overrun }, slots::by_token(info.value)?))
        }
        libc::SI_QUEUE => {
            let own = info.first as u64 == OWN_PID.load(Ordering::Relaxed);
            own.then_some((Source::Wall, slots::by_token(info.value)?))
        }
        // Positive codes come from the kernel alone; these two are what a file descriptor's signal carries.
        POLL_IN | POLL_HUP => Some((Source::Perf, slots::by_fd(info.value as i32)?)),
        _ => None,
    }
}

/// # Safety
/// `ucontext` is the signal's, and its handler has not returned.
unsafe fn handle(info: &SignalInfo, ucontext: *mut c_void) {
    let Some((source, slot)) = source(info) else {
        return;
    };
    if !is_owner(slot) {
        return;
    }
    let count = add(&slot.signals, 1);
    let began = if count % TIMED_ONE_IN == 1 {
        monotonic_nanos()
    } else {
        0
    };
    // SAFETY: the caller's word.
    let regs = unsafe { Regs::from_ucontext(ucontext) };
    let (weight_nanos, state) = match source {
        Source::Timer { overrun } => (slot.period_nanos.load(Ordering::Relaxed) * (1 + overrun), 0),
        Source::Perf => (perf_weight(slot, count), 0),
        // SAFETY: the caller's word.
        Source::Wall => (slot.wall_nanos.load(Ordering::Relaxed), unsafe {
            wall_state(slot, ucontext)
        }),
    };
    // SAFETY: this is the thread that owns the slot, in its handler, which the kernel does not nest.
    unsafe { record(slot, &regs, weight_nanos, state) };
    slot.wall_pending.store(false, Ordering::Release);
    if began != 0 {
        // A preemption in between would count as ours; none of our work takes as long as this.
        let took = (monotonic_nanos() - began).min(100_000);
        add(&slot.handler_nanos, took * TIMED_ONE_IN);
    }
}

/// Only the owner's handler writes these counters.
fn add(counter: &AtomicU64, amount: u64) -> u64 {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(amount);
    counter.store(sum, Ordering::Relaxed);
    sum
}

/// True on the thread that owns the slot. A signal may come after its slot or file descriptor went to another.
fn is_owner(slot: &Slot) -> bool {
    let own = thread_pointer();
    if slot.thread_pointer.load(Ordering::Relaxed) == own {
        return true;
    }
    let is_owner = slot.tid.load(Ordering::Acquire) == gettid();
    if is_owner {
        slot.thread_pointer.store(own, Ordering::Relaxed);
    }
    is_owner
}

/// What a perf sample stands for. Of several periods that end during one stay in the kernel a single signal is
/// left, so where the event sees the kernel, the thread's clock says it: all of that time is the system call's,
/// which is where the signal finds the thread.
fn perf_weight(slot: &Slot, count: u64) -> u64 {
    let period = next_perf_period(slot, count);
    let seen = slot.cpu_seen.load(Ordering::Relaxed);
    if seen == 0 {
        return period;
    }
    let now = own_cpu_nanos();
    slot.cpu_seen.store(now, Ordering::Relaxed);
    now.saturating_sub(seen)
}

/// Returns the event's period that ended with this signal. Now and then it starts a period of another random
/// length, so that no work stays in step with the samples.
///
/// Not at each sample: the system call reprograms the timer, which in a virtual machine is a trap to the host.
/// Between changes the samples are equidistant in the thread's CPU time; what is in step with them for so long
/// averages out over the changes, of which each thread has its own.
fn next_perf_period(slot: &Slot, count: u64) -> u64 {
    let stood_for = slot.period_nanos.load(Ordering::Relaxed);
    if !count.is_multiple_of(slot.change_every.load(Ordering::Relaxed).max(1)) {
        return stood_for;
    }
    let random = next_random(slot.random.load(Ordering::Relaxed));
    slot.random.store(random, Ordering::Relaxed);
    let period =
        spread(slot.base_period_nanos.load(Ordering::Relaxed), random).max(MIN_PERIOD_NANOS);
    let fd = slot.fd.load(Ordering::Relaxed);
    // SAFETY: reads one u64; on a descriptor that is no perf event it fails, which changes nothing.
    if unsafe { libc::ioctl(fd, PERF_EVENT_IOC_PERIOD as _, &raw const period) } == 0 {
        slot.period_nanos.store(period, Ordering::Relaxed);
    }
    stood_for
}

/// `base` times a random factor between 0.5 and 1.5.
pub(crate) fn spread(base: u64, random: u64) -> u64 {
    let fraction = random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
    base / 2 + ((u128::from(base) * u128::from(fraction)) >> 32) as u64
}

/// Whether the thread was waiting when the signal came: it used no CPU time since its last turn, or the signal
/// cut a system call short.
///
/// # Safety
/// `ucontext` is the signal's.
unsafe fn wall_state(slot: &Slot, ucontext: *mut c_void) -> u32 {
    // SAFETY: the caller's word.
    let waiting =
        slot.wall_idle.load(Ordering::Relaxed) || unsafe { was_interrupted_in_syscall(ucontext) };
    if waiting { flags::OFF_CPU } else { 0 }
}

/// After a system call that the signal cut short, the kernel either leaves `-EINTR` and the address behind the
/// call instruction, or (SA_RESTART) goes back to the call instruction.
///
/// # Safety
/// `ucontext` is the signal's.
#[cfg(target_arch = "x86_64")]
unsafe fn was_interrupted_in_syscall(ucontext: *mut c_void) -> bool {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    // SAFETY: the thread was about to execute at `pc`, so these bytes are mapped; the two before are read only
    // after a value in rax that a system call leaves, and only within the same page.
    unsafe {
        let registers = &(*ucontext.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let pc = registers[libc::REG_RIP as usize] as usize;
        let result = registers[libc::REG_RAX as usize];
        let at = |address: usize| std::ptr::with_exposed_provenance::<[u8; 2]>(address).read();
        if pc & 0xfff > 0xffe {
            return false;
        }
        at(pc) == SYSCALL
            || (result == -i64::from(libc::EINTR) && pc & 0xfff >= 2 && at(pc - 2) == SYSCALL)
    }
}

/// # Safety
/// `ucontext` is the signal's.
#[cfg(target_arch = "aarch64")]
unsafe fn was_interrupted_in_syscall(ucontext: *mut c_void) -> bool {
    const SVC_0: u32 = 0xd400_0001;
    // SAFETY: as on x86-64; instructions are 4 bytes, aligned, so that only the one before can lie in another page.
    unsafe {
        let machine = &(*ucontext.cast::<libc::ucontext_t>()).uc_mcontext;
        let pc = machine.pc as usize;
        let result = machine.regs[0] as i64;
        let at = |address: usize| std::ptr::with_exposed_provenance::<u32>(address).read();
        at(pc) == SVC_0
            || (result == -i64::from(libc::EINTR) && pc & 0xfff >= 4 && at(pc - 4) == SVC_0)
    }
}

/// Writes one record into the slot's ring.
///
/// # Safety
/// Runs in the handler of the slot's owner; `regs` are the interrupted ones.
unsafe fn record(slot: &Slot, regs: &Regs, weight_nanos: u64, state: u32) {
    let max_frames = MAX_FRAMES.load(Ordering::Relaxed);
    let max_copy = MAX_COPY_BYTES.load(Ordering::Relaxed);
    let min = HEADER_BYTES + max_frames * 8;
    // SAFETY: one producer, the caller's word.
    let Some(space) = (unsafe { slot.ring.reserve(min, min + max_copy) }) else {
        add(&slot.dropped, 1);
        return;
    };
    let mut header = Header {
        flags: state,
        context: context_word(),
        weight_nanos,
        regs: [regs.pc, regs.sp, regs.fp, regs.lr],
        ..Header::default()
    };
    // SAFETY: the space holds a header, `max_frames` frames and what is left for a copy.
    unsafe { fill(&space, regs, max_frames, &mut header) };
    let used = HEADER_BYTES + header.frame_count as usize * 8 + header.copy_bytes as usize;
    header.total_bytes = used as u32;
    // SAFETY: aligned, inside the space; the header describes what `fill` wrote.
    let half_full = unsafe {
        space.start.cast::<Header>().write(header);
        slot.ring.commit(&space, used)
    };
    if half_full {
        wake_collector();
    }
}

/// Walks the stack into the space, and copies the stack behind the frames where the walk asks for it.
///
/// # Safety
/// As for [`record`]; the space has room for a header and `max_frames` frames.
unsafe fn fill(space: &Space, regs: &Regs, max_frames: usize, header: &mut Header) {
    // SAFETY: the frames lie behind the header, inside the space, 8-aligned; zeroed or old ring memory is
    // initialised.
    let frames = unsafe {
        std::slice::from_raw_parts_mut(space.start.add(HEADER_BYTES).cast::<u64>(), max_frames)
    };
    let map = MAP.load(Ordering::SeqCst);
    if map.is_null() {
        frames[0] = regs.pc;
        header.frame_count = 1;
        header.flags |= flags::NO_STACK;
        return;
    }
    // SAFETY: a published map lives until no handler is inside, and this one is.
    let map = unsafe { &*map };
    // SAFETY: the registers of this thread, interrupted by the signal that is being handled.
    let walked = unsafe { walk(regs, map, frames) };
    header.frame_count = walked.len as u32;
    header.flags |= walk_flags(&walked);
    if walked.needs_copy
        && let Some(bounds) = map.stack_bounds(regs.sp)
    {
        let before = HEADER_BYTES + walked.len * 8;
        let room = (space.bytes - before).min(MAX_COPY_BYTES.load(Ordering::Relaxed)) & !7;
        // SAFETY: behind the frames, inside the space; the bounds are the map's for this stack pointer.
        header.copy_bytes = unsafe {
            let out = std::slice::from_raw_parts_mut(space.start.add(before), room);
            copy_stack(regs, bounds, out) as u32
        };
    }
}

fn walk_flags(walked: &Walk) -> u32 {
    let end = match walked.end {
        WalkEnd::Root => flags::ROOT,
        WalkEnd::Full => flags::FULL,
        WalkEnd::NoStack => flags::NO_STACK,
        WalkEnd::LeftBounds | WalkEnd::Broken => 0,
    };
    let probed = if walked.probed { flags::PROBED } else { 0 };
    let copy = if walked.needs_copy {
        flags::NEEDS_COPY
    } else {
        0
    };
    end | probed | copy
}

fn context_word() -> u64 {
    let offset = CONTEXT_OFFSET.load(Ordering::Relaxed);
    if offset == NO_CONTEXT {
        return 0;
    }
    let address = (thread_pointer() as usize).wrapping_add_signed(offset);
    // SAFETY: the offset was taken inside the executable's own TLS segment, which every thread has at the same
    // distance from its thread pointer, from its first instruction to its last.
    unsafe { (*std::ptr::with_exposed_provenance::<AtomicU64>(address)).load(Ordering::Relaxed) }
}

/// Wakes the collector before its time. A system call, but only when a ring is half full.
pub(crate) fn wake_collector() {
    if WAKE.swap(1, Ordering::AcqRel) == 0 {
        // SAFETY: wakes waiters on a static; touches nothing else.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                WAKE.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            )
        };
    }
}
