//! Kept requests as Chrome trace events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufWriter, Write};

use crate::request::{Request, RequestSpan};

/// Threads are tracks from here on, below them are spans.
const THREADS: usize = 1_000_000;

/// Writes requests in the Chrome trace-event format (JSON), which Perfetto and `chrome://tracing` read.
///
/// Each request is a process, for each has tracks of its own: first its spans, from creation to last exit,
/// where a span that does not lie within its parent gets another track; then the threads, with what they had
/// entered. Times are those of the wall clock, less the first request's.
///
/// # Errors
/// Those of `out`.
pub fn write_chrome_trace(requests: &[Request], out: impl Write) -> io::Result<()> {
    let mut events = Events {
        out: BufWriter::new(out),
        is_first: true,
    };
    events
        .out
        .write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
    let origin = requests
        .iter()
        .map(|request| request.time_nanos)
        .min()
        .unwrap_or(0);
    for (at, request) in requests.iter().enumerate() {
        let begin = request.time_nanos.saturating_sub(origin).max(0) as u64;
        events.request(at + 1, begin, request)?;
    }
    events.out.write_all(b"\n]}\n")?;
    events.out.flush()
}

struct Events<W: Write> {
    out: BufWriter<W>,
    is_first: bool,
}

impl<W: Write> Events<W> {
    fn request(&mut self, pid: usize, begin: u64, request: &Request) -> io::Result<()> {
        let mut title = format!("{} {}", request.route, Millis(request.total_ns));
        if let Some(trace_id) = &request.trace_id {
            title = format!("{title} {trace_id}");
        }
        self.named("process_name", pid, 0, &title)?;
        let lanes = lanes(&request.spans);
        for lane in lanes.iter().collect::<BTreeSet<_>>() {
            self.named("thread_name", pid, *lane, "spans")?;
        }
        for (span, lane) in request.spans.iter().zip(&lanes) {
            let dur = span.end_ns.saturating_sub(span.start_ns);
            self.slice(
                &span.name.name,
                "span",
                (pid, *lane),
                begin + span.start_ns,
                dur,
            )?;
            self.arguments(span, dur)?;
        }
        let mut threads: BTreeMap<u32, Vec<(u64, u64, &str)>> = BTreeMap::new();
        for span in &request.spans {
            for slice in &span.slices {
                let slices = threads.entry(slice.thread).or_default();
                slices.push((slice.start_ns, slice.end_ns, span.name.name.as_str()));
            }
        }
        for (thread, mut slices) in threads {
            let tid = THREADS + thread as usize;
            self.named("thread_name", pid, tid, &format!("thread {thread}"))?;
            nest(&mut slices);
            for (start, end, name) in slices {
                self.slice(name, "busy", (pid, tid), begin + start, end - start)?;
                self.out.write_all(b"}")?;
            }
        }
        Ok(())
    }

    fn named(&mut self, what: &str, pid: usize, tid: usize, name: &str) -> io::Result<()> {
        self.begin()?;
        write!(
            self.out,
            "{{\"ph\":\"M\",\"name\":\"{what}\",\"pid\":{pid},\"tid\":{tid},\"args\":{{\"name\":{}}}}}",
            Json(name)
        )
    }

    /// A complete event, but for its end.
    fn slice(
        &mut self,
        name: &str,
        cat: &str,
        track: (usize, usize),
        start: u64,
        dur: u64,
    ) -> io::Result<()> {
        self.begin()?;
        let (pid, tid) = track;
        write!(
            self.out,
            "{{\"ph\":\"X\",\"name\":{},\"cat\":\"{cat}\",\"pid\":{pid},\"tid\":{tid},\"ts\":{},\"dur\":{}",
            Json(name),
            Micros(start),
            Micros(dur)
        )
    }

    fn arguments(&mut self, span: &RequestSpan, dur: u64) -> io::Result<()> {
        let idle = dur.saturating_sub(span.busy_ns);
        write!(
            self.out,
            ",\"args\":{{\"busy\":\"{}\",\"idle\":\"{}\",\"polls\":{}",
            Millis(span.busy_ns),
            Millis(idle),
            span.polls
        )?;
        if span.error {
            self.out.write_all(b",\"failed\":true")?;
        }
        if let Some(line) = span.name.line {
            let place = format!("{}:{line}", span.name.file);
            write!(self.out, ",\"source\":{}", Json(&place))?;
        }
        // A list, since a key may come several times.
        let fields: Vec<_> = span
            .fields
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        if !fields.is_empty() {
            let fields: Vec<_> = fields.iter().map(|field| Json(field).to_string()).collect();
            write!(self.out, ",\"fields\":[{}]", fields.join(","))?;
        }
        self.out.write_all(b"}}")
    }

    fn begin(&mut self) -> io::Result<()> {
        let comma: &[u8] = if self.is_first { b"\n" } else { b",\n" };
        self.is_first = false;
        self.out.write_all(comma)
    }
}

/// A track for each span, from 1: the parent's if the span lies within the parent and nothing else is there,
/// else one that is free. On a track, viewers read what lies within as what was called.
fn lanes(spans: &[RequestSpan]) -> Vec<usize> {
    // What is open on each lane when the next span begins: positions, outermost first.
    let mut open: Vec<Vec<usize>> = Vec::new();
    let mut lanes: Vec<usize> = Vec::with_capacity(spans.len());
    for (at, span) in spans.iter().enumerate() {
        for lane in &mut open {
            while lane
                .last()
                .is_some_and(|&last| spans[last].end_ns <= span.start_ns)
            {
                lane.pop();
            }
        }
        let parents = span
            .parent
            .filter(|&parent| parent < at)
            .map(|parent| lanes[parent] - 1)
            .filter(|&lane| {
                let last = open[lane].last();
                last.is_some_and(|&last| {
                    Some(last) == span.parent && span.end_ns <= spans[last].end_ns
                })
            });
        let lane = parents
            .or_else(|| open.iter().position(Vec::is_empty))
            .unwrap_or_else(|| {
                open.push(Vec::new());
                open.len() - 1
            });
        open[lane].push(at);
        lanes.push(lane + 1);
    }
    lanes
}

/// Sorts the slices of a thread and makes each end with the one that it begins in, where exits came out of
/// order.
fn nest(slices: &mut [(u64, u64, &str)]) {
    slices.sort_by_key(|&(start, end, _)| (start, std::cmp::Reverse(end)));
    let mut open: Vec<u64> = Vec::new();
    for (start, end, _) in slices {
        while open.last().is_some_and(|outer| outer <= start) {
            open.pop();
        }
        if let Some(outer) = open.last() {
            *end = (*end).min(*outer);
        }
        open.push(*end);
    }
}

/// Nanoseconds as microseconds, exactly.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms", self.0 as f64 / 1e6)
    }
}

/// A JSON string.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
