//! Reading both formats.

use std::collections::HashMap;
use std::num::NonZeroU64;

use perfwright_model::{
    Frame, FunctionId, LabelSetId, Location, LocationId, Mapping, MappingId, Period, SampleType,
    StackId, StringId,
};

use crate::build::{Builder, Thread, line};
use crate::json::{Json, Kind};
use crate::order::sorted;
use crate::warning::Warnings;
use crate::{Error, ErrorKind, Format, Limits, Place, Read, WarningKind};

use super::{SUBJECT, table::Table};

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

/// Where tables are found: in the thread, or what all threads share.
#[derive(Clone, Default)]
struct Sources<'a> {
    strings: Option<Json<'a>>,
    stacks: Option<Json<'a>>,
    frames: Option<Json<'a>>,
    functions: Option<Json<'a>>,
    resources: Option<Json<'a>>,
    symbols: Option<Json<'a>>,
    sources: Option<Json<'a>>,
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
struct Lib {
    mapping: MappingId,
    range: Option<(u64, u64)>,
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

/// The tables that samples refer to.
struct Tables {
    frames: Vec<FrameRow>,
    /// By row: the frame and the row of the caller.
    stacks: Vec<(u32, Option<u32>)>,
    place: Place,
    /// By row, once it was needed: the stack and its depth.
    known: Vec<Option<(StackId, u32)>>,
    /// The location of a frame that nothing is inlined into, or of a chain of frames inlined into one another.
    single: Vec<Option<LocationId>>,
    chains: HashMap<Vec<u32>, LocationId>,
}

struct FrameRow {
    frame: Option<Frame>,
    mapping: Option<MappingId>,
    address: Option<NonZeroU64>,
    inline_depth: u64,
}

impl Tables {
    fn read(builder: &mut Builder<'_>, sources: &Sources<'_>, libs: &[Lib]) -> Result<Self, Error> {
        let limits = builder.limits;
        let table = |json: &Option<Json<'_>>, columns: &[&str], limit| match json {
            Some(json) => Table::read(json.clone(), columns, limit),
            None => Ok(Table::empty()),
        };
        let strings = strings(builder, sources.strings.clone())?;
        let frames = table(
            &sources.frames,
            &[
                "func",
                "address",
                "line",
                "column",
                "inlineDepth",
                "lib",
                "nativeSymbol",
                "location",
            ],
            limits.locations,
        )?;
        let stacks = table(
            &sources.stacks,
            &["frame", "prefix", "prefixOffset"],
            limits.stack_nodes,
        )?;
        let rows = if sources.functions.is_some() {
            let functions = table(
                &sources.functions,
                &["name", "fileName", "source", "lineNumber", "resource"],
                limits.functions,
            )?;
            let resources = table(&sources.resources, &["lib", "name"], limits.functions)?;
            let symbols = table(&sources.symbols, &["libIndex", "name"], limits.functions)?;
            let files = table(&sources.sources, &["filename", "id"], limits.strings)?;
            processed_frames(
                builder,
                &strings,
                &frames,
                &functions,
                &[resources, symbols, files],
                libs,
            )?
        } else {
            gecko_frames(builder, &strings, &frames, libs)?
        };
        let stack_rows = stack_rows(&stacks, rows.len())?;
        Ok(Self {
            known: vec![None; stack_rows.len()],
            single: vec![None; rows.len()],
            chains: HashMap::new(),
            frames: rows,
            stacks: stack_rows,
            place: stacks.place,
        })
    }

    /// The stack of a row, made of those of its callers.
    fn stack(&mut self, builder: &mut Builder<'_>, row: usize) -> Result<StackId, Error> {
        let mut missing: Vec<Vec<u32>> = Vec::new();
        let mut rows = Vec::new();
        let mut next = Some(row as u32);
        let (mut stack, mut depth) = (StackId::ROOT, 0);
        while let Some(row) = next {
            if let Some((known, known_depth)) = self.known[row as usize] {
                (stack, depth) = (known, known_depth);
                break;
            }
            // The innermost first.
            let mut chain = vec![self.stacks[row as usize].0];
            let mut outer = self.stacks[row as usize].1;
            while let Some(caller) =
                outer.filter(|&caller| self.is_inlined(chain[chain.len() - 1], caller))
            {
                chain.push(self.stacks[caller as usize].0);
                outer = self.stacks[caller as usize].1;
            }
            rows.push(row);
            missing.push(chain);
            next = outer;
            builder.check(
                rows.len(),
                builder.limits.depth,
                "frames in one stack",
                self.place,
            )?;
        }
        while let (Some(row), Some(chain)) = (rows.pop(), missing.pop()) {
            let location = self.location(builder, chain)?;
            depth += 1;
            stack = builder.push(stack, location, depth as usize, self.place)?;
            self.known[row as usize] = Some((stack, depth));
        }
        Ok(stack)
    }

