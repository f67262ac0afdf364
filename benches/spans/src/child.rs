//! One contestant: installs its layer, does the work, tells what that took.

use std::fs;

use anyhow::{Context as _, Result, bail};
use tracing::span::{Attributes, Id};
use tracing::{Span, Subscriber, info, info_span};
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, Registry};

pub(crate) const ROLE: &str = "PERFWRIGHT_SPANS_BENCH";

pub(crate) const CONTESTANTS: [&str; 7] = [
    "no-op layer",
    "perfwright",
    "perfwright, slowest 0",
    "tracing-samply 0.1.5",
    "tracing-flame 0.2.0",
    "tracing-chrome 0.7.2",
    "tracing-timing 0.7.0",
];

/// How often each thing is done between two looks at the clock, and how often that is repeated.
const BATCH: u64 = 20_000;
const BATCHES: usize = 25;

struct NoOp;

impl<S: Subscriber> Layer<S> for NoOp {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        std::hint::black_box((attributes, id));
    }
    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        std::hint::black_box(id);
    }
    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        std::hint::black_box(id);
    }
    fn on_close(&self, id: Id, _: Context<'_, S>) {
        std::hint::black_box(&id);
    }
}

pub(crate) fn play(role: &str) -> Result<()> {
    let (task, rest) = role.split_once(' ').context("a task and a contestant")?;
    // Some write files or threads as they go.
    let folder = tempfile::tempdir()?;
    let name = CONTESTANTS.iter().find(|name| {
        rest.strip_prefix(**name).is_some_and(|tail| {
            tail.is_empty() || tail.starts_with(' ') && tail[1..].parse::<u64>().is_ok()
        })
    });
    let name = *name.context("a contestant")?;
    match name {
        "no-op layer" => Registry::default().with(NoOp).init(),
        "perfwright" => Registry::default()
            .with(perfwright_tracing::SpanLayer::new())
            .init(),
        "perfwright, slowest 0" => {
            let options = perfwright_tracing::Options::new().slowest(0);
            let layer = perfwright_tracing::SpanLayer::with_options(options);
            Registry::default().with(layer).init();
        }
        "tracing-samply 0.1.5" => {
            let layer = tracing_samply::SamplyLayer::builder()
                .output_dir(folder.path())
                .build()?;
            Registry::default().with(layer).init();
        }
        "tracing-flame 0.2.0" => {
            let (layer, guard) =
                tracing_flame::FlameLayer::with_file(folder.path().join("folded"))?;
            std::mem::forget(guard);
            Registry::default().with(layer).init();
        }
        "tracing-chrome 0.7.2" => {
            let (layer, guard) = tracing_chrome::ChromeLayerBuilder::new()
                .file(folder.path().join("trace.json"))
                .build();
            std::mem::forget(guard);
            Registry::default().with(layer).init();
        }
        "tracing-timing 0.7.0" => {
            let histogram =
                || tracing_timing::Histogram::new_with_max(1_000_000_000, 2).expect("valid bounds");
            Registry::default()
                .with(tracing_timing::Builder::default().layer(histogram))
                .init();
        }
        _ => bail!("no such contestant"),
    }
    match task {
        "cost" => cost(),
        "memory" => memory(rest[name.len()..].trim().parse()?)?,
        _ => bail!("no such task"),
    }
    Ok(())
}

fn cost() {
    tell("span", per_call(|i| drop(info_span!("work", i).entered())));
    let long = info_span!("long", i = 1);
    tell("poll", per_call(|_| drop(long.enter())));
    // As requests have them: while the tree of the request still takes polls.
    let mut request = Span::none();
    let polls = per_call(|i| {
        if i % 64 == 0 {
            request = info_span!("request", i);
        }
        drop(request.enter());
    });
    tell("polls", polls);
    drop(request);
    // Eight below a root: per span of all nine.
    let request = per_call(|i| {
        if i % 8 == 0 {
            let _root = info_span!("request", i).entered();
            for part in 0..8 {
                drop(info_span!("part", part).entered());
            }
        }
    });
    tell("child", request * 8.0 / 9.0);
    let _inside = long.enter();
    tell("event", per_call(|i| info!(i, "happened")));
}

/// The CPU time of a call in nanoseconds: the median of many batches, the first of which only warms up.
fn per_call(mut call: impl FnMut(u64)) -> f64 {
    let mut batches: Vec<f64> = (0..=BATCHES)
        .map(|_| {
            let start = thread_nanos();
            (0..BATCH).for_each(&mut call);
            (thread_nanos() - start) as f64 / BATCH as f64
        })
        .skip(1)
        .collect();
    crate::median(&mut batches)
}

/// Requests of ten spans, as async services make them, until there were `spans`; then what is resident more than
/// after the first tenth of a million.
fn memory(spans: u64) -> Result<()> {
    let work = |spans: u64| {
        for i in 0..spans / 10 {
            let root = info_span!("request", i);
            let children: Vec<Span> = (0..9)
                .map(|part| info_span!(parent: &root, "part", part))
                .collect();
            for child in &children {
                root.in_scope(|| child.in_scope(|| std::hint::black_box(i)));
            }
        }
    };
    work(100_000);
    let before = resident_mb()?;
    work(spans);
    tell("resident", resident_mb()? - before);
    Ok(())
}

fn resident_mb() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .context("VmRSS")?;
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .context("a number")?
        .parse()?;
    Ok(kib * 1024.0 / 1e6)
}

fn thread_nanos() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the call to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn tell(key: &str, value: f64) {
    println!("{key}={value}");
}
