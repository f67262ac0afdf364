//! Reading both formats.

use std::collections::HashMap;

use perfwright_model::{LabelSetId, Mapping, MappingId, Period, SampleType};

use crate::build::{Builder, Thread};
use crate::json::{Json, Kind};
use crate::warning::Warnings;
use crate::{Error, Format, Limits, Read, WarningKind};

use super::{ALL_THREADS, PRODUCT, SUBJECT, stacks::Tables, table::Table};

pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let mut json = Json::new(bytes, SUBJECT);
    let whole = json.later()?;
    json.finish()?;
    let processes = processes(whole)?;
    let kinds = Kinds::of(&processes, limits)?;
    let builder = Builder::new(kinds.sample_types(), SUBJECT, limits);
    let mut reader = Reader {
        builder,
        kinds,
        warnings: Warnings::default(),
        mappings: HashMap::new(),
        start: None,
    };
    for process in processes {
        reader.process(process)?;
    }
    let mut profile = reader.builder.profile;
    profile.meta.default_sample_type = reader.kinds.default();
    Ok(Read {
        profile,
        format: Format::Firefox,
        warnings: reader.warnings.into_vec(),
    })
}

/// More processes than a browser starts.
const MAX_PROCESSES: usize = 4_096;

/// The parts of a process that are needed, to be read in their order.
struct Process<'a> {
    meta: Meta,
    libs: Option<Json<'a>>,
    shared: Option<Json<'a>>,
    threads: Option<Json<'a>>,
    has_more: bool,
}

