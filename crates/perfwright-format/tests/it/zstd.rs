//! zstd around a profile.

use perfwright_format::{ErrorKind, Format, Limits, detect, read};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::pprof::{encode, rich_profile};
use crate::{canon, samples::profiles, text::folded};

/// `printf 'main;a 1\nmain;b 2\n' | zstd`
const BY_ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x04\x58\x91\x00\x00main;a 1\nmain;b 2\n\x72\x9b\x12\xdb";

pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

#[test]
fn zstd_is_unpacked_around_any_format() {
    let text = read(BY_ZSTD, &Limits::default()).unwrap();
    assert_eq!(folded(&text.profile, 0), "main;a 1\nmain;b 2\n");
    let pprof = pack(&encode(&rich_profile()));
    assert_eq!(detect(&pprof), Some(Format::Pprof));
    assert_eq!(
        read(&pprof, &Limits::default())
            .unwrap()
            .profile
            .sample_count(),
        4
    );
    // Frames follow one another, some of them only notes.
    let notes = b"\x5a\x2a\x4d\x18\x03\0\0\0abc".as_slice();
    let several = [&pack(b"main;a 1\n"), notes, &pack(b"main;b 2\n"), notes].concat();
    assert_eq!(
        folded(&read(&several, &Limits::default()).unwrap().profile, 0),
        "main;a 1\nmain;b 2\n"
    );
}

/// With the blocks that only a thorough encoder writes.
#[test]
fn what_zstd_packs_as_well_as_it_can_is_unpacked() {
    let files = profiles();
    let file = |name: &str| {
        &files
            .iter()
            .find(|(path, _)| path.ends_with(name))
            .unwrap()
            .1
    };
    let [plain, packed] = ["program.perf.txt", "program.perf.txt.zst"]
        .map(|name| read(file(name), &Limits::default()).unwrap());
    assert_eq!(packed.format, Format::PerfScript);
    assert_eq!(
        canon::of_model(&packed.profile),
        canon::of_model(&plain.profile)
    );
}

#[test]
fn a_zstd_bomb_stops_at_the_limit() {
    let mut limits = Limits::default();
    limits.bytes = 1 << 16;
    let error = read(&pack(&vec![b'\n'; 2 << 20]), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(
        error
            .to_string()
            .contains("65536 bytes after decompression"),
        "{error}"
    );
    let exact = [b"main;a 1\n".as_slice(), &[b'\n'; (1 << 16) - 9]].concat();
    assert!(read(&pack(&exact), &limits).is_ok());
}

#[test]
fn every_cut_and_damage_is_an_error_or_another_text() {
    let bytes = pack(&encode(&rich_profile()));
    for len in 4..bytes.len() {
        let error = read(&bytes[..len], &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Compression, "{len}: {error}");
    }
    for at in 4..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x41;
        // It may be another valid file; it must not panic.
        let _ = read(&damaged, &Limits::default());
    }
    let error = read(&[BY_ZSTD, b"junk"].concat(), &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Compression);
}
