//! The layer on a `Registry`, driven through `tracing`'s own macros, mostly on a clock that the test turns.

mod labels;
mod limits;
mod queries;
mod reference;
mod requests;
#[cfg(all(
    feature = "tokio",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod samples;
mod threads;
mod times;
#[cfg(feature = "tokio")]
mod tokio_tasks;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perfwright_tracing::{Clock, Options, PathStats, Snapshot, SpanLayer, Spans};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

/// A clock that stands until it is turned.
#[derive(Clone, Default)]
struct Fake(Arc<AtomicU64>);

impl Fake {
    fn pass(&self, nanos: u64) {
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for Fake {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A layer on a registry of its own.
struct Rig {
    clock: Fake,
    spans: Spans,
    dispatch: Dispatch,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(Options::new())
    }

    fn with(options: Options) -> Rig {
        let clock = Fake::default();
        let layer = SpanLayer::with_options(options.clock(clock.clone()));
        Rig {
            clock,
            spans: layer.spans(),
            dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)),
        }
    }

    fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, work)
    }

    fn pass(&self, nanos: u64) {
        self.clock.pass(nanos);
    }

    fn stats(&self, path: &str) -> PathStats {
        stats(&self.spans.snapshot(), path)
    }

    /// The times of a path in the notation of [`times`].
    fn times(&self, path: &str) -> String {
        times(&self.stats(path))
    }
}

fn path(stats: &PathStats) -> String {
    let names: Vec<_> = stats.path.iter().map(|name| name.name.as_str()).collect();
    names.join(";")
}

/// The entry of a path such as `a;b`.
fn stats(snapshot: &Snapshot, wanted: &str) -> PathStats {
    let found: Vec<_> = snapshot
        .paths
        .iter()
        .filter(|stats| path(stats) == wanted)
        .collect();
    let all: Vec<_> = snapshot.paths.iter().map(path).collect();
    assert_eq!(found.len(), 1, "{wanted} among {all:?}");
    found[0].clone()
}

/// `2x: total 10 = busy 4 (self 3) + idle 6 (self 5), held 1, 3 polls`
fn times(stats: &PathStats) -> String {
    format!(
        "{}x: total {} = busy {} (self {}) + idle {} (self {}), held {}, {} polls",
        stats.count,
        stats.total_ns,
        stats.busy_ns,
        stats.self_busy_ns,
        stats.idle_ns,
        stats.self_idle_ns,
        stats.held_ns,
        stats.polls
    )
}
