//! The output of Linux's `perf script`.
//!
//! ```text
//! shop 4242/4243 [001] 12345.678901:     250000 cpu-clock:u:
//!         55d0012ab shop::parse+0x1b (/opt/shop)
//!         55d0034cd main+0x10 (/opt/shop)
//! ```
//!
//! A sample's count is of sample type `samples`; what perf calls its period is of a sample type with the event's name,
//! in nanoseconds for clocks; shown first is that of a clock if there is one, or else of the first event. The command's
//! name becomes the label `thread`; thread, process and time are kept where they are printed, and so are source lines
//! (`-F +srcline`) and inlined functions, as frames of one location.
//! Where perf knew no symbol, the file's name stands for it, in brackets. Addresses are dropped: without the mappings
//! of the process, which are not printed, they lead nowhere. Lines of no known form are skipped, with a warning.

use std::collections::HashMap;

use perfwright_model::{Frame, LocationId, MappingId, SampleType, StackId};

use crate::build::{Builder, Thread, line};
use crate::warning::Warnings;
use crate::{Error, ErrorKind, Format, Input, Limits, Place, Read, WarningKind};

const SUBJECT: &str = "perf script";

/// Reads the output of `perf script`, gzipped or not.
///
/// # Errors
/// If no line is a sample, or with the line at which a limit is exceeded.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let input = Input::new(bytes, limits)?;
    parse(&input.bytes, limits).map_err(|error| input.place(error))
}

pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Read, Error> {
    let events = events(bytes, limits)?;
    let named = events
        .iter()
        .map(|event| SampleType::new(*event, unit_of(event)));
    let types = [SampleType::new("samples", "count")]
        .into_iter()
        .chain(named);
    let mut reader = Reader {
        builder: Builder::new(types, SUBJECT, limits),
        events,
        warnings: Warnings::default(),
        files: HashMap::new(),
        locations: HashMap::new(),
        start: None,
        open: None,
        stack: Vec::new(),
        inlined: Vec::new(),
    };
    for (number, text) in lines(bytes) {
        reader.line(text, Place::Line(number))?;
    }
    reader.close()?;
    reader.builder.profile.meta.default_sample_type = Some(default_type(&reader.events));
    if reader.builder.profile.sample_count() == 0 {
        let message = "no line is a sample: nothing was recorded, or a filter left nothing";
        return Err(Error::new(ErrorKind::Empty, SUBJECT, Place::Whole, message));
    }
    let profile = reader.builder.profile;
    Ok(Read {
        profile,
        format: Format::PerfScript,
        warnings: reader.warnings.into_vec(),
    })
}

/// Among the first lines is one that begins a sample, with its time, or one of a stack.
pub(crate) fn looks_like(text: &str) -> bool {
    text.lines().take(60).any(|line| {
        let line = line.trim();
        is_frame(line) || header_of(line).is_some_and(|header| header.time_nanos.is_some())
    })
}

/// An address and a file in brackets. `added (later)` is none.
fn is_frame(line: &str) -> bool {
    let first_word = line.split_whitespace().next().unwrap_or("");
    let has_digit = first_word.bytes().any(|byte| byte.is_ascii_digit());
    line.ends_with(')') && first_word.len() >= 5 && has_digit && is_hex(first_word)
}

fn is_hex(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The lines that are UTF-8 text, with their numbers; the others are empty.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (u64, &str)> {
    let lines = bytes
        .split(|&byte| byte == b'\n')
        .map(|line| match std::str::from_utf8(line) {
            Ok(line) => line.trim_end(),
            // As much as can be read: what is broken is mostly a file's name at the end.
            Err(error) => std::str::from_utf8(&line[..error.valid_up_to()]).unwrap_or(""),
        });
    (1..).zip(lines)
}

/// The events that have a period, in order of appearance.
fn events<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Vec<&'a str>, Error> {
    let mut events = Vec::new();
    for (number, text) in lines(bytes) {
        let Some(header) = header_of(text) else {
            continue;
        };
        if header.period.is_some() && !events.contains(&header.event) {
            events.push(header.event);
            if events.len() >= limits.sample_types {
                let limit = limits.sample_types;
                return Err(crate::limits::too_many(
                    SUBJECT,
                    Place::Line(number),
                    "events",
                    limit,
                ));
            }
        }
    }
    Ok(events)
}

/// Clocks count nanoseconds.
fn unit_of(event: &str) -> &'static str {
    match is_clock(event) {
        true => "nanoseconds",
        false => "count",
    }
}

fn is_clock(event: &str) -> bool {
    event.starts_with("cpu-clock") || event.starts_with("task-clock")
}

/// The sample type to show first. The order of events is that of their first samples, which is chance.
fn default_type(events: &[&str]) -> usize {
    let clock = events.iter().position(|event| is_clock(event));
    clock.map_or(events.len().min(1), |clock| clock + 1)
}

