//! Tasks that take the context along.

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
