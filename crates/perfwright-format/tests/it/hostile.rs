//! Input that means harm: a clear error, never a panic, and no more memory than the limits allow.

use perfwright_format::{ErrorKind, Limits, Place, pprof, read};
use prost::Message;

use crate::{
    pprof::{encode, gzip, rich_profile},
    schema,
};

type Set = fn(&mut Limits, usize);
type Break = fn(&mut schema::Profile);

fn proto() -> schema::Profile {
    schema::Profile::decode(encode(&rich_profile()).as_slice()).unwrap()
}

#[test]
fn broken_references_and_rules_are_named() {
    let cases: &[(Break, ErrorKind, &str)] = &[
        (
            |p| p.sample[0].location_id.push(99),
            ErrorKind::Dangling,
            "location 99 is used",
        ),
        (
            |p| p.sample[0].location_id.push(0),
            ErrorKind::Dangling,
            "location 0 is used",
        ),
        (
            |p| p.location[1].mapping_id = 77,
            ErrorKind::Dangling,
            "mapping 77 is used",
        ),
        (
            |p| p.location[1].line[0].function_id = 9,
            ErrorKind::Dangling,
            "function 9 is used",
        ),
        (
            |p| p.function[0].name = 1 << 40,
            ErrorKind::Dangling,
            "string 1099511627776 of a table",
        ),
        (
            |p| p.function[0].name = -1,
            ErrorKind::Dangling,
            "string -1 of a table",
        ),
        (
            |p| p.sample[0].label[0].key = 10_000,
            ErrorKind::Dangling,
            "string 10000",
        ),
        (
            |p| p.comment.push(10_000),
            ErrorKind::Dangling,
            "string 10000",
        ),
        (
            |p| p.sample_type[0].r#type = 10_000,
            ErrorKind::Dangling,
            "string 10000",
        ),
        (
            |p| p.default_sample_type = -5,
            ErrorKind::Dangling,
            "string -5",
        ),
        (
            |p| p.string_table.clear(),
            ErrorKind::Dangling,
            "of a table of 0",
        ),
        (
            |p| p.string_table[0] = "x".into(),
            ErrorKind::Malformed,
            "first string is not empty",
        ),
        (
            |p| p.location[0].id = 0,
            ErrorKind::Malformed,
            "a location without an id",
        ),
        (
            |p| p.location[0].id = 2,
            ErrorKind::Malformed,
            "two locations have the id 2",
        ),
        (
            |p| p.function[0].id = 0,
            ErrorKind::Malformed,
            "a function without an id",
        ),
        (
            |p| p.function[0].id = 2,
            ErrorKind::Malformed,
            "two functions have the id 2",
        ),
        (
            |p| p.mapping[0].id = 0,
            ErrorKind::Malformed,
            "a mapping without an id",
        ),
        (
            |p| p.sample[0].value.truncate(1),
            ErrorKind::Malformed,
            "1 values in a profile of 2",
        ),
        (
            |p| p.sample[0].value.push(1),
            ErrorKind::Malformed,
            "more values",
        ),
        (
            |p| p.sample[1].value.clear(),
            ErrorKind::Malformed,
            "0 values",
        ),
        (
            |p| p.sample_type.clear(),
            ErrorKind::Malformed,
            "no sample types",
        ),
    ];
    for (break_it, kind, expected) in cases {
        let mut proto = proto();
        break_it(&mut proto);
        let bytes = proto.encode_to_vec();
        let error = read(&bytes, &Limits::default()).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), *kind, "{text}");
        assert!(text.contains(expected), "{text} lacks {expected}");
        assert!(offset(error.place()) < bytes.len() as u64, "{text}");
    }
}

fn offset(place: Place) -> u64 {
    match place {
        Place::Byte { offset, .. } => offset,
        other => panic!("{other} is no offset"),
    }
}

#[test]
fn two_profiles_in_one_file_are_told() {
    let bytes = encode(&rich_profile());
    let twice = [gzip(&bytes), gzip(&bytes)].concat();
    let error = read(&twice, &Limits::default()).unwrap_err();
    assert!(
        error.to_string().contains("a second profile starts here"),
        "{error}"
    );
    assert!(
        error.to_string().contains("of the decompressed data"),
        "{error}"
    );
}