/// The first line of a sample.
struct Header<'a> {
    comm: &'a str,
    pid: Option<i64>,
    tid: Option<i64>,
    time_nanos: Option<i64>,
    period: Option<i64>,
    event: &'a str,
    /// Where no stack was recorded, its only frame follows on the same line.
    frame: &'a str,
}

/// Takes a line apart by its time and by the ids before it, for names of commands have blanks.
fn header_of(text: &str) -> Option<Header<'_>> {
    if text.starts_with([' ', '\t', '#']) || text.is_empty() {
        return None;
    }
    let words: Vec<(usize, &str)> = text
        .split_whitespace()
        .map(|word| (word.as_ptr().addr() - text.as_ptr().addr(), word))
        .collect();
    let time = words.iter().position(|(_, word)| nanos_of(word).is_some());
    let ids_end = time.unwrap_or(words.len());
    let (at, (tid, pid)) = words[..ids_end]
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, (_, word))| Some((at, ids_of(word).filter(|_| at > 0)?)))?;
    let comm = text[..words[at].0].trim_end();
    let mut rest = words[time.unwrap_or(at) + 1..].iter().peekable();
    if time.is_none() {
        while rest.next_if(|(_, word)| word.starts_with('[')).is_some() {}
    }
    let period = rest.peek().and_then(|(_, word)| word.parse().ok());
    if period.is_some() {
        rest.next();
    }
    let (start, event) = *rest.next()?;
    let event_name = event.strip_suffix(':')?;
    let frame = text[start + event.len()..].trim_start();
    Some(Header {
        comm,
        pid,
        tid,
        time_nanos: time.and_then(|time| nanos_of(words[time].1)),
        period,
        event: event_name,
        frame,
    })
}

/// `12345.678901:` in nanoseconds.
fn nanos_of(word: &str) -> Option<i64> {
    let (seconds, fraction) = word.strip_suffix(':')?.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    seconds
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(fraction)
}

/// What stands for a source line that is not known: `[kernel.kallsyms][ffffffff81000000]`, or `??:0`.
fn is_no_source(text: &str) -> bool {
    let address = text
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once('['));
    address.is_some_and(|(_, address)| is_hex(address)) || text.starts_with("??:")
}

/// Thread and process: `4243`, or `4242/4243`, the process first.
fn ids_of(word: &str) -> Option<(Option<i64>, Option<i64>)> {
    match word.split_once('/') {
        Some((pid, tid)) => Some((Some(tid.parse().ok()?), Some(pid.parse().ok()?))),
        None => Some((Some(word.parse().ok()?), None)),
    }
}

/// An inlined function, and its source line as [`Raw::source`].
type Inlined<'a> = (&'a str, &'a str);

struct Reader<'a, 'l> {
    builder: Builder<'l>,
    events: Vec<&'a str>,
    warnings: Warnings,
    files: HashMap<&'a str, MappingId>,
    /// Of frames without inlining and source lines, which are nearly all.
    locations: HashMap<(&'a str, &'a str), LocationId>,
    /// The first sample's time.
    start: Option<i64>,
    /// The sample whose stack is being read, and its line.
    open: Option<(Header<'a>, Place)>,
    /// The leaf first.
    stack: Vec<Raw<'a>>,
    /// Functions that were inlined into the frame that comes next, the innermost first.
    inlined: Vec<Inlined<'a>>,
}

/// A frame as it was printed.
struct Raw<'a> {
    name: &'a str,
    file: &'a str,
    /// `main.rs:12`, or empty.
    source: &'a str,
    inlined: Vec<Inlined<'a>>,
}

