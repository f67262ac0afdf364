//! What the layer sees of requests.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use perfwright_service::{Measured, Metrics, MetricsOptions, RequestBody, Route, ServiceLayer};
use tower::util::ServiceFn;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Script, Step, figures, route_now};

type ScriptAnswer = Result<Response<Script>, Infallible>;

fn request(route: &str) -> Request<Empty<Bytes>> {
    let mut request = Request::get("/raw/path/42").body(Empty::new()).unwrap();
    request
        .extensions_mut()
        .insert(Route::from(route.to_owned()));
    request
}

/// A service around a handler of scripts, below a layer.
fn scripted<B, F, H>(metrics: &Metrics, handler: H) -> Measured<ServiceFn<H>>
where
    B: Body,
    F: Future<Output = ScriptAnswer>,
    H: Fn(Request<RequestBody<B>>) -> F + Clone,
{
    ServiceLayer::new(metrics).layer(service_fn(handler))
}

fn ok(steps: impl IntoIterator<Item = Step>) -> ScriptAnswer {
    Ok(Response::new(Script::new(steps)))
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn the_route_is_the_word_of_every_poll() {
    let metrics = Metrics::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler_seen = Arc::clone(&seen);
    let service = scripted(&metrics, move |_| {
        let seen = Arc::clone(&handler_seen);
        // Called, not polled yet.
        seen.lock().unwrap().push(route_now());
        async move {
            seen.lock().unwrap().push(route_now());
            tokio::task::yield_now().await;
            seen.lock().unwrap().push(route_now());
            ok([Step::TellRoute, Step::Wait, Step::TellRoute])
        }
    });
    let response = service.oneshot(request("/things/{id}")).await.unwrap();
    assert_eq!(route_now(), "");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(route_now(), "");
    assert_eq!(*seen.lock().unwrap(), ["route=/things/{id}"; 3]);
    assert_eq!(body, "route=/things/{id}".repeat(2));
    assert_eq!(
        figures(&metrics, "/things/{id}").response_bytes,
        body.len() as u64
    );
}

#[test]
fn interleaved_requests_keep_their_words_apart_and_outer_labels() {
    let metrics = Metrics::new();
    let handler = |_| async {
        let first = route_now();
        tokio::task::yield_now().await;
        assert_eq!(first, route_now());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(first))))
    };
    let service = ServiceLayer::new(&metrics).layer(service_fn(handler));
    let _tenant = perfwright_context::label("tenant", "acme");
    let mut one = pin!(service.clone().oneshot(request("/one")));
    let mut two = pin!(service.oneshot(request("/two")));
    let mut answers = Vec::new();
    for _ in 0..2 {
        for future in [one.as_mut(), two.as_mut()] {
            if let Poll::Ready(response) = poll_once(future) {
                answers.push(response.unwrap());
            }
            assert_eq!(route_now(), "tenant=acme");
        }
    }
    let bodies =
        answers.into_iter().map(
            |answer| match poll_once(pin!(answer.into_body().collect())) {
                Poll::Ready(body) => body.unwrap().to_bytes(),
                Poll::Pending => panic!("a full body is there"),
            },
        );
    assert_eq!(
        bodies.collect::<Vec<_>>(),
        ["tenant=acme,route=/one", "tenant=acme,route=/two"]
    );
}

/// A service that may be called once each time it was polled ready, and panics otherwise; its clones are not ready.
#[derive(Default)]
struct OnceReady(bool);

impl Clone for OnceReady {
    fn clone(&self) -> Self {
        OnceReady(false)
    }
}

impl<B> Service<Request<B>> for OnceReady {
    type Response = Response<Empty<Bytes>>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(match std::mem::take(&mut self.0) {
            true => Ok(Response::new(Empty::new())),
            false => Err("called unready"),
        })
    }
}

#[tokio::test]
async fn the_service_that_is_called_is_the_one_that_was_ready() {
    let metrics = Metrics::new();
    let mut service = ServiceLayer::new(&metrics).layer(OnceReady::default());
    for _ in 0..3 {
        let ready = ServiceExt::<Request<Empty<Bytes>>>::ready(&mut service)
            .await
            .unwrap();
        ready.call(request("/ready")).await.expect("called ready");
    }
    // Nor does the layer pretend readiness.
    let error = service.call(request("/ready")).await.unwrap_err();
    assert_eq!(error, "called unready");
    let figures = figures(&metrics, "/ready");
    assert_eq!((figures.fate("2xx"), figures.fate("error")), (3, 1));
    assert_eq!(figures.in_flight, 0);
}

