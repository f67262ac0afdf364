//! POSIX CPU timers: one for each thread, on that thread's CPU clock, delivered to that thread.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use crate::linux::sys::thread_clock;

/// A running timer; dropping it deletes it. Timers are inherited neither by threads, nor over fork or exec.
pub(crate) struct CpuTimer {
    id: libc::timer_t,
}

// SAFETY: the id is a handle of the process, usable from any thread; that it is a pointer is libc's encoding.
unsafe impl Send for CpuTimer {}

impl CpuTimer {
    /// Starts a timer that fires after `first_nanos` of the thread's CPU time, then every `period_nanos`.
    /// `token` travels in the signal.
    pub(crate) fn start(
        tid: i32,
        token: u64,
        first_nanos: u64,
        period_nanos: u64,
    ) -> io::Result<CpuTimer> {
        let timer = create(tid, token)?;
        let spec = libc::itimerspec {
            it_value: timespec(first_nanos),
            it_interval: timespec(period_nanos),
        };
        // SAFETY: our own timer; reads one itimerspec.
        let result = unsafe { libc::timer_settime(timer.id, 0, &spec, ptr::null_mut()) };
        if result == 0 {
            Ok(timer)
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl Drop for CpuTimer {
    fn drop(&mut self) {
        // SAFETY: created by us, deleted once.
        unsafe { libc::timer_delete(self.id) };
    }
}

fn create(tid: i32, token: u64) -> io::Result<CpuTimer> {
    let mut id = MaybeUninit::<libc::timer_t>::uninit();
    // SAFETY: an all-zero sigevent is valid; the kernel copies it and writes the id on success.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGPROF;
        event.sigev_notify_thread_id = tid;
        event.sigev_value.sival_ptr = ptr::without_provenance_mut(token as usize);
        if libc::timer_create(thread_clock(tid), &mut event, id.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(CpuTimer {
            id: id.assume_init(),
        })
    }
}

fn timespec(nanos: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
    }
}
