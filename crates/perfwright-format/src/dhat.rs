//! DHAT's JSON: what Valgrind's tool and the crate `dhat` write.
//!
//! Sample types are the bytes and blocks that were allocated (`alloc_space`, `alloc_objects`), and if the file tells
//! lifetimes those at the peak (`peak_space`, `peak_objects`) and at the end (`inuse_space`, `inuse_objects`), in the
//! words of heap profiles elsewhere. In the modes that do not trace the heap, `alloc` becomes the verb of the file.
//! Frames of one address are inlined into one another. Accesses and lifetimes are left out.
//!
//! Source: "dhat/docs" of Valgrind, file version 2.

use std::num::NonZeroU64;

use perfwright_model::{Frame, LabelSetId, Location, LocationId, SampleType, StackId};

use crate::build::{Builder, line};
use crate::json::Json;
use crate::warning::Warnings;
use crate::{Error, Format, Input, Limits, Place, Read};

const SUBJECT: &str = "DHAT profile";

/// Reads a DHAT file, gzipped or not.
///
/// # Errors
/// With the byte that is no JSON, the frame that is missing, or the limit that is exceeded.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse(&input.bytes, limits).map_err(|error| input.place(error))
}

pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let mut json = Json::new(bytes, SUBJECT);
    let (mut frames, mut points, mut verb, mut has_lifetimes) = (None, None, String::new(), false);
    let mut comments = Vec::new();
    json.fields(&mut |json, key| {
        match key {
            "ftbl" => frames = Some(json.later()?),
            "pps" => points = Some(json.later()?),
            "verb" => verb = json.text_or_empty()?.into_owned(),
            "bklt" => has_lifetimes = json.bool()?,
            "cmd" => comments.push(format!("command: {}", json.text_or_empty()?)),
            _ => {}
        }
        Ok(())
    })?;
    json.finish()?;
    let (Some(frames), Some(points)) = (frames, points) else {
        return Err(json.malformed("there is no `ftbl` or no `pps`"));
    };
    let verb = match verb.as_str() {
        "Allocated" | "" => "alloc".to_owned(),
        other => other.to_ascii_lowercase(),
    };
    let mut builder = Builder::new(sample_types(&verb, has_lifetimes), SUBJECT, limits);
    builder.profile.meta.default_sample_type = Some(0);
    builder.profile.meta.comments = comments;
    let frames = read_frames(&mut builder, frames)?;
    read_points(&mut builder, points, frames)?;
    let profile = builder.profile;
    Ok(Read {
        profile,
        format: Format::Dhat,
        warnings: Warnings::default().into_vec(),
    })
}

/// The fields of a program point that are values, in the order of the sample types.
const VALUES: [&str; 6] = ["tb", "tbk", "gb", "gbk", "eb", "ebk"];

fn sample_types(verb: &str, has_lifetimes: bool) -> Vec<SampleType> {
    let kinds: &[&str] = if has_lifetimes {
        &[verb, "peak", "inuse"]
    } else {
        &[verb]
    };
    let pair = |kind: &&str| {
        [
            (format!("{kind}_space"), "bytes"),
            (format!("{kind}_objects"), "count"),
        ]
    };
    kinds
        .iter()
        .flat_map(pair)
        .map(|(kind, unit)| SampleType::new(kind, unit))
        .collect()
}

/// An entry of the table of frames.
struct Entry {
    address: Option<NonZeroU64>,
    /// `None` for an address without a name.
    frame: Option<Frame>,
}

fn read_frames(builder: &mut Builder<'_>, mut json: Json<'_>) -> Result<Vec<Entry>, Error> {
    let mut frames = Vec::new();
    json.items(&mut |json, index| {
        let place = json.place();
        builder.check(index + 1, builder.limits.locations, "frames", place)?;
        let text = json.text()?;
        let (address, name, file, number) = split(&text);
        let frame = match (name, address) {
            ("", Some(_)) => None,
            _ => {
                let function = builder.function(name, file, None, place)?;
                Some(Frame {
                    function,
                    line: line(number),
                    column: None,
                })
            }
        };
        frames.push(Entry { address, frame });
        Ok(())
    })?;
    Ok(frames)
}

