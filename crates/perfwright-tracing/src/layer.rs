//! The layer: from `tracing`'s callbacks to what they mean.

use std::sync::Arc;

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::fields::{Interest, Seen};
use crate::local;
use crate::options::Options;
use crate::shared::{Parent, Shared};
use crate::spans::Spans;

/// A layer for `tracing-subscriber` that records spans and sets the thread's context word to the span that is
/// entered.
///
/// It follows every span that reaches it; `with_filter` limits that without touching other layers. It gives
/// no level hint and never disables a callsite, so that a library's DEBUG events about queries keep coming.
#[derive(Debug)]
pub struct SpanLayer {
    shared: Arc<Shared>,
}

impl SpanLayer {
    /// A layer with the default options.
    pub fn new() -> SpanLayer {
        SpanLayer::with_options(Options::new())
    }

    /// A layer.
    pub fn with_options(options: Options) -> SpanLayer {
        SpanLayer {
            shared: Shared::new(options),
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

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let now = self.shared.clock.now();
        let (shared, metadata) = (&self.shared, attributes.metadata());
        let parent = match attributes.parent() {
            Some(parent) => self.explicit(parent, &context),
            None if attributes.is_root() => Parent::None,
            None => Parent::Current,
        };
        let interest = local::with(shared, |local| {
            shared.opened(local, id.into_u64(), metadata, &parent, now)
        });
        // Out of the thread's state, for the fields' own formatting may trace.
        if interest.is_some_and(|interest| interest.visit) {
            let mut seen = Seen::new(&shared.fields);
            attributes.record(&mut seen);
            local::with(shared, |local| shared.noted(local, id.into_u64(), seen));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut seen = Seen::new(&self.shared.fields);
        values.record(&mut seen);
        local::with(&self.shared, |local| {
            self.shared.noted(local, id.into_u64(), seen);
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let (shared, metadata) = (&self.shared, event.metadata());
        let callsite = std::ptr::from_ref(metadata) as usize;
        let interest = local::with(shared, |local| {
            local.event_interest(callsite, || Interest::in_event(metadata, &shared.fields))
        });
        let Some(interest) = interest else { return };
        if !interest.visit && *metadata.level() != Level::ERROR {
            return;
        }
        let now = shared.clock.now();
        let parent = match event.parent() {
            Some(parent) => self.explicit(parent, &context),
            None if event.is_root() => Parent::None,
            None => Parent::Current,
        };
        let mut seen = Seen::new(&shared.fields);
        if interest.visit {
            event.record(&mut seen);
        }
        local::with(shared, |local| {
            shared.happened(local, &parent, metadata, &mut seen, interest.is_query, now);
        });
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        let now = self.shared.clock.now();
        local::with(&self.shared, |local| {
            self.shared.entered(local, id.into_u64(), now);
        });
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let now = self.shared.clock.now();
        local::with(&self.shared, |local| {
            self.shared.exited(local, id.into_u64(), now);
        });
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let now = self.shared.clock.now();
        let mut is_done = false;
        local::with(&self.shared, |local| {
            self.shared.closed(Some(local), id.into_u64(), now);
            is_done = true;
        });
        if !is_done {
            self.shared.closed(None, id.into_u64(), now);
        }
    }
}

impl SpanLayer {
    /// An explicit parent: the span itself, or where a filter hides that from us its nearest ancestor.
    fn explicit<S>(&self, parent: &Id, context: &Context<'_, S>) -> Parent
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(above) = self.shared.above(parent.into_u64()) {
            return Parent::Span(above);
        }
        let mut ancestors = context.span_scope(parent).into_iter().flatten();
        match ancestors.find_map(|span| self.shared.above(span.id().into_u64())) {
            Some(above) => Parent::Span(above),
            None => Parent::None,
        }
    }
}
