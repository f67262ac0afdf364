//! The few system calls and constants that libc's crate has no safe face for.

use std::io;
use std::mem::MaybeUninit;

/// The TID of the calling thread. Async-signal-safe.
pub(crate) fn gettid() -> i32 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// The PID of this process. Async-signal-safe.
pub(crate) fn getpid() -> i32 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::getpid() }
}

/// The clock that counts the CPU time of a thread of this process: the kernel's encoding of
/// "scheduler clock (2), of one thread (4), of TID" (clock_getcpuclockid does the same for processes).
pub(crate) fn thread_clock(tid: i32) -> libc::clockid_t {
    (!tid << 3) | 6
}

/// A clock in nanoseconds; `None` when the thread it belongs to is gone. Async-signal-safe.
pub(crate) fn clock_nanos(clock: libc::clockid_t) -> Option<u64> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel writes one timespec where it says it succeeded.
    let time = unsafe {
        if libc::clock_gettime(clock, time.as_mut_ptr()) != 0 {
            return None;
        }
        time.assume_init()
    };
    Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// CPU time of the calling thread in nanoseconds. Async-signal-safe.
pub(crate) fn own_cpu_nanos() -> u64 {
    clock_nanos(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(0)
}

/// Monotonic time in nanoseconds. Async-signal-safe (POSIX lists clock_gettime).
pub(crate) fn monotonic_nanos() -> u64 {
    clock_nanos(libc::CLOCK_MONOTONIC).unwrap_or(0)
}

/// CPU time of the whole process, ended threads included, in nanoseconds.
pub(crate) fn process_cpu_nanos() -> u64 {
    clock_nanos(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap_or(0)
}

/// The kernel's tick in nanoseconds: the resolution of its coarse clock.
pub(crate) fn tick_nanos() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes one timespec.
    let result = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    if result == 0 {
        (time.tv_nsec as u64).max(1_000_000)
    } else {
        4_000_000
    }
}

/// Reserves zeroed memory that costs nothing until it is touched.
pub(crate) fn map_memory(bytes: usize) -> io::Result<*mut u8> {
    // SAFETY: a new private mapping overlaps nothing.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(base.cast())
    }
}

/// xorshift64*: small, allocation-free randomness for sampling periods. `state` must not be 0.
pub(crate) fn next_random(state: u64) -> u64 {
    let mut x = state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    x
}

/// A start value for [`next_random`] that differs between threads and runs.
pub(crate) fn random_seed(salt: u64) -> u64 {
    let mixed = (monotonic_nanos() ^ (salt << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_clock_is_found_by_tid() {
        let (own, by_tid) = (
            own_cpu_nanos(),
            clock_nanos(thread_clock(gettid())).unwrap(),
        );
        assert!(by_tid >= own && by_tid - own < 1_000_000_000);
        assert_eq!(clock_nanos(thread_clock(i32::MAX >> 4)), None);
    }

    #[test]
    fn the_random_numbers_spread() {
        let mut state = random_seed(1);
        let mut high = 0;
        for _ in 0..10_000 {
            state = next_random(state);
            high += state >> 63;
        }
        // Binomial(10,000, 1/2): 5 standard deviations are 250.
        assert!((4_750..=5_250).contains(&high), "{high}");
    }
}
