//! A profile as text, every reference resolved, made from the model and from prost's messages by two pieces
//! of code that share nothing: equal texts are equal profiles.

use std::fmt::Write;

use perfwright_format::pprof::TIME_LABEL;
use perfwright_model::{LabelValue, LocationId, MappingId, Profile, SampleType};

use crate::schema;

/// A line for the header's fields each, then one a sample.
pub(crate) fn of_model(profile: &Profile) -> String {
    let mut out = String::new();
    let meta = &profile.meta;
    let name = |sample_type: &SampleType| format!("{:?}/{:?}", sample_type.kind, sample_type.unit);
    for sample_type in profile.sample_types() {
        line(&mut out, "type", name(sample_type));
    }
    let default = meta.default_sample_type;
    let default = default.map(|index| profile.sample_types()[index].kind.clone());
    line(&mut out, "default", text(default.as_deref()));
    let period = meta.period.as_ref();
    let period = period.map(|period| format!("{} {}", name(&period.sample_type), period.value));
    line(&mut out, "period", period.unwrap_or_default());
    line(&mut out, "time", meta.time_nanos.unwrap_or(0).to_string());
    line(
        &mut out,
        "duration",
        meta.duration_nanos.unwrap_or(0).to_string(),
    );
    line(&mut out, "drop", text(meta.drop_frames.as_deref()));
    line(&mut out, "keep", text(meta.keep_frames.as_deref()));
    line(&mut out, "doc", text(meta.doc_url.as_deref()));
    line(&mut out, "comments", format!("{:?}", meta.comments));
    for sample in profile.samples() {
        let stack: Vec<_> = profile
            .stack(sample.stack)
            .map(|location| model_location(profile, location))
            .collect();
        let mut labels: Vec<_> = profile
            .labels(sample.labels)
            .iter()
            .map(|label| {
                let key = profile.string(label.key);
                match label.value {
                    LabelValue::Str(text) => format!("{key:?}={:?}", profile.string(text)),
                    LabelValue::Num { value, unit } => {
                        format!("{key:?}={value} {:?}", profile.string(unit))
                    }
                }
            })
            .collect();
        if let Some(time) = sample.time_nanos {
            labels.push(format!("{TIME_LABEL:?}={time} \"nanoseconds\""));
        }
        sample_line(&mut out, &stack, sample.values, labels);
    }
    out
}

fn model_location(profile: &Profile, id: LocationId) -> String {
    let location = profile.location(id);
    let lines: Vec<_> = profile
        .frames(id)
        .iter()
        .map(|frame| {
            let function = profile.function(frame.function);
            frame_text(
                [function.name, function.system_name, function.filename]
                    .map(|string| profile.string(string)),
                [function.start_line, frame.line, frame.column]
                    .map(|line| line.map_or(0, |line| line.get().into())),
            )
        })
        .collect();
    let address = location.address.map_or(0, |address| address.get());
    let mapping = location
        .mapping
        .map(|mapping| model_mapping(profile, mapping));
    location_text(address, location.is_folded, mapping, &lines)
}

fn model_mapping(profile: &Profile, id: MappingId) -> String {
    let mapping = profile.mapping(id);
    mapping_text(
        [mapping.start, mapping.limit, mapping.offset],
        [mapping.filename, mapping.build_id].map(|string| profile.string(string)),
        [
            mapping.has_functions,
            mapping.has_filenames,
            mapping.has_lines,
            mapping.has_inlines,
        ],
    )
}

