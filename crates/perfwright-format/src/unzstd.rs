//! The zstd layer.

use std::io::Read;

use ruzstd::decoding::StreamingDecoder;

use crate::{Error, ErrorKind, Limits, Place, limits::too_many};

pub(crate) fn is_zstd(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// Unpacks all frames of a zstd file.
pub(crate) fn unzstd(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Error> {
    let max = limits.max_bytes();
    let (mut out, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        if let Some(skipped) = skippable(rest) {
            rest = skipped;
            continue;
        }
        let mut decoder =
            StreamingDecoder::new(&mut rest).map_err(|error| broken(&error, offset))?;
        let most = (max + 1 - out.len()) as u64;
        let result = decoder.by_ref().take(most).read_to_end(&mut out);
        drop(decoder);
        let offset = bytes.len() - rest.len();
        result.map_err(|error| broken(&error, offset))?;
        if out.len() > max {
            return Err(too_many(
                "zstd",
                Place::byte(offset),
                "bytes after decompression",
                max,
            ));
        }
    }
    Ok(out)
}

/// The first bytes of what a zstd file holds, as far as they can be had.
pub(crate) fn unzstd_start(mut bytes: &[u8], len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    if let Ok(decoder) = StreamingDecoder::<_, _>::new(&mut bytes) {
        // An error later in the file does not matter here; what came before it is in `out`.
        let _ = decoder.take(len as u64).read_to_end(&mut out);
    }
    out
}

/// What follows a frame that holds no data but somebody's notes.
fn skippable(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_first_chunk::<8>()?;
    let [kind, 0x2a, 0x4d, 0x18, len @ ..] = *header else {
        return None;
    };
    let len = u32::from_le_bytes(len) as usize;
    (kind & 0xf0 == 0x50).then(|| rest.get(len..).unwrap_or(&[]))
}

fn broken(error: &dyn std::fmt::Display, offset: usize) -> Error {
    let message =
        format!("{error}: the compressed data is damaged or was cut short, copy the file again");
    Error::new(ErrorKind::Compression, "zstd", Place::byte(offset), message)
}
