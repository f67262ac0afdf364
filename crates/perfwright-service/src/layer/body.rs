//! Bodies that count what passes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HeaderName};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::series::{End, Series};
use super::span::RequestSpan;
use super::tracked::Tracked;

/// Where gRPC says how a call ended.
pub(super) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

pin_project! {
    /// The body of a request, as the service inside a [`ServiceLayer`](crate::ServiceLayer) sees it.
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        // `None`: there is nothing to count.
        series: Option<Arc<Series>>,
    }
}

impl<B: Body> RequestBody<B> {
    pub(super) fn new(inner: B, series: &Arc<Series>) -> RequestBody<B> {
        let series = (!inner.is_end_stream()).then(|| Arc::clone(series));
        RequestBody { inner, series }
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(context));
        if let (Some(Ok(frame)), Some(series)) = (&frame, this.series)
            && let Some(data) = frame.data_ref()
        {
            series.received(data.remaining() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Default> Default for RequestBody<B> {
    fn default() -> Self {
        RequestBody {
            inner: B::default(),
            series: None,
        }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of a response out of a [`ServiceLayer`](crate::ServiceLayer), polled under the request's route.
    ///
    /// The request ends with it: at its end, its error, or when it is dropped.
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        // `None`: the request has ended.
        tracked: Option<Tracked>,
        span: RequestSpan,
        // Data that is still to come, where that is known: whoever sends the body need not ask for its end.
        left: Option<u64>,
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(
        inner: B,
        mut tracked: Option<Tracked>,
        span: RequestSpan,
        left: Option<u64>,
    ) -> ResponseBody<B> {
        if inner.is_end_stream() {
            end(&mut tracked, End::Whole);
        }
        ResponseBody {
            inner,
            tracked,
            span,
            left,
        }
    }
}

/// How much data a response's body has, where it is known.
pub(super) fn length<B: Body>(headers: &HeaderMap, body: &B) -> Option<u64> {
    body.size_hint().exact().or_else(|| {
        let length = headers.get(CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    })
}

fn end(tracked: &mut Option<Tracked>, how: End) {
    if let Some(mut tracked) = tracked.take() {
        tracked.end(how);
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(tracked) = this.tracked else {
            return this.inner.poll_frame(context);
        };
        let frame = {
            let _entered = tracked.enter();
            let _in_span = this.span.enter();
            ready!(this.inner.as_mut().poll_frame(context))
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let bytes = data.remaining() as u64;
                    tracked.series.sent(bytes);
                    *this.left = this.left.map(|left| left.saturating_sub(bytes));
                    if *this.left == Some(0) {
                        tracked.may_end();
                    }
                } else if let Some(code) = frame.trailers_ref().and_then(|t| t.get(&GRPC_STATUS)) {
                    tracked.series.grpc_status(code.as_bytes());
                    tracked.may_end();
                }
                if this.inner.is_end_stream() {
                    end(this.tracked, End::Whole);
                }
            }
            Some(Err(_)) => end(this.tracked, End::Failed),
            None => end(this.tracked, End::Whole),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        ResponseBody {
            inner: B::default(),
            tracked: None,
            span: RequestSpan::none(),
            left: None,
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