    /// The frame was inlined into that of the stack's row.
    fn is_inlined(&self, frame: u32, caller: u32) -> bool {
        let inner = &self.frames[frame as usize];
        let outer = &self.frames[self.stacks[caller as usize].0 as usize];
        inner.inline_depth > 0
            && outer.inline_depth + 1 == inner.inline_depth
            && inner.address == outer.address
            && inner.mapping == outer.mapping
    }

    fn location(
        &mut self,
        builder: &mut Builder<'_>,
        chain: Vec<u32>,
    ) -> Result<LocationId, Error> {
        let known = match chain[..] {
            [frame] => self.single[frame as usize],
            _ => self.chains.get(&chain).copied(),
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let frames: Vec<_> = chain
            .iter()
            .filter_map(|&frame| self.frames[frame as usize].frame)
            .collect();
        let outer = &self.frames[chain[chain.len() - 1] as usize];
        let location = Location {
            mapping: outer.mapping,
            address: outer.address,
            ..Location::default()
        };
        let id = builder.push_location(location, &frames, self.place)?;
        match chain[..] {
            [frame] => self.single[frame as usize] = Some(id),
            _ => drop(self.chains.insert(chain, id)),
        }
        Ok(id)
    }
}

fn strings(builder: &mut Builder<'_>, json: Option<Json<'_>>) -> Result<Vec<StringId>, Error> {
    let mut strings = Vec::new();
    let Some(mut json) = json else {
        return Ok(strings);
    };
    json.items(&mut |json, index| {
        builder.check(index + 1, builder.limits.strings, "strings", json.place())?;
        strings.push(builder.profile.intern(&json.text_or_empty()?));
        Ok(())
    })?;
    Ok(strings)
}

fn stack_rows(table: &Table, frames: usize) -> Result<Vec<(u32, Option<u32>)>, Error> {
    let mut rows = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let frame = table.some_index(0, row, "frame", frames)? as u32;
        let prefix = match table.unsigned(2, row) {
            Some(0) => None,
            Some(offset) => Some((row as u64).wrapping_sub(offset)),
            None => table.unsigned(1, row),
        };
        if prefix.is_some_and(|prefix| prefix >= row as u64) {
            let message = format!("the stack in row {row} is called from one that comes later");
            return Err(Error::new(
                ErrorKind::Malformed,
                SUBJECT,
                table.place,
                message,
            ));
        }
        rows.push((frame, prefix.map(|prefix| prefix as u32)));
    }
    Ok(rows)
}

/// The name is an address: nobody has found the function yet.
fn is_address(name: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    // As long as 64 bits are, so that no name is looked through for long.
    (3..=18).contains(&name.len()) && name.strip_prefix("0x").is_some_and(is_hex)
}

fn processed_frames(
    builder: &mut Builder<'_>,
    strings: &[StringId],
    frames: &Table,
    functions: &Table,
    [resources, symbols, files]: &[Table; 3],
    libs: &[Lib],
) -> Result<Vec<FrameRow>, Error> {
    let mut known: Vec<(Result<FunctionId, StringId>, Option<usize>)> =
        Vec::with_capacity(functions.len());
    for row in 0..functions.len() {
        let name = functions
            .index(0, row, "string", strings.len())?
            .map_or(StringId::EMPTY, |at| strings[at]);
        let mut file = functions.index(1, row, "string", strings.len())?;
        if let Some(source) = functions.index(2, row, "source", files.len())? {
            file = files.index(0, source, "string", strings.len())?;
        }
        let file = file.map_or(StringId::EMPTY, |at| strings[at]);
        let start = line(functions.number(3, row));
        let lib = match functions.index(4, row, "resource", resources.len().max(1))? {
            Some(resource) => resources.index(0, resource, "library", libs.len())?,
            None => None,
        };
        let function = match is_address(builder.profile.string(name)) {
            true => Err(name),
            false => Ok(builder.function_of(name, file, start, functions.place)?),
        };
        known.push((function, lib));
    }
    let mut rows = Vec::with_capacity(frames.len());
    for row in 0..frames.len() {
        let (function, mut lib) = known[frames.some_index(0, row, "function", known.len())?];
        if let Some(symbol) = frames.index(6, row, "native symbol", symbols.len())? {
            lib = symbols.index(0, symbol, "library", libs.len())?.or(lib);
        }
        lib = frames.index(5, row, "library", libs.len())?.or(lib);
        let address = frames.unsigned(1, row).and_then(NonZeroU64::new);
        let [line, column] = [2, 3].map(|column| line(frames.number(column, row)));
        // Without a name the address must do; outside of all libraries it is told by the name alone.
        let function = match function {
            Err(_) if address.is_some() => None,
            Err(name) => Some(builder.function_of(name, StringId::EMPTY, None, frames.place)?),
            Ok(function) => Some(function),
        };
        let frame = function.map(|function| Frame {
            function,
            line,
            column,
        });
        let inline_depth = frames.unsigned(4, row).unwrap_or(0);
        rows.push(FrameRow {
            frame,
            mapping: lib.map(|lib| libs[lib].mapping),
            address,
            inline_depth,
        });
    }
    Ok(rows)
}

