//! What time it is.

/// A monotonic clock.
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since any fixed moment.
    fn now(&self) -> u64;
}
