//! The report of a run: what `report.json`, `report.md` and the terminal show.
//!
//! [`Report`] is `report.json`, field by field. Its schema is version [`SCHEMA_VERSION`]; adding a
//! field keeps the version, anything else raises it. Values are in the unit of `sample_type`, shares
//! go from 0 to 1, lines are 1-based, and what is not known is `null`.

mod markdown;
mod memory;
mod spans;
mod tables;
mod terminal;
mod words;

use std::collections::HashMap;

use perfwright_analyze::{By, Origin, Row, by_thread, top};
use perfwright_cpu::Audit;
use perfwright_model::{Profile, SampleType};
use serde::Serialize;

pub(crate) use memory::Memory;
pub(crate) use spans::Spans;
pub(crate) use tables::{Places, functions};

/// The version of the schema of `report.json`.
pub(crate) const SCHEMA_VERSION: u32 = 1;
/// Rows of each list of functions in `report.json`.
const ROWS_KEPT: usize = 100;

/// Everything that is told about a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) schema_version: u32,
    /// The version of this program.
    pub(crate) perfwright_version: &'static str,
    pub(crate) run: RunInfo,
    pub(crate) capture: Capture,
    /// `null` when the program was not put under load.
    pub(crate) load: Option<Load>,
    /// `null` when the heap was not sampled.
    pub(crate) memory: Option<Memory>,
    /// `null` when the program has no span layer, and samples have no routes.
    pub(crate) spans: Option<Spans>,
    /// What all values below count.
    pub(crate) sample_type: SampleTypeInfo,
    /// The sum of all samples, the leaf of unseen time included.
    pub(crate) total_value: i64,
    /// Functions, the greatest self value first.
    pub(crate) top_self: Vec<FunctionRow>,
    /// Functions, the greatest total first.
    pub(crate) top_total: Vec<FunctionRow>,
    /// Functions of the user's own code, the greatest total first.
    pub(crate) top_own: Vec<FunctionRow>,
    pub(crate) threads: Vec<ThreadInfo>,
    pub(crate) symbols: Symbols,
    /// The run's folder, as it is shown to the user.
    pub(crate) folder: String,
    pub(crate) files: Vec<FileInfo>,
    /// Folders that source paths are shown relative to.
    #[serde(skip)]
    pub(crate) source_roots: Vec<String>,
}

/// What ran.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RunInfo {
    /// The binary's or example's name.
    pub(crate) program: String,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// The command line of this program.
    pub(crate) command: String,
    /// When the capture began, in seconds since the Unix epoch.
    pub(crate) started_unix: u64,
    /// How long it lasted, in seconds.
    pub(crate) duration_s: f64,
    /// Why it was shorter than asked, if it was.
    pub(crate) ended_early: Option<String>,
    /// Processes of others that ran on each core just before; `null` if the system does not tell.
    pub(crate) load_per_core: Option<f64>,
}

/// The sampler's account of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Capture {
    pub(crate) engine: String,
    pub(crate) mode: String,
    pub(crate) frequency_asked_hz: u32,
    pub(crate) frequency_effective_hz: f64,
    pub(crate) samples_expected: u64,
    pub(crate) samples_delivered: u64,
    /// As many samples of equal weight would tell as much.
    pub(crate) samples_effective: u64,
    pub(crate) samples_dropped: u64,
    pub(crate) samples_over_memory: u64,
    pub(crate) stacks_truncated: u64,
    pub(crate) stacks_rootless: u64,
    pub(crate) stacks_unknown: u64,
    pub(crate) stacks_repaired: u64,
    pub(crate) threads_seen: u64,
    pub(crate) threads_overflow: u64,
    pub(crate) cpu_nanos: u64,
    pub(crate) sampled_nanos: u64,
    pub(crate) lost_nanos: u64,
    pub(crate) own_cpu_nanos: u64,
    pub(crate) duration_nanos: u64,
    pub(crate) tick_limited: bool,
    pub(crate) sees_kernel: bool,
    pub(crate) frame_pointers: Option<bool>,
    pub(crate) notes: Vec<String>,
    /// Every half a second.
    pub(crate) cpu_timeline: Vec<CpuMoment>,
}

