//! Chrome's trace events, as its performance panel and many other tools write them.
//!
//! If the trace holds V8's CPU profiles or samples of stacks (`samples` and `stackFrames`, as Hermes writes them), these
//! are read (sample types `samples` and `time`), for they say more than the events. Otherwise the time between begin and
//! end events (`B`, `E`, `X`) is, less that of the events within, of sample type `time`. Threads and processes are
//! labels, under the names that the trace gives them. Events that do not nest are cut where what holds them ends, with a
//! warning. Other events are left out, with a warning. A list of events that was cut short is read as far as it goes.
//!
//! Source: "Trace Event Format" of the Chromium project.

mod sampled;

use std::collections::HashMap;

use perfwright_model::{FunctionId, LabelSetId, LocationId, SampleType, StackId};

use crate::build::{Builder, Thread};
use crate::json::{Json, Kind};
use crate::order::sorted;
use crate::v8::{CpuProfile, cpu_types};
use crate::warning::Warnings;
use crate::{Error, ErrorKind, Format, Input, Limits, Place, Read, WarningKind};

use sampled::Sampled;

const SUBJECT: &str = "Chrome trace";

/// Reads a trace, gzipped or not.
///
/// # Errors
/// With the byte that is no JSON, or the limit that is exceeded.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse(&input.bytes, limits).map_err(|error| input.place(error))
}

pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let mut json = Json::new(bytes, SUBJECT);
    json.lenient = true;
    let (mut events, mut samples, mut frames) = (None, None, None);
    if json.kind()? == Kind::Array {
        events = Some(json.later()?);
    } else {
        json.fields(&mut |json, key| {
            match key {
                "traceEvents" => events = Some(json.later()?),
                "samples" => samples = Some(json.later()?),
                "stackFrames" => frames = Some(json.later()?),
                _ => {}
            }
            Ok(())
        })?;
    }
    let Some(events) = events else {
        return Err(json.malformed("there are no `traceEvents`"));
    };
    let sampled = samples
        .zip(frames)
        .map(|(samples, frames)| Sampled { samples, frames });
    let has_samples = sampled.as_ref().map_or(Ok(false), Sampled::has_some)?;
    let has_profiles = has_profiles(events.clone())?;
    let types = match has_profiles || has_samples {
        true => cpu_types().to_vec(),
        false => vec![SampleType::new("time", "nanoseconds")],
    };
    let mut reader = Reader {
        builder: Builder::new(types, SUBJECT, limits),
        is_sampled: has_profiles || has_samples,
        warnings: Warnings::default(),
        threads: HashMap::new(),
        names: HashMap::new(),
        profiles: Vec::new(),
        profile_ids: HashMap::new(),
        events: Vec::new(),
    };
    let mut events = events;
    events.items(&mut |json, _| reader.event(json))?;
    reader.finish()?;
    if let Some(sampled) = sampled.filter(|_| has_samples) {
        sampled.read(&mut reader)?;
    }
    let profile = reader.builder.profile;
    if profile.sample_count() == 0 {
        return Err(events.error(ErrorKind::Empty, "no event of the trace takes time"));
    }
    Ok(Read {
        profile,
        format: Format::ChromeTrace,
        warnings: reader.warnings.into_vec(),
    })
}

