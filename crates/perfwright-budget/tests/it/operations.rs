//! Requests, spans, pools and caches: from a run and from a page of metrics, by the same budgets.

use perfwright_budget::{Sources, Verdict};
use perfwright_model::{Profile, SampleType, keys};
use perfwright_stats::Rng;

use crate::{budget, check, lines};

/// Ten seconds of two routes. Of `/orders` 200 requests with 4 s of CPU time, each 100 ms in its spans.
const RUN: &str = r#"{
  "schema_version": 1,
  "capture": { "cpu_nanos": 8000000000, "duration_nanos": 10000000000, "samples_effective": 8000,
    "cpu_timeline": [
      { "seconds": 0.0, "cpu_nanos": 1000000000 }, { "seconds": 1.0, "cpu_nanos": 1500000000 },
      { "seconds": 2.0, "cpu_nanos": 3300000000 }, { "seconds": 3.0, "cpu_nanos": 3400000000 }
    ] },
  "memory": { "rate_bytes": 4096, "allocated_bytes": 4000000, "allocations": 8000 },
  "spans": {
    "routes": [
      { "route": "/orders", "requests": 200, "errors": 4, "cpu_nanos": 4000000000, "cpu_share": 0.5,
        "p50_ms": 90.0, "p95_ms": 180.0, "p99_ms": 400.0 },
      { "route": "/quiet", "requests": null, "errors": null, "cpu_nanos": 10, "cpu_share": 0.0 }
    ],
    "paths": [
      { "route": "/orders", "path": ["request"], "count": 200, "errors": 4, "busy_nanos": 5000000000, "idle_nanos": 15000000000,
        "p50_ms": 90.0, "p95_ms": 180.0, "p99_ms": 400.0, "max_ms": 700.0,
        "polled": { "cpu_nanos": 1000000000, "cpu_nanos_error": 20000000 } },
      { "route": "/orders", "path": ["request", "load"], "count": 400, "errors": 0, "busy_nanos": 1000000000, "idle_nanos": 9000000000,
        "p50_ms": 20.0, "p95_ms": 60.0, "p99_ms": 90.0, "max_ms": 100.0, "polled": null }
    ],
    "statements": [
      { "route": "/orders", "path": ["request"], "target": "sqlx::pool::acquire", "statement": "acquire connection",
        "count": 100, "nanos": 500000000, "p50_ms": 1.0, "p99_ms": 40.0 },
      { "route": "/orders", "path": ["request"], "target": "sqlx::query", "statement": "SELECT ?", "count": 100, "nanos": 5 }
    ]
  }
}"#;

fn of_run(metric: &str, text: &str) -> String {
    let mut sources = Sources::new();
    sources.run_report(RUN).unwrap();
    lines(&check(&budget(metric, text), &sources, None))
}

#[test]
fn a_run_tells_of_spans() {
    assert_eq!(
        of_run(
            "latency",
            "select = { span = \"load\" }\nlimits = [\"p95 < 50ms\", \"max < 1s\", \"mean < 30ms\"]"
        ),
        "breach latency span=load: /orders: request > load: p95 < 50.0 ms; measured 60.0 ms\n\
         held latency span=load: /orders: request > load: max < 1.00 s; measured 100 ms\n\
         held latency span=load: /orders: request > load: mean < 30.0 ms; measured 25.0 ms"
    );
    assert!(
        of_run(
            "throughput",
            "select = { span = \"request > load\" }\nlimits = [\"> 30/s\"]"
        )
        .ends_with("measured 40/s")
    );
    assert!(
        of_run(
            "error_rate",
            "select = { span = \"request\", route = \"/ord*\" }\nlimits = [\"< 50%\"]"
        )
        .contains("measured 2.0 %")
    );
    let none = of_run(
        "latency",
        "select = { span = \"request\", route = \"/other\" }\nlimits = [\"p95 < 1s\"]",
    );
    assert!(
        none.ends_with("the run has no requests of this selection; it has /orders, /quiet"),
        "{none}"
    );
}

#[test]
fn concurrency_is_the_time_spent_in_requests_in_that_time() {
    // 20 s in requests, in 10 s.
    for select in [
        "",
        "select = { route = \"/orders\" }\n",
        "select = { span = \"request\" }\n",
    ] {
        let text = of_run("concurrency", &format!("{select}limits = [\"avg < 2.5\"]"));
        assert!(
            text.starts_with("held") && text.ends_with("measured 2"),
            "{text}"
        );
    }
    assert!(of_run("concurrency", "limits = [\"now < 9\"]").starts_with("missing"));
}

