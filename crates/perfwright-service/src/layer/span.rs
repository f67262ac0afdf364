//! A request's `tracing` span; without the feature `spans`, nothing.

use super::RequestHead;
use super::series::RouteEntry;

#[cfg(feature = "spans")]
use tracing::{Level, level_filters::LevelFilter};

#[cfg(feature = "spans")]
/// Boxed: requests without a span should not carry its size about.
pub(super) struct RequestSpan(Option<Box<tracing::Span>>);

#[cfg(feature = "spans")]
impl RequestSpan {
    /// Opens the span of a request. It has no parent: what the connection is in is not the request's.
    #[inline]
    pub(super) fn open(head: &RequestHead<'_>, route: &RouteEntry) -> RequestSpan {
        // Where nobody listens, not even the span's name is kept: it would cost at every poll.
        if LevelFilter::current() < Level::INFO {
            return RequestSpan::none();
        }
        let span = tracing::info_span!(
            target: "perfwright_service",
            parent: None,
            "request",
            method = head.method.as_str(),
            route = route.name(),
            trace_id = tracing::field::Empty,
        );
        if !span.is_disabled()
            && let Some(header) = head.headers.get("traceparent")
            && let Some(trace_id) = trace_id(header.as_bytes())
        {
            span.record("trace_id", trace_id);
        }
        RequestSpan((!span.is_disabled()).then(|| Box::new(span)))
    }

    #[inline]
    pub(super) fn none() -> RequestSpan {
        RequestSpan(None)
    }

    #[inline]
    pub(super) fn take(&mut self) -> RequestSpan {
        RequestSpan(self.0.take())
    }

    /// It is the current span until what comes back is dropped.
    #[inline]
    pub(super) fn enter(&self) -> Option<tracing::span::Entered<'_>> {
        self.0.as_deref().map(tracing::Span::enter)
    }
}

#[cfg(not(feature = "spans"))]
pub(super) struct RequestSpan;

/// There is no span to be in.
#[cfg(not(feature = "spans"))]
pub(super) enum Entered {}

#[cfg(not(feature = "spans"))]
impl RequestSpan {
    #[inline]
    pub(super) fn open(_: &RequestHead<'_>, _: &RouteEntry) -> RequestSpan {
        RequestSpan
    }

    #[inline]
    pub(super) fn none() -> RequestSpan {
        RequestSpan
    }

    #[inline]
    pub(super) fn take(&mut self) -> RequestSpan {
        RequestSpan
    }

    #[inline]
    pub(super) fn enter(&self) -> Option<Entered> {
        None
    }
}

/// The trace id of a `traceparent` header, 32 lower-case hexadecimal digits: `00-TRACE-PARENT-FLAGS`.
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
#[cfg_attr(
    not(any(feature = "spans", test)),
    expect(dead_code, reason = "the span's field")
)]
fn trace_id(header: &[u8]) -> Option<&str> {
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let (version, rest) = (header.get(..2)?, header.get(2..55)?);
    let (trace, parent, flags) = (&rest[1..33], &rest[34..50], &rest[51..53]);
    let dashes = [rest[0], rest[33], rest[50]] == *b"---";
    // A later version may append fields; this one may not.
    let ends = match version {
        b"00" => header.len() == 55,
        b"ff" => false,
        _ => matches!(header.get(55), None | Some(b'-')),
    };
    let is_zero = |part: &[u8]| part.iter().all(|&byte| byte == b'0');
    let valid = dashes
        && ends
        && [version, trace, parent, flags].into_iter().all(hex)
        && !is_zero(trace)
        && !is_zero(parent);
    valid.then(|| std::str::from_utf8(trace).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_are_valid_or_none() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let cases = [
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                true,
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                true,
            ),
            (
                "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                false,
            ),
            (
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                false,
            ),
            (
                "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                false,
            ),
            ("", false),
        ];
        for (header, valid) in cases {
            assert_eq!(
                trace_id(header.as_bytes()),
                valid.then_some(trace),
                "{header}"
            );
        }
    }
}