/// `0x1234: name (file.rs:12:5)`, with column or without, or `name (in /lib/libc.so)`.
fn split(text: &str) -> (Option<NonZeroU64>, &str, &str, Option<f64>) {
    let (address, rest) = match text
        .strip_prefix("0x")
        .and_then(|text| text.split_once(": "))
    {
        Some((digits, rest)) => (
            u64::from_str_radix(digits, 16)
                .ok()
                .and_then(NonZeroU64::new),
            rest,
        ),
        None => (None, text),
    };
    let inner = rest
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once(" ("));
    let (name, file, number) = match inner {
        Some((name, place)) if !place.starts_with("in ") => {
            let number = |text: &str| text.parse::<u32>().ok().map(f64::from);
            let mut words = place.rsplitn(3, ':');
            match (
                words.next().and_then(number),
                words.next().map(|word| (word, number(word))),
                words.next(),
            ) {
                (Some(_), Some((_, Some(line))), Some(file)) => (name, file, Some(line)),
                (Some(line), Some(_), _) => (
                    name,
                    place.rsplit_once(':').map_or("", |(file, _)| file),
                    Some(line),
                ),
                _ => (name, "", None),
            }
        }
        Some((name, _)) => (name, "", None),
        None => (rest, "", None),
    };
    (address, if name == "???" { "" } else { name }, file, number)
}

fn read_points(
    builder: &mut Builder<'_>,
    mut json: Json<'_>,
    frames: Vec<Entry>,
) -> Result<(), Error> {
    let width = builder.profile.sample_types().len();
    // The location of one frame alone; those of several inlined ones are found by their frames.
    let mut single: Vec<Option<LocationId>> = vec![None; frames.len()];
    let mut entries: Vec<usize> = Vec::new();
    let mut values = vec![0; width];
    json.items(&mut |json, _| {
        let place = json.place();
        entries.clear();
        values.fill(0);
        json.fields(&mut |json, key| {
            if key == "fs" {
                return json.items(&mut |json, _| {
                    let depth = entries.len() + 1;
                    builder.check(
                        depth,
                        builder.limits.depth,
                        "frames in one stack",
                        json.place(),
                    )?;
                    entries.push(json.index("frame", frames.len())?);
                    Ok(())
                });
            }
            if let Some(index) = VALUES
                .iter()
                .position(|value| *value == key)
                .filter(|&index| index < width)
            {
                values[index] = json.int()?;
            }
            Ok(())
        })?;
        // The innermost comes first.
        let inlined = |a: &usize, b: &usize| {
            frames[*a].address.is_some() && frames[*a].address == frames[*b].address
        };
        let (mut stack, mut depth) = (StackId::ROOT, 0);
        let groups: Vec<_> = entries.chunk_by(inlined).collect();
        for group in groups.into_iter().rev() {
            let location = match *group {
                [entry] => match single[entry] {
                    Some(known) => known,
                    None => *single[entry].insert(location(builder, &frames, group, place)?),
                },
                _ => location(builder, &frames, group, place)?,
            };
            depth += 1;
            stack = builder.push(stack, location, depth, place)?;
        }
        builder.record(stack, LabelSetId::EMPTY, &values, place)
    })
}

fn location(
    builder: &mut Builder<'_>,
    entries: &[Entry],
    group: &[usize],
    place: Place,
) -> Result<LocationId, Error> {
    let frames: Vec<_> = group
        .iter()
        .filter_map(|&entry| entries[entry].frame)
        .collect();
    if !frames.is_empty() {
        return builder.location(None, &frames, place);
    }
    // Without a name the address must do.
    let address = group.first().and_then(|&entry| entries[entry].address);
    builder.push_location(
        Location {
            address,
            ..Location::default()
        },
        &[],
        place,
    )
}
