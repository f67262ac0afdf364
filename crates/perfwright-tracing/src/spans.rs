//! The handle to what was recorded.

use std::sync::Arc;

use crate::request::Request;
use crate::snapshot::Snapshot;

/// What a [`SpanLayer`](crate::SpanLayer) recorded. Cheap to clone; keeps the records, not the layer, alive.
#[derive(Clone, Debug)]
pub struct Spans {
    shared: Arc<()>,
}

impl Spans {
    pub(crate) fn new(shared: Arc<()>) -> Spans {
        Spans { shared }
    }

    /// What was recorded since the start or the last [`take`](Self::take).
    pub fn snapshot(&self) -> Snapshot {
        let _ = &self.shared;
        Snapshot::default()
    }

    /// What was recorded since the start or the last `take`; begins anew.
    pub fn take(&self) -> Snapshot {
        self.snapshot()
    }

    /// The slowest requests of each route since the start or the last [`take_slowest`](Self::take_slowest),
    /// the slowest first.
    pub fn slowest(&self) -> Vec<Request> {
        Vec::new()
    }

    /// The slowest requests since the start or the last `take_slowest`; begins anew.
    pub fn take_slowest(&self) -> Vec<Request> {
        self.slowest()
    }
}

/// The records of the process's latest layer that is still alive.
pub fn installed() -> Option<Spans> {
    None
}
