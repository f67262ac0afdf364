//! The future of a response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::{GRPC_STATUS, ResponseBody, length};
use super::span::RequestSpan;
use super::tracked::Tracked;

pin_project! {
    /// What [`Measured`](crate::Measured) returns: the service's future, polled under the request's route.
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        // Taken by the response's body.
        tracked: Option<Tracked>,
        span: RequestSpan,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, tracked: Tracked, span: RequestSpan) -> ResponseFuture<F> {
        ResponseFuture {
            inner,
            tracked: Some(tracked),
            span,
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.tracked {
            Some(tracked) => {
                let _entered = tracked.enter();
                let _in_span = this.span.enter();
                this.inner.poll(context)
            }
            // Polled after the end: what the service's future does then is its affair.
            None => this.inner.poll(context),
        };
        let result = ready!(polled);
        let mut tracked = this.tracked.take();
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                if let Some(tracked) = &mut tracked {
                    tracked.failed();
                }
                return Poll::Ready(Err(error));
            }
        };
        if let Some(tracked) = &mut tracked {
            tracked.head(response.status());
            if tracked.is_grpc
                && let Some(code) = response.headers().get(&GRPC_STATUS)
            {
                tracked.series.grpc_status(code.as_bytes());
            }
        }
        let left = length(response.headers(), response.body());
        let span = this.span.take();
        Poll::Ready(Ok(
            response.map(|body| ResponseBody::new(body, tracked, span, left))
        ))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
