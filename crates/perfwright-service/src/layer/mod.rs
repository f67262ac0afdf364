//! The tower layer: which route a thread works for, and what became of each request.

mod body;
mod future;
pub(crate) mod series;
mod span;
mod tracked;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, Method, Request, Response, Uri};
use http_body::Body;
use perfwright_context::current;
use tower_layer::Layer;
use tower_service::Service;

pub use body::{RequestBody, ResponseBody};
pub use future::ResponseFuture;

use crate::metrics::Metrics;
use span::RequestSpan;
use tracked::Tracked;

/// The route template of a request, put into its extensions by whoever routes it, such as `/users/{id}`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Route(pub Cow<'static, str>);

impl From<&'static str> for Route {
    fn from(template: &'static str) -> Route {
        Route(template.into())
    }
}

impl From<String> for Route {
    fn from(template: String) -> Route {
        Route(template.into())
    }
}

/// What is known of a request when its route is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The URI; its path may be anything that a client sends.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What layers before put there.
    pub extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    fn of<B>(request: &'a Request<B>) -> RequestHead<'a> {
        RequestHead {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

type RouteFn = dyn for<'a> Fn(RequestHead<'a>) -> Option<&'a str> + Send + Sync;

/// A tower [`Layer`] that counts and times requests by route into a [`Metrics`], and labels what its threads do
/// with the route (the context word's `route`), so that CPU and heap samples can be told apart by it.
///
/// A request's route is the first of: what the function of [`ServiceLayer::route_with`] says; the extension
/// [`Route`]; with the feature `axum` its `MatchedPath`; its path, if that is one of
/// [`ServiceLayer::exact_paths`]. Otherwise it is `unmatched`: the raw path is never a label. Templates beyond
/// [`MetricsOptions::max_routes`](crate::MetricsOptions::max_routes) are counted together as `(other)`.
///
/// With axum use `Router::layer`, so that the layer comes after routing.
///
/// A panic of the service or the body is counted and goes on; a request or a body that is dropped before its end is
/// counted as cancelled. With the feature `spans` each request is a `tracing` span `request` of its own (level
/// `INFO`, no parent), with the fields `method`, `route` and, from a valid `traceparent`, `trace_id`; it is
/// entered around every poll of the response and of its body.
#[derive(Clone)]
pub struct ServiceLayer {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    route_with: Option<Arc<RouteFn>>,
    exact_paths: HashSet<Box<str>>,
}

impl ServiceLayer {
    /// A layer that counts into `metrics`. Several may count into the same.
    pub fn new(metrics: &Metrics) -> ServiceLayer {
        ServiceLayer {
            shared: Arc::new(Shared {
                metrics: metrics.clone(),
                route_with: None,
                exact_paths: HashSet::new(),
            }),
        }
    }

    /// A function that knows a request's route template; `None` goes on to the other ways. What it returns should
    /// come from a bounded set: beyond the bound it is `(other)`.
    #[must_use]
    pub fn route_with(
        mut self,
        route: impl for<'a> Fn(RequestHead<'a>) -> Option<&'a str> + Send + Sync + 'static,
    ) -> ServiceLayer {
        Arc::make_mut(&mut self.shared).route_with = Some(Arc::new(route));
        self
    }

    /// Paths without parameters that are routes as they stand, such as gRPC methods
    /// (`/helloworld.Greeter/SayHello`).
    #[must_use]
    pub fn exact_paths(
        mut self,
        paths: impl IntoIterator<Item = impl Into<String>>,
    ) -> ServiceLayer {
        let paths = paths.into_iter().map(|path| path.into().into_boxed_str());
        Arc::make_mut(&mut self.shared).exact_paths.extend(paths);
        self
    }
}

impl fmt::Debug for ServiceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceLayer")
            .field("exact_paths", &self.shared.exact_paths.len())
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ServiceLayer {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A service inside a [`ServiceLayer`].
#[derive(Clone)]
pub struct Measured<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S: fmt::Debug> fmt::Debug for Measured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for Measured<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let head = RequestHead::of(&request);
        let requests = self.shared.metrics.requests();
        let route = requests.route(self.shared.route(&head));
        let series = self.shared.metrics.series(route, head.method);
        let mut tracked = Tracked::begin(series, route.word(current()), &head);
        // The very service that was polled ready: nothing is kept of it in the future, so none has to be cloned.
        let entered = tracked.enter();
        let span = RequestSpan::open(&head, route);
        let inner = {
            let _in_span = span.enter();
            let counted = |body| RequestBody::new(body, entered.series());
            self.inner.call(request.map(counted))
        };
        drop(entered);
        ResponseFuture::new(inner, tracked, span)
    }
}

impl Shared {
    fn route<'a>(&'a self, head: &RequestHead<'a>) -> Option<&'a str> {
        if let Some(route_with) = &self.route_with
            && let Some(route) = route_with(*head)
        {
            return Some(route);
        }
        if let Some(Route(template)) = head.extensions.get() {
            return Some(template);
        }
        #[cfg(feature = "axum")]
        if let Some(path) = head.extensions.get::<axum::extract::MatchedPath>() {
            return Some(path.as_str());
        }
        match self.exact_paths.is_empty() {
            true => None,
            false => self.exact_paths.get(head.uri.path()).map(|path| &**path),
        }
    }
}
