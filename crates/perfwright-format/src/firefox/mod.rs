//! The Firefox Profiler's formats: *processed*, which its web page saves and samply writes, and *Gecko*, which Firefox
//! itself gives.
//!
//! # Reading
//! Processed profiles of all versions that have tables (shared or per thread), and Gecko profiles with their
//! processes. Threads, process and thread ids become labels; weights and CPU times sample types; times are kept, and
//! so are lines, columns, and inlined functions, as frames of one location. Markers, counters and allocations are left
//! out, with a warning; so are moments without a stack.
//!
//! # Writing
//! The processed format, version 56, which the Firefox Profiler brings up to date. One sample type is the weight; if
//! there is another of kind `cpu` in nanoseconds, it becomes the CPU use of the samples. Samples without times are
//! lined up, one interval apart; those without a thread are in one called `all threads`, which [`read`] takes for none.
//!
//! Source: `docs-developer` and `src/types` of firefox-devtools/profiler.

mod frames;
mod read;
mod stacks;
mod table;
mod write;

pub(crate) use read::parse;
pub use write::write;
#[cfg(feature = "gzip")]
pub use write::write_gzip;

use crate::{Error, Input, Limits, Read};

const SUBJECT: &str = "Firefox profile";

/// Who wrote the file, where that is Perfwright.
const PRODUCT: &str = "perfwright";
/// The thread of samples that have none. It and its process have the id 0.
const ALL_THREADS: &str = "all threads";

/// Reads a processed or a Gecko profile, gzipped or not.
///
/// # Errors
/// With the byte that is no JSON, the table whose index points nowhere, or the limit that is exceeded.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse(&input.bytes, limits).map_err(|error| input.place(error))
}
