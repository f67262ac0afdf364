//! speedscope's own format: JSON, a list of frames and any number of profiles over them.
//!
//! # Reading
//! A profile of the file is a thread of ours if there are several, under its name. Its samples, or the times between
//! its events, keep their order and time where the unit is one of time. Units become nanoseconds, bytes or counts, one
//! sample type each. Frames have no addresses and no inlining; file, line and column are kept.
//!
//! # Writing
//! A profile for each thread and sample type. What the format has no field for (the sample type's name, the thread,
//! whether the order is one of time) stands in a field `perfwright` of each profile, which other readers skip and
//! [`read`] takes. Labels other than the thread and addresses are lost; an inlined function is a frame of its own.
//!
//! Source: `file-format-spec.ts` of jlfwong/speedscope.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use perfwright_model::{
    Frame, LabelSetId, LocationId, Profile, SampleRef, SampleType, StackId, keys, ordered,
};

use crate::build::{Builder, Thread, UNKNOWN, address_name, line};
use crate::json::{Json, write_text};
use crate::warning::Warnings;
use crate::{Error, ErrorKind, Format, Input, Limits, Read, WarningKind};

const SUBJECT: &str = "speedscope profile";

/// Reads a speedscope file, gzipped or not.
///
/// # Errors
/// With the byte that is no JSON, the index that points nowhere, events that are out of order, or the limit that is
/// exceeded.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse(&input.bytes, limits).map_err(|error| input.place(error))
}

pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let mut json = Json::new(bytes, SUBJECT);
    let start = json.clone();
    let (mut frames, mut profiles, mut name) = (None, None, String::new());
    json.fields(&mut |json, key| {
        match key {
            "shared" => json.fields(&mut |json, key| {
                if key == "frames" {
                    frames = Some(json.later()?);
                }
                Ok(())
            })?,
            "profiles" => profiles = Some(json.later()?),
            "name" => name = json.text_or_empty()?.into_owned(),
            _ => {}
        }
        Ok(())
    })?;
    json.finish()?;
    let (Some(frames), Some(profiles)) = (frames, profiles) else {
        return Err(start.malformed("the file has no `shared.frames` or no `profiles`"));
    };
    let scales = Scales::of(profiles.clone(), limits)?;
    let builder = Builder::new(scales.types.iter().cloned(), SUBJECT, limits);
    let mut reader = Reader {
        builder,
        frames: Vec::new(),
        scales,
        warnings: Warnings::default(),
    };
    if !name.is_empty() {
        reader.builder.profile.meta.comments.push(name);
    }
    reader.frames(frames)?;
    let mut profiles = profiles;
    profiles.items(&mut |json, _| reader.profile(json))?;
    let profile = reader.builder.profile;
    Ok(Read {
        profile,
        format: Format::Speedscope,
        warnings: reader.warnings.into_vec(),
    })
}

/// A profile's fields but for its samples.
#[derive(Default)]
struct Header {
    evented: bool,
    name: String,
    unit: String,
    start: f64,
    end: Option<f64>,
    ours: Ours,
}

/// The field `perfwright`.
#[derive(Default)]
struct Ours {
    kind: Option<String>,
    unit: String,
    thread: Option<String>,
    untimed: bool,
}

