//! Writes a commanded capture when the program calls `std::process::exit`, which drops nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use crate::recorder::Recorder;

static RECORDER: Mutex<Weak<Recorder>> = Mutex::new(Weak::new());
static REGISTERED: Once = Once::new();

/// Closes the recorder when the process exits, if it still lives then. The last one given counts.
pub(crate) fn close_at_exit(recorder: &Arc<Recorder>) {
    *RECORDER.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(recorder);
    REGISTERED.call_once(|| {
        // SAFETY: `on_exit` has the C ABI that atexit wants, captures nothing and does not unwind.
        // It may run while other threads still do; all it touches is behind locks. If it cannot be
        // registered, a program that calls exit loses the capture, and the command says so.
        let _ = unsafe { libc::atexit(on_exit) };
    });
}

extern "C" fn on_exit() {
    let close = || {
        let recorder = RECORDER
            .try_lock()
            .ok()
            .and_then(|recorder| recorder.upgrade());
        if let Some(recorder) = recorder {
            recorder.close_at_exit();
        }
    };
    // Unwinding into C would abort a program that is about to end well.
    let _ = catch_unwind(AssertUnwindSafe(close));
}
