//! The routes under `/debug`, in process: Go's codes and headers, guards, captures.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, StatusCode};
use perfwright_model::{LabelSetId, Profile, SampleType};
use perfwright_service::{
    CaptureError, CpuRequest, DebugRoutes, Metrics, RunningCapture, Source, Standalone,
};
use serde_json::{Value, json};

use crate::need::{Tool, need};
use crate::support::{Answer, ask, cpu_turn, get};

/// A source that counts what is asked of it.
#[derive(Clone, Default)]
struct Fake {
    begun: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<CpuRequest>>>,
    heaps: Arc<AtomicUsize>,
    has_heap: bool,
    unavailable: bool,
}

struct FakeCapture(Arc<AtomicUsize>);

impl Drop for FakeCapture {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl RunningCapture for FakeCapture {
    fn finish(self: Box<Self>) -> Result<perfwright_cpu::Capture, CaptureError> {
        let types = [("samples", "count"), ("cpu", "nanoseconds")];
        let mut profile = Profile::new(types.map(|(kind, unit)| SampleType::new(kind, unit)));
        let location = profile.frame_location("work");
        let stack = profile.intern_stack_root_first([location]);
        profile.push_sample(stack, LabelSetId::EMPTY, &[3, 30_000_000]);
        Ok(perfwright_cpu::Capture {
            profile,
            audit: perfwright_cpu::Audit::default(),
        })
    }
}

impl Source for Fake {
    fn begin_cpu(&self, request: CpuRequest) -> Result<Box<dyn RunningCapture>, CaptureError> {
        if self.unavailable {
            return Err(CaptureError::Unavailable(
                "start the CPU sampler: on purpose".into(),
            ));
        }
        self.requests.lock().unwrap().push(request);
        self.begun.fetch_add(1, Ordering::SeqCst);
        assert_eq!(
            self.running.fetch_add(1, Ordering::SeqCst),
            0,
            "one capture at a time"
        );
        Ok(Box::new(FakeCapture(Arc::clone(&self.running))))
    }

    fn heap(&self) -> Option<perfwright_heap::Capture> {
        if !self.has_heap {
            return None;
        }
        // Each look finds 100 bytes more.
        let look = self.heaps.fetch_add(1, Ordering::SeqCst) as i64 + 1;
        let types = [
            "alloc_objects",
            "alloc_space",
            "inuse_objects",
            "inuse_space",
        ];
        let units = ["count", "bytes", "count", "bytes"];
        let types = types.into_iter().zip(units);
        let mut profile = Profile::new(types.map(|(kind, unit)| SampleType::new(kind, unit)));
        profile.meta.default_sample_type = Some(3);
        for (name, values) in [
            ("grows", [look, 100 * look, look, 100 * look]),
            ("stays", [1, 8, 1, 8]),
        ] {
            let location = profile.frame_location(name);
            let stack = profile.intern_stack_root_first([location]);
            profile.push_sample(stack, LabelSetId::EMPTY, &values);
        }
        Some(perfwright_heap::Capture {
            profile,
            errors: Vec::new(),
            audit: perfwright_heap::Audit::default(),
        })
    }

