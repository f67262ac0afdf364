//! pprof against prost with the official schema, in both directions.

use std::num::{NonZeroU32, NonZeroU64};

use perfwright_format::{Format, Limits, Place, WarningKind, pprof, read};
use perfwright_model::{
    Frame, Function, Location, Mapping, Period, Profile, SampleType, StackId, StringId,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message;

use crate::{canon, schema};

pub(crate) fn encode(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    pprof::write(profile, &mut bytes).unwrap();
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Profile {
    pprof::read(bytes, &Limits::default()).unwrap().profile
}

/// A profile with one of everything.
pub(crate) fn rich_profile() -> Profile {
    let mut profile = Profile::new([
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ]);
    let meta = &mut profile.meta;
    meta.default_sample_type = Some(1);
    meta.period = Some(Period {
        sample_type: SampleType::new("cpu", "nanoseconds"),
        value: 10_101_010,
    });
    meta.time_nanos = Some(1_700_000_000_000_000_000);
    meta.duration_nanos = Some(10_000_000_000);
    meta.comments = vec!["engine: perf".into(), "two\nlines".into(), String::new()];
    meta.drop_frames = Some("^drop_me$".into());
    meta.keep_frames = Some("^keep_me$".into());
    meta.doc_url = Some("https://example.com/cpu".into());

    let unused = profile.intern("nobody needs this");
    let unused = profile.add_function(Function::named(unused));
    profile.push_location(Location::default(), &[frame(unused, 1)]);

    let main_binary = Mapping {
        offset: 0x1000,
        filename: profile.intern("/opt/shop"),
        build_id: profile.intern("00ff12"),
        has_functions: true,
        has_lines: true,
        ..Mapping::new(0x55_0000, 0x56_0000)
    };
    profile.add_mapping(main_binary);
    let libc = Mapping {
        filename: profile.intern("/lib/libc.so.6"),
        ..Mapping::new(0x7f00_0000, 0x7f10_0000)
    };
    let libc = profile.add_mapping(libc);

    let parse = Function {
        name: profile.intern("shop::parse"),
        system_name: profile.intern("_ZN4shop5parseE"),
        filename: profile.intern("src/parse.rs"),
        start_line: NonZeroU32::new(10),
    };
    let parse = profile.add_function(parse);
    let skip = profile.intern("größer;<T>");
    let skip = profile.add_function(Function::named(skip));
    let main = profile.frame_location("main");
    let inlined = profile.add_location(
        Location {
            mapping: None,
            address: NonZeroU64::new(u64::MAX),
            is_folded: true,
        },
        &[frame(skip, 3), frame(parse, 17)],
    );
    let bare = profile.add_location(
        Location {
            mapping: Some(libc),
            address: NonZeroU64::new(0x7f00_1234),
            is_folded: false,
        },
        &[],
    );

    let labels = [
        profile.str_label("thread", "tokio-worker 1"),
        profile.num_label("thread_id", 4242, ""),
        profile.num_label("allocated", -8, "bytes"),
        profile.num_label("zero", 0, ""),
        profile.str_label("empty", ""),
    ];
    let labels = profile.intern_labels(&labels);
    let none = profile.intern_labels(&[]);
    let deep = profile.intern_stack_root_first([main, inlined, bare]);
    let shallow = profile.intern_stack_root_first([main]);
    profile.push_sample_at(deep, labels, &[1, 10_000_000], Some(5));
    profile.push_sample_at(shallow, none, &[2, -1], Some(0));
    profile.push_sample(shallow, labels, &[i64::MAX, i64::MIN]);
    profile.push_sample(StackId::ROOT, none, &[0, 0]);
    profile
}

fn frame(function: perfwright_model::FunctionId, line: u32) -> Frame {
    Frame {
        function,
        line: NonZeroU32::new(line),
        column: NonZeroU32::new(line + 1),
    }
}

#[test]
fn what_we_write_is_what_prost_reads() {
    let profile = rich_profile();
    let proto = schema::Profile::decode(encode(&profile).as_slice()).unwrap();
    assert_eq!(canon::of_proto(&proto), canon::of_model(&profile));

    let ids: Vec<_> = proto.location.iter().map(|location| location.id).collect();
    assert_eq!(ids, [1, 2, 3], "numbered from 1, in the order of use");
    assert_eq!(proto.sample[0].location_id, [1, 2, 3], "the leaf is first");
    let string = |index: i64| proto.string_table[index as usize].as_str();
    assert_eq!(
        string(proto.mapping[0].filename),
        "/opt/shop",
        "the main binary is first"
    );
    assert_eq!(proto.string_table[0], "");
    assert!(
        !proto
            .string_table
            .iter()
            .any(|string| string.contains("nobody"))
    );
    assert_eq!(proto.function.len(), 3, "only what is used");
}

#[test]
fn what_we_write_is_what_we_read() {
    let profile = rich_profile();
    let mut gzip = Vec::new();
    pprof::write_gzip(&profile, &mut gzip).unwrap();
    let back = read(&gzip, &Limits::default()).unwrap();
    assert_eq!(canon::of_model(&back.profile), canon::of_model(&profile));
    assert_eq!((back.format, back.warnings), (Format::Pprof, vec![]));
    assert_eq!(back.profile.sample(0).time_nanos, Some(5));
    assert_eq!(back.profile.sample(1).time_nanos, Some(0));
    assert_eq!(back.profile.sample(2).time_nanos, None);
}

#[test]
fn equal_profiles_give_equal_bytes() {
    let bytes = encode(&rich_profile());
    assert_eq!(encode(&rich_profile()), bytes);
    assert_eq!(
        encode(&decode(&bytes)),
        bytes,
        "whatever the order of the model's tables"
    );
}

#[test]
fn an_empty_profile_survives() {
    let profile = Profile::new([SampleType::new("cpu", "nanoseconds")]);
    assert_eq!(
        canon::of_model(&decode(&encode(&profile))),
        canon::of_model(&profile)
    );
}

#[test]
fn gzip_members_are_read_as_one() {
    let bytes = encode(&rich_profile());
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let joined = [gzip(first), gzip(second)].concat();
    assert_eq!(
        canon::of_model(&read(&joined, &Limits::default()).unwrap().profile),
        canon::of_model(&rich_profile())
    );
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_the_model_cannot_keep_is_said() {
    let mut proto = schema::Profile::decode(encode(&rich_profile()).as_slice()).unwrap();
    proto.location[0].line.push(schema::Line::default());
    proto.location[1].line[0].line = -7;
    proto.location[1].line[0].column = 1 << 32;
    proto.string_table.push("wall".to_owned());
    proto.default_sample_type = proto.string_table.len() as i64 - 1;
    let read = read(&proto.encode_to_vec(), &Limits::default()).unwrap();
    assert_eq!(canon::of_model(&read.profile), canon::of_proto(&proto));
    let mut kinds: Vec<_> = read
        .warnings
        .iter()
        .map(|warning| (warning.kind, warning.count))
        .collect();
    kinds.sort_by_key(|(kind, _)| format!("{kind:?}"));
    assert_eq!(
        kinds,
        [
            (WarningKind::LineOutOfRange, 2),
            (WarningKind::LineWithoutFunction, 1),
            (WarningKind::UnknownDefaultSampleType, 1),
        ]
    );
}

#[test]
fn invalid_utf8_is_kept_with_replacement_and_said() {
    let bytes = encode(&rich_profile());
    let at = bytes.windows(4).position(|part| part == b"main").unwrap();
    let mut broken = bytes.clone();
    broken[at] = 0xff;
    let read = read(&broken, &Limits::default()).unwrap();
    assert!(read.profile.find_string("\u{fffd}ain").is_some());
    assert_eq!(read.warnings[0].kind, WarningKind::InvalidUtf8);
    let expected = Place::Byte {
        offset: at as u64,
        decompressed: false,
    };
    assert_eq!(read.warnings[0].first, expected);
    assert_eq!(
        read.warnings[0].to_string(),
        format!("byte {at}: text that is not UTF-8, kept with U+FFFD in it")
    );
}

#[test]
fn build_ids_become_lower_case_hex() {
    let mut proto = schema::Profile::decode(encode(&rich_profile()).as_slice()).unwrap();
    let build_id = proto.mapping[0].build_id as usize;
    proto.string_table[build_id] = "00FF12".to_owned();
    let profile = decode(&proto.encode_to_vec());
    assert_eq!(profile.string(profile.mappings()[0].build_id), "00ff12");
    proto.string_table[build_id] = "v1.2-RC".to_owned();
    let profile = decode(&proto.encode_to_vec());
    assert_eq!(profile.string(profile.mappings()[0].build_id), "v1.2-RC");
    assert_ne!(profile.mappings()[0].filename, StringId::EMPTY);
}

/// A valid message with ids, references, numbers and texts of all sorts.
pub(crate) fn any_proto() -> impl Strategy<Value = schema::Profile> {
    let strings = vec(
        prop_oneof!["[a-z]{0,6}", "\\PC{0,8}", Just("cpu".to_owned())],
        1..12,
    );
    let header = (
        any::<[i64; 3]>(),
        any::<[Index; 8]>(),
        vec(any::<Index>(), 0..3),
        any::<bool>(),
    );
    let types = vec(any::<[Index; 2]>(), 1..4);
    let mappings = vec(
        (any::<[u64; 3]>(), any::<[Index; 2]>(), any::<[bool; 4]>()),
        0..4,
    );
    let functions = vec((any::<[Index; 3]>(), any::<u32>()), 1..6);
    let lines = vec((any::<Index>(), any::<u32>(), any::<u32>()), 0..4);
    let locations = vec((any::<Index>(), any::<u64>(), lines, any::<bool>()), 1..8);
    let labels = vec((any::<[Index; 3]>(), any::<i64>(), any::<bool>()), 0..4);
    let samples = vec((vec(any::<Index>(), 0..9), any::<[i64; 4]>(), labels), 0..9);
    let ids = any::<[bool; 3]>();
    (
        strings, header, types, mappings, functions, locations, samples, ids,
    )
        .prop_map(build_proto)
}

type Strings = Vec<String>;
type Header = ([i64; 3], [Index; 8], Vec<Index>, bool);
type Mappings = Vec<([u64; 3], [Index; 2], [bool; 4])>;
type Locations = Vec<(Index, u64, Vec<(Index, u32, u32)>, bool)>;
type Samples = Vec<(Vec<Index>, [i64; 4], Vec<([Index; 3], i64, bool)>)>;
type Parts = (
    Strings,
    Header,
    Vec<[Index; 2]>,
    Mappings,
    Vec<([Index; 3], u32)>,
    Locations,
    Samples,
    [bool; 3],
);

fn build_proto(parts: Parts) -> schema::Profile {
    let (mut strings, header, types, mappings, functions, locations, samples, ids) = parts;
    strings.insert(0, String::new());
    let text = |index: Index| index.index(strings.len()) as i64;
    // Ids count up from 1, or are spread over all 64 bits.
    let id = |table: usize, position: usize| match ids[table] {
        true => position as u64 + 1,
        false => (position as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    };
    let value_type = |[kind, unit]: [Index; 2]| schema::ValueType {
        r#type: text(kind),
        unit: text(unit),
    };
    let ([time_nanos, duration_nanos, period], texts, comments, has_period) = header;
    let mapping_ids: Vec<u64> = (0..mappings.len()).map(|at| id(0, at)).collect();
    let type_count = types.len();
    schema::Profile {
        sample_type: types.into_iter().map(value_type).collect(),
        sample: samples
            .into_iter()
            .map(|(stack, values, labels)| schema::Sample {
                location_id: stack
                    .into_iter()
                    .map(|at| id(2, at.index(locations.len())))
                    .collect(),
                value: values[..type_count.min(4)].to_vec(),
                label: labels
                    .into_iter()
                    .map(|([key, string, unit], num, is_text)| {
                        let string = if is_text { text(string) } else { 0 };
                        let is_num = string == 0;
                        schema::Label {
                            key: text(key),
                            str: string,
                            num: if is_num { num } else { 0 },
                            num_unit: if is_num { text(unit) } else { 0 },
                        }
                    })
                    .collect(),
            })
            .collect(),
        location: locations
            .iter()
            .enumerate()
            .map(
                |(at, (mapping, address, lines, is_folded))| schema::Location {
                    id: id(2, at),
                    mapping_id: *[&[0], mapping_ids.as_slice()]
                        .concat()
                        .get(mapping.index(mapping_ids.len() + 1))
                        .unwrap(),
                    address: *address,
                    line: lines
                        .iter()
                        .map(|(function, line, column)| schema::Line {
                            function_id: id(1, function.index(functions.len())),
                            line: (*line).into(),
                            column: (*column).into(),
                        })
                        .collect(),
                    is_folded: *is_folded,
                },
            )
            .collect(),
        mapping: mappings
            .into_iter()
            .zip(&mapping_ids)
            .map(|((range, names, has), &id)| schema::Mapping {
                id,
                memory_start: range[0],
                memory_limit: range[1],
                file_offset: range[2],
                filename: text(names[0]),
                build_id: text(names[1]),
                has_functions: has[0],
                has_filenames: has[1],
                has_line_numbers: has[2],
                has_inline_frames: has[3],
            })
            .collect(),
        function: functions
            .iter()
            .enumerate()
            .map(|(at, (names, start_line))| schema::Function {
                id: id(1, at),
                name: text(names[0]),
                system_name: text(names[1]),
                filename: text(names[2]),
                start_line: (*start_line).into(),
            })
            .collect(),
        drop_frames: text(texts[0]),
        keep_frames: text(texts[1]),
        doc_url: text(texts[2]),
        default_sample_type: text(texts[3]),
        period_type: has_period.then(|| value_type([texts[4], texts[5]])),
        period,
        time_nanos,
        duration_nanos,
        comment: comments.into_iter().map(text).collect(),
        string_table: strings,
    }
}

/// The same message with its fields in another order, its lists unpacked and unknown fields between.
fn rearranged(proto: &schema::Profile, seed: u64) -> Vec<u8> {
    let mut rest = proto.clone();
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for sample in std::mem::take(&mut rest.sample) {
        let unpacked = schema::UnpackedSample {
            location_id: sample.location_id,
            value: sample.value,
            label: sample.label,
        };
        let mut part = vec![0x12];
        part.extend(unpacked.encode_length_delimited_to_vec());
        parts.push(part);
    }
    parts.push(rest.encode_to_vec());
    parts.push(vec![0x83, 0x7d, 0x08, 0x01, 0x84, 0x7d]); // field 2000, a group
    parts.push(vec![0xfd, 0x7c, 1, 2, 3, 4]); // field 1999, four bytes
    parts.push(vec![0xf9, 0x7c, 1, 2, 3, 4, 5, 6, 7, 8]); // field 1999, eight bytes
    parts.push(vec![0xf8, 0x7c, 0x80, 0x00]); // field 1999, a number
    let samples = parts.len() - 5;
    // Samples keep their order, for the profile does.
    let at = seed as usize % (samples + 1);
    parts[..].swap(samples, samples + 1 + seed as usize % 4);
    let (before, after) = parts.split_at(samples);
    let (first, second) = before.split_at(at);
    [first.concat(), after.concat(), second.concat()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_message_of_prost_is_read_and_written_back(proto in any_proto(), seed: u64) {
        let expected = canon::of_proto(&proto);
        let profile = decode(&proto.encode_to_vec());
        prop_assert_eq!(canon::of_model(&profile), expected.as_str());
        prop_assert_eq!(canon::of_model(&decode(&rearranged(&proto, seed))), expected.as_str());

        let written = encode(&profile);
        let back = schema::Profile::decode(written.as_slice()).unwrap();
        prop_assert_eq!(canon::of_proto(&back), expected.as_str());
        prop_assert_eq!(encode(&decode(&written)), written);
    }
}