/// The CPU time that the program had taken since it began, at a moment of the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct CpuMoment {
    pub(crate) seconds: f64,
    pub(crate) cpu_nanos: u64,
}

/// What the load did.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Load {
    /// Connections, each with one request under way.
    pub(crate) connections: u64,
    /// In the order of the program's metadata.
    pub(crate) requests: Vec<RequestStats>,
    /// All requests together.
    pub(crate) all: RequestStats,
}

/// Requests of one name.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RequestStats {
    pub(crate) name: String,
    pub(crate) count: u64,
    /// Those without an answer, or with another than 2xx.
    pub(crate) errors: u64,
    /// Requests per second.
    pub(crate) rps: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p99_9_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) mean_ms: f64,
    /// Of the bodies of all requests.
    pub(crate) request_bytes: u64,
    /// Of the bodies of all answers.
    pub(crate) response_bytes: u64,
}

/// What values count.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SampleTypeInfo {
    pub(crate) kind: String,
    pub(crate) unit: String,
}

/// A function.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FunctionRow {
    pub(crate) function: String,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) self_value: i64,
    pub(crate) self_share: f64,
    pub(crate) total_value: i64,
    pub(crate) total_share: f64,
}

/// A thread; without a name and id, what no thread is known of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ThreadInfo {
    pub(crate) name: Option<String>,
    pub(crate) tid: Option<i64>,
    pub(crate) total_value: i64,
    pub(crate) total_share: f64,
}

/// How many locations have names.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Symbols {
    pub(crate) resolved: usize,
    pub(crate) unresolved: usize,
    /// What stood in the way, one sentence each.
    pub(crate) problems: Vec<String>,
}

/// A file of the run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileInfo {
    /// Its name within the folder.
    pub(crate) name: String,
    /// What opens it.
    pub(crate) about: String,
}

impl FileInfo {
    /// A file and what opens it.
    pub(crate) fn new(name: &str, about: impl Into<String>) -> FileInfo {
        FileInfo {
            name: name.to_owned(),
            about: about.into(),
        }
    }
}

impl Report {
    /// Sums a symbolized profile up. The rest (`load`, `folder`, `files`, `source_roots`) is the caller's to fill.
    pub(crate) fn new(
        run: RunInfo,
        profile: &Profile,
        audit: &Audit,
        symbols: &perfwright_symbolize::Report,
    ) -> Report {
        let at = profile.default_sample_type().unwrap_or(0);
        let sample_type = profile.sample_types().get(at).cloned().unwrap_or_default();
        let total_value = if profile.sample_types().is_empty() {
            0
        } else {
            profile.total(at)
        };
        let (top_self, top_total, top_own, threads) = match profile.sample_types() {
            [] => Default::default(),
            _ => summaries(profile, at, total_value),
        };
        Report {
            schema_version: SCHEMA_VERSION,
            perfwright_version: env!("CARGO_PKG_VERSION"),
            run,
            capture: Capture::from(audit),
            load: None,
            memory: None,
            spans: None,
            sample_type: SampleTypeInfo {
                kind: sample_type.kind,
                unit: sample_type.unit,
            },
            total_value,
            top_self,
            top_total,
            top_own,
            threads,
            symbols: Symbols::from(symbols),
            folder: String::new(),
            files: Vec::new(),
            source_roots: Vec::new(),
        }
    }

    /// The report as `report.json`, with a newline at its end.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    fn sample_type(&self) -> SampleType {
        SampleType::new(&self.sample_type.kind, &self.sample_type.unit)
    }
}

/// Functions by self, by total, the own ones by total; threads.
type Summaries = (
    Vec<FunctionRow>,
    Vec<FunctionRow>,
    Vec<FunctionRow>,
    Vec<ThreadInfo>,
);

