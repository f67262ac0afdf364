//! Perf events: task-clock, one event a thread, delivered as a signal to that thread.
//!
//! Where the kernel permits it, time in the kernel is sampled too: the signal then comes as the thread goes back
//! to user code, so that its stack is the system call's. An event that excludes the kernel is silent meanwhile.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use crate::error::StartError;
use crate::linux::slots::{self, Slot};
use crate::linux::sys::{clock_nanos, thread_clock};

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_TASK_CLOCK: u64 = 1;
const PERF_FLAG_FD_CLOEXEC: usize = 8;
/// `_IO('$', 0)`.
const PERF_EVENT_IOC_ENABLE: u64 = 0x2400;
/// `_IO('$', 1)`.
const PERF_EVENT_IOC_DISABLE: u64 = 0x2401;
const DISABLED: u64 = 1;
/// Without this an unprivileged process needs perf_event_paranoid <= 1.
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
const F_SETOWN_EX: i32 = 15;
const F_SETSIG: i32 = 10;
const F_OWNER_TID: i32 = 0;

/// `struct perf_event_attr`, as of PERF_ATTR_SIZE_VER5.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    bits: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    unused: [u64; 7],
}

#[repr(C)]
struct OwnerEx {
    kind: i32,
    pid: i32,
}

/// One thread's event; closing the descriptor ends it. Not inherited by other threads, nor over exec.
pub(crate) struct PerfEvent {
    fd: OwnedFd,
    sees_kernel: bool,
}

impl PerfEvent {
    /// Starts an event for the slot's thread. `first_nanos` of CPU time pass before the first signal.
    pub(crate) fn start(
        slot: &Slot,
        index: u32,
        tid: i32,
        first_nanos: u64,
    ) -> io::Result<PerfEvent> {
        let event = PerfEvent::open(tid, first_nanos)?;
        let raw = event.fd.as_raw_fd();
        if !slots::bind_fd(raw, Some(index)) {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        slot.fd.store(raw, Ordering::Release);
        slot.period_nanos.store(first_nanos, Ordering::Release);
        if event.sees_kernel {
            let now = clock_nanos(thread_clock(tid)).unwrap_or(0);
            slot.cpu_seen.store(now.max(1), Ordering::Release);
        }
        let owner = OwnerEx {
            kind: F_OWNER_TID,
            pid: tid,
        };
        // SAFETY: fcntl and ioctl on our own descriptor; F_SETOWN_EX reads one f_owner_ex.
        unsafe {
            check(libc::fcntl(raw, F_SETOWN_EX, &raw const owner))?;
            check(libc::fcntl(raw, F_SETSIG, libc::SIGPROF))?;
            check(libc::fcntl(raw, libc::F_SETFL, libc::O_ASYNC))?;
            check(libc::ioctl(raw, PERF_EVENT_IOC_ENABLE as _, 0))?;
        }
        Ok(event)
    }

    /// Whether it samples time in the kernel.
    pub(crate) fn sees_kernel(&self) -> bool {
        self.sees_kernel
    }

    fn open(tid: i32, first_nanos: u64) -> io::Result<PerfEvent> {
        let with = |exclude: u64| {
            open(tid, first_nanos, exclude).map(|fd| PerfEvent {
                fd,
                sees_kernel: exclude & EXCLUDE_KERNEL == 0,
            })
        };
        with(0).or_else(|error| match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => with(EXCLUDE_KERNEL),
            _ => Err(error),
        })
    }
}

impl Drop for PerfEvent {
    fn drop(&mut self) {
        let raw = self.fd.as_raw_fd();
        // SAFETY: our own descriptor. A forked child may hold a copy, so closing alone would not end the event.
        unsafe { libc::ioctl(raw, PERF_EVENT_IOC_DISABLE as _, 0) };
        // Before the descriptor's number can go to somebody else.
        slots::bind_fd(raw, None);
    }
}

fn open(tid: i32, period_nanos: u64, exclude: u64) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: PERF_TYPE_SOFTWARE,
        size: size_of::<Attributes>() as u32,
        config: PERF_COUNT_SW_TASK_CLOCK,
        sample_period: period_nanos,
        bits: DISABLED | EXCLUDE_HYPERVISOR | exclude,
        wakeup_events: 1,
        ..Attributes::default()
    };
    // SAFETY: the kernel reads `size` bytes of the attributes; the result is a new descriptor, owned here.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            tid,
            -1,
            -1,
            PERF_FLAG_FD_CLOEXEC,
        );
        check(fd as i32)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// What to tell somebody whose kernel refused a perf event.
pub(crate) fn unavailable(error: &io::Error) -> StartError {
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok();
    let paranoid = paranoid.as_deref().map_or("unknown", str::trim);
    let help = match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => format!(
            "set kernel.perf_event_paranoid to 2 or less (it is {paranoid}), in a container allow \
             perf_event_open in the seccomp profile, or use the timer engine"
        ),
        Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP) => {
            "this kernel or sandbox has no perf events; use the timer engine".into()
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            "raise the limit of open files (ulimit -n), or use the timer engine".into()
        }
        _ => "use the timer engine".into(),
    };
    StartError::PerfUnavailable {
        why: error.to_string(),
        help,
    }
}

/// The probe's verdict when the kernel took the event but no signal came.
pub(crate) fn silent() -> StartError {
    StartError::PerfUnavailable {
        why: "the kernel accepted an event but delivered no signal".into(),
        help: "use the timer engine".into(),
    }
}
