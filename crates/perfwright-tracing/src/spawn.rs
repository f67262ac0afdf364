//! Tasks that take the context along.

use std::fmt::{self, Write as _};
use std::future::Future;

use perfwright_context::{WithContext, propagate};
use tokio::task::JoinHandle;

/// `tokio::spawn`, with the calling thread's context around every poll.
///
/// Spans are not carried: spans created in the task are roots, under the labels of the one that spawned. Use
/// `tracing`'s `in_current_span` to make them children; it carries the labels too.
///
/// # Panics
/// As `tokio::spawn`, outside a runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.in_context())
}

/// `tokio::task::spawn_blocking`, in the calling thread's context.
///
/// # Panics
/// As tokio's, outside a runtime.
#[track_caller]
pub fn spawn_blocking<T, W>(work: W) -> JoinHandle<T>
where
    W: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    tokio::task::spawn_blocking(propagate(work))
}

/// The number of the task that runs on this thread.
pub(crate) fn task_number() -> Option<u64> {
    /// Reads the number off the id's text, which is all that tokio gives; without an allocation.
    struct Digits(u64);
    impl fmt::Write for Digits {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for digit in text.bytes().filter(u8::is_ascii_digit) {
                self.0 = self.0.wrapping_mul(10).wrapping_add((digit - b'0').into());
            }
            Ok(())
        }
    }
    let id = tokio::task::try_id()?;
    let mut digits = Digits(0);
    write!(digits, "{id}").ok()?;
    Some(digits.0)
}
