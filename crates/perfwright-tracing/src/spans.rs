//! The handle to what was recorded.

use std::sync::Arc;

use crate::request::Request;
use crate::shared::{Shared, latest};
use crate::snapshot::Snapshot;

/// What a [`SpanLayer`](crate::SpanLayer) recorded. Cheap to clone; outlives the layer.
#[derive(Clone, Debug)]
pub struct Spans {
    shared: Arc<Shared>,
}

impl Spans {
    pub(crate) fn new(shared: Arc<Shared>) -> Spans {
        Spans { shared }
    }

    /// What was recorded since the start or the last [`take`](Self::take).
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot(false)
    }

    /// What was recorded since the start or the last `take`; begins anew. Spans that are open now count for
    /// whoever asks after they close.
    pub fn take(&self) -> Snapshot {
        self.shared.snapshot(true)
    }

    /// The slowest requests of each route since the start or the last [`take_slowest`](Self::take_slowest),
    /// the slowest first. A request is a span without a parent and all below it, once it has closed.
    pub fn slowest(&self) -> Vec<Request> {
        self.shared.slowest(false)
    }

    /// The slowest requests since the start or the last `take_slowest`; begins anew.
    pub fn take_slowest(&self) -> Vec<Request> {
        self.shared.slowest(true)
    }
}

/// The records of the process's latest layer of which the layer or a [`Spans`] is still alive.
pub fn installed() -> Option<Spans> {
    latest().map(Spans::new)
}