/// What a string of Gecko's stands for: an address or a function.
type Meaning = Result<(Option<MappingId>, Option<NonZeroU64>), FunctionId>;

fn gecko_frames(
    builder: &mut Builder<'_>,
    strings: &[StringId],
    frames: &Table,
    libs: &[Lib],
) -> Result<Vec<FrameRow>, Error> {
    let ranges: Vec<_> = libs
        .iter()
        .filter_map(|lib| Some((lib.range?, lib.mapping)))
        .collect();
    let by_start = sorted(ranges.len(), &|a, b| ranges[a].0.cmp(&ranges[b].0));
    let ranges: Vec<_> = by_start.iter().map(|&at| ranges[at as usize]).collect();
    let mut meanings: Vec<Option<Meaning>> = vec![None; strings.len()];
    let mut rows = Vec::with_capacity(frames.len());
    for row in 0..frames.len() {
        let string = frames.some_index(7, row, "string", strings.len())?;
        let meaning = match meanings[string] {
            Some(known) => known,
            None => {
                let text = builder.profile.string(strings[string]).to_owned();
                let meaning = meaning_of(builder, &text, &ranges, frames.place)?;
                *meanings[string].insert(meaning)
            }
        };
        rows.push(match meaning {
            Ok((mapping, address)) => FrameRow {
                frame: None,
                mapping,
                address,
                inline_depth: 0,
            },
            Err(function) => {
                let [line, column] = [2, 3].map(|column| line(frames.number(column, row)));
                let frame = Some(Frame {
                    function,
                    line,
                    column,
                });
                FrameRow {
                    frame,
                    mapping: None,
                    address: None,
                    inline_depth: 0,
                }
            }
        });
    }
    Ok(rows)
}

fn meaning_of(
    builder: &mut Builder<'_>,
    text: &str,
    ranges: &[((u64, u64), MappingId)],
    place: Place,
) -> Result<Meaning, Error> {
    if !is_address(text) {
        let (name, file, start) = script_place(text);
        return Ok(Err(builder.function(name, file, line(start), place)?));
    }
    let address = u64::from_str_radix(&text[2..], 16).unwrap_or(0);
    let before = ranges.partition_point(|((start, _), _)| *start <= address);
    let range = before.checked_sub(1).map(|at| ranges[at]);
    let mapping = range
        .filter(|((_, end), _)| address < *end)
        .map(|(_, mapping)| mapping);
    Ok(Ok((mapping, NonZeroU64::new(address))))
}

/// `name (file:line)` or `name (file:line:column)` of a script, `name (in library)`, or a name. The number of a source
/// may follow: `[12]`.
fn script_place(text: &str) -> (&str, &str, Option<f64>) {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let source = text
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once(")["))
        .filter(|(_, number)| is_number(number));
    let text = source.map_or(text, |(before, _)| &text[..=before.len()]);
    let inner = text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once(" ("));
    let Some((name, place)) = inner else {
        return (text, "", None);
    };
    if place.starts_with("in ") {
        return (name, "", None);
    }
    let number = |text: &str| text.parse::<u32>().ok().map(f64::from);
    match place
        .rsplit_once(':')
        .map(|(rest, last)| (rest, number(last)))
    {
        Some((rest, Some(last))) => match rest
            .rsplit_once(':')
            .map(|(file, line)| (file, number(line)))
        {
            Some((file, Some(line))) => (name, file, Some(line)),
            _ => (name, rest, Some(last)),
        },
        _ => (text, "", None),
    }
}