impl<'a> Reader<'a, '_> {
    fn line(&mut self, text: &'a str, place: Place) -> Result<(), Error> {
        if text.is_empty() {
            return self.close();
        }
        if text.starts_with('#') {
            return Ok(());
        }
        if self.continues(text) {
            return self.frame(text.trim(), place);
        }
        match header_of(text.trim_start()) {
            Some(header) => {
                self.close()?;
                let frame = header.frame;
                self.open = Some((header, place));
                if frame.is_empty() {
                    Ok(())
                } else {
                    self.frame(frame, place)
                }
            }
            None => {
                self.warnings.add(WarningKind::UnknownLine, place);
                Ok(())
            }
        }
    }

    /// The line is part of the stack of the sample that is open. Without stacks, a sample is one line, which begins
    /// with blanks; some tools take the blanks from the lines of stacks.
    fn continues(&self, text: &str) -> bool {
        let is_indented = text.starts_with([' ', '\t']);
        match &self.open {
            None => false,
            Some((header, _)) if header.frame.is_empty() => {
                is_indented || is_frame(text) && header_of(text).is_none()
            }
            Some(_) => is_indented && header_of(text.trim_start()).is_none(),
        }
    }

    /// `55d0012ab shop::parse+0x1b (/opt/shop)`, or a source line of the frame before.
    fn frame(&mut self, text: &'a str, place: Place) -> Result<(), Error> {
        let (address, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        if !is_hex(address) {
            self.source(text, place);
            return Ok(());
        }
        // A file that was replaced since: `(/opt/shop (deleted))`.
        let end = rest
            .strip_suffix(" (deleted))")
            .or_else(|| rest.strip_suffix(')'));
        let (symbol, file) = match end.and_then(|rest| rest.rsplit_once('(')) {
            Some((symbol, file)) => (symbol.trim(), file),
            None => (rest.trim(), ""),
        };
        let name = match symbol.rsplit_once("+0x") {
            Some((name, offset)) if is_hex(offset) => name,
            _ => symbol,
        };
        let depth = self.stack.len() + self.inlined.len() + 1;
        self.builder.check(
            depth,
            self.builder.limits.depth,
            "frames in one stack",
            place,
        )?;
        if file == "inlined" {
            self.inlined.push((name, ""));
        } else {
            let inlined = std::mem::take(&mut self.inlined);
            self.stack.push(Raw {
                name,
                file,
                source: "",
                inlined,
            });
        }
        Ok(())
    }

    /// The source line of the frame that was printed last.
    fn source(&mut self, text: &'a str, place: Place) {
        if is_no_source(text) {
            return;
        }
        let is_line =
            |line: &str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
        if !text.rsplit_once(':').is_some_and(|(_, line)| is_line(line)) {
            self.warnings.add(WarningKind::UnknownLine, place);
            return;
        }
        match (self.inlined.last_mut(), self.stack.last_mut()) {
            (Some(inlined), _) => inlined.1 = text,
            (None, Some(frame)) => frame.source = text,
            (None, None) => self.warnings.add(WarningKind::UnknownLine, place),
        }
    }

    /// Adds the sample whose stack ended.
    fn close(&mut self) -> Result<(), Error> {
        let Some((header, place)) = self.open.take() else {
            return Ok(());
        };
        if !self.inlined.is_empty() {
            // The frame that they were inlined into is missing.
            let inlined = std::mem::take(&mut self.inlined);
            self.stack.push(Raw {
                name: "",
                file: "",
                source: "",
                inlined,
            });
        }
        let raw = std::mem::take(&mut self.stack);
        let (mut stack, mut depth) = (StackId::ROOT, 0);
        for frame in raw.iter().rev() {
            let location = self.location(frame, place)?;
            depth += 1;
            stack = self.builder.push(stack, location, depth, place)?;
        }
        let thread = Thread {
            name: header.comm,
            tid: header.tid,
            process: "",
            pid: header.pid,
        };
        let labels = self.builder.thread_labels(&thread);
        let labels = self.builder.labels(&labels, place)?;
        let mut values = vec![0; self.events.len() + 1];
        values[0] = 1;
        let event = self.events.iter().position(|event| *event == header.event);
        if let (Some(event), Some(period)) = (event, header.period) {
            values[event + 1] = period;
        }
        match header.time_nanos {
            Some(time) => {
                let start = *self.start.get_or_insert(time);
                self.builder
                    .sample_at(stack, labels, &values, time.saturating_sub(start), place)
            }
            None => self.builder.record(stack, labels, &values, place),
        }
    }

    fn location(&mut self, raw: &Raw<'a>, place: Place) -> Result<LocationId, Error> {
        let plain = raw.inlined.is_empty() && raw.source.is_empty();
        if let Some(&known) = self.locations.get(&(raw.name, raw.file)).filter(|_| plain) {
            return Ok(known);
        }
        let mut frames = Vec::with_capacity(raw.inlined.len() + 1);
        for (name, source) in &raw.inlined {
            frames.push(self.source_frame(name, source, place)?);
        }
        let base = raw.file.rsplit('/').next().unwrap_or(raw.file);
        let unknown = match base {
            "" | "[unknown]" => "[unknown]".to_owned(),
            base if base.starts_with('[') => base.to_owned(),
            base => format!("[{base}]"),
        };
        let name = if matches!(raw.name, "" | "[unknown]") {
            &unknown
        } else {
            raw.name
        };
        frames.push(self.source_frame(name, raw.source, place)?);
        let mapping = self.mapping(raw.file, place)?;
        let id = self.builder.location(mapping, &frames, place)?;
        if plain {
            self.locations.insert((raw.name, raw.file), id);
        }
        Ok(id)
    }

    fn mapping(&mut self, file: &'a str, place: Place) -> Result<Option<MappingId>, Error> {
        if matches!(file, "" | "[unknown]") {
            return Ok(None);
        }
        if let Some(&known) = self.files.get(file) {
            return Ok(Some(known));
        }
        let id = self.builder.file(file, place)?;
        self.files.insert(file, id);
        Ok(Some(id))
    }

    fn source_frame(&mut self, name: &str, source: &str, place: Place) -> Result<Frame, Error> {
        let (file, number) = source.rsplit_once(':').unwrap_or(("", ""));
        let known = !matches!(file, "" | "??");
        let function = self
            .builder
            .function(name, if known { file } else { "" }, None, place)?;
        Ok(Frame {
            function,
            line: line(number.parse().ok()),
            column: None,
        })
    }
}
