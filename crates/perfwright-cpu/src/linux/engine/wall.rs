//! Wall-clock samples: the collector queues a signal to a few threads at each of its ticks.

use std::sync::atomic::Ordering;

use crate::linux::handler::SignalInfo;
use crate::linux::slots::Slot;
use crate::linux::sys::getpid;

/// Interrupts the slot's thread for a sample that stands for `nanos` of wall time. `idle`: the thread used no
/// CPU time since its last turn. False if its last signal is still under way (blocked, or the thread is in an
/// uninterruptible wait), or the thread is gone.
pub(crate) fn interrupt(slot: &Slot, index: u32, tid: i32, nanos: u64, idle: bool) -> bool {
    if slot.wall_pending.swap(true, Ordering::AcqRel) {
        return false;
    }
    slot.wall_nanos.store(nanos, Ordering::Release);
    slot.wall_idle.store(idle, Ordering::Release);
    let pid = getpid();
    let info = SignalInfo::queued(pid, slot.token(index));
    // SAFETY: sends to a thread of this process; the kernel copies the siginfo.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_tgsigqueueinfo,
            pid,
            tid,
            libc::SIGPROF,
            &raw const info,
        )
    };
    if result != 0 {
        slot.wall_pending.store(false, Ordering::Release);
    }
    result == 0
}