#[test]
fn a_load_tells_sizes_and_concurrency() {
    let load = r#"{"schema_version": 1, "load": {
        "requests": [{ "name": "browse", "count": 100, "errors": 0, "rps": 10.0, "mean_ms": 250.0, "p99_9_ms": 900.0,
                       "request_bytes": 0, "response_bytes": 51200 }],
        "all": { "name": "all", "count": 100, "errors": 0, "rps": 10.0, "mean_ms": 250.0, "p99_9_ms": 900.0,
                 "request_bytes": 0, "response_bytes": 51200 } }}"#;
    let mut sources = Sources::new();
    sources.run_report(load).unwrap();
    let of = |metric: &str, text: &str| lines(&check(&budget(metric, text), &sources, None));
    assert_eq!(
        of(
            "response.size",
            "select = { route = \"browse\" }\nlimits = [\"< 1kB\"]"
        ),
        "held response.size route=browse: browse: mean < 1000 B; measured 512 B"
    );
    assert!(of("request.size", "limits = [\"< 1kB\"]").ends_with("measured 0 B"));
    assert!(of("concurrency", "limits = [\"avg < 3\"]").ends_with("measured 2.500"));
    assert!(of("latency", "limits = [\"mean < 1s\"]").ends_with("measured 250 ms"));
    assert!(of("latency", "limits = [\"p99.9 < 1s\"]").ends_with("measured 900 ms"));
    let without_means = RUN.replacen(
        '{',
        r#"{ "load": { "all": { "count": 200, "rps": 20.0 } },"#,
        1,
    );
    sources.run_report(&without_means).unwrap();
    let of = |metric: &str, text: &str| lines(&check(&budget(metric, text), &sources, None));
    assert!(of("concurrency", "limits = [\"avg < 3\"]").ends_with("measured 2"));
    let old = of_run("response.size", "limits = [\"< 1kB\"]");
    assert!(old.starts_with("missing"), "{old}");
}

#[test]
fn cpu_time_is_of_requests_and_of_spans_with_its_error() {
    assert_eq!(
        of_run("cpu", "limits = [\"< 50ms\"]"),
        "held cpu: time/op < 50.0 ms; measured 40.0 ms"
    );
    // Half of 8000 samples: 4 s with a standard deviation of 4 s * sqrt(0.5 / 4000).
    assert_eq!(
        of_run(
            "cpu",
            "select = { route = \"/orders\" }\nlimits = [\"< 20ms\"]"
        ),
        "can't tell cpu route=/orders: /orders: time/op < 20.0 ms; measured 20.0 ms (19.3 ms to 20.7 ms); \
         beyond the limit by less than 3 standard deviations of sampling"
    );
    assert_eq!(
        of_run(
            "cpu",
            "select = { span = \"request\" }\nlimits = [\"< 4ms\"]"
        ),
        "breach cpu span=request: /orders: request: time/op < 4.00 ms; measured 5.00 ms (4.70 ms to 5.30 ms)"
    );
    assert!(
        of_run("cpu", "select = { span = \"load\" }\nlimits = [\"< 4ms\"]")
            .ends_with("it was too short for the samples to tell")
    );
}

#[test]
fn the_most_of_the_cpu_time_is_of_a_timeline() {
    assert!(of_run("process.cpu", "limits = [\"max < 200%\"]").ends_with("measured 180.0 %"));
    let sustained = |limit: &str, time: &str| {
        let text = format!("limits = [\"max < {limit}\"]\nsustained = {{ for = \"{time}\" }}");
        of_run("process.cpu", &text)
    };
    assert!(sustained("40%", "1s").starts_with("breach"));
    assert!(sustained("60%", "1s").starts_with("held"));
}

#[test]
fn waits_for_connections_are_of_sqlxs_events() {
    assert_eq!(
        of_run("pool", "limits = [\"p99 < 10ms\", \"wait < 10ms\"]"),
        "breach pool: /orders: p99 < 10.0 ms; measured 40.0 ms\n\
         held pool: /orders: wait < 10.0 ms; measured 5.00 ms"
    );
    assert!(of_run("pool", "limits = [\"usage < 80%\"]").starts_with("missing"));
}