/// Some event is one of V8's.
fn has_profiles(mut events: Json<'_>) -> Result<bool, Error> {
    let mut found = false;
    events.items(&mut |json, _| match json.kind()? {
        Kind::Object => json.fields(&mut |json, key| {
            if key == "name" {
                found |= matches!(&*json.text_or_empty()?, "ProfileChunk" | "CpuProfile");
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    Ok(found)
}

/// Process and thread.
type Ids = (i64, i64);

/// A begin, an end, or both.
struct Event {
    /// Microseconds.
    time: f64,
    phase: Phase,
    ids: Ids,
    function: FunctionId,
    has_name: bool,
    place: Place,
}

#[derive(Clone, Copy)]
enum Phase {
    Begin,
    End,
    /// Microseconds.
    Complete(f64),
}

struct Reader<'l> {
    builder: Builder<'l>,
    /// Events are left out, for there are samples.
    is_sampled: bool,
    warnings: Warnings,
    threads: HashMap<Ids, String>,
    /// Of processes.
    names: HashMap<i64, String>,
    /// V8's profiles, each with its thread.
    profiles: Vec<(Ids, CpuProfile)>,
    /// Which they are, by process and id.
    profile_ids: HashMap<(i64, String), usize>,
    events: Vec<Event>,
}

/// The fields of an event that count.
#[derive(Default)]
struct Fields<'a> {
    phase: String,
    name: String,
    id: String,
    ids: Ids,
    time: f64,
    length: Option<f64>,
    args: Option<Json<'a>>,
}

impl<'a> Fields<'a> {
    fn read(json: &mut Json<'a>) -> Result<Self, Error> {
        let mut fields = Self::default();
        json.fields(&mut |json, key| {
            match key {
                "ph" => fields.phase = json.text_or_empty()?.into_owned(),
                "name" => fields.name = json.text_or_empty()?.into_owned(),
                "id" => fields.id = json.text_or_empty()?.into_owned(),
                "pid" => fields.ids.0 = id(json)?,
                "tid" => fields.ids.1 = id(json)?,
                "ts" => fields.time = number(json)?.unwrap_or(0.0),
                "dur" => fields.length = number(json)?,
                "args" => fields.args = Some(json.later()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(fields)
    }
}

/// Ids are numbers; a few writers use texts, which are told apart by a hash.
fn id(json: &mut Json<'_>) -> Result<i64, Error> {
    if json.kind()? != Kind::Text {
        return Ok(json.maybe_number()?.unwrap_or(0.0) as i64);
    }
    let text = json.text()?;
    let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    Ok(text
        .parse()
        .unwrap_or_else(|_| i64::from(text.bytes().fold(0x811c_9dc5, hash))))
}

/// A number, also as text.
fn number(json: &mut Json<'_>) -> Result<Option<f64>, Error> {
    if json.kind()? == Kind::Text {
        return Ok(json
            .text()?
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite()));
    }
    json.maybe_number()
}

impl Reader<'_> {
    fn event(&mut self, json: &mut Json<'_>) -> Result<(), Error> {
        let place = json.place();
        if json.kind()? != Kind::Object {
            return Ok(());
        }
        let fields = Fields::read(json)?;
        let phase = match (fields.phase.as_str(), fields.length) {
            ("M", _) => return self.metadata(&fields, place),
            _ if self.is_sampled => return self.profile(fields, place),
            ("B", _) => Phase::Begin,
            ("E", _) => Phase::End,
            ("X", length) => Phase::Complete(length.unwrap_or(0.0).max(0.0)),
            _ => {
                self.warnings.add(WarningKind::LeftOut, place);
                return Ok(());
            }
        };
        self.builder.check(
            self.events.len() + 1,
            self.builder.limits.samples,
            "events",
            place,
        )?;
        let function = self.builder.function(&fields.name, "", None, place)?;
        let has_name = !fields.name.is_empty();
        self.events.push(Event {
            time: fields.time,
            phase,
            ids: fields.ids,
            function,
            has_name,
            place,
        });
        Ok(())
    }

    fn metadata(&mut self, fields: &Fields<'_>, place: Place) -> Result<(), Error> {
        let mut name = String::new();
        if let Some(mut args) = fields.args.clone()
            && args.kind()? == Kind::Object
        {
            args.fields(&mut |json, key| {
                if key == "name" {
                    name = json.text_or_empty()?.into_owned();
                }
                Ok(())
            })?;
        }
        let known = self.threads.len() + self.names.len() + 1;
        self.builder
            .check(known, self.builder.limits.labels, "names of threads", place)?;
        match fields.name.as_str() {
            "thread_name" => drop(self.threads.insert(fields.ids, name)),
            "process_name" => drop(self.names.insert(fields.ids.0, name)),
            _ => {}
        }
        Ok(())
    }

    /// A piece of one of V8's profiles, or something else.
    fn profile(&mut self, fields: Fields<'_>, place: Place) -> Result<(), Error> {
        if !matches!(
            fields.name.as_str(),
            "Profile" | "ProfileChunk" | "CpuProfile"
        ) {
            self.warnings.add(WarningKind::LeftOut, place);
            return Ok(());
        }
        // Whole ones have no id: each thread has one.
        let id = if fields.name == "CpuProfile" {
            format!("thread {}", fields.ids.1)
        } else {
            fields.id
        };
        let key = (fields.ids.0, id);
        let known = self.profile_ids.get(&key).copied();
        let index = known.unwrap_or(self.profiles.len());
        if known.is_none() {
            self.builder.check(
                index + 1,
                self.builder.limits.mappings,
                "CPU profiles",
                place,
            )?;
            self.profile_ids.insert(key, index);
            self.profiles.push((fields.ids, CpuProfile::default()));
        }
        let (ids, profile) = &mut self.profiles[index];
        // The event that begins a profile stands in its thread, the chunks in the profiler's.
        if fields.name == "Profile" {
            *ids = fields.ids;
        }
        let builder = &mut self.builder;
        let Some(mut args) = fields.args else {
            return Ok(());
        };
        let (known, mut deltas) = (profile.deltas(), None);
        args.fields(&mut |json, key| match key {
            "data" => json.fields(&mut |json, key| match key {
                "cpuProfile" => profile.add(json, builder),
                "timeDeltas" => json.later().map(|later| deltas = Some(later)),
                "startTime" => json.maybe_number().map(|start| profile.start = start),
                "endTime" => json.maybe_number().map(|end| profile.end = end),
                _ => Ok(()),
            }),
            _ => Ok(()),
        })?;
        // Some writers tell them twice.
        match deltas {
            Some(mut deltas) if profile.deltas() == known => {
                profile.add_deltas(&mut deltas, builder)
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        let profiles = std::mem::take(&mut self.profiles);
        let origin = profiles
            .iter()
            .filter_map(|(_, profile)| profile.start)
            .reduce(f64::min);
        for (ids, profile) in profiles {
            let labels = self.labels(ids, Place::Whole)?;
            profile.finish(&mut self.builder, labels, origin, Some(&mut self.warnings))?;
        }
        let events = std::mem::take(&mut self.events);
        let times = events.iter().map(|event| event.time);
        let origin = times.reduce(f64::min).unwrap_or(0.0);
        let order = in_order(&events);
        let order: Vec<&Event> = order.iter().map(|&at| &events[at as usize]).collect();
        for thread in order.chunk_by(|a, b| a.ids == b.ids) {
            let labels = self.labels(thread[0].ids, thread[0].place)?;
            let mut open = Open {
                labels,
                origin,
                now: origin,
                frames: Vec::new(),
            };
            for event in thread {
                open.event(event, &mut self.builder, &mut self.warnings)?;
            }
            open.close_all(
                &mut self.builder,
                &mut self.warnings,
                thread[thread.len() - 1].place,
            )?;
        }
        Ok(())
    }

    fn labels(&mut self, ids: Ids, place: Place) -> Result<LabelSetId, Error> {
        let name = self
            .threads
            .get(&ids)
            .cloned()
            .unwrap_or_else(|| format!("thread {}", ids.1));
        let process = self.names.get(&ids.0).cloned().unwrap_or_default();
        let thread = Thread {
            name: &name,
            tid: Some(ids.1),
            process: &process,
            pid: Some(ids.0),
        };
        let labels = self.builder.thread_labels(&thread);
        self.builder.labels(&labels, place)
    }
}

/// The events by thread and time; those of one time in the order of the file. But where complete events begin together
/// and nothing else does, the longer holds the shorter.
fn in_order(events: &[Event]) -> Vec<u32> {
    let by_time = |a: &Event, b: &Event| a.ids.cmp(&b.ids).then(a.time.total_cmp(&b.time));
    let order = sorted(events.len(), &|a, b| by_time(&events[a], &events[b]));
    let mut lengths = vec![0.0; events.len()];
    for together in
        order.chunk_by(|&a, &b| by_time(&events[a as usize], &events[b as usize]).is_eq())
    {
        let length = |&at: &u32| match events[at as usize].phase {
            Phase::Complete(length) => Some(length),
            _ => None,
        };
        if together.iter().all(|at| length(at).is_some()) {
            for at in together {
                lengths[*at as usize] = length(at).unwrap_or(0.0);
            }
        }
    }
    sorted(events.len(), &|a, b| {
        by_time(&events[a], &events[b]).then(lengths[b].total_cmp(&lengths[a]))
    })
}

/// What is open in a thread.
struct Open {
    labels: LabelSetId,
    /// The first event's time.
    origin: f64,
    /// Up to here the time has been given away.
    now: f64,
    frames: Vec<OpenFrame>,
}

struct OpenFrame {
    function: FunctionId,
    stack: StackId,
    /// When it ends, where that is known. Never later than what holds it.
    end: Option<f64>,
}

impl Open {
    fn event(
        &mut self,
        event: &Event,
        builder: &mut Builder<'_>,
        warnings: &mut Warnings,
    ) -> Result<(), Error> {
        self.close_until(event.time, builder, warnings, event.place)?;
        self.pass(event.time, builder, event.place)?;
        let end = match event.phase {
            Phase::Begin => None,
            Phase::Complete(length) => Some(event.time + length),
            Phase::End => {
                self.end(event, warnings);
                return Ok(());
            }
        };
        let holder = self.frames.iter().rev().find_map(|frame| frame.end);
        let clipped = match (end, holder) {
            // Writers round: a microsecond is no overlap.
            (Some(end), Some(holder)) if end > holder => {
                if end > holder + 1.0 {
                    warnings.add(WarningKind::Unbalanced, event.place);
                }
                Some(holder)
            }
            _ => end,
        };
        let parent = self
            .frames
            .last()
            .map_or(StackId::ROOT, |frame| frame.stack);
        let location: LocationId = builder.frame(event.function, None, None, event.place)?;
        let stack = builder.push(parent, location, self.frames.len() + 1, event.place)?;
        self.frames.push(OpenFrame {
            function: event.function,
            stack,
            end: clipped,
        });
        Ok(())
    }

    /// Ends the innermost open event of this name, and what is left open in it.
    fn end(&mut self, event: &Event, warnings: &mut Warnings) {
        let matches = |frame: &OpenFrame| frame.end.is_none() && frame.function == event.function;
        match self.frames.iter().rposition(matches) {
            Some(at) => {
                if at + 1 < self.frames.len() {
                    warnings.add(WarningKind::Unbalanced, event.place);
                }
                self.frames.truncate(at);
            }
            // Ends may come without a name: they end what is innermost.
            None if !event.has_name
                && self.frames.last().is_some_and(|frame| frame.end.is_none()) =>
            {
                self.frames.pop();
            }
            None => warnings.add(WarningKind::Unbalanced, event.place),
        }
    }

    /// Ends what ends by itself up to this time, the innermost first.
    fn close_until(
        &mut self,
        time: f64,
        builder: &mut Builder<'_>,
        warnings: &mut Warnings,
        place: Place,
    ) -> Result<(), Error> {
        while let Some(at) = self.frames.iter().rposition(|frame| frame.end.is_some()) {
            let Some(end) = self.frames[at].end.filter(|&end| end <= time) else {
                return Ok(());
            };
            if at + 1 < self.frames.len() {
                warnings.add(WarningKind::Unbalanced, place);
            }
            self.pass(end, builder, place)?;
            self.frames.truncate(at);
        }
        Ok(())
    }

    fn close_all(
        &mut self,
        builder: &mut Builder<'_>,
        warnings: &mut Warnings,
        place: Place,
    ) -> Result<(), Error> {
        self.close_until(f64::INFINITY, builder, warnings, place)?;
        if !self.frames.is_empty() {
            warnings.add(WarningKind::Unbalanced, place);
        }
        Ok(())
    }

    /// Gives the time up to here to what is open.
    fn pass(&mut self, time: f64, builder: &mut Builder<'_>, place: Place) -> Result<(), Error> {
        let nanos = |micros: f64| (micros * 1e3).round() as i64;
        let value = nanos(time).saturating_sub(nanos(self.now));
        if let Some(frame) = self.frames.last().filter(|_| value > 0) {
            let start = nanos(self.now - self.origin);
            builder.sample_at(frame.stack, self.labels, &[value], start, place)?;
        }
        self.now = self.now.max(time);
        Ok(())
    }
}