impl Header {
    /// Reads it, and finds the samples, weights and events.
    fn read<'a>(json: &mut Json<'a>) -> Result<(Self, [Option<Json<'a>>; 3]), Error> {
        let (mut header, mut found) = (Self::default(), [None, None, None]);
        json.fields(&mut |json, key| {
            match key {
                "type" => header.evented = json.text_or_empty()? == "evented",
                "name" => header.name = json.text_or_empty()?.into_owned(),
                "unit" => header.unit = json.text_or_empty()?.into_owned(),
                "startValue" => header.start = json.maybe_number()?.unwrap_or(0.0),
                "endValue" => header.end = json.maybe_number()?,
                "samples" => found[0] = Some(json.later()?),
                "weights" => found[1] = Some(json.later()?),
                "events" => found[2] = Some(json.later()?),
                "perfwright" => header.ours = Ours::read(json)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok((header, found))
    }

    /// Nanoseconds in the unit, if it is one of time.
    fn nanos(&self) -> Option<f64> {
        match self.unit.as_str() {
            "nanoseconds" => Some(1.0),
            "microseconds" => Some(1e3),
            "milliseconds" => Some(1e6),
            "seconds" => Some(1e9),
            _ => None,
        }
    }

    fn sample_type(&self) -> SampleType {
        match (&self.ours.kind, self.nanos(), self.unit.as_str()) {
            (Some(kind), ..) => SampleType::new(kind, &self.ours.unit),
            (None, Some(_), _) => SampleType::new("time", "nanoseconds"),
            (None, None, "bytes") => SampleType::new("space", "bytes"),
            _ => SampleType::new("samples", "count"),
        }
    }
}

impl Ours {
    fn read(json: &mut Json<'_>) -> Result<Self, Error> {
        let mut ours = Self::default();
        json.fields(&mut |json, key| {
            match key {
                "kind" => ours.kind = Some(json.text()?.into_owned()),
                "unit" => ours.unit = json.text()?.into_owned(),
                "thread" => ours.thread = Some(json.text()?.into_owned()),
                "untimed" => ours.untimed = json.bool()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(ours)
    }
}

/// The sample types of all profiles, in order of appearance, and what their values are multiplied by.
struct Scales {
    types: Vec<SampleType>,
    factors: Vec<f64>,
    several: bool,
}

/// Counts that are no whole numbers are kept to six decimals.
const FRACTION: f64 = 1e6;

impl Scales {
    fn of(mut profiles: Json<'_>, limits: &Limits) -> Result<Self, Error> {
        let mut scales = Self {
            types: Vec::new(),
            factors: Vec::new(),
            several: false,
        };
        let mut count = 0;
        profiles.items(&mut |json, _| {
            let place = json.clone();
            let (header, [_, weights, events]) = Header::read(json)?;
            let sample_type = header.sample_type();
            count += 1;
            let known = scales.types.iter().position(|known| *known == sample_type);
            let index = known.unwrap_or(scales.types.len());
            if known.is_none() {
                if index >= limits.sample_types {
                    let what = "sample types";
                    return Err(crate::limits::too_many(
                        SUBJECT,
                        place.place(),
                        what,
                        limits.sample_types,
                    ));
                }
                scales.factors.push(
                    header
                        .nanos()
                        .filter(|_| header.ours.kind.is_none())
                        .unwrap_or(1.0),
                );
                scales.types.push(sample_type);
            }
            let factor = scales.factors[index];
            let whole =
                header.ours.kind.is_some() || header.nanos().is_some() || factor == FRACTION;
            if !whole && has_fractions(weights, events)? {
                scales.factors[index] = FRACTION;
            }
            Ok(())
        })?;
        for (sample_type, factor) in scales.types.iter_mut().zip(&scales.factors) {
            if *factor == FRACTION && sample_type.unit == "count" {
                sample_type.unit = "count/1000000".to_owned();
            }
        }
        if scales.types.is_empty() {
            return Err(profiles.error(ErrorKind::Empty, "the file holds no profile"));
        }
        scales.several = count > 1;
        Ok(scales)
    }

    fn index(&self, header: &Header) -> usize {
        let wanted = header.sample_type();
        let same = |known: &SampleType| {
            known.kind == wanted.kind
                && (known.unit == wanted.unit || known.unit == "count/1000000")
        };
        self.types.iter().position(same).unwrap_or(0)
    }
}

fn has_fractions(weights: Option<Json<'_>>, events: Option<Json<'_>>) -> Result<bool, Error> {
    let mut found = false;
    if let Some(mut weights) = weights {
        weights.items(&mut |json, _| json.number().map(|number| found |= number.fract() != 0.0))?;
    }
    if let Some(mut events) = events {
        events.items(&mut |json, _| {
            json.fields(&mut |json, key| match key {
                "at" => json.number().map(|number| found |= number.fract() != 0.0),
                _ => Ok(()),
            })
        })?;
    }
    Ok(found)
}

struct Reader<'a> {
    builder: Builder<'a>,
    /// The location of each frame of the file.
    frames: Vec<LocationId>,
    scales: Scales,
    warnings: Warnings,
}

/// What all samples of a profile have in common.
struct Column {
    index: usize,
    factor: f64,
    labels: LabelSetId,
    /// Nanoseconds in the unit, if samples have times.
    nanos: Option<f64>,
}

impl Reader<'_> {
    fn frames(&mut self, mut json: Json<'_>) -> Result<(), Error> {
        json.items(&mut |json, _| {
            let place = json.place();
            let (mut name, mut file, mut at) = (String::new(), String::new(), [None; 2]);
            json.fields(&mut |json, key| {
                match key {
                    "name" => name = json.text_or_empty()?.into_owned(),
                    "file" => file = json.text_or_empty()?.into_owned(),
                    "line" => at[0] = json.maybe_number()?,
                    "col" => at[1] = json.maybe_number()?,
                    _ => {}
                }
                Ok(())
            })?;
            let builder = &mut self.builder;
            builder.check(
                self.frames.len() + 1,
                builder.limits.locations,
                "frames",
                place,
            )?;
            let function = builder.function(&name, &file, None, place)?;
            let [line_at, column] = at.map(line);
            self.frames
                .push(builder.frame(function, line_at, column, place)?);
            Ok(())
        })
    }

    fn profile(&mut self, json: &mut Json<'_>) -> Result<(), Error> {
        let place = json.place();
        let (header, [samples, weights, events]) = Header::read(json)?;
        let thread = match (&header.ours.kind, &header.ours.thread) {
            (_, Some(thread)) => thread,
            (None, None) if self.scales.several => &header.name,
            _ => "",
        };
        let labels = self.builder.thread_labels(&Thread {
            name: thread,
            ..Thread::default()
        });
        let labels = self.builder.labels(&labels, place)?;
        let index = self.scales.index(&header);
        let factor = match header.ours.kind {
            Some(_) => 1.0,
            None => header.nanos().unwrap_or(self.scales.factors[index]),
        };
        let nanos = header.nanos().filter(|_| !header.ours.untimed);
        let column = Column {
            index,
            factor,
            labels,
            nanos,
        };
        match (header.evented, samples, events) {
            (true, _, Some(events)) => self.events(&column, header.start, header.end, events),
            (false, Some(samples), _) => self.samples(&column, samples, weights),
            _ => Err(json.malformed(format!(
                "the profile `{}` has neither samples nor events",
                header.name
            ))),
        }
    }

    fn samples(
        &mut self,
        column: &Column,
        mut samples: Json<'_>,
        weights: Option<Json<'_>>,
    ) -> Result<(), Error> {
        let mut weights = weights
            .map(|mut weights| weights.enter_array().map(|()| weights))
            .transpose()?;
        let (mut now, mut count) = (0.0, 0);
        samples.items(&mut |json, index| {
            let place = json.place();
            let (mut stack, mut depth) = (StackId::ROOT, 0);
            json.items(&mut |json, _| {
                let place = json.place();
                let frame = json.index("frame", self.frames.len())?;
                depth += 1;
                stack = self.builder.push(stack, self.frames[frame], depth, place)?;
                Ok(())
            })?;
            let weight = match &mut weights {
                None => 1.0,
                Some(weights) => match weights.next_item(index == 0)? {
                    true => weights.number()?,
                    false => return Err(json.malformed("more samples than weights")),
                },
            };
            self.add(column, stack, now, weight, place)?;
            now += weight;
            count += 1;
            Ok(())
        })?;
        if let Some(mut weights) = weights
            && weights.next_item(count == 0)?
        {
            return Err(weights.malformed("more weights than samples"));
        }
        Ok(())
    }

    /// The time between two events is a sample of what is open. What is never closed ends with the profile.
    fn events(
        &mut self,
        column: &Column,
        start: f64,
        end: Option<f64>,
        mut events: Json<'_>,
    ) -> Result<(), Error> {
        let mut open: Vec<(usize, StackId)> = Vec::new();
        let mut last = None;
        events.items(&mut |json, _| {
            let place = json.place();
            let before = json.clone();
            let (mut opens, mut frame, mut at) = (None, None, None);
            json.fields(&mut |json, key| {
                match key {
                    "type" => opens = Some(json.text()? == "O"),
                    "frame" => frame = Some(json.index("frame", self.frames.len())?),
                    "at" => at = Some(json.number()?),
                    _ => {}
                }
                Ok(())
            })?;
            let (Some(opens), Some(frame), Some(at)) = (opens, frame, at) else {
                return Err(before.malformed("an event without type, frame or time"));
            };
            let since: f64 = last.unwrap_or(at);
            if at < since {
                // Without the times: formatting them is 13 KB of a wasm.
                return Err(before.malformed("an event that is earlier than the one before"));
            }
            let stack = open.last().map_or(StackId::ROOT, |&(_, stack)| stack);
            if !open.is_empty() {
                self.add(column, stack, since - start, at - since, place)?;
            }
            last = Some(at);
            if opens {
                let stack = self
                    .builder
                    .push(stack, self.frames[frame], open.len() + 1, place)?;
                open.push((frame, stack));
            } else if open.pop().is_none_or(|(opened, _)| opened != frame) {
                return Err(before.malformed(format!(
                    "frame {frame} is closed, but is not the one opened last"
                )));
            }
            Ok(())
        })?;
        if let (Some(&(_, stack)), Some(last)) = (open.last(), last) {
            self.warnings.add(WarningKind::Unbalanced, events.place());
            let rest = end.map_or(0.0, |end| (end - last).max(0.0));
            self.add(column, stack, last - start, rest, events.place())?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        column: &Column,
        stack: StackId,
        time: f64,
        weight: f64,
        place: crate::Place,
    ) -> Result<(), Error> {
        let mut values = vec![0; self.scales.types.len()];
        values[column.index] = (weight * column.factor).round() as i64;
        if values[column.index] == 0 {
            return Ok(());
        }
        match column.nanos {
            Some(nanos) => {
                let time = (time * nanos).round() as i64;
                self.builder
                    .sample_at(stack, column.labels, &values, time, place)
            }
            None => self.builder.record(stack, column.labels, &values, place),
        }
    }
}

/// Writes all threads and sample types as a speedscope file.
///
/// Samples that have times are written in their order, the others as they come, callers' stacks together.
///
/// # Errors
/// What the writer says.
pub fn write(profile: &Profile, writer: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(writer);
    let mut frames = Frames::default();
    let thread = |sample: &SampleRef<'_>| profile.label_str(sample.labels, keys::THREAD);
    // A thread's samples together, in the order of time where that is known.
    let keys: Vec<_> = (profile.samples())
        .map(|sample| (thread(&sample), sample.time_nanos, sample.stack))
        .collect();
    let order = ordered(keys.len(), &|a, b| keys[a].cmp(&keys[b]));
    let timed = profile.samples().all(|sample| sample.time_nanos.is_some());
    write!(
        out,
        "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\","
    )?;
    write!(out, "\"exporter\":\"perfwright\",\"name\":")?;
    write_text(
        &mut out,
        profile
            .meta
            .comments
            .first()
            .map_or("profile", String::as_str),
    )?;
    if let Some(active) = profile.default_sample_type() {
        write!(out, ",\"activeProfileIndex\":{active}")?;
    }
    write!(out, ",\"profiles\":[")?;
    let mut comma = "";
    let same_thread =
        |a: &usize, b: &usize| thread(&profile.sample(*a)) == thread(&profile.sample(*b));
    // Without samples the sample types are written all the same: a file without a profile is none.
    let nothing = order.is_empty().then_some(order.as_slice());
    for samples in order.chunk_by(same_thread).chain(nothing) {
        let thread = samples
            .first()
            .and_then(|&index| thread(&profile.sample(index)));
        for (column, sample_type) in profile.sample_types().iter().enumerate() {
            out.write_all(comma.as_bytes())?;
            comma = ",";
            write_profile(
                &mut out,
                profile,
                samples,
                &mut frames,
                (column, sample_type),
                thread,
                timed,
            )?;
        }
    }
    write!(out, "],\"shared\":{{\"frames\":[")?;
    frames.write(profile, &mut out)?;
    writeln!(out, "]}}}}")?;
    out.flush()
}

fn write_profile(
    out: &mut impl Write,
    profile: &Profile,
    samples: &[usize],
    frames: &mut Frames,
    (column, sample_type): (usize, &SampleType),
    thread: Option<&str>,
    timed: bool,
) -> io::Result<()> {
    let unit = match sample_type.unit.as_str() {
        unit @ ("nanoseconds" | "microseconds" | "milliseconds" | "seconds" | "bytes") => unit,
        _ => "none",
    };
    let name = match thread {
        Some(thread) => format!("{thread}: {}", sample_type.kind),
        None => sample_type.kind.clone(),
    };
    write!(out, "{{\"type\":\"sampled\",\"name\":")?;
    write_text(out, &name)?;
    write!(out, ",\"unit\":\"{unit}\",\"perfwright\":{{\"kind\":")?;
    write_text(out, &sample_type.kind)?;
    write!(out, ",\"unit\":")?;
    write_text(out, &sample_type.unit)?;
    if let Some(thread) = thread {
        write!(out, ",\"thread\":")?;
        write_text(out, thread)?;
    }
    if !timed {
        write!(out, ",\"untimed\":true")?;
    }
    let values = || {
        samples
            .iter()
            .map(|&index| profile.sample(index).values[column])
    };
    let total = values().fold(0i64, i64::saturating_add);
    write!(
        out,
        "}},\"startValue\":0,\"endValue\":{total},\"weights\":["
    )?;
    let mut comma = "";
    for value in values().filter(|&value| value != 0) {
        write!(out, "{comma}{value}")?;
        comma = ",";
    }
    write!(out, "],\"samples\":[")?;
    let (mut comma, mut stack) = ("", Vec::new());
    for sample in samples
        .iter()
        .map(|&index| profile.sample(index))
        .filter(|sample| sample.values[column] != 0)
    {
        stack.clear();
        stack.extend(profile.stack(sample.stack));
        write!(out, "{comma}[")?;
        comma = ",";
        let mut between = "";
        for &location in stack.iter().rev() {
            for frame in frames.of_location(profile, location) {
                write!(out, "{between}{frame}")?;
                between = ",";
            }
        }
        write!(out, "]")?;
    }
    write!(out, "]}}")
}

/// The frames as they are numbered in the file.
#[derive(Default)]
struct Frames {
    known: HashMap<Result<Frame, LocationId>, u32>,
    list: Vec<Result<Frame, LocationId>>,
    /// By location, the outermost first.
    locations: HashMap<LocationId, Vec<u32>>,
}

impl Frames {
    fn of_location(&mut self, profile: &Profile, id: LocationId) -> &[u32] {
        let Self {
            known,
            list,
            locations,
        } = self;
        let mut number = |frame: Result<Frame, LocationId>| {
            *known.entry(frame).or_insert_with(|| {
                list.push(frame);
                list.len() as u32 - 1
            })
        };
        locations
            .entry(id)
            .or_insert_with(|| match profile.frames(id) {
                [] => vec![number(Err(id))],
                frames => frames
                    .iter()
                    .rev()
                    .map(|&frame| number(Ok(frame)))
                    .collect(),
            })
    }

    fn write(&self, profile: &Profile, out: &mut impl Write) -> io::Result<()> {
        let mut comma = "";
        for frame in &self.list {
            write!(out, "{comma}{{\"name\":")?;
            comma = ",";
            let frame = match frame {
                Ok(frame) => frame,
                Err(location) => {
                    write_text(out, &address_name(profile, *location))?;
                    write!(out, "}}")?;
                    continue;
                }
            };
            let name = profile.function_name(frame.function);
            write_text(out, if name.is_empty() { UNKNOWN } else { name })?;
            let file = profile.string(profile.function(frame.function).filename);
            if !file.is_empty() {
                write!(out, ",\"file\":")?;
                write_text(out, file)?;
            }
            if let Some(line) = frame.line {
                write!(out, ",\"line\":{line}")?;
            }
            if let Some(column) = frame.column {
                write!(out, ",\"col\":{column}")?;
            }
            write!(out, "}}")?;
        }
        Ok(())
    }
}
