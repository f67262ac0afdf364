//! Spans: the layer, and what a command gets of what it saw.
//!
//! ```
//! use tracing_subscriber::prelude::*;
//!
//! tracing_subscriber::registry().with(perfwright::spans::SpanLayer::new()).init();
//! ```
//!
//! From then on CPU and heap samples have the labels `span` and `span path`, and [`installed`] says how often each
//! path of spans was taken, how long it was busy and how long it waited.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub use perfwright_tracing::*;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::control::span_files;
use crate::output::{WriteError, write_beside, write_raw};

/// Makes a subscriber with the layer the process's default one.
pub(crate) fn install(options: Options) -> Result<(), String> {
    let subscriber = tracing_subscriber::registry().with(SpanLayer::with_options(options));
    tracing_core::dispatcher::set_global_default(subscriber.into()).map_err(|_| {
        "follow spans: the program has set a subscriber already; add `perfwright::spans::SpanLayer` to that one".into()
    })
}

/// What a command is told of spans besides their profile: `spans.json`. Times are in nanoseconds.
#[doc(hidden)]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Each path of spans.
    pub paths: Vec<PathAccount>,
    /// Threads that were ready to run and had no CPU: the thread's id and how long.
    pub run_delay: Vec<(i64, i64)>,
    /// What was not kept: sentences.
    pub notes: Vec<String>,
}

/// A path of spans.
#[doc(hidden)]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PathAccount {
    /// The route, or the root span's name.
    pub route: Option<String>,
    /// The spans' names, outermost first.
    pub path: Vec<String>,
    /// The innermost one's target.
    pub target: String,
    /// Where the innermost one is in the source.
    pub file: Option<String>,
    /// Its line there.
    pub line: Option<u32>,
    /// Spans that ended.
    pub count: u64,
    /// Those with an error.
    pub errors: u64,
    /// Rows that a database returned or changed.
    pub rows: u64,
    /// How often they were entered to be polled; 0 of a statement, which an event tells of when it has ended.
    pub polls: u64,
    /// Inside, its children's time included.
    pub busy: u64,
    /// Between the first enter and the last exit, but not inside.
    pub idle: u64,
    /// Of the times from a span's begin to its last exit: half are below. `None` if none ended.
    pub p50: Option<u64>,
    /// 95 of 100 are below.
    pub p95: Option<u64>,
    /// 99 of 100 are below.
    pub p99: Option<u64>,
    /// The longest.
    pub max: u64,
}

impl Account {
    fn new(snapshot: &Snapshot, run_delay: Vec<(i64, i64)>) -> Account {
        Account {
            paths: snapshot.paths.iter().map(PathAccount::from).collect(),
            run_delay,
            notes: notes(&snapshot.audit),
        }
    }
}

impl From<&PathStats> for PathAccount {
    fn from(stats: &PathStats) -> PathAccount {
        let innermost = stats.path.last();
        let quantile = |q| stats.histogram.quantile(q);
        PathAccount {
            route: Some(stats.route.clone()),
            path: stats.path.iter().map(|span| span.name.clone()).collect(),
            file: innermost
                .map(|span| span.file.clone())
                .filter(|file| !file.is_empty()),
            line: innermost.and_then(|span| span.line),
            target: innermost
                .map(|span| span.target.clone())
                .unwrap_or_default(),
            rows: stats.rows,
            count: stats.count,
            errors: stats.errors,
            polls: stats.polls,
            busy: stats.busy_ns,
            idle: stats.idle_ns,
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: stats.max_ns,
        }
    }
}

