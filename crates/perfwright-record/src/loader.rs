//! Whether libraries came or went.

use std::ffi::{c_int, c_void};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// True while the dynamic loader is asked. It holds a lock of its own then, which glibc does not reset in a forked
/// child: who forks waits until nobody asks.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// A number that changes when a library is loaded or unloaded: time to refresh the
/// [`Image`](perfwright_stack::Image). Takes the dynamic loader's lock: not for signal handlers.
#[must_use]
pub fn loader_generation() -> u64 {
    static ONCE: Once = Once::new();
    // SAFETY: the functions fit. If they find no room, forks are as safe as without them.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(Some(begin_asking), Some(end_asking), Some(end_asking));
    });
    let mut generation = 0_u64;
    begin_asking();
    // SAFETY: the callback gets valid entries and our number, and does not panic.
    unsafe { libc::dl_iterate_phdr(Some(read_generation), (&raw mut generation).cast()) };
    end_asking();
    generation
}

/// Waits for microseconds at most: the loader reads two numbers.
extern "C" fn begin_asking() {
    while IS_ASKED.swap(true, Ordering::Acquire) {
        std::thread::yield_now();
    }
}

extern "C" fn end_asking() {
    IS_ASKED.store(false, Ordering::Release);
}

unsafe extern "C" fn read_generation(
    info: *mut libc::dl_phdr_info,
    _: usize,
    generation: *mut c_void,
) -> c_int {
    // SAFETY: dl_iterate_phdr's contract, and the number that `loader_generation` passed.
    unsafe { *generation.cast::<u64>() = (*info).dlpi_adds + (*info).dlpi_subs };
    1
}
