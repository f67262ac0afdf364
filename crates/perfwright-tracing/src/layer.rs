//! The layer.

use std::sync::Arc;

use tracing_core::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::options::Options;
use crate::spans::Spans;

/// Records spans.
#[derive(Debug)]
pub struct SpanLayer {
    shared: Arc<()>,
}

impl SpanLayer {
    /// A layer with the default options.
    pub fn new() -> SpanLayer {
        SpanLayer::with_options(Options::new())
    }

    /// A layer.
    pub fn with_options(_options: Options) -> SpanLayer {
        SpanLayer {
            shared: Arc::new(()),
        }
    }

    /// The handle to what it records.
    pub fn spans(&self) -> Spans {
        Spans::new(self.shared.clone())
    }
}

impl Default for SpanLayer {
    fn default() -> SpanLayer {
        SpanLayer::new()
    }
}

impl<S> Layer<S> for SpanLayer where S: Subscriber + for<'a> LookupSpan<'a> {}