#[tokio::test]
async fn every_request_has_one_fate() {
    let metrics = Metrics::new();
    let service = scripted(&metrics, |request: Request<_>| {
        let status = request.headers().get("status").cloned();
        async move {
            let mut response = Response::new(Script::default());
            let status = status.map(|status| status.to_str().unwrap().parse().unwrap());
            *response.status_mut() = StatusCode::from_u16(status.unwrap_or(200)).unwrap();
            Ok(response)
        }
    });
    for status in [101, 200, 204, 302, 404, 418, 500, 599, 799] {
        let mut request = request("/fates");
        request.headers_mut().insert("status", status.into());
        let response = service.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    let figures = figures(&metrics, "/fates");
    let expect = [("1xx", 1), ("2xx", 2), ("3xx", 1), ("4xx", 2), ("5xx", 3)];
    assert_eq!(figures.requests, expect);
    assert_eq!((figures.count(), figures.in_flight), (9, 0));
    assert_eq!((figures.body_cancelled, figures.panics), (0, 0));
}

#[tokio::test]
async fn a_request_dropped_before_its_response_is_cancelled() {
    let metrics = Metrics::new();
    let service = scripted(&metrics, |_| pending::<ScriptAnswer>());
    let unpolled = service.clone().call(request("/cancelled"));
    let mut polled = Box::pin(service.clone().call(request("/cancelled")));
    assert!(poll_once(polled.as_mut()).is_pending());
    assert_eq!(figures(&metrics, "/cancelled").in_flight, 2);
    drop((unpolled, polled));
    let figures = figures(&metrics, "/cancelled");
    assert_eq!((figures.fate("cancelled"), figures.count()), (2, 2));
    assert_eq!((figures.in_flight, figures.panics), (0, 0));
}

/// Asks for a body of these steps, polls it so many times, and drops it.
fn drop_body_after(
    polls: usize,
    head: http::response::Builder,
    steps: Vec<Step>,
    method: &str,
) -> [u64; 4] {
    let metrics = Metrics::new();
    let response = Mutex::new(Some(head.body(Script::new(steps)).unwrap()));
    let handler = move |_| {
        ready(Ok::<_, Infallible>(
            response.lock().unwrap().take().unwrap(),
        ))
    };
    let service = ServiceLayer::new(&metrics).layer(service_fn(handler));
    let mut request = request("/body");
    *request.method_mut() = method.parse().unwrap();
    let Poll::Ready(response) = poll_once(pin!(service.oneshot(request))) else {
        panic!("the response is ready");
    };
    let mut body = Box::pin(response.unwrap().into_body());
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        let polled = AssertUnwindSafe(|| drop(body.as_mut().poll_frame(&mut context)));
        let _ = std::panic::catch_unwind(polled);
    }
    assert_eq!(figures(&metrics, "/body").fate("2xx"), 1);
    drop(body);
    let figures = figures(&metrics, "/body");
    assert_eq!((figures.count(), figures.in_flight), (1, 0));
    [
        figures.response_bytes,
        figures.body_cancelled,
        figures.body_errors,
        figures.panics,
    ]
}

#[test]
fn how_a_body_ends() {
    let plain = Response::builder;
    let two = || vec![Step::Data("ab"), Step::Data("cde")];
    let cases = [
        (
            "whole",
            drop_body_after(3, plain(), two(), "GET"),
            [5, 0, 0, 0],
        ),
        (
            "end not asked for",
            drop_body_after(2, plain(), two(), "GET"),
            [5, 1, 0, 0],
        ),
        (
            "not asked for at all",
            drop_body_after(0, plain(), two(), "GET"),
            [0, 1, 0, 0],
        ),
        (
            "end not asked for, length known",
            drop_body_after(2, plain().header("content-length", 5), two(), "GET"),
            [5, 0, 0, 0],
        ),
        (
            "less than its length",
            drop_body_after(1, plain().header("content-length", 5), two(), "GET"),
            [2, 1, 0, 0],
        ),
        (
            "HEAD",
            drop_body_after(0, plain(), two(), "HEAD"),
            [0, 0, 0, 0],
        ),
        (
            "no content",
            drop_body_after(0, plain().status(204), two(), "GET"),
            [0, 0, 0, 0],
        ),
        (
            "error",
            drop_body_after(2, plain(), vec![Step::Data("a"), Step::Fail], "GET"),
            [1, 0, 1, 0],
        ),
        (
            "panic",
            drop_body_after(2, plain(), vec![Step::Data("a"), Step::Panic], "GET"),
            [1, 0, 0, 1],
        ),
        (
            "hanging",
            drop_body_after(3, plain(), vec![Step::Data("a"), Step::Hang], "GET"),
            [1, 1, 0, 0],
        ),
    ];
    for (name, [bytes, cancelled, errors, panics], expect) in cases {
        assert_eq!([bytes, cancelled, errors, panics], expect, "{name}");
    }
}

