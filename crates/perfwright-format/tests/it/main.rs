//! What the formats promise, checked from outside.

mod canon;
mod conversions;
mod firefox;
mod folded;
mod fuzz;
mod hostile;
mod perf;
mod pprof;
mod samples;
mod schema;
mod speedscope;
mod text;
mod utf16;
mod v8;
mod valgrind;
#[cfg(feature = "zstd")]
mod zstd;
