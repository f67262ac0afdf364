//! The lock of everything here: one word, no allocation, and held across a fork by the thread that forks.

use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
const WAITED_FOR: u32 = 2;

/// How often a busy lock is looked at before the thread sleeps. They are held for tens to hundreds of
/// nanoseconds.
const SPINS: u32 = 100;

thread_local! {
    /// This thread is between the two halves of a fork and holds every lock: what it does meanwhile (other
    /// libraries' fork handlers may allocate) must not wait for itself.
    static FORKING: Cell<bool> = const { Cell::new(false) };
}

/// A mutex that never allocates (std's may, on some platforms) and can be held from before a fork until after
/// it, in both processes.
pub(crate) struct Lock<T> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is only reached through a guard, of which there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The lock is held as long as this lives.
pub(crate) struct Guard<'a, T> {
    lock: &'a Lock<T>,
    /// False in a forking thread, which held the lock before.
    taken: bool,
}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Lock<T> {
        Lock {
            word: AtomicU32::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the lock. A thread that holds it must not ask for it again.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        if FORKING.get() {
            return Guard {
                lock: self,
                taken: false,
            };
        }
        self.acquire();
        Guard {
            lock: self,
            taken: true,
        }
    }

    /// Takes the lock for the time of a fork.
    pub(crate) fn hold_for_fork(&self) {
        self.acquire();
    }

    /// Gives it back, in the parent or in the child.
    ///
    /// # Safety
    /// This thread took it with [`Lock::hold_for_fork`], or is the child's copy of the one that did.
    pub(crate) unsafe fn release_after_fork(&self) {
        self.release();
    }

    fn acquire(&self) {
        let exchanged =
            self.word
                .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
        if exchanged.is_err() {
            self.acquire_slowly();
        }
    }

    #[cold]
    fn acquire_slowly(&self) {
        for _ in 0..SPINS {
            if self.word.load(Ordering::Relaxed) == FREE
                && self
                    .word
                    .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return;
            }
            std::hint::spin_loop();
        }
        while self.word.swap(WAITED_FOR, Ordering::Acquire) != FREE {
            wait(&self.word);
        }
    }

    fn release(&self) {
        if self.word.swap(FREE, Ordering::Release) == WAITED_FOR {
            wake(&self.word);
        }
    }
}

/// From here on this thread holds every lock (`true`), or no longer does.
pub(crate) fn set_forking(forking: bool) {
    FORKING.set(forking);
}

#[cfg(all(target_os = "linux", not(miri)))]
fn wait(word: &AtomicU32) {
    futex(word, libc::FUTEX_WAIT, WAITED_FOR);
}

#[cfg(all(target_os = "linux", not(miri)))]
fn wake(word: &AtomicU32) {
    futex(word, libc::FUTEX_WAKE, 1);
}

#[cfg(all(target_os = "linux", not(miri)))]
fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
    // SAFETY: the word is alive, and errno, which the caller of an allocator may care about, is put back. Waking
    // does not read the timeout.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation | libc::FUTEX_PRIVATE_FLAG,
            value,
            std::ptr::null::<libc::timespec>(),
        );
        *errno = before;
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn wait(_: &AtomicU32) {
    std::thread::yield_now();
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn wake(_: &AtomicU32) {}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard stands for the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if self.taken {
            self.lock.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let lock = Lock::new(0_u64);
        let rounds = if cfg!(miri) { 20 } else { 20_000 };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        *lock.lock() += 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 4 * rounds);
    }

    #[test]
    fn a_forking_thread_does_not_wait_for_itself() {
        let lock = Lock::new(1);
        lock.hold_for_fork();
        set_forking(true);
        *lock.lock() += 1;
        set_forking(false);
        // SAFETY: held above.
        unsafe { lock.release_after_fork() };
        assert_eq!(*lock.lock(), 2);
    }
}