#[test]
fn an_objective_of_latency_is_judged_by_what_percentiles_tell() {
    let of = |objective: &str, within: &str| {
        let slo = format!("slo = {{ objective = \"{objective}\", within = \"{within}\" }}");
        of_run(
            "latency",
            &format!("select = {{ route = \"/orders\" }}\n{slo}"),
        )
    };
    // p95 is 180 ms and p99 400 ms: of 200 ms between 1 % and 5 % are slower.
    assert!(
        of("90%", "200ms").starts_with("held"),
        "{}",
        of("90%", "200ms")
    );
    assert!(of("99.9%", "200ms").starts_with("breach"));
    assert!(of("97%", "200ms").starts_with("can't tell"));
    assert!(of("97%", "2s").starts_with("held"));
}

/// A heap profile: `/orders` allocated 1000 blocks of 1 KiB, 200 of them in `load`; others did the rest.
fn heap() -> Profile {
    let types = [("alloc_objects", "count"), ("alloc_space", "bytes")];
    let mut profile = Profile::new(types.map(|(kind, unit)| SampleType::new(kind, unit)));
    let leaf = profile.frame_location("f");
    let stack = profile.intern_stack_root_first([leaf]);
    for (route, path, blocks) in [
        ("/orders", "request", 800),
        ("/orders", "request > load", 200),
        ("/other", "request > load", 5000),
    ] {
        let labels = [
            profile.str_label(keys::ROUTE, route),
            profile.str_label(keys::SPAN_PATH, path),
        ];
        let labels = profile.intern_labels(&labels);
        profile.record(stack, labels, &[blocks, blocks * 1024]);
    }
    profile
}

#[test]
fn allocations_of_a_route_are_of_the_heap_profile_with_its_error() {
    let mut sources = Sources::new();
    sources.run_report(RUN).unwrap();
    sources.profile("heap", heap());
    let of = |text: &str| lines(&check(&budget("heap", text), &sources, None));
    // One block in 4.52 is sampled: 1000 of 1 KiB have a deviation of sqrt(1000 * 3.52) KiB.
    assert_eq!(
        of("select = { route = \"/orders\" }\nlimits = [\"bytes/op < 8KiB\", \"allocs/op < 10\"]"),
        "held heap route=/orders: /orders: bytes/op < 8192 B; measured 5120 B (4.11 KiB to 5.89 KiB)\n\
         held heap route=/orders: /orders: allocs/op < 10; measured 5 (4.110 to 5.890)"
    );
    assert!(
        of("select = { span = \"load\" }\nlimits = [\"allocs < 150\"]").starts_with("can't tell"),
        "{}",
        of("select = { span = \"load\" }\nlimits = [\"allocs < 150\"]")
    );
    assert!(
        of("select = { route = \"/orders\" }\nlimits = [\"peak < 1MiB\"]").starts_with("missing")
    );
    let of = budget(
        "heap",
        "select = { route = \"/orders\" }\nlimits = [\"allocs/op < 10\"]",
    );
    assert_eq!(of.profiles(), ["heap"]);
}

#[test]
fn the_error_of_sampled_allocations_is_that_of_their_sampling() {
    // Samples of 1000 blocks of 1 KiB at a rate of 4 KiB, as the allocator takes them.
    let chance = 1.0 - (-0.25_f64).exp();
    let mut random = Rng::new(7);
    let (runs, mut beyond) = (2000, 0);
    for _ in 0..runs {
        let sampled = (0..1000).filter(|_| random.uniform() < chance).count();
        let estimate = sampled as f64 / chance;
        let deviation = (estimate * (1.0 - chance) / chance).sqrt();
        beyond += usize::from((estimate - 1000.0).abs() > deviation);
    }
    // 31.7 % of the time it is off by more than one deviation; 5 deviations of that share.
    let share = f64::from(beyond as u32) / f64::from(runs);
    let five = 5.0 * (0.317_f64 * 0.683 / f64::from(runs)).sqrt();
    assert!((share - 0.317).abs() < five + 0.01, "{share}");
}