/// The profile, and in Gecko's format those of the other processes, which may hold some in turn.
fn processes(whole: Json<'_>) -> Result<Vec<Process<'_>>, Error> {
    let mut found = Vec::new();
    let mut open = vec![whole];
    while let Some(mut json) = open.pop() {
        if found.len() >= MAX_PROCESSES {
            return Err(crate::limits::too_many(
                SUBJECT,
                json.place(),
                "processes",
                MAX_PROCESSES,
            ));
        }
        let start = json.clone();
        let mut process = Process {
            meta: Meta::default(),
            libs: None,
            shared: None,
            threads: None,
            has_more: false,
        };
        let mut wrapped = false;
        json.fields(&mut |json, key| {
            match key {
                "meta" => process.meta = Meta::read(json)?,
                "libs" => process.libs = Some(json.later()?),
                "shared" => process.shared = Some(json.later()?),
                "threads" => process.threads = Some(json.later()?),
                "counters" => process.has_more = has_items(json.later()?)?,
                "processes" => json.items(&mut |json, _| {
                    if open.len() < MAX_PROCESSES {
                        open.push(json.later()?);
                    }
                    Ok(())
                })?,
                // The profiler's extension of old saved it so.
                "profile" if json.kind()? == Kind::Object => {
                    wrapped = true;
                    open.push(json.later()?);
                }
                _ => {}
            }
            Ok(())
        })?;
        if process.threads.is_none() && !wrapped {
            return Err(start.malformed("there are no `threads`"));
        }
        found.push(process);
    }
    Ok(found)
}

#[derive(Default)]
struct Meta {
    /// Milliseconds.
    interval: Option<f64>,
    /// Milliseconds since 1970.
    start: Option<f64>,
    cpu_unit: String,
    product: String,
}

impl Meta {
    fn read(json: &mut Json<'_>) -> Result<Self, Error> {
        let mut meta = Self::default();
        json.fields(&mut |json, key| {
            match key {
                "interval" => meta.interval = json.maybe_number()?,
                "startTime" => meta.start = json.maybe_number()?,
                "product" => meta.product = json.text_or_empty()?.into_owned(),
                "sampleUnits" => json.fields(&mut |json, key| {
                    if key == "threadCPUDelta" {
                        meta.cpu_unit = json.text_or_empty()?.into_owned();
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(meta)
    }

    /// The kind of the values of `threadCPUDelta`, and nanoseconds in their unit.
    fn cpu(&self) -> (usize, f64) {
        match self.cpu_unit.as_str() {
            "ns" => (CPU, 1.0),
            // Firefox writes the letter mu in two ways.
            "\u{b5}s" | "\u{3bc}s" => (CPU, 1e3),
            _ => (CYCLES, 1.0),
        }
    }
}

/// The sample types that there can be, in the order in which those that there are become the profile's.
const KINDS: [(&str, &str); 5] = [
    ("samples", "count"),
    ("time", "nanoseconds"),
    ("space", "bytes"),
    ("cpu", "nanoseconds"),
    ("cycles", "count"),
];
const SAMPLES: usize = 0;
const TIME: usize = 1;
const SPACE: usize = 2;
const CPU: usize = 3;
const CYCLES: usize = 4;

/// Which of [`KINDS`] the file has: its position among the profile's sample types.
struct Kinds([Option<usize>; KINDS.len()]);

impl Kinds {
    fn of(processes: &[Process<'_>], limits: &Limits) -> Result<Self, Error> {
        let mut found = [false; KINDS.len()];
        for process in processes {
            let Some(mut threads) = process.threads.clone() else {
                continue;
            };
            threads.items(&mut |json, _| {
                let Some(samples) = field(json, "samples")? else {
                    return Ok(());
                };
                let (table, weight) = samples_of(samples, limits)?;
                found[weight] = true;
                let has_cpu = (0..table.len()).any(|row| table.number(COLUMN_CPU, row).is_some());
                found[process.meta.cpu().0] |= has_cpu;
                Ok(())
            })?;
        }
        if found == [false; KINDS.len()] {
            found[SAMPLES] = true;
        }
        let mut next = 0..;
        Ok(Self(
            found.map(|found| if found { next.next() } else { None }),
        ))
    }

    fn sample_types(&self) -> Vec<SampleType> {
        let found = KINDS
            .iter()
            .zip(&self.0)
            .filter(|(_, index)| index.is_some());
        found
            .map(|((kind, unit), _)| SampleType::new(*kind, *unit))
            .collect()
    }

    fn len(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Weights of bytes or times are what the file is about; where they are counts, the CPU time says more.
    fn default(&self) -> Option<usize> {
        [TIME, SPACE, CPU, SAMPLES]
            .iter()
            .find_map(|&kind| self.0[kind])
    }
}

fn field<'a>(json: &mut Json<'a>, wanted: &str) -> Result<Option<Json<'a>>, Error> {
    let mut found = None;
    if json.kind()? != Kind::Object {
        json.skip()?;
        return Ok(None);
    }
    json.fields(&mut |json, key| {
        if key == wanted {
            found = Some(json.later()?);
        }
        Ok(())
    })?;
    Ok(found)
}

const COLUMN_STACK: usize = 0;
const COLUMN_TIME: usize = 1;
const COLUMN_DELTA: usize = 2;
const COLUMN_WEIGHT: usize = 3;
const COLUMN_CPU: usize = 4;

/// A thread's samples, and what their weights are.
fn samples_of(json: Json<'_>, limits: &Limits) -> Result<(Table, usize), Error> {
    let mut kind = SAMPLES;
    json.clone().fields(&mut |json, key| {
        if key == "weightType" {
            kind = match &*json.text_or_empty()? {
                "tracing-ms" => TIME,
                "bytes" => SPACE,
                _ => SAMPLES,
            };
        }
        Ok(())
    })?;
    let columns = ["stack", "time", "timeDeltas", "weight", "threadCPUDelta"];
    Ok((Table::read(json, &columns, limits.samples)?, kind))
}

struct Reader<'a> {
    builder: Builder<'a>,
    kinds: Kinds,
    warnings: Warnings,
    /// The files of all processes: a search among those of the profile would be slow for many.
    mappings: HashMap<Mapping, MappingId>,
    /// The start of the first process, in milliseconds since 1970.
    start: Option<f64>,
}

/// A thread's fields but for its tables.
#[derive(Default)]
struct Header {
    name: String,
    process: String,
    tid: Option<i64>,
    pid: Option<i64>,
}

impl Header {
    /// Takes back what was written for want of a name or an id.
    fn take_back(&mut self) {
        if self.name == ALL_THREADS {
            self.name.clear();
        }
        self.tid = self.tid.filter(|&id| id != 0);
        self.pid = self.pid.filter(|&id| id != 0);
    }
}

/// Where tables are found: in the thread, or what all threads share.
#[derive(Clone, Default)]
pub(super) struct Sources<'a> {
    pub(super) strings: Option<Json<'a>>,
    pub(super) stacks: Option<Json<'a>>,
    pub(super) frames: Option<Json<'a>>,
    pub(super) functions: Option<Json<'a>>,
    pub(super) resources: Option<Json<'a>>,
    pub(super) symbols: Option<Json<'a>>,
    pub(super) sources: Option<Json<'a>>,
}

impl<'a> Sources<'a> {
    fn take(&mut self, json: &mut Json<'a>, key: &str) -> Result<bool, Error> {
        let place = match key {
            "stringArray" | "stringTable" => &mut self.strings,
            "stackTable" => &mut self.stacks,
            "frameTable" => &mut self.frames,
            "funcTable" => &mut self.functions,
            "resourceTable" => &mut self.resources,
            "nativeSymbols" => &mut self.symbols,
            "sources" => &mut self.sources,
            _ => return Ok(false),
        };
        *place = Some(json.later()?);
        Ok(true)
    }

    fn or(self, other: &Self) -> Self {
        let other = other.clone();
        Self {
            strings: self.strings.or(other.strings),
            stacks: self.stacks.or(other.stacks),
            frames: self.frames.or(other.frames),
            functions: self.functions.or(other.functions),
            resources: self.resources.or(other.resources),
            symbols: self.symbols.or(other.symbols),
            sources: self.sources.or(other.sources),
        }
    }
}

/// A file of the program: in Gecko's format at addresses of the process, else addresses are relative to it.
pub(super) struct Lib {
    pub(super) mapping: MappingId,
    pub(super) range: Option<(u64, u64)>,
    /// What addresses that are relative to the file count from.
    pub(super) base: u64,
}

impl Reader<'_> {
    fn process(&mut self, process: Process<'_>) -> Result<(), Error> {
        let Some(mut threads) = process.threads else {
            return Ok(());
        };
        let start = *self.start.get_or_insert(process.meta.start.unwrap_or(0.0));
        let meta = &mut self.builder.profile.meta;
        if let Some(time) = process.meta.start.filter(|_| meta.time_nanos.is_none()) {
            meta.time_nanos = Some((time * 1e6) as i64);
        }
        if let Some(interval) = process.meta.interval.filter(|_| meta.period.is_none()) {
            let sample_type = SampleType::new("time", "nanoseconds");
            meta.period = Some(Period {
                sample_type,
                value: (interval * 1e6) as i64,
            });
        }
        if !process.meta.product.is_empty() && meta.comments.is_empty() {
            meta.comments.push(process.meta.product.clone());
        }
        let libs = self.libs(process.libs)?;
        let mut shared = Sources::default();
        if let Some(mut json) = process.shared {
            json.fields(&mut |json, key| shared.take(json, key).map(drop))?;
        }
        if process.has_more {
            self.warnings.add(WarningKind::LeftOut, threads.place());
        }
        // The tables that all threads share are read once.
        let mut tables = None;
        // Times are relative to their process's start.
        let shift = (process.meta.start.unwrap_or(start) - start) * 1e6;
        threads.items(&mut |json, _| {
            if json.kind()? != Kind::Object {
                self.warnings.add(WarningKind::LeftOut, json.place());
                return Ok(());
            }
            self.thread(json, &libs, &shared, &mut tables, &process.meta, shift)
        })
    }

    fn libs(&mut self, libs: Option<Json<'_>>) -> Result<Vec<Lib>, Error> {
        let mut all = Vec::new();
        let Some(mut libs) = libs else { return Ok(all) };
        if libs.kind()? != Kind::Array {
            return Ok(all);
        }
        libs.items(&mut |json, _| {
            let place = json.place();
            let (mut name, mut path, mut code_id, mut range) =
                (String::new(), String::new(), String::new(), [None; 3]);
            json.fields(&mut |json, key| {
                match key {
                    "name" => name = json.text_or_empty()?.into_owned(),
                    "path" => path = json.text_or_empty()?.into_owned(),
                    "codeId" => code_id = json.text_or_empty()?.into_owned(),
                    "start" => range[0] = json.maybe_number()?,
                    "end" => range[1] = json.maybe_number()?,
                    "offset" => range[2] = json.maybe_number()?,
                    _ => {}
                }
                Ok(())
            })?;
            let [start, end, offset] = range.map(|number| number.map_or(0, |number| number as u64));
            let profile = &mut self.builder.profile;
            let mut mapping = Mapping::new(start, end);
            mapping.offset = offset;
            mapping.filename = profile.intern(if path.is_empty() { &name } else { &path });
            mapping.build_id = profile.intern(&code_id.to_ascii_lowercase());
            let known = self.mappings.get(&mapping).copied();
            let id = known.unwrap_or_else(|| profile.add_mapping(mapping));
            self.mappings.insert(mapping, id);
            let count = self.mappings.len().max(all.len() + 1);
            self.builder
                .check(count, self.builder.limits.mappings, "libraries", place)?;
            all.push(Lib {
                mapping: id,
                range: (end > start).then_some((start, end)),
                base: start.wrapping_sub(offset),
            });
            Ok(())
        })?;
        Ok(all)
    }

    fn thread<'a>(
        &mut self,
        json: &mut Json<'a>,
        libs: &[Lib],
        shared: &Sources<'a>,
        shared_tables: &mut Option<Tables>,
        meta: &Meta,
        shift: f64,
    ) -> Result<(), Error> {
        let place = json.place();
        let (mut header, mut own, mut samples, mut own_libs) =
            (Header::default(), Sources::default(), None, None);
        json.fields(&mut |json, key| {
            match key {
                "name" => header.name = json.text_or_empty()?.into_owned(),
                "processName" => header.process = json.text_or_empty()?.into_owned(),
                "tid" => header.tid = id(json)?,
                "pid" => header.pid = id(json)?,
                "samples" => samples = Some(json.later()?),
                "libs" => own_libs = Some(json.later()?),
                "nativeAllocations" | "jsAllocations" => {
                    self.warnings.add(WarningKind::LeftOut, json.place());
                }
                "markers" => {
                    let markers = json.later()?;
                    if has_rows(markers.clone())? {
                        self.warnings.add(WarningKind::LeftOut, markers.place());
                    }
                }
                _ => drop(own.take(json, key)?),
            }
            Ok(())
        })?;
        let Some(samples) = samples else {
            return Ok(());
        };
        let own_libs = own_libs.map(|libs| self.libs(Some(libs))).transpose()?;
        let libs = own_libs.as_deref().unwrap_or(libs);
        let is_shared = own.stacks.is_none() && own.strings.is_none();
        let mut own_tables;
        let tables = match (is_shared, shared_tables) {
            (true, Some(tables)) => tables,
            (true, none) => none.insert(Tables::read(&mut self.builder, shared, libs)?),
            (false, _) => {
                own_tables = Tables::read(&mut self.builder, &own.or(shared), libs)?;
                &mut own_tables
            }
        };
        if meta.product == PRODUCT {
            header.take_back();
        }
        let thread = Thread {
            name: &header.name,
            tid: header.tid,
            process: &header.process,
            pid: header.pid,
        };
        let labels = self.builder.thread_labels(&thread);
        let labels = self.builder.labels(&labels, place)?;
        self.samples(samples, tables, labels, meta, shift)
    }

    fn samples(
        &mut self,
        samples: Json<'_>,
        tables: &mut Tables,
        labels: LabelSetId,
        meta: &Meta,
        shift: f64,
    ) -> Result<(), Error> {
        let (samples, weight_kind) = samples_of(samples, self.builder.limits)?;
        let (cpu_kind, cpu_factor) = meta.cpu();
        let mut values = vec![0; self.kinds.len()];
        let mut now = 0.0;
        for row in 0..samples.len() {
            now += samples.number(COLUMN_DELTA, row).unwrap_or(0.0);
            let time = samples.number(COLUMN_TIME, row).unwrap_or(now);
            let Some(stack) = samples.index(COLUMN_STACK, row, "stack", tables.stacks.len())?
            else {
                continue;
            };
            let stack = tables.stack(&mut self.builder, stack)?;
            values.fill(0);
            let weight = samples.number(COLUMN_WEIGHT, row).unwrap_or(1.0);
            let weight = if weight_kind == TIME {
                weight * 1e6
            } else {
                weight
            };
            if let Some(index) = self.kinds.0[weight_kind] {
                values[index] = weight.round() as i64;
            }
            if let (Some(index), Some(cpu)) =
                (self.kinds.0[cpu_kind], samples.number(COLUMN_CPU, row))
            {
                values[index] = (cpu * cpu_factor).round() as i64;
            }
            let time = (time * 1e6 + shift).round() as i64;
            self.builder
                .sample_at(stack, labels, &values, time, samples.place)?;
        }
        Ok(())
    }
}

/// Numbers are ids, and so are texts that hold one.
fn id(json: &mut Json<'_>) -> Result<Option<i64>, Error> {
    match json.kind()? {
        Kind::Text => Ok(json.text()?.parse().ok()),
        Kind::Number => json.int().map(Some),
        _ => json.skip().map(|()| None),
    }
}

fn has_items(mut json: Json<'_>) -> Result<bool, Error> {
    if json.kind()? != Kind::Array {
        return Ok(false);
    }
    json.enter_array()?;
    json.next_item(true)
}

/// A table of either layout has an entry.
fn has_rows(mut json: Json<'_>) -> Result<bool, Error> {
    let mut found = false;
    if json.kind()? != Kind::Object {
        return Ok(false);
    }
    json.fields(&mut |json, key| {
        if matches!(key, "name" | "data") && json.kind()? == Kind::Array {
            found |= has_items(json.clone())?;
        }
        Ok(())
    })?;
    Ok(found)
}
