//! An embeddable profiling toolkit: CPU profiles with flamegraphs, always on, in a few lines

#[cfg(unix)]
#[doc(hidden)]
pub mod control;
