//! Text as PowerShell's `>` writes it: UTF-16 with a byte order mark.

use std::borrow::Cow;

/// The same text as UTF-8; anything else as it is. What is no text becomes U+FFFD.
pub(crate) fn to_utf8(bytes: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let unit: fn([u8; 2]) -> u16 = match *bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return bytes,
    };
    let (units, _) = bytes[2..].as_chunks();
    let chars = char::decode_utf16(units.iter().map(|&bytes| unit(bytes)));
    let text: String = chars
        .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Cow::Owned(text.into_bytes())
}
