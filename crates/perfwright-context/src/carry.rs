//! A context that goes along: over the polls of a future, to another thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::word::{Word, current, set};

/// Runs `work` with `word` as the thread's word and puts the old one back, also after a panic.
///
/// For closures that are called many times or elsewhere:
///
/// ```
/// let word = perfwright_context::current();
/// std::thread::scope(|scope| {
///     for part in [[1, 2], [3, 4]] {
///         scope.spawn(move || perfwright_context::with_word(word, || part.iter().sum::<i32>()));
///     }
/// });
/// ```
pub fn with_word<T>(word: Word, work: impl FnOnce() -> T) -> T {
    let _restore = Restore(set(word));
    work()
}

/// `work`, to be called once in the context of whoever calls this: on another thread, in a pool.
///
/// ```
/// use perfwright_context::{current, label, propagate};
///
/// let _tenant = label("tenant", "acme");
/// let here = current();
/// std::thread::spawn(propagate(move || assert_eq!(current(), here))).join().unwrap();
/// ```
pub fn propagate<T, W: FnOnce() -> T>(work: W) -> impl FnOnce() -> T + use<T, W> {
    let word = current();
    move || with_word(word, work)
}

/// Futures that carry a context.
pub trait WithContext: Sized {
    /// This future with the calling thread's context around every poll and its drop.
    fn in_context(self) -> InContext<Self> {
        self.with_context(current())
    }

    /// This future with `word` around every poll and its drop.
    fn with_context(self, word: Word) -> InContext<Self> {
        InContext {
            word,
            inner: Some(self),
        }
    }
}

impl<F: Future> WithContext for F {}

/// A future in a context: [`WithContext`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct InContext<F> {
    word: Word,
    /// `None` only while it is being dropped.
    inner: Option<F>,
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let word = self.word;
        // SAFETY: `inner` is pinned with `self`: it is never moved out of, only dropped in place.
        let inner = unsafe { self.map_unchecked_mut(|this| &mut this.inner) };
        match inner.as_pin_mut() {
            Some(inner) => with_word(word, || inner.poll(cx)),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for InContext<F> {
    fn drop(&mut self) {
        let _restore = Restore(set(self.word));
        // Drops the future where it is, which a pinned one needs.
        self.inner = None;
    }
}

struct Restore(Word);

impl Drop for Restore {
    fn drop(&mut self) {
        set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::label;
    use std::pin::pin;
    use std::task::Waker;

    struct DropsIn(Word);
    impl Drop for DropsIn {
        fn drop(&mut self) {
            assert_eq!(current(), self.0);
        }
    }

    #[test]
    fn a_future_takes_its_context_along() {
        let before = current();
        let (inside, future) = {
            let _label = label("carried", "yes");
            let inside = current();
            let future = async move {
                let _drops = DropsIn(inside);
                let mut polls = 0;
                std::future::poll_fn(|_| {
                    assert_eq!(current(), inside);
                    polls += 1;
                    if polls < 3 {
                        Poll::Pending
                    } else {
                        Poll::Ready(())
                    }
                })
                .await;
                std::future::pending::<()>().await;
            };
            (inside, future.in_context())
        };
        assert_ne!(inside, before);
        {
            let mut future = pin!(future);
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..4 {
                assert!(future.as_mut().poll(&mut cx).is_pending());
                assert_eq!(current(), before);
            }
        }
        assert_eq!(current(), before);
    }

    #[test]
    fn a_panic_ends_the_context() {
        let before = current();
        let work = {
            let _label = label("carried", "panics");
            propagate(|| panic!("on purpose"))
        };
        assert!(std::panic::catch_unwind(work).is_err());
        assert_eq!(current(), before);
    }
}
