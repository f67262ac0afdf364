//! Text as PowerShell writes it.

use perfwright_format::{Format, Limits, detect, read};

use crate::{pprof::gzip, text::folded};

fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let marked = format!("\u{feff}{text}");
    marked.encode_utf16().flat_map(bytes_of).collect()
}

#[test]
fn either_order_of_bytes_is_read() {
    let text = "main;größer 3\r\nmain;\u{1f525} 4\r\n";
    for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes = utf16(text, bytes_of);
        assert_eq!(detect(&bytes), Some(Format::Folded));
        for bytes in [gzip(&bytes), bytes] {
            let read = read(&bytes, &Limits::default()).unwrap();
            assert_eq!(read.warnings, []);
            assert_eq!(
                folded(&read.profile, 0),
                "main;größer 3\nmain;\u{1f525} 4\n"
            );
        }
    }
}

#[test]
fn what_is_no_text_is_no_panic() {
    for bytes in [
        &b"\xff\xfe"[..],
        b"\xff\xfe\0",
        b"\xff\xfe\0\xd8",
        b"\xfe\xff\xd8\0\xd8",
    ] {
        assert!(read(bytes, &Limits::default()).is_err(), "{bytes:?}");
    }
}

/// Three bytes of UTF-8 for two of UTF-16.
#[test]
fn the_limit_counts_what_it_becomes() {
    let bytes = utf16(&"\u{20ac};".repeat(100), u16::to_le_bytes);
    let mut limits = Limits::default();
    limits.bytes = bytes.len();
    let error = read(&bytes, &limits).unwrap_err();
    assert!(!error.to_string().contains("raise the limit"), "{error}");
    let bytes = utf16(&"\u{20ac}".repeat(100), u16::to_le_bytes);
    limits.bytes = bytes.len();
    let error = read(&bytes, &limits).unwrap_err();
    assert!(error.to_string().contains("raise the limit"), "{error}");
}