#[test]
fn every_cut_is_an_error_with_a_place() {
    let bytes = encode(&rich_profile());
    for len in 0..bytes.len() {
        let error = pprof::read(&bytes[..len], &Limits::default()).unwrap_err();
        assert!(offset(error.place()) <= len as u64, "{error}");
        assert!(read(&bytes[..len], &Limits::default()).is_err(), "{len}");
    }
    let bytes = gzip(&bytes);
    for len in 2..bytes.len() {
        let error = read(&bytes[..len], &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Compression, "{len}: {error}");
        assert!(offset(error.place()) <= len as u64, "{error}");
    }
}

#[test]
fn a_damaged_gzip_file_is_told() {
    let mut bytes = gzip(&encode(&rich_profile()));
    let checksum = bytes.len() - 6;
    bytes[checksum] ^= 1;
    let error = read(&bytes, &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Compression);
    let trailing = [gzip(&encode(&rich_profile())), b"junk".to_vec()].concat();
    let error = read(&trailing, &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Compression);
    let nested = gzip(&gzip(b"a 1\n"));
    let error = read(&nested, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("gzip inside gzip"), "{error}");
}

#[test]
fn a_gzip_bomb_stops_at_the_limit() {
    let mut limits = Limits::default();
    limits.bytes = 1 << 16;
    for byte in [0, b'\n'] {
        let mut bomb = gzip(&vec![byte; 2 << 20]);
        let error = read(&bomb, &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        assert!(
            error
                .to_string()
                .contains("65536 bytes after decompression"),
            "{error}"
        );
        // Nor is the length believed that the trailer states.
        let trailer = bomb.len() - 4;
        bomb[trailer..].fill(0xff);
        assert_eq!(read(&bomb, &limits).unwrap_err().kind(), ErrorKind::Limit);
    }
}

#[test]
fn lengths_and_numbers_beyond_all_bounds() {
    let cases: &[(&[u8], ErrorKind, u64)] = &[
        // A string of 2^63 bytes.
        (
            b"\x32\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            ErrorKind::Truncated,
            10,
        ),
        // A tag of more than ten bytes.
        (
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            ErrorKind::Malformed,
            0,
        ),
        // Field 0.
        (b"\x02\x00", ErrorKind::Malformed, 0),
        // Wire type 7.
        (b"\x0f", ErrorKind::Malformed, 0),
        // A group that ends without a beginning.
        (b"\x0c", ErrorKind::Malformed, 0),
        // A list of packed numbers that ends within one.
        (b"\x0a\x00\x32\x00\x6a\x02\x00\x80", ErrorKind::Truncated, 7),
        // A sample type that is a number.
        (b"\x08\x01", ErrorKind::Malformed, 0),
        // A time that is a string.
        (b"\x4a\x00", ErrorKind::Malformed, 0),
    ];
    for (bytes, kind, at) in cases {
        let error = pprof::read(bytes, &Limits::default()).unwrap_err();
        assert_eq!(
            (error.kind(), offset(error.place())),
            (*kind, *at),
            "{error}"
        );
    }
}

#[test]
fn every_limit_holds() {
    let bytes = encode(&rich_profile());
    let with = |set: Set, limit: usize| {
        let mut limits = Limits::default();
        set(&mut limits, limit);
        pprof::read(&bytes, &limits).map_err(|error| error.kind())
    };
    let strings = proto().string_table.len();
    let cases: &[(Set, usize)] = &[
        (|limits, limit| limits.bytes = limit, bytes.len()),
        (|limits, limit| limits.strings = limit, strings),
        (|limits, limit| limits.sample_types = limit, 2),
        (|limits, limit| limits.mappings = limit, 2),
        (|limits, limit| limits.functions = limit, 3),
        (|limits, limit| limits.locations = limit, 3),
        (|limits, limit| limits.frames = limit, 3),
        (|limits, limit| limits.samples = limit, 4),
        (|limits, limit| limits.values = limit, 8),
        (|limits, limit| limits.labels_per_sample = limit, 6),
        (|limits, limit| limits.labels = limit, 5),
        (|limits, limit| limits.depth = limit, 3),
        (|limits, limit| limits.stack_nodes = limit, 3),
    ];
    for (case, (set, enough)) in cases.iter().enumerate() {
        assert!(with(*set, *enough).is_ok(), "case {case}");
        assert_eq!(
            with(*set, enough - 1).unwrap_err(),
            ErrorKind::Limit,
            "case {case}"
        );
    }
}

#[test]
fn comments_cannot_multiply_one_long_string() {
    let mut proto = proto();
    proto.string_table.push("x".repeat(1 << 20));
    let long = proto.string_table.len() as i64 - 1;
    proto.comment = vec![long; 100_000];
    let error = read(&proto.encode_to_vec(), &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}