/// The same text from prost's messages, by the rules that the crate documents.
pub(crate) fn of_proto(proto: &schema::Profile) -> String {
    let mut out = String::new();
    let string = |index: i64| -> &str { &proto.string_table[usize::try_from(index).unwrap()] };
    let name =
        |value: &schema::ValueType| format!("{:?}/{:?}", string(value.r#type), string(value.unit));
    for value_type in &proto.sample_type {
        line(&mut out, "type", name(value_type));
    }
    let kinds = || proto.sample_type.iter().map(|value| string(value.r#type));
    let default = Some(string(proto.default_sample_type));
    let default =
        default.filter(|default| !default.is_empty() && kinds().any(|kind| kind == *default));
    line(&mut out, "default", text(default));
    let period = match (&proto.period_type, proto.period) {
        (None, 0) => String::new(),
        (value, period) => format!("{} {period}", name(&value.unwrap_or_default())),
    };
    line(&mut out, "period", period);
    line(&mut out, "time", proto.time_nanos.to_string());
    line(&mut out, "duration", proto.duration_nanos.to_string());
    line(&mut out, "drop", text(Some(string(proto.drop_frames))));
    line(&mut out, "keep", text(Some(string(proto.keep_frames))));
    line(&mut out, "doc", text(Some(string(proto.doc_url))));
    let comments: Vec<_> = proto.comment.iter().map(|&index| string(index)).collect();
    line(&mut out, "comments", format!("{comments:?}"));
    for sample in &proto.sample {
        let stack: Vec<_> = sample
            .location_id
            .iter()
            .map(|id| proto_location(proto, *id))
            .collect();
        let labels = sample
            .label
            .iter()
            .map(|label| match label.str {
                0 => format!(
                    "{:?}={} {:?}",
                    string(label.key),
                    label.num,
                    string(label.num_unit)
                ),
                text => format!("{:?}={:?}", string(label.key), string(text)),
            })
            .collect();
        sample_line(&mut out, &stack, &sample.value, labels);
    }
    out
}

fn proto_location(proto: &schema::Profile, id: u64) -> String {
    let string = |index: i64| -> &str { &proto.string_table[usize::try_from(index).unwrap()] };
    let location = proto
        .location
        .iter()
        .find(|location| location.id == id)
        .unwrap();
    let known = |line: i64| u32::try_from(line).unwrap_or(0).into();
    let lines: Vec<_> = location
        .line
        .iter()
        .filter(|line| line.function_id != 0)
        .map(|line| {
            let function = proto.function.iter();
            let function = function
                .clone()
                .find(|function| function.id == line.function_id)
                .unwrap();
            frame_text(
                [function.name, function.system_name, function.filename].map(string),
                [function.start_line, line.line, line.column].map(known),
            )
        })
        .collect();
    let mapping = proto
        .mapping
        .iter()
        .find(|mapping| mapping.id == location.mapping_id);
    let mapping = mapping.map(|mapping| {
        let build_id = string(mapping.build_id);
        let hex = build_id.chars().all(|c| c.is_ascii_hexdigit());
        let build_id = if hex {
            build_id.to_lowercase()
        } else {
            build_id.to_owned()
        };
        mapping_text(
            [
                mapping.memory_start,
                mapping.memory_limit,
                mapping.file_offset,
            ],
            [string(mapping.filename), &build_id],
            [
                mapping.has_functions,
                mapping.has_filenames,
                mapping.has_line_numbers,
                mapping.has_inline_frames,
            ],
        )
    });
    location_text(location.address, location.is_folded, mapping, &lines)
}

fn line(out: &mut String, key: &str, value: String) {
    writeln!(out, "{key}: {value}").unwrap();
}

fn text(value: Option<&str>) -> String {
    format!("{:?}", value.unwrap_or(""))
}

fn frame_text(names: [&str; 3], [start, line, column]: [i64; 3]) -> String {
    format!("{names:?}@{start} {line}:{column}")
}

fn mapping_text(range: [u64; 3], names: [&str; 2], has: [bool; 4]) -> String {
    format!("{range:x?} {names:?} {has:?}")
}

fn location_text(address: u64, folded: bool, mapping: Option<String>, lines: &[String]) -> String {
    let folded = if folded { " folded" } else { "" };
    format!("<{address:x}{folded} in {mapping:?} lines {lines:?}>")
}

fn sample_line(out: &mut String, stack: &[String], values: &[i64], mut labels: Vec<String>) {
    labels.sort();
    line(out, "sample", format!("{stack:?} {values:?} {labels:?}"));
}
