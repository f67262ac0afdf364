//! Answers: whole bodies with their headers.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::metrics::Exposition;

const TEXT: &str = "text/plain; charset=utf-8";

/// The body of an answer: bytes that are all there.
#[derive(Default)]
pub struct DebugBody {
    bytes: Bytes,
}

impl Body for DebugBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then_some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl fmt::Debug for DebugBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugBody")
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// An answer in the making.
pub(super) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Reply {
    fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
        Reply {
            status,
            headers: vec![
                (CONTENT_TYPE, HeaderValue::from_static(content_type)),
                (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
                // What a profile says now it does not say later.
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
            body: body.into(),
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        self.headers.push((name, value));
        self
    }

    pub(super) fn text(body: impl Into<Bytes>) -> Reply {
        Reply::new(StatusCode::OK, TEXT, body)
    }

    pub(super) fn html(body: impl Into<Bytes>) -> Reply {
        Reply::new(StatusCode::OK, "text/html; charset=utf-8", body)
    }

    #[cfg(feature = "flamegraph")]
    pub(super) fn svg(body: Vec<u8>) -> Reply {
        Reply::new(StatusCode::OK, "image/svg+xml", body)
    }

    pub(super) fn json(body: &serde_json::Value) -> Reply {
        let mut text = serde_json::to_string_pretty(body).unwrap_or_default();
        text.push('\n');
        Reply::json_text(text)
    }

    pub(super) fn json_text(text: impl Into<Bytes>) -> Reply {
        Reply::new(StatusCode::OK, "application/json", text)
    }

    pub(super) fn metrics(exposition: Exposition) -> Reply {
        Reply::new(StatusCode::OK, exposition.content_type, exposition.text)
    }

    /// A file to download, as Go names it.
    pub(super) fn file(name: &str, body: Vec<u8>) -> Reply {
        let reply = Reply::new(StatusCode::OK, "application/octet-stream", body);
        match HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
            Ok(value) => reply.with(CONTENT_DISPOSITION, value),
            Err(_) => reply,
        }
    }

    /// An error of ours: `text`, one sentence.
    pub(super) fn error(status: StatusCode, text: impl fmt::Display) -> Reply {
        Reply::new(status, TEXT, format!("{text}\n"))
    }

    /// An error as Go's pprof reports it.
    pub(super) fn go_error(status: StatusCode, text: impl fmt::Display) -> Reply {
        let name = HeaderName::from_static("x-go-pprof");
        Reply::error(status, text).with(name, HeaderValue::from_static("1"))
    }

    pub(super) fn unauthorized() -> Reply {
        let challenge = HeaderValue::from_static("Bearer realm=\"debug\"");
        let why = "a bearer token is needed";
        Reply::error(StatusCode::UNAUTHORIZED, why).with(WWW_AUTHENTICATE, challenge)
    }

    pub(super) fn not_allowed(methods: &[Method]) -> Reply {
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        let names = names.join(", ");
        let reply = Reply::error(StatusCode::METHOD_NOT_ALLOWED, format_args!("use {names}"));
        match HeaderValue::try_from(names) {
            Ok(names) => reply.with(ALLOW, names),
            Err(_) => reply,
        }
    }

    pub(super) fn too_busy() -> Reply {
        let why = "too many profiles are being made; try again";
        Reply::error(StatusCode::SERVICE_UNAVAILABLE, why)
            .with(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    pub(super) fn redirect(to: &'static str) -> Reply {
        let reply = Reply::new(StatusCode::MOVED_PERMANENTLY, TEXT, "");
        reply.with(LOCATION, HeaderValue::from_static(to))
    }

    pub(super) fn into_response(self) -> Response<DebugBody> {
        let mut response = Response::new(DebugBody { bytes: self.body });
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}
