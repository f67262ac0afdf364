//! Whether libraries came or went.

use std::ffi::{c_int, c_void};

/// A number that changes when a library is loaded or unloaded: time to refresh the
/// [`Image`](perfwright_stack::Image). Takes the dynamic loader's lock: not for signal handlers.
#[must_use]
pub fn loader_generation() -> u64 {
    let mut generation = 0_u64;
    // SAFETY: the callback gets valid entries and our number, and does not panic.
    unsafe { libc::dl_iterate_phdr(Some(read_generation), (&raw mut generation).cast()) };
    generation
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
