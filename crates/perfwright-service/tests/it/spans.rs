//! A request's span, and the pages of spans.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use perfwright_service::{DebugRoutes, Metrics, RequestBody, Route, ServiceLayer, Standalone};
use perfwright_tracing::SpanLayer;
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Script, Step, ask, get};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

async fn serve(number: usize) {
    let service = ServiceLayer::new(&Metrics::new()).layer(service_fn(
        |_: Request<RequestBody<Empty<Bytes>>>| async {
            let query = tracing::info_span!("query");
            query.in_scope(|| ());
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Script::new([
                Step::Data("a"),
                Step::Wait,
                Step::Data("b"),
            ])))
        },
    ));
    let outer = tracing::info_span!("connection");
    let request = Request::get("/raw").header(
        "traceparent",
        format!("00-{TRACE}-00f067aa0ba902b7-0{number}"),
    );
    let mut request = request.body(Empty::new()).unwrap();
    request.extensions_mut().insert(Route::from("/spans/{id}"));
    let response = outer.in_scope(|| service.oneshot(request)).await.unwrap();
    response.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn a_request_is_one_tree_with_its_route_and_trace() {
    let layer = SpanLayer::new();
    let spans = layer.spans();
    let subscriber = tracing_subscriber::registry().with(layer);
    async {
        for number in 0..3 {
            serve(number).await;
        }
    }
    .with_subscriber(subscriber)
    .await;
    let snapshot = spans.snapshot();
    let find = |path: &[&str]| {
        let named = |found: &[perfwright_tracing::SpanName]| {
            found
                .iter()
                .map(|name| name.name.as_str())
                .eq(path.iter().copied())
        };
        snapshot
            .paths
            .iter()
            .find(|stats| named(&stats.path))
            .unwrap_or_else(|| panic!("{path:?} in {snapshot:#?}"))
    };
    let request = find(&["request"]);
    assert_eq!(
        (request.route.as_str(), request.count, request.open),
        ("/spans/{id}", 3, 0)
    );
    // Of each, the call, two polls of the response and those of the body; the last before the close is not counted.
    assert!(request.polls >= 3 * 6, "{request:?}");
    assert_eq!(
        (
            find(&["request", "query"]).count,
            find(&["connection"]).count
        ),
        (3, 3)
    );
    let slowest = spans.slowest();
    let kept: Vec<_> = slowest
        .iter()
        .filter(|kept| kept.route == "/spans/{id}")
        .collect();
    assert_eq!(kept.len(), 3);
    assert!(
        kept.iter()
            .all(|kept| kept.trace_id.as_deref() == Some(TRACE)),
        "{kept:#?}"
    );

    let routes = DebugRoutes::builder(Standalone::without_heap())
        .spans(&spans)
        .unguarded();
    let json = async |page: &str| -> Value {
        let answer = ask(&routes, get(&format!("/debug/perfwright/{page}"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        serde_json::from_slice(&answer.body).expect("JSON")
    };
    let paths = json("spans").await;
    let paths = paths["paths"].as_array().unwrap();
    assert!(
        paths
            .iter()
            .any(|path| path["route"] == "/spans/{id}" && path["count"] == 3),
        "{paths:#?}"
    );
    assert_eq!(
        json("spans?limit=1").await["paths"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let slow = json("slowest").await;
    let of_route = slow["requests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|kept| kept["trace_id"] == TRACE);
    assert_eq!(of_route.count(), 3);
    assert!(
        !json("trace.json").await["traceEvents"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(json("status").await["spans"]["spans"].as_u64() >= Some(9));
    let profile = ask(&routes, get("/debug/perfwright/spans.pb.gz")).await;
    let read = perfwright_format::pprof::read(&profile.body, &perfwright_format::Limits::default());
    assert!(read.unwrap().profile.find_sample_type("busy").is_some());
    #[cfg(feature = "flamegraph")]
    for of in ["busy", "idle", "wall"] {
        let svg = ask(
            &routes,
            get(&format!("/debug/perfwright/flamegraph.svg?of={of}")),
        )
        .await;
        assert!(svg.text().contains("<svg"), "{of}");
    }
}
