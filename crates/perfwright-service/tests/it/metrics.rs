//! The text for Prometheus.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use perfwright_service::{
    DebugRoutes, Metrics, MetricsOptions, RegisterError, RequestBody, Route, ServiceLayer,
    Standalone,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::need::{Tool, need, promtool};
use crate::support::{Script, Step, ask, get};

/// Metrics after some requests of every kind, with metrics of the user's own.
async fn used() -> Metrics {
    let options = MetricsOptions::new().latency_buckets([1, 10, 1_000].map(Duration::from_millis));
    let metrics = Metrics::with_options(&options);
    let pool = Arc::new(AtomicU64::new(7));
    let idle = Arc::clone(&pool);
    for name in ["orders", "users \"old\"\\\n"] {
        let idle = Arc::clone(&idle);
        let read = move || idle.load(Ordering::Relaxed) as f64;
        let help = "Connections that wait in a pool.";
        metrics
            .gauge("db_pool_idle_connections", help, &[("pool", name)], read)
            .unwrap();
    }
    metrics
        .gauge(
            "page_cache_hit_ratio",
            "Hits per look.\nOr so.",
            &[],
            || 0.75,
        )
        .unwrap();
    metrics
        .counter("page_cache_lookups", "Looks.", &[], || 4.0)
        .unwrap();
    let service = ServiceLayer::new(&metrics).layer(service_fn(
        |request: Request<RequestBody<Full<Bytes>>>| async move {
            request.into_body().collect().await.unwrap();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("four"))))
        },
    ));
    for i in 0..3 {
        let mut request = Request::post("/x")
            .body(Full::new(Bytes::from("three")))
            .unwrap();
        request.extensions_mut().insert(Route::from("/a\"b\\{id}"));
        let body = service.clone().oneshot(request).await.unwrap().into_body();
        if i > 0 {
            body.collect().await.unwrap();
        }
    }
    let failing = ServiceLayer::new(&metrics).layer(service_fn(
        |_: Request<RequestBody<Empty<Bytes>>>| async {
            let trailers = http::HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                "14".parse().unwrap(),
            )]);
            Ok::<_, Infallible>(Response::new(Script::new([Step::Trailers(trailers)])))
        },
    ));
    let body = failing
        .oneshot(
            Request::get("/y")
                .header("content-type", "application/grpc")
                .body(Empty::new())
                .unwrap(),
        )
        .await
        .unwrap()
        .into_body();
    body.collect().await.unwrap();
    metrics
}

#[tokio::test]
async fn the_text_has_what_happened() {
    let metrics = used().await;
    let route = "route=\"/a\\\"b\\\\{id}\",method=\"POST\"";
    let text = metrics.render(None).text;
    for line in [
        format!("http_server_requests_total{{{route},status=\"2xx\"}} 3"),
        format!("http_server_request_body_bytes_total{{{route}}} 15"),
        format!("http_server_response_body_bytes_total{{{route}}} 8"),
        format!("http_server_cancelled_total{{{route},phase=\"body\"}} 1"),
        format!("http_server_panics_total{{{route},phase=\"head\"}} 0"),
        format!("http_server_requests_in_flight{{{route}}} 0.0"),
        format!("http_server_request_duration_seconds_count{{{route},status=\"2xx\"}} 3"),
        format!("http_server_request_duration_seconds_bucket{{le=\"+Inf\",{route},status=\"2xx\"}} 3"),
        "http_server_grpc_responses_total{route=\"unmatched\",method=\"GET\",code=\"UNAVAILABLE\"} 1".into(),
        "db_pool_idle_connections{pool=\"orders\"} 7.0".into(),
        "db_pool_idle_connections{pool=\"users \\\"old\\\"\\\\\\n\"} 7.0".into(),
        "page_cache_hit_ratio 0.75".into(),
        "# HELP page_cache_hit_ratio Hits per look.\\nOr so.".into(),
        "page_cache_lookups_total 4.0".into(),
        "# TYPE page_cache_lookups_total counter".into(),
        "tokio_workers 1.0".into(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let bounds: Vec<_> = text
        .lines()
        .filter(|line| {
            line.starts_with("http_server_first_byte_seconds_bucket") && line.contains("POST")
        })
        .map(|line| line.split('"').nth(1).unwrap())
        .collect();
    assert_eq!(bounds, ["0.001", "0.01", "1.0", "+Inf"]);
    if cfg!(target_os = "linux") {
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_threads",
            "process_open_fds",
        ] {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            let value: f64 = value
                .unwrap_or_else(|| panic!("{name} in\n{text}"))
                .parse()
                .unwrap();
            assert!(
                value >= 0.0 && (value > 0.0 || name.contains("cpu")),
                "{name} {value}"
            );
        }
    }
}

#[tokio::test]
async fn both_formats_have_the_same_samples() {
    let metrics = used().await;
    let open = metrics.render(Some("application/openmetrics-text;version=1.0.0"));
    let plain = metrics.render(Some("text/plain"));
    assert!(
        open.content_type
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert!(plain.content_type.starts_with("text/plain; version=0.0.4"));
    assert!(open.text.ends_with("# EOF\n") && !plain.text.contains("# EOF"));
    let names = |text: &str| -> BTreeSet<String> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .collect()
    };
    assert_eq!(names(&open.text), names(&plain.text));
    // Every sample belongs to the family that was declared last.
    let mut family = String::new();
    for line in plain.text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => family = rest.split(' ').next().unwrap().to_owned(),
            None if !line.starts_with('#') => {
                assert!(line.starts_with(&family), "{line} in {family}")
            }
            None => {}
        }
    }
}

#[tokio::test]
async fn the_route_negotiates() {
    let routes = DebugRoutes::builder(Standalone::without_heap())
        .metrics(&used().await)
        .unguarded();
    let plain = ask(&routes, get("/metrics")).await;
    assert!(
        plain
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let mut request = get("/metrics");
    request
        .headers_mut()
        .insert("accept", "application/openmetrics-text".parse().unwrap());
    let open = ask(&routes, request).await;
    assert!(
        open.header("content-type")
            .starts_with("application/openmetrics-text")
    );
    assert!(open.text().ends_with("# EOF\n"));
}

#[test]
fn names_are_checked() {
    let metrics = Metrics::new();
    for name in ["", "9lives", "a-b", "a b", "ä"] {
        let error = metrics.gauge(name, "", &[], || 0.0).unwrap_err();
        assert!(
            matches!(error, RegisterError::Name { .. }),
            "{name}: {error}"
        );
    }
    let error = metrics.counter("x_total", "", &[], || 0.0).unwrap_err();
    assert!(error.to_string().contains("_total is added"), "{error}");
    assert!(metrics.gauge("x", "", &[("a-b", "1")], || 0.0).is_err());
    metrics
        .gauge("pool_size", "", &[("pool", "a")], || 0.0)
        .unwrap();
    metrics
        .gauge("pool_size", "", &[("pool", "b")], || 0.0)
        .unwrap();
    for taken in [
        metrics.gauge("pool_size", "", &[("pool", "a")], || 0.0),
        metrics.counter("pool_size", "", &[("pool", "c")], || 0.0),
        metrics.gauge("http_server_requests", "", &[], || 0.0),
        metrics.counter("process_cpu_seconds", "", &[], || 0.0),
    ] {
        assert!(
            matches!(taken, Err(RegisterError::Taken { .. })),
            "{taken:?}"
        );
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    if !need(Tool::Promtool) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let text = runtime.block_on(async { used().await.render(None).text });
    let mut promtool = Command::new(promtool());
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = promtool
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}\n{text}",
        String::from_utf8_lossy(&said)
    );
}