#[tokio::test]
async fn a_panic_is_counted_and_goes_on() {
    let metrics = Metrics::new();
    let layer = ServiceLayer::new(&metrics);
    let late = layer.layer(service_fn(|_: Request<RequestBody<Empty<Bytes>>>| async {
        tokio::task::yield_now().await;
        match route_now().as_str() {
            "" => ok([]),
            _ => panic!("on purpose"),
        }
    }));
    let joined = tokio::spawn(late.oneshot(request("/late"))).await;
    assert!(joined.unwrap_err().is_panic());
    let at_once = layer.layer(service_fn(
        |request: Request<RequestBody<Empty<Bytes>>>| -> std::future::Ready<ScriptAnswer> {
            panic!("on purpose: {}", request.uri())
        },
    ));
    let joined = tokio::spawn(async { at_once.oneshot(request("/at/once")).await }).await;
    assert!(joined.unwrap_err().is_panic());
    for route in ["/late", "/at/once"] {
        let figures = figures(&metrics, route);
        assert_eq!((figures.fate("panic"), figures.panics), (1, 1), "{route}");
        assert_eq!((figures.count(), figures.in_flight), (1, 0), "{route}");
    }
    assert_eq!(route_now(), "");
}

#[tokio::test]
async fn bodies_keep_their_shape() {
    let metrics = Metrics::new();
    let service = ServiceLayer::new(&metrics).layer(service_fn(
        |request: Request<RequestBody<Full<Bytes>>>| async move {
            assert_eq!(request.body().size_hint().exact(), Some(7));
            assert!(!request.body().is_end_stream());
            let read = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(Response::new(Full::new(read)))
        },
    ));
    let mut request = Request::post("/")
        .body(Full::new(Bytes::from("7 bytes")))
        .unwrap();
    request.extensions_mut().insert(Route::from("/shape"));
    let mut body = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(7));
    assert!(!body.is_end_stream());
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    let figures = figures(&metrics, "/shape");
    // The end is where the body says that it is; nobody has to ask for what comes after.
    assert_eq!((figures.in_flight, figures.method), (0, "POST"));
    assert_eq!((figures.request_bytes, figures.response_bytes), (7, 7));
}

