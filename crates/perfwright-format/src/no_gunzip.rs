//! In place of the gzip layer, where gzip is left to the caller.

use crate::{Error, ErrorKind, Limits, Place};

pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

pub(crate) fn gunzip(_bytes: &[u8], _limits: &Limits) -> Result<Vec<u8>, Error> {
    let message = "it is gzipped, which this program does not unpack: unpack it first".to_owned();
    Err(Error::new(
        ErrorKind::Unsupported,
        "gzip",
        Place::byte(0),
        message,
    ))
}

/// Nothing can be had.
pub(crate) fn gunzip_start(_bytes: &[u8], _len: usize) -> Vec<u8> {
    Vec::new()
}
