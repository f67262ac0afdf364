//! The calling thread's stack, by the unwinder that panics use.
//!
//! The heap profiler's own walk is faster, but has to read the program's call frame information first. A test
//! counts once and is built without optimisation: there that took longer than the test. This unwinder has its
//! tables ready, needs no frame pointers, and does not allocate.

use std::ffi::{c_int, c_void};

use super::OWN_FRAMES;

#[repr(C)]
struct Context {
    _opaque: [u8; 0],
}

type Callback = unsafe extern "C" fn(context: *mut Context, data: *mut c_void) -> c_int;

// SAFETY: the declarations of the Itanium C++ ABI; every Unix target of Rust links it, since panics unwind by it.
unsafe extern "C" {
    fn _Unwind_Backtrace(callback: Callback, data: *mut c_void) -> c_int;
    fn _Unwind_GetIP(context: *mut Context) -> usize;
}

const GO_ON: c_int = 0;
const END_OF_STACK: c_int = 5;

struct Output<'a> {
    addresses: &'a mut [u64],
    len: usize,
    skip: usize,
}

/// Writes the return addresses of this function's callers but the ones that are the counter's own, innermost
/// first; returns how many.
#[inline(never)]
pub(super) fn capture(addresses: &mut [u64]) -> usize {
    let mut output = Output {
        addresses,
        len: 0,
        skip: OWN_FRAMES,
    };
    // SAFETY: the callback gets the pointer to `output`, which lives until the call returns, and nothing else
    // uses it meanwhile.
    unsafe { _Unwind_Backtrace(frame, (&raw mut output).cast()) };
    output.len
}

unsafe extern "C" fn frame(context: *mut Context, data: *mut c_void) -> c_int {
    // SAFETY: `capture` passes an `Output`, and the unwinder its context.
    let (output, address) = unsafe { (&mut *data.cast::<Output<'_>>(), _Unwind_GetIP(context)) };
    if output.skip > 0 {
        output.skip -= 1;
        return GO_ON;
    }
    // The outermost frame may have no address.
    if address == 0 || output.len == output.addresses.len() {
        return END_OF_STACK;
    }
    output.addresses[output.len] = address as u64;
    output.len += 1;
    GO_ON
}
