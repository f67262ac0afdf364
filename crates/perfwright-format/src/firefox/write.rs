//! Writing the processed format.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

#[cfg(feature = "gzip")]
use flate2::{Compression, write::GzEncoder};
use perfwright_model::{LocationId, Profile, SampleRef, StackId, keys, ordered};

use crate::build::{PID, PROCESS, UNKNOWN, address_name};
use crate::json::write_text;

use super::{ALL_THREADS, PRODUCT};

/// The time between samples that have none, in milliseconds.
const INTERVAL_MS: f64 = 1.0;

/// Writes one sample type of a profile, gzipped: the Firefox Profiler unpacks it.
///
/// # Errors
/// As [`write()`].
#[cfg(feature = "gzip")]
pub fn write_gzip(profile: &Profile, sample_type: usize, writer: impl Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(writer, Compression::fast());
    write(profile, sample_type, &mut gzip)?;
    gzip.finish()?.flush()
}

/// Writes one sample type of a profile, for <https://profiler.firefox.com>.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if the profile does not have the sample type; else what the writer says.
pub fn write(profile: &Profile, sample_type: usize, writer: impl Write) -> io::Result<()> {
    let Some(kind) = profile.sample_types().get(sample_type) else {
        let message = format!("the profile has no sample type {sample_type}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    };
    let (weight_type, divisor) = match kind.unit.as_str() {
        "bytes" => ("bytes", 1.0),
        "nanoseconds" => ("tracing-ms", 1e6),
        "microseconds" => ("tracing-ms", 1e3),
        "milliseconds" => ("tracing-ms", 1.0),
        _ => ("samples", 1.0),
    };
    let cpu = profile
        .sample_types()
        .iter()
        .position(|kind| kind.kind == "cpu" && kind.unit == "nanoseconds");
    let columns = Columns {
        weight: sample_type,
        weight_type,
        divisor,
        cpu: cpu.filter(|&cpu| cpu != sample_type),
    };
    let mut out = BufWriter::new(writer);
    let start = profile.meta.time_nanos.unwrap_or(0) as f64 / 1e6;
    let period = profile
        .meta
        .period
        .as_ref()
        .filter(|period| period.sample_type.unit == "nanoseconds");
    let interval = period.map_or(INTERVAL_MS, |period| period.value as f64 / 1e6);
    write!(
        out,
        "{{\"meta\":{{\"version\":24,\"preprocessedProfileVersion\":56,\"interval\":{interval},\"startTime\":{start},\
         \"processType\":0,\"product\":\"{PRODUCT}\",\"stackwalk\":1,\"debug\":false,\"symbolicated\":true,\
         \"categories\":[{{\"name\":\"Other\",\"color\":\"grey\",\"subcategories\":[\"Other\"]}}],\
         \"markerSchema\":[],\"sampleUnits\":{{\"time\":\"ms\",\"eventDelay\":\"ms\",\"threadCPUDelta\":\"ns\"}},\
         \"extensions\":{{\"baseURL\":[],\"id\":[],\"name\":[],\"length\":0}}}},\"pages\":[],\"libs\":["
    )?;
    write_libs(profile, &mut out)?;
    write!(out, "],\"threads\":[")?;
    let mut strings = Strings::default();
    let keys: Vec<_> = (profile.samples())
        .map(|sample| (Thread::of(profile, &sample), sample.time_nanos))
        .collect();
    let order = ordered(keys.len(), &|a, b| keys[a].cmp(&keys[b]));
    let same = |a: &usize, b: &usize| {
        Thread::of(profile, &profile.sample(*a)) == Thread::of(profile, &profile.sample(*b))
    };
    let mut comma = "";
    for samples in order.chunk_by(same) {
        out.write_all(comma.as_bytes())?;
        comma = ",";
        write_thread(&mut out, profile, samples, &columns, interval, &mut strings)?;
    }
    write!(out, "],\"shared\":{{\"stringArray\":[")?;
    let mut comma = "";
    for text in &strings.list {
        out.write_all(comma.as_bytes())?;
        comma = ",";
        write_text(&mut out, text)?;
    }
    writeln!(out, "]}}}}")?;
    out.flush()
}

struct Columns {
    weight: usize,
    weight_type: &'static str,
    divisor: f64,
    cpu: Option<usize>,
}

/// Process id, process, thread id, thread.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Thread<'a> {
    pid: i64,
    process: &'a str,
    tid: i64,
    name: &'a str,
}

impl<'a> Thread<'a> {
    fn of(profile: &'a Profile, sample: &SampleRef<'_>) -> Self {
        let text = |key| profile.label_str(sample.labels, key);
        let number = |key| profile.label_num(sample.labels, key);
        Self {
            pid: number(PID).unwrap_or(0),
            process: text(PROCESS).unwrap_or(""),
            tid: number(keys::TID).unwrap_or(0),
            name: text(keys::THREAD).unwrap_or(""),
        }
    }
}

/// The strings of the file, in the order of first use.
#[derive(Default)]
struct Strings {
    known: HashMap<String, usize>,
    list: Vec<String>,
}

impl Strings {
    fn id(&mut self, text: &str) -> usize {
        if let Some(&known) = self.known.get(text) {
            return known;
        }
        self.list.push(text.to_owned());
        self.known.insert(text.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }
}

fn write_libs(profile: &Profile, out: &mut impl Write) -> io::Result<()> {
    for (index, mapping) in profile.mappings().iter().enumerate() {
        let path = profile.string(mapping.filename);
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let build_id = profile.string(mapping.build_id);
        write!(out, "{}{{\"arch\":\"\"", if index == 0 { "" } else { "," })?;
        for (key, value) in [
            ("name", name),
            ("path", path),
            ("debugName", name),
            ("debugPath", path),
        ] {
            write!(out, ",\"{key}\":")?;
            write_text(out, value)?;
        }
        write!(out, ",\"breakpadId\":\"\",\"codeId\":")?;
        match build_id {
            "" => write!(out, "null}}")?,
            id => {
                write_text(out, id)?;
                write!(out, "}}")?;
            }
        }
    }
    Ok(())
}

/// A column of a table.
type Column = Vec<i64>;
/// Stands for `null`.
const NULL: i64 = i64::MIN;

/// The tables of one thread.
#[derive(Default)]
struct Tables {
    /// Frame, prefix.
    stacks: [Column; 2],
    /// Address, inline depth, function, line, column.
    frames: [Column; 5],
    /// Name, resource, file, line.
    functions: [Column; 4],
    /// Library, name.
    resources: [Column; 2],
    stack_ids: HashMap<[i64; 2], i64>,
    frame_ids: HashMap<[i64; 5], i64>,
    function_ids: HashMap<[i64; 4], i64>,
    resource_ids: HashMap<[i64; 2], i64>,
    /// By stack of the model.
    known: HashMap<StackId, i64>,
}

/// The row of an entry, which is added if it is new.
fn row<const N: usize>(
    columns: &mut [Column; N],
    ids: &mut HashMap<[i64; N], i64>,
    entry: [i64; N],
) -> i64 {
    *ids.entry(entry).or_insert_with(|| {
        for (column, value) in columns.iter_mut().zip(entry) {
            column.push(value);
        }
        columns[0].len() as i64 - 1
    })
}

impl Tables {
    fn stack(&mut self, profile: &Profile, strings: &mut Strings, id: StackId) -> i64 {
        let (mut missing, mut next) = (Vec::new(), id);
        let mut prefix = loop {
            if let Some(&known) = self.known.get(&next) {
                break known;
            }
            let Some(node) = profile.stack_node(next) else {
                break NULL;
            };
            missing.push((next, node.location));
            next = node.parent;
        };
        for (id, location) in missing.into_iter().rev() {
            for frame in self.location(profile, strings, location) {
                prefix = row(&mut self.stacks, &mut self.stack_ids, [frame, prefix]);
            }
            self.known.insert(id, prefix);
        }
        prefix
    }

    /// The frames of a location, the outermost first.
    fn location(&mut self, profile: &Profile, strings: &mut Strings, id: LocationId) -> Vec<i64> {
        let location = profile.location(id);
        let mapping = location.mapping.map(|mapping| profile.mapping(mapping));
        let address = location.address.map_or(-1, |address| {
            let relative = mapping.map_or(address.get(), |mapping| {
                address
                    .get()
                    .wrapping_sub(mapping.start)
                    .wrapping_add(mapping.offset)
            });
            relative.cast_signed()
        });
        let resource = match (location.mapping, mapping) {
            (Some(id), Some(mapping)) => {
                let name = strings.id(profile.string(mapping.filename)) as i64;
                row(
                    &mut self.resources,
                    &mut self.resource_ids,
                    [id.index() as i64, name],
                )
            }
            _ => -1,
        };
        let frames = profile.frames(id);
        if frames.is_empty() {
            let name = match address {
                -1 => address_name(profile, id),
                address => format!("{address:#x}"),
            };
            let name = strings.id(&name) as i64;
            let function = row(
                &mut self.functions,
                &mut self.function_ids,
                [name, resource, NULL, NULL],
            );
            return vec![row(
                &mut self.frames,
                &mut self.frame_ids,
                [address, 0, function, NULL, NULL],
            )];
        }
        let number =
            |line: Option<std::num::NonZeroU32>| line.map_or(NULL, |line| i64::from(line.get()));
        let rows = frames.iter().rev().zip(0..).map(|(frame, depth)| {
            let known = profile.function(frame.function);
            let name = match profile.function_name(frame.function) {
                "" => UNKNOWN,
                name => name,
            };
            let file = match profile.string(known.filename) {
                "" => NULL,
                file => strings.id(file) as i64,
            };
            let entry = [
                strings.id(name) as i64,
                resource,
                file,
                number(known.start_line),
            ];
            let function = row(&mut self.functions, &mut self.function_ids, entry);
            let entry = [
                address,
                depth,
                function,
                number(frame.line),
                number(frame.column),
            ];
            row(&mut self.frames, &mut self.frame_ids, entry)
        });
        rows.collect()
    }
}

fn write_thread(
    out: &mut impl Write,
    profile: &Profile,
    samples: &[usize],
    columns: &Columns,
    interval: f64,
    strings: &mut Strings,
) -> io::Result<()> {
    let mut tables = Tables::default();
    let samples = || samples.iter().map(|&index| profile.sample(index));
    let stacks: Column = samples()
        .map(|sample| tables.stack(profile, strings, sample.stack))
        .collect();
    let Some(first) = samples().next() else {
        return Ok(());
    };
    let thread = Thread::of(profile, &first);
    let name = if thread.name.is_empty() {
        ALL_THREADS
    } else {
        thread.name
    };
    write!(
        out,
        "{{\"processType\":\"default\",\"processStartupTime\":0,\"processShutdownTime\":null,"
    )?;
    write!(
        out,
        "\"registerTime\":0,\"unregisterTime\":null,\"pausedRanges\":[],\"isMainThread\":{},\"name\":",
        { thread.tid == thread.pid }
    )?;
    write_text(out, name)?;
    write!(out, ",\"processName\":")?;
    write_text(out, thread.process)?;
    write!(
        out,
        ",\"pid\":\"{}\",\"tid\":{},\"samples\":{{\"stack\":",
        thread.pid, thread.tid
    )?;
    write_column(out, &stacks)?;
    write!(out, ",\"time\":[")?;
    for (index, sample) in samples().enumerate() {
        let time = sample
            .time_nanos
            .map_or(index as f64 * interval, |nanos| nanos as f64 / 1e6);
        write!(out, "{}{time}", if index == 0 { "" } else { "," })?;
    }
    write!(
        out,
        "],\"weightType\":\"{}\",\"weight\":[",
        columns.weight_type
    )?;
    for (index, sample) in samples().enumerate() {
        let weight = sample.values[columns.weight] as f64 / columns.divisor;
        write!(out, "{}{weight}", if index == 0 { "" } else { "," })?;
    }
    write!(out, "]")?;
    if let Some(cpu) = columns.cpu {
        write!(out, ",\"threadCPUDelta\":")?;
        write_column(
            out,
            &samples()
                .map(|sample| sample.values[cpu])
                .collect::<Vec<_>>(),
        )?;
    }
    write!(
        out,
        ",\"length\":{}}},\"markers\":{{\"data\":[],\"name\":[],\"startTime\":[],\"endTime\":[],\"phase\":[],\
         \"category\":[],\"length\":0}},\"stackTable\":",
        stacks.len()
    )?;
    let Tables {
        stacks,
        frames,
        functions,
        resources,
        ..
    } = &tables;
    write_table(out, &[("frame", &stacks[0]), ("prefix", &stacks[1])])?;
    let zeros = |column: &Column| vec![0; column.len()];
    let nulls = |column: &Column| vec![NULL; column.len()];
    write!(out, ",\"frameTable\":")?;
    let no_window = zeros(&frames[0]);
    let table = [
        ("address", &frames[0]),
        ("inlineDepth", &frames[1]),
        ("category", &no_window),
        ("subcategory", &no_window),
        ("func", &frames[2]),
        ("nativeSymbol", &nulls(&frames[0])),
        ("innerWindowID", &no_window),
        ("line", &frames[3]),
        ("column", &frames[4]),
    ];
    write_table(out, &table)?;
    write!(
        out,
        ",\"funcTable\":{{\"isJS\":[{0}],\"relevantForJS\":[{0}],",
        { vec!["false"; functions[0].len()].join(",") }
    )?;
    let table = [
        ("name", &functions[0]),
        ("resource", &functions[1]),
        ("fileName", &functions[2]),
        ("lineNumber", &functions[3]),
        ("columnNumber", &nulls(&functions[0])),
    ];
    write_columns(out, &table)?;
    write!(out, ",\"resourceTable\":")?;
    let library = vec![1; resources[0].len()];
    let table = [
        ("lib", &resources[0]),
        ("name", &resources[1]),
        ("host", &nulls(&resources[0])),
        ("type", &library),
    ];
    write_table(out, &table)?;
    write!(
        out,
        ",\"nativeSymbols\":{{\"libIndex\":[],\"address\":[],\"name\":[],\"functionSize\":[],\"length\":0}}}}"
    )
}

fn write_table(out: &mut impl Write, columns: &[(&str, &Column)]) -> io::Result<()> {
    write!(out, "{{")?;
    write_columns(out, columns)
}

/// The columns and the end of a table that was begun.
fn write_columns(out: &mut impl Write, columns: &[(&str, &Column)]) -> io::Result<()> {
    for (name, column) in columns {
        write!(out, "\"{name}\":")?;
        write_column(out, column)?;
        write!(out, ",")?;
    }
    write!(out, "\"length\":{}}}", columns[0].1.len())
}

fn write_column(out: &mut impl Write, column: &[i64]) -> io::Result<()> {
    write!(out, "[")?;
    for (index, value) in column.iter().enumerate() {
        if index > 0 {
            write!(out, ",")?;
        }
        match *value {
            NULL => write!(out, "null")?,
            value => write!(out, "{value}")?,
        }
    }
    write!(out, "]")
}
