//! Captures on disk, the schedule, and sending.

mod continuous;
mod kill;
#[cfg(feature = "push")]
mod push;
mod ring;
#[cfg(feature = "push")]
mod server;