fn summaries(profile: &Profile, sample_type: usize, whole: i64) -> Summaries {
    let mut rows = top(profile, sample_type, By::Function);
    let top_self = function_rows(rows.iter().filter(|row| row.self_value != 0), whole);
    rows.sort_by_key(|row| std::cmp::Reverse(row.total_value));
    let own = |row: &&Row| Origin::of(&row.name, row.file.as_deref()) == Origin::Own;
    let top_own = function_rows(rows.iter().filter(own), whole);
    let threads = by_thread(profile, sample_type).into_iter();
    let threads = threads.map(|thread| ThreadInfo {
        name: thread.name,
        tid: thread.tid,
        total_value: thread.total_value,
        total_share: share(thread.total_value, whole),
    });
    (
        top_self,
        function_rows(rows.iter(), whole),
        top_own,
        threads.collect(),
    )
}

fn function_rows<'a>(rows: impl Iterator<Item = &'a Row>, whole: i64) -> Vec<FunctionRow> {
    rows.take(ROWS_KEPT)
        .map(|row| FunctionRow::new(row, whole))
        .collect()
}

impl FunctionRow {
    /// A row of a table whose values sum up to `whole`.
    pub(crate) fn new(row: &Row, whole: i64) -> FunctionRow {
        FunctionRow {
            function: row.name.clone(),
            file: row.file.clone(),
            line: row.line,
            self_value: row.self_value,
            self_share: share(row.self_value, whole),
            total_value: row.total_value,
            total_share: share(row.total_value, whole),
        }
    }
}

/// The share of a value in a sum; 0 of nothing. Rounded to what can be read: six decimals.
pub(crate) fn share(value: i64, whole: i64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (value as f64 / whole as f64 * 1e6).round() / 1e6
}

impl From<&Audit> for Capture {
    fn from(audit: &Audit) -> Capture {
        Capture {
            engine: audit.engine.to_string(),
            mode: audit.mode.to_string(),
            frequency_asked_hz: audit.frequency_asked_hz,
            frequency_effective_hz: audit.frequency_effective_hz,
            samples_expected: audit.expected,
            samples_delivered: audit.delivered,
            samples_effective: audit.delivered_effective,
            samples_dropped: audit.dropped,
            samples_over_memory: audit.over_memory,
            stacks_truncated: audit.truncated,
            stacks_rootless: audit.rootless,
            stacks_unknown: audit.unknown_stack,
            stacks_repaired: audit.repaired,
            threads_seen: audit.threads_seen,
            threads_overflow: audit.threads_overflow,
            cpu_nanos: audit.cpu_nanos,
            sampled_nanos: audit.sampled_nanos,
            lost_nanos: audit.lost_nanos,
            own_cpu_nanos: audit.own_cpu_nanos,
            duration_nanos: audit.duration_nanos,
            tick_limited: audit.tick_limited,
            sees_kernel: audit.sees_kernel,
            frame_pointers: audit.frame_pointers,
            notes: audit.notes.clone(),
            cpu_timeline: Vec::new(),
        }
    }
}

impl From<&perfwright_symbolize::Report> for Symbols {
    fn from(report: &perfwright_symbolize::Report) -> Symbols {
        // The same problem in twenty libraries is one sentence.
        let mut files: HashMap<String, Vec<&str>> = HashMap::new();
        let mut order = Vec::new();
        for mapping in &report.mappings {
            for problem in mapping.problems.iter().map(ToString::to_string) {
                let files = files.entry(problem.clone()).or_default();
                if files.is_empty() {
                    order.push(problem);
                }
                files.push(&mapping.file);
            }
        }
        let sentence = |problem: String| match files[&problem].as_slice() {
            [""] => problem,
            [file] => format!("{file}: {problem}"),
            [file, rest @ ..] => format!("{file} and {} more: {problem}", rest.len()),
            [] => problem,
        };
        Symbols {
            resolved: report.resolved,
            unresolved: report.unresolved,
            problems: order.into_iter().map(sentence).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