/// What was not kept.
fn notes(audit: &Audit) -> Vec<String> {
    let losses = [
        (
            audit.overflowed,
            "spans count under `(other)`: there were too many different paths",
        ),
        (
            audit.untracked,
            "spans were not followed: too many were open at once",
        ),
        (audit.stray_exits, "exits of spans came without their enter"),
    ];
    losses
        .into_iter()
        .filter(|&(count, _)| count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
}

/// A commanded capture of spans: opened when the capture begins, written when it ends.
pub(crate) struct SpanWindow {
    out: PathBuf,
    run_delay: HashMap<i64, RunDelay>,
}

impl SpanWindow {
    /// What was seen before counts for nobody: the layer begins afresh.
    pub(crate) fn open(out: &Path) -> SpanWindow {
        if let Some(spans) = installed() {
            drop((spans.take(), spans.take_slowest()));
        }
        SpanWindow {
            out: out.to_owned(),
            run_delay: run_delays(),
        }
    }

    /// Writes what was seen, if there is a layer.
    pub(crate) fn write(self) -> Result<(), WriteError> {
        let Some(spans) = installed() else {
            return Ok(());
        };
        let slowest = spans.take_slowest();
        let snapshot = spans.take();
        let account = Account::new(&snapshot, delays_since(&self.run_delay, &run_delays()));
        let file = |name: &str| self.out.join(name);
        write_raw(&snapshot.profile(), &file(span_files::PROFILE))?;
        write_beside(&file(span_files::ACCOUNT), |file| {
            serde_json::to_writer(file, &account).map_err(std::io::Error::from)
        })?;
        write_beside(&file(span_files::TRACE), |file| {
            write_chrome_trace(&slowest, file)
        })
    }
}

/// How long a thread was ready to run and had no CPU since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RunDelay {
    nanos: i64,
    /// Kernels hand out thread ids again; what a thread used never gets less.
    cpu_nanos: i64,
}

/// The difference for threads that are still there. One that began meanwhile has all of its own.
fn delays_since(earlier: &HashMap<i64, RunDelay>, now: &HashMap<i64, RunDelay>) -> Vec<(i64, i64)> {
    let mut delays: Vec<_> = now
        .iter()
        .map(|(&tid, now)| {
            let before = earlier
                .get(&tid)
                .filter(|before| before.cpu_nanos <= now.cpu_nanos)
                .map_or(0, |before| before.nanos);
            (tid, (now.nanos - before).max(0))
        })
        .collect();
    delays.sort_unstable();
    delays
}

/// Of each thread, as the scheduler counts it; empty where it does not.
#[cfg(target_os = "linux")]
fn run_delays() -> HashMap<i64, RunDelay> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return HashMap::new();
    };
    tasks
        .flatten()
        .filter_map(|task| {
            let tid = task.file_name().to_str()?.parse().ok()?;
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((tid, parse_schedstat(&text)?))
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn run_delays() -> HashMap<i64, RunDelay> {
    HashMap::new()
}

/// `time on the CPU, time ready without one, how often`.
#[cfg(any(target_os = "linux", test))]
fn parse_schedstat(text: &str) -> Option<RunDelay> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(RunDelay {
        cpu_nanos: numbers.next()?.ok()?,
        nanos: numbers.next()?.ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_those_of_the_window() {
        let at = |cpu_nanos, nanos| RunDelay { cpu_nanos, nanos };
        let earlier = HashMap::from([(1, at(10, 5)), (2, at(100, 50)), (3, at(1, 1))]);
        let now = HashMap::from([(1, at(20, 8)), (2, at(3, 2)), (4, at(7, 7))]);
        assert_eq!(delays_since(&earlier, &now), [(1, 3), (2, 2), (4, 7)]);
    }

    #[test]
    fn the_schedulers_line_is_read() {
        let delay = parse_schedstat("339042 66543 9\n").unwrap();
        assert_eq!((delay.cpu_nanos, delay.nanos), (339_042, 66_543));
        for broken in ["", "1", "x y z"] {
            assert_eq!(parse_schedstat(broken), None);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_delays() {
        let now = run_delays();
        assert!(!now.is_empty());
        assert!(now.values().any(|delay| delay.cpu_nanos > 0));
    }
}
