//! What the layer is to record.

use std::fmt;
use std::sync::Arc;

use crate::clock::Clock;

/// How a [`SpanLayer`](crate::SpanLayer) records. Every number bounds memory.
#[derive(Clone)]
pub struct Options {
    pub(crate) max_paths: usize,
    pub(crate) max_open: usize,
    pub(crate) slowest: usize,
    pub(crate) max_routes: usize,
    pub(crate) max_tree: usize,
    pub(crate) fields: Vec<String>,
    pub(crate) instances: bool,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("max_paths", &self.max_paths)
            .field("max_open", &self.max_open)
            .field("slowest", &self.slowest)
            .field("max_routes", &self.max_routes)
            .field("max_spans_per_request", &self.max_tree)
            .field("fields", &self.fields)
            .field("instances", &self.instances)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_paths: 4_096,
            max_open: 65_536,
            slowest: 5,
            max_routes: 64,
            max_tree: 256,
            fields: Vec::new(),
            instances: false,
            clock: None,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Options {
        Options::default()
    }

    /// How many different span paths are told apart (4,096); what comes later counts as `(other)`.
    pub fn max_paths(mut self, max: usize) -> Options {
        self.max_paths = max.max(1);
        self
    }

    /// How many open spans are followed at once (65,536, rounded up to a power of two).
    pub fn max_open(mut self, max: usize) -> Options {
        self.max_open = max;
        self
    }

    /// How many of the slowest requests of each route are kept whole (5); 0 keeps none.
    pub fn slowest(mut self, requests: usize) -> Options {
        self.slowest = requests;
        self
    }

    /// Of how many routes requests are kept (64).
    pub fn max_routes(mut self, routes: usize) -> Options {
        self.max_routes = routes;
        self
    }

    /// How many spans, and how many polls, a kept request may have (256 each).
    pub fn max_spans_per_request(mut self, spans: usize) -> Options {
        self.max_tree = spans;
        self
    }

    /// The fields of spans and events that kept requests show: at most 1 KiB of a span, and 16 KiB of all
    /// below a root.
    pub fn fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Options {
        self.fields = names.into_iter().map(Into::into).collect();
        self
    }

    /// Whether samples also tell which instance of a span and which task they belong to (off: it takes a lock
    /// per span, and makes nearly every sample's labels its own).
    pub fn instances(mut self, on: bool) -> Options {
        self.instances = on;
        self
    }

    /// The clock, for tests.
    pub fn clock(mut self, clock: impl Clock) -> Options {
        self.clock = Some(Arc::new(clock));
        self
    }
}
