//! Forks: whoever forks holds every lock meanwhile, so that the child, where no other thread lives on to release
//! one, never waits for ever.
//!
//! A raw `clone` or `fork` system call passes by the handlers, as it does for every library.

#[cfg(all(unix, not(miri)))]
pub(crate) fn install() {
    use std::sync::atomic::{AtomicBool, Ordering};

    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.load(Ordering::Relaxed) || INSTALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    // SAFETY: the handlers fit. If it fails for want of memory, forks are as safe as without it.
    unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
}

#[cfg(not(all(unix, not(miri))))]
pub(crate) fn install() {}

#[cfg(all(unix, not(miri)))]
unsafe extern "C" fn prepare() {
    crate::hook::hold_for_fork();
    crate::thread::hold_for_fork();
    crate::lock::set_forking(true);
}

#[cfg(all(unix, not(miri)))]
unsafe extern "C" fn in_parent() {
    // SAFETY: `prepare` ran on this thread.
    unsafe {
        crate::thread::release_after_fork();
        crate::hook::release_after_fork();
    }
    crate::lock::set_forking(false);
}

#[cfg(all(unix, not(miri)))]
unsafe extern "C" fn in_child() {
    crate::thread::forget_other_threads();
    crate::hook::end_in_child();
    // SAFETY: `prepare` ran on the thread that this one is the copy of.
    unsafe {
        crate::thread::release_after_fork();
        crate::hook::release_after_fork();
    }
    crate::lock::set_forking(false);
}
