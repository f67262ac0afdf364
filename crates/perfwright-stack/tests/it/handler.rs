//! A SIGUSR1 handler that captures the thread it arrives on, and ways to send it.

use perfwright_stack::{CodeMap, Image, Regs, StackBounds, Walk, copy_stack, thread_pointer, walk};
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once};

const COPY_BYTES: usize = 32 << 10;

/// One capture, with everything a sampler could keep of it.
pub(crate) struct Capture {
    pub(crate) regs: Regs,
    pub(crate) addresses: Vec<u64>,
    pub(crate) walk: Walk,
    pub(crate) bounds: Option<StackBounds>,
    pub(crate) stack: Vec<u8>,
}

/// Filled in the handler, so without allocating.
struct Slot {
    regs: Regs,
    walk: Option<Walk>,
    bounds: Option<StackBounds>,
    addresses: [u64; 256],
    stack: [u8; COPY_BYTES],
    copied: usize,
}

struct Shared(UnsafeCell<Slot>);
// SAFETY: the slot is written by one handler, after `arm` and before FIRED, and read by the holder
// of LOCK after FIRED.
unsafe impl Sync for Shared {}

static SLOT: Shared = Shared(UnsafeCell::new(Slot {
    regs: Regs {
        pc: 0,
        sp: 0,
        fp: 0,
        lr: 0,
    },
    walk: None,
    bounds: None,
    addresses: [0; 256],
    stack: [0; COPY_BYTES],
    copied: 0,
}));
static MAP: AtomicPtr<CodeMap> = AtomicPtr::new(std::ptr::null_mut());
/// The thread pointer of the thread to capture.
static OWNER: AtomicU64 = AtomicU64::new(0);
static FIRED: AtomicBool = AtomicBool::new(false);
static LOCK: Mutex<()> = Mutex::new(());

extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    // A timer of another test's thread may fire too.
    if OWNER.load(Ordering::Acquire) != thread_pointer() {
        return;
    }
    let map = MAP.swap(std::ptr::null_mut(), Ordering::AcqRel);
    if map.is_null() {
        return;
    }
    // SAFETY: taking the map made this the only handler to write the slot; maps are never freed;
    // the registers are this thread's, interrupted by this signal.
    unsafe {
        let slot = &mut *SLOT.0.get();
        let regs = Regs::from_ucontext(context);
        slot.regs = regs;
        slot.walk = Some(walk(&regs, &*map, &mut slot.addresses));
        slot.bounds = (*map).stack_bounds(regs.sp);
        slot.copied = slot
            .bounds
            .map_or(0, |bounds| copy_stack(&regs, bounds, &mut slot.stack));
    }
    FIRED.store(true, Ordering::Release);
}

pub(crate) fn install(signal: i32, handler: *const (), flags: i32) {
    // SAFETY: a zeroed sigaction is valid, and the tests' handlers are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | flags;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

/// Exclusive use of the handler. Once started, it captures the next SIGUSR1, then no more.
pub(crate) struct Armed<'m> {
    map: &'m CodeMap,
    _lock: MutexGuard<'static, ()>,
}

pub(crate) fn arm(map: &CodeMap) -> Armed<'_> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| install(libc::SIGUSR1, on_signal as *const (), libc::SA_ONSTACK));
    let lock = LOCK.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    FIRED.store(false, Ordering::Release);
    Armed { map, _lock: lock }
}

impl Armed<'_> {
    /// Call this in the function that every capture has to show: signals before are ignored.
    pub(crate) fn start(&self) {
        OWNER.store(thread_pointer(), Ordering::Release);
        MAP.store(Box::into_raw(Box::new(self.map.clone())), Ordering::Release);
    }

    pub(crate) fn has_fired(&self) -> bool {
        FIRED.load(Ordering::Acquire)
    }

    pub(crate) fn capture(self) -> Capture {
        while !self.has_fired() {
            std::thread::yield_now();
        }
        // SAFETY: FIRED says that the handler is done with the slot, and the lock keeps the next
        // one out.
        let slot = unsafe { &*SLOT.0.get() };
        let walk = slot.walk.expect("the handler walked");
        Capture {
            regs: slot.regs,
            addresses: slot.addresses[..walk.len].to_vec(),
            walk,
            bounds: slot.bounds,
            stack: slot.stack[..slot.copied].to_vec(),
        }
    }
}

/// Sends SIGUSR1 to the calling thread; the handler has run when this returns.
#[inline(always)]
pub(crate) fn raise() {
    // SAFETY: a plain system call.
    unsafe { libc::raise(libc::SIGUSR1) };
}

/// Captures the calling thread from inside `raise`.
#[inline(never)]
pub(crate) fn capture_here(image: &Image) -> Capture {
    let map = image.code_map();
    let armed = arm(&map);
    armed.start();
    raise();
    armed.capture()
}

/// A timer that keeps sending SIGUSR1 to the thread that made it.
pub(crate) struct ThreadTimer(libc::timer_t);

impl ThreadTimer {
    pub(crate) fn every_nanos(nanos: i64) -> ThreadTimer {
        let mut timer = std::ptr::null_mut();
        // SAFETY: zeroed plain data, then filled as timer_create(2) asks.
        let result = unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGUSR1;
            event.sigev_notify_thread_id = libc::gettid();
            libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer)
        };
        assert_eq!(result, 0);
        let interval = libc::timespec {
            tv_sec: 0,
            tv_nsec: nanos,
        };
        let spec = libc::itimerspec {
            it_interval: interval,
            it_value: interval,
        };
        // SAFETY: our own timer, and plain data.
        let result = unsafe { libc::timer_settime(timer, 0, &spec, std::ptr::null_mut()) };
        assert_eq!(result, 0);
        ThreadTimer(timer)
    }
}

impl Drop for ThreadTimer {
    fn drop(&mut self) {
        // SAFETY: our own timer, deleted once.
        unsafe { libc::timer_delete(self.0) };
    }
}
