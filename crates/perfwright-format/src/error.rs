//! What is wrong with an input, where, and what to do.

use std::fmt;

/// Why an input is no profile that can be read.
///
/// Its text fits after "failed to": `read pprof (byte 12 of the decompressed data): …`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("read {subject}{}: {message}", Parenthesised(.place))]
pub struct Error {
    kind: ErrorKind,
    place: Place,
    subject: &'static str,
    message: String,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No bytes, or nothing but blank lines and comments.
    Empty,
    /// Bytes that look like no format that is known here.
    Unknown,
    /// A known format that is not read; the text names it.
    Unsupported,
    /// The gzip or zstd layer is broken.
    Compression,
    /// The input ends in the middle of something.
    Truncated,
    /// A part of the input breaks the rules of its format.
    Malformed,
    /// The input refers to an entry that it does not have.
    Dangling,
    /// The input is larger than [`Limits`](crate::Limits) allow.
    Limit,
}

/// Where in the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Place {
    /// The input as a whole.
    Whole,
    /// An offset from 0.
    Byte {
        /// How many bytes come before.
        offset: u64,
        /// The offset counts what came out of the gzip or zstd layer, not the bytes of the file.
        decompressed: bool,
    },
    /// A line, 1-based.
    Line(u64),
}

impl Place {
    pub(crate) const fn byte(offset: usize) -> Self {
        Self::Byte {
            offset: offset as u64,
            decompressed: false,
        }
    }

    pub(crate) fn of_decompressed(self) -> Self {
        match self {
            Self::Byte { offset, .. } => Self::Byte {
                offset,
                decompressed: true,
            },
            other => other,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the input"),
            Self::Byte {
                offset,
                decompressed: false,
            } => write!(f, "byte {offset}"),
            Self::Byte { offset, .. } => write!(f, "byte {offset} of the decompressed data"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

struct Parenthesised<'a>(&'a Place);

impl fmt::Display for Parenthesised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Whole => Ok(()),
            place => write!(f, " ({place})"),
        }
    }
}

impl Error {
    pub(crate) fn new(
        kind: ErrorKind,
        subject: &'static str,
        place: Place,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            place,
            subject,
            message: message.into(),
        }
    }

    /// An error at a byte of a pprof file.
    pub(crate) fn pprof(kind: ErrorKind, offset: usize, message: impl Into<String>) -> Self {
        Self::new(kind, "pprof", Place::byte(offset), message)
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn of_decompressed(mut self) -> Self {
        // Errors of that layer itself count the file's bytes.
        if self.kind != ErrorKind::Compression {
            self.place = self.place.of_decompressed();
        }
        self
    }
}