const PAGE: &str = "\
http_server_requests_total{route=\"/a\",method=\"GET\",status=\"2xx\"} 100
http_server_requests_total{route=\"/a\",method=\"POST\",status=\"2xx\"} 100
http_server_request_body_bytes_total{route=\"/a\",method=\"GET\"} 0
http_server_request_body_bytes_total{route=\"/a\",method=\"POST\"} 200000
http_server_response_body_bytes_total{route=\"/a\",method=\"GET\"} 50000
http_server_response_body_bytes_total{route=\"/a\",method=\"POST\"} 1000
http_server_requests_in_flight{route=\"/a\",method=\"GET\"} 3
http_server_requests_in_flight{route=\"/a\",method=\"POST\"} 4
http_server_request_duration_seconds_bucket{route=\"/a\",method=\"GET\",status=\"2xx\",le=\"0.1\"} 95
http_server_request_duration_seconds_bucket{route=\"/a\",method=\"GET\",status=\"2xx\",le=\"+Inf\"} 98
http_server_request_duration_seconds_sum{route=\"/a\",method=\"GET\",status=\"2xx\"} 8
http_server_request_duration_seconds_count{route=\"/a\",method=\"GET\",status=\"2xx\"} 98
http_server_request_duration_seconds_count{route=\"/a\",method=\"GET\",status=\"panic\"} 1
http_server_request_duration_seconds_count{route=\"/a\",method=\"GET\",status=\"error\"} 1
http_server_request_duration_seconds_count{route=\"/a\",method=\"POST\",status=\"2xx\"} 100
http_server_request_duration_seconds_sum{route=\"/a\",method=\"POST\",status=\"2xx\"} 2
process_cpu_seconds_total 4
process_resident_memory_bytes 1048576
process_open_fds 40
heap_allocations_total 2000
heap_allocated_bytes_total 400000
heap_live_bytes 1000
db_pool_connections{pool=\"pg\"} 10
db_pool_idle_connections{pool=\"pg\"} 1
db_pool_max_connections{pool=\"pg\"} 12
db_pool_connections{pool=\"other\"} 10
db_pool_idle_connections{pool=\"other\"} 10
db_pool_acquires_total{pool=\"pg\"} 100
db_pool_wait_seconds_total{pool=\"pg\"} 0.5
db_pool_wait_seconds_bucket{pool=\"pg\",le=\"0.01\"} 90
db_pool_wait_seconds_bucket{pool=\"pg\",le=\"+Inf\"} 100
cache_hits_total{cache=\"sessions\"} 80
cache_misses_total{cache=\"sessions\"} 20
cache_hits_total{cache=\"new\"} 0
";

fn of_page(metric: &str, text: &str) -> String {
    let mut sources = Sources::new();
    sources.prometheus(PAGE).unwrap();
    lines(&check(&budget(metric, text), &sources, None))
}

#[test]
fn a_page_tells_of_requests_by_route_and_method_or_all_together() {
    let measured = |metric: &str, text: &str| {
        let line = of_page(metric, text);
        line.split("measured ").nth(1).unwrap_or(&line).to_owned()
    };
    assert_eq!(measured("request.size", "limits = [\"< 1MB\"]"), "1000 B");
    assert_eq!(
        measured(
            "request.size",
            "select = { route = \"POST /*\" }\nlimits = [\"< 1MB\"]"
        ),
        "2000 B"
    );
    assert_eq!(
        of_page(
            "response.size",
            "select = { route = \"/a\" }\nlimits = [\"mean <= 100B\"]"
        ),
        "breach response.size route=/a: GET /a: mean <= 100 B; measured 500 B\n\
         held response.size route=/a: POST /a: mean <= 100 B; measured 10 B"
    );
    assert_eq!(measured("concurrency", "limits = [\"now < 10\"]"), "7");
    assert_eq!(measured("latency", "limits = [\"mean < 1s\"]"), "50.0 ms");
    assert_eq!(
        measured(
            "error_rate",
            "select = { route = \"GET /a\" }\nlimits = [\"< 50%\"]"
        ),
        "2.0 % (0.32 % to 11.6 %)"
    );
    assert!(
        of_page(
            "latency",
            "select = { span = \"load\" }\nlimits = [\"p95 < 1s\"]"
        )
        .starts_with("missing")
    );
}

#[test]
fn a_page_tells_an_objective_of_latency_at_a_bound_of_its_buckets() {
    let of = |within: &str, objective: &str| {
        let text = format!("slo = {{ objective = \"{objective}\", within = \"{within}\" }}");
        of_page("latency", &text)
    };
    assert!(
        of("100ms", "80%").starts_with("held"),
        "{}",
        of("100ms", "80%")
    );
    assert!(
        of("100ms", "99.99%").starts_with("breach"),
        "{}",
        of("100ms", "99.99%")
    );
    assert!(
        of("200ms", "99%").starts_with("can't tell"),
        "{}",
        of("200ms", "99%")
    );
}

#[test]
fn a_page_tells_of_the_process_for_each_request() {
    let all = [
        ("cpu", "time/op < 1s", "20.0 ms"),
        ("heap", "bytes/op < 1MB", "2000 B"),
        ("heap", "allocs/op < 100", "10"),
        ("heap", "live < 1MB", "1000 B"),
        ("process.rss", "end < 1GB", "1.00 MiB"),
        ("process.fds", "< 100", "40"),
    ];
    for (metric, limit, expected) in all {
        let text = of_page(metric, &format!("limits = [\"{limit}\"]"));
        assert!(text.ends_with(&format!("measured {expected}")), "{text}");
    }
    for (metric, limit) in [
        ("process.cpu", "avg < 50%"),
        ("throughput", "> 1/s"),
        ("concurrency", "avg < 5"),
    ] {
        let text = of_page(metric, &format!("limits = [\"{limit}\"]"));
        assert!(text.contains("one page of metrics tells no rate"), "{text}");
    }
    assert!(
        of_page("cpu", "select = { route = \"/a\" }\nlimits = [\"< 1s\"]").contains("by route")
    );
}

#[test]
fn two_pages_tell_rates() {
    let earlier = "process_cpu_seconds_total 1\nprocess_open_fds 99\n\
        http_server_request_duration_seconds_count{route=\"/a\",method=\"GET\",status=\"2xx\"} 78\n\
        http_server_request_duration_seconds_sum{route=\"/a\",method=\"GET\",status=\"2xx\"} 3\n\
        http_server_request_duration_seconds_sum{route=\"/a\",method=\"POST\",status=\"2xx\"} 1\n";
    let mut sources = Sources::new();
    sources.prometheus_at(3.0, earlier).unwrap();
    sources.prometheus_at(5.0, PAGE).unwrap();
    let of = |metric: &str, text: &str| lines(&check(&budget(metric, text), &sources, None));
    assert!(of("process.cpu", "limits = [\"avg < 900%\"]").ends_with("measured 150.0 %"));
    assert!(of("throughput", "limits = [\"> 1/s\"]").ends_with("measured 61/s"));
    assert!(of("concurrency", "limits = [\"avg < 5\"]").ends_with("measured 3"));
    assert!(of("process.fds", "limits = [\"now < 100\"]").ends_with("measured 40"));
}

#[test]
fn pools_and_caches_are_told_by_name() {
    assert_eq!(
        of_page("pool", "limits = [\"usage < 70%\", \"in_use < 10\"]"),
        "held pool: other: usage < 70.0 %; measured 0.0 %\n\
         breach pool: pg: usage < 70.0 %; measured 75.0 %\n\
         held pool: other: in_use < 10; measured 0\n\
         held pool: pg: in_use < 10; measured 9"
    );
    assert_eq!(
        of_page(
            "pool",
            "select = { name = \"p*\" }\nlimits = [\"connections <= 10\", \"wait < 10ms\", \"p80 < 20ms\"]"
        ),
        "held pool p*: pg: connections <= 10; measured 10\n\
         held pool p*: pg: wait < 10.0 ms; measured 5.00 ms\n\
         held pool p*: pg: p80 < 20.0 ms; measured 8.89 ms (0 ns to 10.0 ms)"
    );
    assert_eq!(
        of_page(
            "cache.hit_rate",
            "select = { name = \"sessions\" }\nlimits = [\"> 50%\"]"
        ),
        "held cache.hit_rate sessions: sessions: rate > 50.0 %; measured 80.0 % (65.8 % to 89.3 %)"
    );
    let new = of_page(
        "cache.hit_rate",
        "select = { name = \"new\" }\nlimits = [\"> 50%\"]",
    );
    assert!(new.ends_with("nobody asked the cache"), "{new}");
}

#[test]
fn what_a_page_does_not_tell_is_taken_from_the_run() {
    let mut sources = Sources::new();
    sources.run_report(RUN).unwrap();
    sources.prometheus(PAGE).unwrap();
    let measured = |metric: &str, text: &str| {
        let line = lines(&check(&budget(metric, text), &sources, None));
        line.rsplit("measured ").next().unwrap_or("").to_owned()
    };
    assert_eq!(measured("response.size", "limits = [\"< 1MB\"]"), "255 B");
    assert_eq!(
        measured("cpu", "limits = [\"< 1s\"]"),
        "20.0 ms",
        "the page's"
    );
    let of_route = measured(
        "cpu",
        "select = { route = \"/orders\" }\nlimits = [\"< 1s\"]",
    );
    assert!(of_route.starts_with("20.0 ms (19.3"), "{of_route}");
    let neither = check(
        &budget(
            "pool",
            "select = { name = \"no\" }\nlimits = [\"usage < 80%\"]",
        ),
        &sources,
        None,
    );
    assert_eq!(neither.rows[0].verdict, Verdict::Missing);
    assert_eq!(
        neither.rows[0].reason,
        "the page has no db_pool_connections of this selection"
    );
}
