//! Services and bodies for the tests.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use perfwright_service::{DebugRoutes, Metrics, RouteFigures};
use tower::ServiceExt;

/// A body that plays its steps, one a poll.
#[derive(Debug, Default)]
pub(crate) struct Script(pub(crate) VecDeque<Step>);

#[derive(Debug)]
pub(crate) enum Step {
    Data(&'static str),
    Trailers(HeaderMap),
    /// Pending once.
    Wait,
    /// Pending for ever.
    Hang,
    Fail,
    Panic,
    /// Data that tells the route of the context word.
    TellRoute,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Script {
        Script(steps.into_iter().collect())
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Some(step) = self.0.pop_front() else {
            return Poll::Ready(None);
        };
        let frame = match step {
            Step::Data(data) => Frame::data(Bytes::from_static(data.as_bytes())),
            Step::TellRoute => Frame::data(Bytes::from(route_now())),
            Step::Trailers(trailers) => Frame::trailers(trailers),
            Step::Wait => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Step::Hang => {
                self.0.push_front(Step::Hang);
                return Poll::Pending;
            }
            Step::Fail => return Poll::Ready(Some(Err(std::io::Error::other("on purpose")))),
            Step::Panic => panic!("on purpose"),
        };
        Poll::Ready(Some(Ok(frame)))
    }
}

/// The labels of the calling thread's word, as `key=value` with commas.
pub(crate) fn route_now() -> String {
    let labels = perfwright_context::labels(perfwright_context::current().node());
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(",")
}

/// The figures of a route, which must be there.
pub(crate) fn figures(metrics: &Metrics, route: &str) -> RouteFigures {
    let routes = metrics.routes();
    let found = routes.iter().find(|figures| figures.route == route);
    found
        .unwrap_or_else(|| panic!("no {route} among {routes:#?}"))
        .clone()
}

/// What a route answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a header of text"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }
}

/// Asks the routes, in process.
pub(crate) async fn ask(routes: &DebugRoutes, request: Request<String>) -> Answer {
    let response = routes
        .clone()
        .oneshot(request)
        .await
        .expect("routes do not fail");
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.expect("a body").to_bytes(),
    }
}

pub(crate) fn get(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).expect("a request")
}

/// Sends text over a connection of its own and returns all that comes back.
pub(crate) fn talk(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout");
    stream
        .write_all(text.as_bytes())
        .expect("a request is sent");
    let mut answer = Vec::new();
    // A reset after the answer is as good as its end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// There is one CPU sampler in a process: tests that start it take turns.
pub(crate) fn cpu_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