    fn status(&self) -> Value {
        json!({ "fake": true })
    }
}

fn routes(fake: &Fake) -> DebugRoutes {
    DebugRoutes::builder(fake.clone()).unguarded()
}

fn heap_routes() -> DebugRoutes {
    routes(&Fake {
        has_heap: true,
        ..Fake::default()
    })
}

fn profile_of(answer: &Answer) -> Profile {
    let read = perfwright_format::pprof::read(&answer.body, &perfwright_format::Limits::default());
    read.expect("a pprof profile").profile
}

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// Path, status, content type, file name, a part of the text.
type Row = (&'static str, u16, &'static str, &'static str, &'static str);

/// What Go answers, by reading and running `net/http/pprof` of Go 1.19, with a write timeout of 300 s.
const GO: &[Row] = &[
    (
        "/debug/pprof/",
        200,
        "text/html; charset=utf-8",
        "",
        "<title>/debug/pprof/</title>",
    ),
    (
        "/debug/pprof/",
        200,
        "text/html; charset=utf-8",
        "",
        "<a href='heap?debug=1'>heap</a>",
    ),
    ("/debug/pprof/profile?seconds=1", 200, BYTES, "profile", ""),
    (
        "/debug/pprof/profile?seconds=301",
        400,
        TEXT,
        "",
        "profile duration exceeds server's WriteTimeout",
    ),
    (
        "/debug/pprof/profile?seconds=1e9",
        400,
        TEXT,
        "",
        "profile duration exceeds server's WriteTimeout",
    ),
    (
        "/debug/pprof/profile?seconds=1000000000",
        400,
        TEXT,
        "",
        "profile duration exceeds server's WriteTimeout",
    ),
    ("/debug/pprof/heap", 200, BYTES, "heap", ""),
    ("/debug/pprof/heap?gc=1", 200, BYTES, "heap", ""),
    ("/debug/pprof/heap?debug=0", 200, BYTES, "heap", ""),
    ("/debug/pprof/heap?debug=1", 200, TEXT, "", "heap profile: "),
    ("/debug/pprof/heap?debug=x", 200, BYTES, "heap", ""),
    ("/debug/pprof/heap?seconds=1", 200, BYTES, "heap-delta", ""),
    (
        "/debug/pprof/heap?seconds=0",
        400,
        TEXT,
        "",
        "invalid value for \"seconds\" - must be a positive integer",
    ),
    (
        "/debug/pprof/heap?seconds=-1",
        400,
        TEXT,
        "",
        "invalid value for \"seconds\" - must be a positive integer",
    ),
    (
        "/debug/pprof/heap?seconds=x",
        400,
        TEXT,
        "",
        "invalid value for \"seconds\" - must be a positive integer",
    ),
    (
        "/debug/pprof/heap?seconds=301",
        400,
        TEXT,
        "",
        "profile duration exceeds server's WriteTimeout",
    ),
    (
        "/debug/pprof/heap?seconds=1&debug=1",
        400,
        TEXT,
        "",
        "seconds and debug params are incompatible",
    ),
    ("/debug/pprof/allocs", 200, BYTES, "allocs", ""),
    (
        "/debug/pprof/allocs?debug=1",
        200,
        TEXT,
        "",
        "heap profile: ",
    ),
    (
        "/debug/pprof/allocs?seconds=1",
        200,
        BYTES,
        "allocs-delta",
        "",
    ),
    ("/debug/pprof/goroutine", 200, BYTES, "goroutine", ""),
    (
        "/debug/pprof/goroutine?debug=1",
        200,
        TEXT,
        "",
        "goroutine profile: total ",
    ),
    (
        "/debug/pprof/goroutine?debug=2",
        200,
        TEXT,
        "",
        "goroutine ",
    ),
    (
        "/debug/pprof/goroutine?seconds=1",
        200,
        BYTES,
        "goroutine-delta",
        "",
    ),
    ("/debug/pprof/threadcreate", 200, BYTES, "threadcreate", ""),
    (
        "/debug/pprof/threadcreate?debug=1",
        200,
        TEXT,
        "",
        "threadcreate profile: total ",
    ),
    ("/debug/pprof/block", 200, BYTES, "block", ""),
    (
        "/debug/pprof/block?debug=1",
        200,
        TEXT,
        "",
        "--- contention:",
    ),
    ("/debug/pprof/mutex", 200, BYTES, "mutex", ""),
    ("/debug/pprof/mutex?debug=1", 200, TEXT, "", "--- mutex:"),
    ("/debug/pprof/cmdline", 200, TEXT, "", ""),
    ("/debug/pprof/symbol", 200, TEXT, "", "num_symbols: 1\n"),
    (
        "/debug/pprof/symbol?0x1+0x2",
        200,
        TEXT,
        "",
        "num_symbols: 1\n",
    ),
    ("/debug/pprof/unknown", 404, TEXT, "", "Unknown profile"),
    ("/debug/pprof/heap/", 404, TEXT, "", "Unknown profile"),
    (
        "/debug/pprof/unknown?seconds=1",
        404,
        TEXT,
        "",
        "Unknown profile",
    ),
];

#[tokio::test(start_paused = true)]
async fn codes_and_headers_are_go_s() {
    let routes = heap_routes();
    for &(path, status, content_type, file, part) in GO {
        let answer = ask(&routes, get(path)).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.header("content-type"), content_type, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let disposition = match file {
            "" => String::new(),
            file => format!("attachment; filename=\"{file}\""),
        };
        assert_eq!(answer.header("content-disposition"), disposition, "{path}");
        let is_error = status >= 400;
        assert_eq!(
            answer.header("x-go-pprof"),
            if is_error { "1" } else { "" },
            "{path}"
        );
        match content_type {
            BYTES => drop(profile_of(&answer)),
            _ => assert!(answer.text().contains(part), "{path}: {}", answer.text()),
        }
        if is_error {
            assert_eq!(answer.text(), format!("{part}\n"), "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn seconds_that_are_no_number_are_thirty() {
    for (query, expect) in [
        ("", 30),
        ("?seconds=abc", 30),
        ("?seconds=", 30),
        ("?seconds=-5", 30),
        ("?seconds=0", 30),
        ("?seconds=1.5", 30),
        ("?seconds=7", 7),
    ] {
        let begin = tokio::time::Instant::now();
        let routes = routes(&Fake::default());
        let answer = ask(&routes, get(&format!("/debug/pprof/profile{query}"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}");
        assert_eq!(begin.elapsed().as_secs(), expect, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_maximum_below_thirty_bounds_the_default() {
    let routes = DebugRoutes::builder(Fake::default())
        .max_duration(Duration::from_secs(5))
        .unguarded();
    let begin = tokio::time::Instant::now();
    assert_eq!(
        ask(&routes, get("/debug/pprof/profile")).await.status,
        StatusCode::OK
    );
    assert_eq!(begin.elapsed().as_secs(), 5);
    let answer = ask(&routes, get("/debug/pprof/profile?seconds=6")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn profiles_say_what_they_should() {
    let routes = heap_routes();
    let kind = |profile: &Profile| {
        let default = profile.default_sample_type().unwrap();
        profile.sample_types()[default].kind.clone()
    };
    let heap = profile_of(&ask(&routes, get("/debug/pprof/heap")).await);
    assert_eq!((kind(&heap).as_str(), heap.total(3)), ("inuse_space", 108));
    let allocs = profile_of(&ask(&routes, get("/debug/pprof/allocs")).await);
    assert_eq!(
        (kind(&allocs).as_str(), allocs.total(1)),
        ("alloc_space", 208)
    );
    let delta = profile_of(&ask(&routes, get("/debug/pprof/heap?seconds=9")).await);
    // One look later: only the site that changed.
    assert_eq!((delta.sample_count(), delta.total(3)), (1, 100));
    let cpu = profile_of(&ask(&routes, get("/debug/pprof/profile?seconds=1")).await);
    assert_eq!(cpu.total(1), 30_000_000);
    for name in ["block", "mutex"] {
        let empty = profile_of(&ask(&routes, get(&format!("/debug/pprof/{name}"))).await);
        assert_eq!(
            (kind(&empty).as_str(), empty.sample_count()),
            ("delay", 0),
            "{name}"
        );
    }
    let threads = profile_of(&ask(&routes, get("/debug/pprof/goroutine")).await);
    if cfg!(target_os = "linux") {
        assert!(threads.total(0) >= 1);
        let own = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        let found = threads
            .samples()
            .any(|sample| threads.label_str(sample.labels, "thread") == Some(own.trim()));
        assert!(found, "{}", own.trim());
    }
    let command = ask(&routes, get("/debug/pprof/cmdline")).await;
    let expect: Vec<_> = std::env::args().collect();
    assert_eq!(command.text().split('\0').collect::<Vec<_>>(), expect);
}

#[tokio::test]
async fn without_a_heap_sampler_that_is_said() {
    let routes = routes(&Fake::default());
    for path in ["heap", "allocs", "heap?debug=1", "heap?seconds=1"] {
        let answer = ask(&routes, get(&format!("/debug/pprof/{path}"))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains("SampledAlloc"), "{}", answer.text());
    }
}

#[cfg(all(target_os = "linux", feature = "symbolize"))]
#[tokio::test]
async fn symbols_come_by_get_and_post() {
    let routes = routes(&Fake::default());
    let address = profile_of as fn(&Answer) -> Profile as usize;
    let line = format!("\n{address:#x} ");
    let by_get = ask(
        &routes,
        get(&format!("/debug/pprof/symbol?{address:#x}+0x1")),
    )
    .await;
    let post = Request::post("/debug/pprof/symbol")
        .body(format!("0x1+{address:#x}"))
        .unwrap();
    let by_post = ask(&routes, post).await;
    for answer in [by_get, by_post] {
        let text = answer.text();
        assert!(
            text.contains(&line) && text.contains("profile_of"),
            "{text}"
        );
    }
    let huge = Request::post("/debug/pprof/symbol")
        .body("0x1+".repeat(20_000))
        .unwrap();
    assert_eq!(
        ask(&routes, huge).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_not() {
    let routes = routes(&Fake::default());
    for (method, path, allowed) in [
        ("POST", "/debug/pprof/profile", "GET, HEAD"),
        ("DELETE", "/debug/pprof/heap", "GET, HEAD"),
        ("PUT", "/debug/pprof/symbol", "GET, HEAD, POST"),
        ("POST", "/metrics", "GET, HEAD"),
        ("BREW", "/debug/perfwright/status", "GET, HEAD"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(String::new())
            .unwrap();
        let answer = ask(&routes, request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, allowed),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn path_tricks_lead_nowhere() {
    let fake = Fake::default();
    let routes = routes(&fake);
    for path in [
        "//debug/pprof/",
        "/debug//pprof/profile",
        "/debug/pprof/../pprof/profile",
        "/debug/%2e%2e/debug/pprof/profile",
        "/debug/pprof/%70rofile",
        "/debug/./pprof/profile",
        "/x/../debug/pprof/profile",
    ] {
        let answer = ask(&routes, get(path)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(
            answer.text().starts_with("the path must be plain"),
            "{path}"
        );
    }
    for path in [
        "/",
        "/debug",
        "/debug/",
        "/debugpprof/",
        "/debug/debug/pprof/",
        "/DEBUG/pprof/",
        "/metrics",
    ] {
        assert_eq!(
            ask(&routes, get(path)).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    assert_eq!(fake.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_token_lets_its_bearer_in() {
    let guarded = |token: &str| DebugRoutes::builder(Fake::default()).bearer_token(token);
    let with = |header: &str| {
        let request = Request::get("/debug/pprof/cmdline").header("authorization", header);
        request.body(String::new()).unwrap()
    };
    let routes = guarded("secret");
    for header in ["Bearer secret", "bearer secret", "BEARER secret"] {
        assert_eq!(
            ask(&routes, with(header)).await.status,
            StatusCode::OK,
            "{header}"
        );
    }
    for header in [
        "Bearer secre",
        "Bearer secret2",
        "Bearer  secret",
        "Basic secret",
        "secret",
        "Bearer ",
        "Bearer",
    ] {
        let answer = ask(&routes, with(header)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header}");
        assert!(
            answer.header("www-authenticate").starts_with("Bearer"),
            "{header}"
        );
    }
    for path in [
        "/debug/pprof/cmdline",
        "/metrics",
        "/nowhere",
        "//",
        "/debug/perfwright/status",
    ] {
        assert_eq!(
            ask(&routes, get(path)).await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    assert_eq!(
        ask(&guarded(""), with("Bearer ")).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_captures_one_goes_on() {
    let fake = Fake::default();
    let routes = routes(&fake);
    let tasks: Vec<_> = (0..100)
        .map(|i| {
            let routes = routes.clone();
            let path = [
                "/debug/pprof/profile?seconds=20",
                "/debug/perfwright/profile?seconds=20",
            ][i % 2];
            tokio::spawn(async move { (path, ask(&routes, get(path)).await) })
        })
        .collect();
    let mut counts = [0; 3];
    for task in tasks {
        let (path, answer) = task.await.unwrap();
        let is_go = path.starts_with("/debug/pprof");
        match answer.status.as_u16() {
            200 => counts[0] += 1,
            500 if is_go => {
                let expect = "Could not enable CPU profiling: cpu profiling already in use\n";
                assert_eq!((answer.text(), answer.header("x-go-pprof")), (expect, "1"));
                counts[1] += 1;
            }
            409 if !is_go => counts[2] += 1,
            other => panic!("{path}: {other}"),
        }
    }
    assert_eq!(counts[0], 1);
    assert_eq!(counts[1] + counts[2], 99);
    assert_eq!(fake.begun.load(Ordering::SeqCst), 1);
    // And the next one goes on again.
    let answer = ask(&routes, get("/debug/pprof/profile?seconds=1")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let status = ask(&routes, get("/debug/perfwright/status")).await;
    let status: Value = serde_json::from_str(status.text()).unwrap();
    assert_eq!(status["captures"]["cpu_finished"], 2);
    assert_eq!(status["captures"]["cpu_refused"], 99);
    assert_eq!(status["source"]["fake"], true);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_capture() {
    let fake = Fake::default();
    let routes = routes(&fake);
    for number in 1..=3 {
        let request = ask(&routes, get("/debug/pprof/profile?seconds=300"));
        let timeout = tokio::time::timeout(Duration::from_millis(100), request);
        assert!(timeout.await.is_err(), "it captures");
        // It ends on another thread; until then the next client would be refused.
        let is_over = async || {
            let status = ask(&routes, get("/debug/perfwright/status")).await;
            let status: Value = serde_json::from_str(status.text()).unwrap();
            let captures = &status["captures"];
            captures["cpu_running"] == false && captures["cpu_abandoned"] == number
        };
        while !is_over().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(fake.running.load(Ordering::SeqCst), 0);
    }
    assert_eq!(fake.begun.load(Ordering::SeqCst), 3);
    let answer = ask(&routes, get("/debug/pprof/profile?seconds=1")).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_captured_says_why() {
    let routes = routes(&Fake {
        unavailable: true,
        ..Fake::default()
    });
    let go = ask(&routes, get("/debug/pprof/profile?seconds=1")).await;
    let expect = "Could not enable CPU profiling: start the CPU sampler: on purpose\n";
    assert_eq!((go.status.as_u16(), go.text()), (500, expect));
    let own = ask(&routes, get("/debug/perfwright/profile?seconds=1")).await;
    assert_eq!(
        (own.status.as_u16(), own.text()),
        (503, "failed to start the CPU sampler: on purpose\n")
    );
}

#[tokio::test(start_paused = true)]
async fn own_routes_check_what_they_are_asked() {
    let fake = Fake::default();
    let routes = routes(&fake);
    for (path, status) in [
        ("", 200),
        ("status", 200),
        ("profile?seconds=2&frequency_hz=500&mode=wall", 200),
        ("profile?seconds=0", 400),
        ("profile?seconds=301", 400),
        ("profile?seconds=1e9", 400),
        ("profile?seconds=x", 400),
        ("profile?frequency_hz=0", 400),
        ("profile?frequency_hz=1000000", 400),
        ("profile?mode=slow", 400),
        ("nothing", 404),
        ("status/", 404),
    ] {
        let answer = ask(&routes, get(&format!("/debug/perfwright/{path}"))).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
    }
    let requests = fake.requests.lock().unwrap();
    let expect = CpuRequest::new()
        .frequency_hz(500)
        .mode(perfwright_cpu::Mode::Wall);
    assert_eq!(*requests, [expect]);
}

#[cfg(feature = "viewer")]
#[tokio::test(start_paused = true)]
async fn the_viewer_has_the_profiles_in_it() {
    let answer = ask(&heap_routes(), get("/debug/perfwright/view?seconds=2")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let text = answer.text();
    for name in ["cpu.pb.gz", "heap.pb.gz"] {
        assert!(text.contains(&format!("data-profile=\"{name}\"")), "{name}");
    }
    assert!(text.len() > perfwright_viewer_html::HTML.len());
    let bad = ask(&heap_routes(), get("/debug/perfwright/view?seconds=1e9")).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[cfg(feature = "flamegraph")]
#[tokio::test(start_paused = true)]
async fn flamegraphs_are_drawn() {
    let routes = heap_routes();
    for (query, part) in [
        ("", "work"),
        ("?of=heap", "grows"),
        ("?of=allocs&group_by=route", "grows"),
    ] {
        let answer = ask(
            &routes,
            get(&format!("/debug/perfwright/flamegraph.svg{query}")),
        )
        .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "image/svg+xml")
        );
        assert!(
            answer.text().contains("<svg") && answer.text().contains(part),
            "{query}"
        );
    }
    let bad = ask(&routes, get("/debug/perfwright/flamegraph.svg?of=disk")).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_prefix_may_be_stripped() {
    let metrics = Metrics::new();
    let routes = DebugRoutes::builder(Fake::default())
        .metrics(&metrics)
        .unguarded();
    let app = axum::Router::new().nest_service("/debug", routes.clone());
    for (path, status) in [
        ("/debug/pprof/cmdline", 200),
        ("/debug/metrics", 200),
        ("/debug/pprof/nothing", 404),
    ] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(app.clone(), request)
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
    let redirect = ask(&routes, get("/debug/pprof")).await;
    assert_eq!(
        (redirect.status.as_u16(), redirect.header("location")),
        (301, "pprof/")
    );
}

#[test]
fn go_tool_pprof_reads_what_is_served() {
    if !need(Tool::Go) {
        return;
    }
    let _turn = cpu_turn();
    let folder = tempfile::tempdir().unwrap();
    let top = |name: &str, body: &[u8], options: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, body).unwrap();
        let mut pprof = Command::new("go");
        pprof
            .args(["tool", "pprof", "-top"])
            .args(options)
            .arg(&path);
        let output = pprof
            .env("PPROF_TMPDIR", folder.path())
            .output()
            .expect("go runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy = Arc::clone(&stop);
    let worker = std::thread::spawn(move || burn_until(&busy));
    let routes = DebugRoutes::builder(Standalone::without_heap()).unguarded();
    let cpu = runtime.block_on(ask(&routes, get("/debug/pprof/profile?seconds=2")));
    stop.store(true, Ordering::Relaxed);
    worker.join().unwrap();
    assert_eq!(
        cpu.status,
        StatusCode::OK,
        "{}",
        String::from_utf8_lossy(&cpu.body)
    );
    let text = top("cpu.pb.gz", &cpu.body, &[]);
    assert!(text.contains("burn_until"), "{text}");

    let routes = heap_routes();
    let heap = runtime.block_on(ask(&routes, get("/debug/pprof/heap")));
    let text = top("heap.pb.gz", &heap.body, &["-unit=B", "-nodefraction=0"]);
    assert!(text.contains("Type: inuse_space"), "{text}");
    assert!(text.contains("100B") && text.contains("grows"), "{text}");
    let allocs = runtime.block_on(ask(&routes, get("/debug/pprof/allocs")));
    let text = top("allocs.pb.gz", &allocs.body, &["-unit=B"]);
    assert!(text.contains("Type: alloc_space"), "{text}");
    let old = runtime.block_on(ask(&routes, get("/debug/pprof/heap?debug=1")));
    let text = top(
        "heap.txt",
        &old.body,
        &["-unit=B", "-nodefraction=0", "-sample_index=inuse_space"],
    );
    assert!(text.contains("308B total"), "{text}");
    for name in ["goroutine", "threadcreate", "block", "mutex"] {
        let profile = runtime.block_on(ask(&routes, get(&format!("/debug/pprof/{name}"))));
        top(name, &profile.body, &[]);
    }
}

#[inline(never)]
fn burn_until(stop: &std::sync::atomic::AtomicBool) {
    let mut state = 1_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10_000 {
            state = std::hint::black_box(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_deltas_are_bounded_and_in_nobodys_way() {
    let routes = heap_routes();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let routes = routes.clone();
            tokio::spawn(async move { ask(&routes, get("/debug/pprof/heap?seconds=200")).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // While they wait, others are served.
    for path in ["/debug/pprof/heap", "/debug/pprof/profile?seconds=1"] {
        assert_eq!(
            ask(&routes, get(path)).await.status,
            StatusCode::OK,
            "{path}"
        );
    }
    let mut counts = std::collections::BTreeMap::new();
    for task in tasks {
        let answer = task.await.unwrap();
        *counts.entry(answer.status.as_u16()).or_insert(0) += 1;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(answer.header("retry-after"), "5");
        }
    }
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [(200, 4), (503, 96)]
    );
}
