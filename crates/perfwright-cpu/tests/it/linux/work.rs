//! Known work for samplers to find.

use std::hint::black_box;
use std::time::Duration;

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Arithmetic that the compiler keeps, without calls.
#[inline(always)]
pub(crate) fn spin(rounds: u64) -> u64 {
    let mut x = black_box(rounds | 1);
    for _ in 0..rounds {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        x ^= x >> 29;
    }
    black_box(x)
}

macro_rules! functions {
    ($($name:ident),*) => {
        $(
            #[inline(never)]
            pub(crate) fn $name(rounds: u64) -> u64 {
                let x = spin(rounds);
                // The sum keeps each function's code its own: identical ones could be merged.
                black_box(x).wrapping_add(stringify!($name).len() as u64)
            }
        )*
    };
}

functions!(seventy, twenty_of, ten_of_them);

/// Runs until the thread has used `cpu`, 70 : 20 : 10 in three functions.
#[inline(never)]
pub(crate) fn split(cpu: Duration) {
    let end = thread_cpu() + cpu;
    while thread_cpu() < end {
        for _ in 0..10 {
            black_box(seventy(7_000));
            black_box(twenty_of(2_000));
            black_box(ten_of_them(1_000));
        }
    }
}
