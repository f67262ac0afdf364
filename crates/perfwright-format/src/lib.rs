//! Bytes to profiles and back, in the formats of many profilers.
//!
//! You give bytes, [`read`] finds out what they are (gzip around anything is unpacked by the default feature `gzip`,
//! zstd by `zstd`; text may be UTF-16) and returns the [`Profile`] with [`Warning`]s about what could not be kept. Each
//! format has a module, to be called directly when the format is known, and to write.
//!
//! | module | what writes it | read | written |
//! |---|---|---|---|
//! | [`pprof`] | Perfwright, Go, pprof-rs, Pyroscope, … | yes | yes |
//! | [`folded`] | inferno, FlameGraph, bpftrace, … | yes | yes |
//! | [`speedscope`] | speedscope, py-spy, rbspy, … | yes | yes |
//! | [`firefox`] | the Firefox Profiler, samply, Firefox (Gecko) | yes | yes |
//! | [`perf`] | `perf script` | yes | |
//! | [`v8`] | Chrome's and Node's `.cpuprofile`, `.heapprofile` | yes | |
//! | [`chrome`] | Chrome's performance panel, trace events | yes | |
//! | [`dhat`] | Valgrind's DHAT, the crate `dhat` | yes | |
//! | [`callgrind`] | Valgrind's callgrind, Xdebug | yes | |
//!
//! What it will not do: open files, resolve symbols, apply `drop_frames`, or read more than [`Limits`]
//! allow. Input is hostile until proven otherwise: a broken file gives an [`Error`] with the byte or line
//! and never a panic or unbounded memory. It builds for wasm32.
//!
//! ```
//! use perfwright_format::{Format, Limits, pprof, read};
//!
//! let folded = read(b"main;parse 12\nmain;render 30\n", &Limits::default())?;
//! assert_eq!(folded.format, Format::Folded);
//!
//! let mut bytes = Vec::new();
//! pprof::write_gzip(&folded.profile, &mut bytes)?;
//! assert_eq!(read(&bytes, &Limits::default())?.profile.total(0), 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod build;
pub mod callgrind;
pub mod chrome;
mod detect;
pub mod dhat;
mod error;
pub mod firefox;
pub mod folded;
#[cfg(feature = "gzip")]
mod gunzip;
#[cfg(not(feature = "gzip"))]
#[path = "no_gunzip.rs"]
mod gunzip;
mod json;
mod limits;
mod order;
pub mod perf;
pub mod pprof;
mod reader;
mod scan;
pub mod speedscope;
#[cfg(feature = "zstd")]
mod unzstd;
mod utf16;
pub mod v8;
mod warning;
mod wire;

use std::borrow::Cow;

use perfwright_model::Profile;

pub use detect::{Format, detect};
pub use error::{Error, ErrorKind, Place};
pub use limits::Limits;
pub use reader::Reader;
pub use warning::{Warning, WarningKind};

/// What [`read`] returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Read {
    /// The profile.
    pub profile: Profile,
    /// The format it was in.
    pub format: Format,
    /// What the file says that the profile could not keep, in the order of its first occurrence.
    pub warnings: Vec<Warning>,
}

/// Reads a profile in any of the formats that this crate knows, gzipped or not.
///
/// # Errors
/// [`ErrorKind::Unsupported`] with its name for a recognised format that is not read (an ELF file, a
/// `perf.data`, gperftools' own formats), [`ErrorKind::Unknown`] for bytes that look like nothing known,
/// and whatever the format's own reader says.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    let read = match detect::identify(&input.bytes) {
        Ok(Format::Pprof) => pprof::decode(&input.bytes, limits),
        Ok(Format::Folded) => folded::parse(&input.bytes, limits),
        Ok(Format::Firefox) => firefox::parse(&input.bytes, limits),
        Ok(Format::PerfScript) => perf::parse(&input.bytes, limits),
        Ok(Format::CpuProfile) => v8::parse_cpu(&input.bytes, limits),
        Ok(Format::HeapProfile) => v8::parse_heap(&input.bytes, limits),
        Ok(Format::ChromeTrace) => chrome::parse(&input.bytes, limits),
        Ok(Format::Dhat) => dhat::parse(&input.bytes, limits),
        Ok(Format::Callgrind) => callgrind::parse(&input.bytes, limits),
        Ok(Format::Speedscope) => speedscope::parse(&input.bytes, limits),
        Err(error) => Err(error),
    };
    read.map_err(|error| input.place(error))
}

/// The input without its compression, and text as UTF-8.
struct Input<'a> {
    bytes: Cow<'a, [u8]>,
}

impl<'a> Input<'a> {
    fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        let bytes = if gunzip::is_gzip(bytes) {
            Cow::Owned(gunzip::gunzip(bytes, limits)?)
        } else if let Some(unpacked) = unzstd(bytes, limits) {
            Cow::Owned(unpacked?)
        } else {
            limits.check_len(bytes.len())?;
            Cow::Borrowed(bytes)
        };
        let bytes = utf16::to_utf8(bytes);
        limits.check_len(bytes.len())?;
        Ok(Self { bytes })
    }

    /// Says which bytes an error's offset counts.
    fn place(&self, error: Error) -> Error {
        match self.bytes {
            Cow::Borrowed(_) => error,
            Cow::Owned(_) => error.of_decompressed(),
        }
    }
}

/// Unpacks zstd, if it is that.
#[cfg(feature = "zstd")]
fn unzstd(bytes: &[u8], limits: &Limits) -> Option<Result<Vec<u8>, Error>> {
    is_zstd(bytes).then(|| unzstd::unzstd(bytes, limits))
}

#[cfg(feature = "zstd")]
fn is_zstd(bytes: &[u8]) -> bool {
    unzstd::is_zstd(bytes)
}

#[cfg(not(feature = "zstd"))]
fn unzstd(_bytes: &[u8], _limits: &Limits) -> Option<Result<Vec<u8>, Error>> {
    None
}

#[cfg(not(feature = "zstd"))]
fn is_zstd(_bytes: &[u8]) -> bool {
    false
}
