//! What a layer adds to a request of an axum service that says hello, in process: no socket, no other thread.
//!
//! Sides take turns, in batches; each side's figure is the median of its batches' thread CPU time.

use std::hint::black_box;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use axum_prometheus::PrometheusMetricLayer;
use http_body_util::BodyExt;
use perfwright_service::{Metrics, ServiceLayer};
use tower::ServiceExt;
use tower_http::trace::TraceLayer;

const BATCH: usize = 20_000;

fn hello() -> Router {
    Router::new().route("/hello/{name}", get(|| async { "hello" }))
}

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(41, |rounds| rounds.parse().expect("a number of rounds"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    // axum-prometheus starts a task.
    let _entered = runtime.enter();
    let metrics = Metrics::new();
    let (prometheus, _handle) = PrometheusMetricLayer::pair();
    let sides = [
        ("axum alone", hello()),
        (
            "perfwright-service",
            hello().layer(ServiceLayer::new(&metrics)),
        ),
        (
            "tower-http TraceLayer 0.7.1",
            hello().layer(TraceLayer::new_for_http()),
        ),
        ("axum-prometheus 0.10.1", hello().layer(prometheus)),
    ];
    let mut nanos = vec![Vec::new(); sides.len()];
    for round in 0..=rounds {
        for (side, (_, router)) in sides.iter().enumerate() {
            let begin = thread_cpu_nanos();
            runtime.block_on(send(router));
            let spent = (thread_cpu_nanos() - begin) as f64 / BATCH as f64;
            // The first round warms up.
            if round > 0 {
                nanos[side].push(spent);
            }
        }
    }
    let medians: Vec<f64> = nanos.iter_mut().map(|side| median(side)).collect();
    let added = |side: usize| medians[side] - medians[0];
    println!(
        "{:<30} {:>12} {:>12} {:>26}",
        "", "ns/request", "added", "of axum-prometheus's"
    );
    for (side, (name, _)) in sides.iter().enumerate() {
        let share = added(side) / added(sides.len() - 1);
        println!(
            "{name:<30} {:>12.0} {:>12.0} {share:>26.3}",
            medians[side],
            added(side)
        );
    }
    let counted: u64 = metrics.routes().iter().map(|route| route.count()).sum();
    assert_eq!(
        counted,
        ((rounds + 1) * BATCH) as u64,
        "every request was counted"
    );
}

async fn send(router: &Router) {
    for _ in 0..BATCH {
        let request = Request::get("/hello/world")
            .body(Body::empty())
            .expect("a request");
        let response = router.clone().oneshot(request).await.expect("an answer");
        let body = response.into_body().collect().await.expect("a body");
        black_box(body.to_bytes());
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn thread_cpu_nanos() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a timespec of ours.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "the thread's CPU clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
