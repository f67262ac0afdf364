//! pprof's `profile.proto`, by an encoder and a decoder of our own.
//!
//! <https://github.com/google/pprof/blob/main/proto/profile.proto>
//!
//! # What the model cannot say
//! - Ids are not kept: they are numbered anew, from 1, in the order of first use.
//! - A line or column of 0 is unknown; below 0 or above 4,294,967,295 it becomes unknown, with a warning.
//! - A label with neither text nor number is the number 0.
//! - `default_sample_type` is a position in the model, so a kind that the file lacks is dropped, with a warning.
//! - Equal mappings and equal functions become one.
//!
//! # What pprof cannot say
//! A sample's time (since the profile began) is written as the number label [`TIME_LABEL`] in nanoseconds,
//! and read back from it.
//!
//! The text and binary formats of the older gperftools are not read: the error names them. `pprof -proto`
//! converts them.

mod ids;
mod read;
mod write;

pub use write::write;
#[cfg(feature = "gzip")]
pub use write::write_gzip;

use crate::{Error, Input, Limits, Read};

/// The key of the number label that holds a sample's time: nanoseconds since the profile began.
pub const TIME_LABEL: &str = "perfwright::time";

/// The unit of [`TIME_LABEL`].
const TIME_UNIT: &str = "nanoseconds";

/// The fields of `profile.proto`, by message.
mod field {
    pub(super) mod profile {
        pub(crate) const SAMPLE_TYPE: u8 = 1;
        pub(crate) const SAMPLE: u8 = 2;
        pub(crate) const MAPPING: u8 = 3;
        pub(crate) const LOCATION: u8 = 4;
        pub(crate) const FUNCTION: u8 = 5;
        pub(crate) const STRING_TABLE: u8 = 6;
        pub(crate) const DROP_FRAMES: u8 = 7;
        pub(crate) const KEEP_FRAMES: u8 = 8;
        pub(crate) const TIME_NANOS: u8 = 9;
        pub(crate) const DURATION_NANOS: u8 = 10;
        pub(crate) const PERIOD_TYPE: u8 = 11;
        pub(crate) const PERIOD: u8 = 12;
        pub(crate) const COMMENT: u8 = 13;
        pub(crate) const DEFAULT_SAMPLE_TYPE: u8 = 14;
        pub(crate) const DOC_URL: u8 = 15;
    }
}

/// Reads a pprof profile, gzipped or not.
///
/// # Errors
/// With the byte at which the input is cut short, breaks the format, refers to an entry that it does not
/// have, or exceeds a limit.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    decode(&input.bytes, limits).map_err(|error| input.place(error))
}

pub(crate) use read::decode;
