//! The gzip layer.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use crate::{Error, ErrorKind, Limits, Place, limits::too_many};

/// Deflate cannot pack more than this many bytes into one.
const MAX_RATIO: usize = 1_032;

pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Unpacks all members of a gzip file.
pub(crate) fn gunzip(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    let max = limits.max_bytes();
    let mut out = Vec::with_capacity(stated_len(bytes).min(max));
    let mut decoder = MultiGzDecoder::new(bytes);
    let result = decoder.by_ref().take(max as u64 + 1).read_to_end(&mut out);
    let offset = bytes.len() - decoder.get_ref().len();
    result.map_err(|error| broken(&error, offset))?;
    if out.len() > max {
        let what = "bytes after decompression";
        return Err(too_many("gzip", Place::byte(offset), what, max));
    }
    Ok(out)
}

/// The first bytes of what a gzip file holds, as far as they can be had.
pub(crate) fn gunzip_start(bytes: &[u8], len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    // An error later in the file does not matter here; what came before it is in `out`.
    let _ = MultiGzDecoder::new(bytes)
        .take(len as u64)
        .read_to_end(&mut out);
    out
}

/// The length that the trailer states, if it is possible: a first guess for the allocation.
fn stated_len(bytes: &[u8]) -> usize {
    let stated = bytes
        .last_chunk::<4>()
        .map_or(0, |trailer| u32::from_le_bytes(*trailer) as usize);
    if stated / MAX_RATIO <= bytes.len() {
        stated
    } else {
        0
    }
}

fn broken(error: &io::Error, offset: usize) -> Error {
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the compressed data ends too early: the file was cut short, copy it again".to_owned()
        }
        _ => format!("{error}: the compressed data is damaged, copy the file again"),
    };
    Error::new(ErrorKind::Compression, "gzip", Place::byte(offset), message)
}