#[tokio::test]
async fn grpc_status_is_read_from_trailers_and_headers() {
    let metrics = Metrics::new();
    let status = |code: &'static str| {
        HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())])
    };
    let service = scripted(&metrics, move |request: Request<_>| {
        let path = request.uri().path().to_owned();
        async move {
            let mut response = Response::new(Script::default());
            if path.ends_with("Headers") {
                *response.headers_mut() = status("12");
            } else {
                *response.body_mut() =
                    Script::new([Step::Data("message"), Step::Trailers(status("5"))]);
            }
            Ok(response)
        }
    });
    let paths = ["/pkg.Greeter/Trailers", "/pkg.Greeter/Headers"];
    for path in paths {
        let mut request = Request::post(path)
            .header("content-type", "application/grpc+proto")
            .body(Empty::<Bytes>::new())
            .unwrap();
        request.extensions_mut().insert(Route::from(path));
        let body = service.clone().oneshot(request).await.unwrap().into_body();
        let trailers = body.collect().await.unwrap().trailers().cloned();
        assert_eq!(trailers.is_some(), path == paths[0], "trailers go through");
    }
    let text = metrics.render(None).text;
    for line in [
        "http_server_grpc_responses_total{route=\"/pkg.Greeter/Trailers\",method=\"POST\",code=\"NOT_FOUND\"} 1",
        "http_server_grpc_responses_total{route=\"/pkg.Greeter/Headers\",method=\"POST\",code=\"UNIMPLEMENTED\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn ten_thousand_raw_paths_are_one_series_and_routes_are_bounded() {
    let metrics = Metrics::with_options(&MetricsOptions::new().max_routes(100));
    let layer = ServiceLayer::new(&metrics).exact_paths(["/exact"]);
    let service = layer.layer(service_fn(|_: Request<RequestBody<Empty<Bytes>>>| {
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    let send = async |request| drop(service.clone().oneshot(request).await.unwrap());
    for i in 0..10_000 {
        send(Request::get(format!("/{i}")).body(Empty::new()).unwrap()).await;
        // Methods that nobody knows are one too.
        let odd = Request::builder()
            .method(format!("M{i}").as_str())
            .uri("/odd");
        send(odd.body(Empty::new()).unwrap()).await;
    }
    send(Request::get("/exact").body(Empty::new()).unwrap()).await;
    let routes = metrics.routes();
    let shown: Vec<_> = routes
        .iter()
        .map(|route| (route.route.as_str(), route.method, route.count()))
        .collect();
    let expect = [
        ("/exact", "GET", 1),
        ("unmatched", "GET", 10_000),
        ("unmatched", "other", 10_000),
    ];
    assert_eq!(shown, expect);
    for i in 0..10_000 {
        send(request(&format!("/template/{i}"))).await;
    }
    let count: u64 = metrics.routes().iter().map(|route| route.count()).sum();
    assert_eq!(count, 30_001);
    assert_eq!(metrics.routes().len(), 103);
    // 99 templates beside `/exact` have room.
    assert_eq!(figures(&metrics, "(other)").count(), 9_901);
    assert_eq!(metrics.overflowed(), 9_901);
}

#[tokio::test]
async fn a_function_may_know_the_route() {
    let metrics = Metrics::new();
    let layer = ServiceLayer::new(&metrics).route_with(|head| {
        head.headers
            .get("x-route")
            .and_then(|route| route.to_str().ok())
    });
    let service = layer.layer(service_fn(|_: Request<RequestBody<Empty<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(route_now()))))
    }));
    let mut known = request("/extension");
    known
        .headers_mut()
        .insert("x-route", "/function".parse().unwrap());
    for (request, expect) in [
        (known, "route=/function"),
        (request("/extension"), "route=/extension"),
    ] {
        let body = service.clone().oneshot(request).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), expect);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_lose_no_request() {
    const TASKS: u64 = 16;
    const EACH: u64 = 500;
    let metrics = Metrics::new();
    let served = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&served);
    let service = scripted(&metrics, move |_| {
        let served = Arc::clone(&counted);
        async move {
            tokio::task::yield_now().await;
            served.fetch_add(1, Ordering::Relaxed);
            ok([Step::Data("x")])
        }
    });
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let service = service.clone();
            tokio::spawn(async move {
                for i in 0..EACH {
                    let response = service
                        .clone()
                        .oneshot(request(&format!("/{}", (task + i) % 7)))
                        .await;
                    response.unwrap().into_body().collect().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let routes = metrics.routes();
    let count: u64 = routes.iter().map(|route| route.fate("2xx")).sum();
    assert_eq!(
        (count, served.load(Ordering::Relaxed)),
        (TASKS * EACH, TASKS * EACH)
    );
    assert_eq!(routes.iter().map(|route| route.in_flight).sum::<u64>(), 0);
    assert_eq!(
        routes.iter().map(|route| route.response_bytes).sum::<u64>(),
        TASKS * EACH
    );
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_routes_are_templates() {
    use axum::Router;
    use axum::body::Body as AxumBody;
    use axum::routing::get;

    let metrics = Metrics::new();
    let inner = Router::new().route("/{id}", get(|| async { route_now() }));
    let app = Router::new()
        .nest("/users", inner)
        .route("/health", get(|| async { route_now() }))
        .fallback(|| async { (StatusCode::NOT_FOUND, route_now()) })
        .layer(ServiceLayer::new(&metrics));
    let cases = [
        ("/users/7", "/users/{id}"),
        ("/users/8", "/users/{id}"),
        ("/health", "/health"),
        ("/etc/passwd", "unmatched"),
    ];
    for (path, route) in cases {
        let request = Request::get(path).body(AxumBody::empty()).unwrap();
        let body = app.clone().oneshot(request).await.unwrap().into_body();
        let text = body.collect().await.unwrap().to_bytes();
        assert_eq!(text, format!("route={route}"));
    }
    assert_eq!(figures(&metrics, "/users/{id}").fate("2xx"), 2);
    assert_eq!(figures(&metrics, "unmatched").fate("4xx"), 1);
}
