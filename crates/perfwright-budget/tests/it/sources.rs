//! Numbers from runs, pages of metrics, criterion and files; also broken ones.

use std::fs;

use perfwright_budget::{PackageQuery, Sources, Verdict};
use tempfile::TempDir;

use crate::{budget, budgets, check, lines};

/// The part of a run's report that budgets read.
const RUN: &str = r#"{
  "schema_version": 1,
  "capture": { "cpu_nanos": 5000000000, "duration_nanos": 10000000000 },
  "load": {
    "requests": [
      { "name": "browse", "count": 900, "errors": 0, "rps": 90.0, "p50_ms": 1.5, "p95_ms": 4.0, "p99_ms": 9.0, "max_ms": 20.0 },
      { "name": "order", "count": 100, "errors": 50, "rps": 10.0, "p50_ms": 15.0, "p95_ms": 40.0, "p99_ms": 90.0, "max_ms": 200.0 }
    ],
    "all": { "name": "all", "count": 1000, "errors": 50, "rps": 100.0, "p50_ms": 2.0, "p95_ms": 30.0, "p99_ms": 80.0, "max_ms": 200.0 }
  },
  "memory": { "allocated_bytes": 4096000, "allocations": 3000, "resident_end": 1048576, "resident_peak": 2097152, "live_end": 1000, "timeline": [] },
  "spans": { "routes": [
    { "route": "GET /orders", "requests": 40, "errors": null, "p50_ms": 3.0, "p95_ms": null, "p99_ms": 7.0 }
  ] }
}"#;

fn of_run(metric: &str, text: &str) -> String {
    let mut sources = Sources::new();
    sources.run_report(RUN).unwrap();
    lines(&check(&budget(metric, text), &sources, None))
}

#[test]
fn a_run_tells_of_requests_by_route_or_all_together() {
    assert_eq!(
        of_run("latency", "limits = [\"p95 < 35ms\"]"),
        "held latency: p95 < 35.0 ms; measured 30.0 ms"
    );
    assert_eq!(
        of_run(
            "latency",
            "select = { route = \"*\" }\nlimits = [\"p95 < 35ms\"]"
        ),
        "held latency route=*: browse: p95 < 35.0 ms; measured 4.00 ms\n\
         breach latency route=*: order: p95 < 35.0 ms; measured 40.0 ms"
    );
    assert_eq!(
        of_run(
            "latency",
            "select = { route = \"GET /orders\" }\nlimits = [\"p99 < 8ms\", \"p95 < 8ms\"]"
        ),
        "held latency route=GET /orders: GET /orders: p99 < 8.00 ms; measured 7.00 ms\n\
         missing latency route=GET /orders: GET /orders: p95 < 8.00 ms; measured nothing; the run does not tell p95"
    );
    assert_eq!(
        of_run(
            "throughput",
            "select = { route = \"GET /orders\" }\nlimits = [\"> 3/s\"]"
        ),
        "held throughput route=GET /orders: GET /orders: rate > 3/s; measured 4/s"
    );
    assert_eq!(
        of_run("error_rate", "limits = [\"< 1%\"]"),
        "breach error_rate: rate < 1.0 %; measured 5.0 % (3.3 % to 7.5 %)"
    );
}

#[test]
fn too_few_requests_are_missing_data() {
    let text = of_run(
        "latency",
        "select = { route = \"GET /orders\" }\nlimits = [\"p50 < 8ms\"]\nmin_samples = 50",
    );
    assert!(
        text.ends_with("40 samples, of at least 50 that are needed"),
        "{text}"
    );
}

#[test]
fn a_run_tells_of_the_process() {
    assert_eq!(
        of_run("process.cpu", "limits = [\"avg < 60%\"]"),
        "held process.cpu: avg < 60.0 %; measured 50.0 %"
    );
    assert_eq!(
        of_run("process.rss", "limits = [\"max < 3MiB\", \"end <= 1MiB\"]"),
        "held process.rss: max < 3.00 MiB; measured 2.00 MiB\n\
         held process.rss: end <= 1.00 MiB; measured 1.00 MiB"
    );
    assert_eq!(
        of_run(
            "heap",
            "limits = [\"allocs/op <= 3\", \"bytes/op < 4KiB\", \"peak < 1MiB\"]"
        ),
        "held heap: allocs/op <= 3; measured 3\n\
         breach heap: bytes/op < 4096 B; measured 4096 B\n\
         missing heap: peak < 1.00 MiB; measured nothing; the run has no timeline of the heap"
    );
}

#[test]
fn broken_reports_are_refused_or_missing() {
    for broken in ["", "{", "[]", "{}", "{\"schema_version\": 2}"] {
        assert!(Sources::new().run_report(broken).is_err(), "{broken}");
    }
    let all = "[[budget]]\nmetric = \"latency\"\nlimits = [\"p95 < 1s\"]\n\
               [[budget]]\nmetric = \"throughput\"\nlimits = [\"> 1/s\"]\n\
               [[budget]]\nmetric = \"process.cpu\"\nlimits = [\"< 10%\"]\n\
               [[budget]]\nmetric = \"heap\"\nlimits = [\"bytes/op < 1B\", \"live < 1B\"]\n";
    let odd = [
        r#"{"schema_version": 1}"#,
        r#"{"schema_version": 1, "load": {"all": {"count": 0}}, "capture": {"cpu_nanos": 1, "duration_nanos": 0}}"#,
        r#"{"schema_version": 1, "load": {"all": {"count": "many"}}, "capture": [], "memory": {"timeline": 3}}"#,
        r#"{"schema_version": 1, "load": [], "spans": {"routes": [3, {"route": 4}]}, "memory": null}"#,
    ];
    for report in odd {
        let mut sources = Sources::new();
        sources.run_report(report).unwrap();
        let report = check(&budgets(all), &sources, None);
        assert_eq!(report.count(Verdict::Missing), 5, "{}", lines(&report));
        assert_eq!(report.exit_code(), 3);
    }
}

const PAGE: &str = "\
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_bucket{route=\"/a\",status=\"2xx\",le=\"0.1\"} 90
http_server_request_duration_seconds_bucket{route=\"/a\",status=\"2xx\",le=\"0.5\"} 97
http_server_request_duration_seconds_bucket{route=\"/a\",status=\"2xx\",le=\"+Inf\"} 98
http_server_request_duration_seconds_count{route=\"/a\",status=\"2xx\"} 98
http_server_request_duration_seconds_bucket{route=\"/a\",status=\"5xx\",le=\"0.1\"} 2
http_server_request_duration_seconds_bucket{route=\"/a\",status=\"5xx\",le=\"0.5\"} 2
http_server_request_duration_seconds_bucket{route=\"/a\",status=\"5xx\",le=\"+Inf\"} 2
http_server_request_duration_seconds_count{route=\"/a\",status=\"5xx\"} 2
pool_connections{pool=\"pg\"} 12
";

fn of_page(metric: &str, text: &str) -> String {
    let mut sources = Sources::new();
    sources.prometheus(PAGE).unwrap();
    lines(&check(&budget(metric, text), &sources, None))
}

#[test]
fn a_histogram_knows_a_quantile_to_its_bucket() {
    assert_eq!(
        of_page(
            "latency",
            "select = { route = \"/a\" }\nlimits = [\"p95 < 600ms\"]"
        ),
        "held latency route=/a: /a: p95 < 600 ms; measured 271 ms (100 ms to 500 ms)"
    );
    assert!(of_page("latency", "limits = [\"p95 < 100ms\"]").starts_with("breach"));
    assert!(of_page("latency", "limits = [\"p95 < 200ms\"]").starts_with("can't tell"));
    let beyond = of_page("latency", "limits = [\"p99.9 < 400ms\"]");
    assert!(
        beyond.starts_with("breach") && beyond.contains("above 500 ms"),
        "{beyond}"
    );
    assert!(of_page("latency", "limits = [\"max < 1s\"]").starts_with("missing"));
}

#[test]
fn a_page_tells_errors_and_any_metric() {
    assert!(of_page("error_rate", "limits = [\"< 1%\"]").contains("measured 2.0 %"));
    assert_eq!(
        of_page(
            "prometheus",
            "select = { name = \"pool_connections\", label = { pool = \"p*\" } }\nlimits = [\"< 10\"]"
        ),
        "breach prometheus pool_connections, pool=p*: pool=pg: value < 10; measured 12"
    );
    let none = of_page(
        "prometheus",
        "select = { name = \"pool\" }\nlimits = [\"< 10\"]",
    );
    assert!(
        none.ends_with("the page has no pool of this selection"),
        "{none}"
    );
    assert!(of_page("throughput", "limits = [\"> 10/s\"]").starts_with("missing"));
    assert!(Sources::new().prometheus("no metric here").is_err());
}

fn write(folder: &TempDir, path: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn criterions_results_are_read_by_their_names() {
    let folder = TempDir::new().unwrap();
    write(&folder, "codec/encode/new/estimates.json", ESTIMATES);
    write(
        &folder,
        "codec/encode/new/benchmark.json",
        r#"{"full_id": "codec/encode"}"#,
    );
    write(&folder, "codec/encode/base/estimates.json", "{}");
    write(
        &folder,
        "codec/decode/new/estimates.json",
        "{\"median\": {\"value\": 3}}",
    );
    write(&folder, "other/new/estimates.json", "not json");
    let mut sources = Sources::new();
    sources.criterion(folder.path());
    let of = |text: &str| lines(&check(&budget("bench", text), &sources, None));
    assert_eq!(
        of("select = { bench = \"codec/*\" }\nlimits = [\"median < 12us\"]"),
        "missing bench codec/*: codec/decode: median < 12.0 µs; measured nothing; \
         estimates.json: median.point_estimate is no number (criterion 0.3 to 0.8 are known here, and no other version)\n\
         breach bench codec/*: codec/encode: median < 12.0 µs; measured 12.5 µs (12.5 µs to 12.5 µs)"
    );
    assert!(
        of("select = { bench = \"codec/encode\" }\nlimits = [\"slope < 13us\"]")
            .ends_with("no slope of this bench")
    );
    assert!(
        of("select = { bench = \"other\" }\nlimits = [\"median < 13us\"]").starts_with("missing")
    );
    assert!(
        of("select = { bench = \"gone\" }\nlimits = [\"median < 13us\"]")
            .ends_with("no results of this name")
    );
}

const ESTIMATES: &str = r#"{
    "median": {"point_estimate": 12500.0, "standard_error": 10.0, "confidence_interval":
        {"confidence_level": 0.95, "lower_bound": 12480.0, "upper_bound": 12520.0}},
    "mean": {"point_estimate": 12600.0, "standard_error": 10.0, "confidence_interval":
        {"confidence_level": 0.95, "lower_bound": 12580.0, "upper_bound": 12620.0}},
    "slope": null}"#;

#[test]
fn what_a_bench_allocates_is_held_against_a_budget() {
    let folder = TempDir::new().unwrap();
    let counts = r#"{"version": 1, "name": "codec/encode", "iterations": 7,
        "allocations": {"count": 3.0, "bytes": 4096.0, "same_each_time": true}}"#;
    write(&folder, "codec/encode/new/perfwright.json", counts);
    write(&folder, "codec/decode/new/estimates.json", ESTIMATES);
    let later = r#"{"version": 2}"#;
    write(&folder, "codec/later/new/perfwright.json", later);
    let mut sources = Sources::new();
    sources.criterion(folder.path());
    let of = |bench: &str, limits: &str| {
        let text = format!("select = {{ bench = \"codec/{bench}\" }}\nlimits = [{limits}]");
        lines(&check(&budget("bench", &text), &sources, None))
    };
    assert_eq!(
        of("encode", "\"allocs <= 2\", \"bytes <= 4KiB\""),
        "breach bench codec/encode: codec/encode: allocs <= 2; measured 3\n\
         held bench codec/encode: codec/encode: bytes <= 4096 B; measured 4096 B"
    );
    assert!(
        of("decode", "\"allocs <= 2\"").ends_with("the bench does not count what it allocates")
    );
    assert!(
        of("later", "\"allocs <= 2\"")
            .ends_with("perfwright.json: it has version 2, and 1 is read")
    );
}

#[test]
fn files_are_found_and_weighed() {
    let folder = TempDir::new().unwrap();
    write(&folder, "dist/a.js", "a".repeat(10_000));
    write(&folder, "dist/b.js", "xyz");
    write(&folder, "dist/deep/c.js", "xyz");
    write(&folder, "dist/d.css", "xyz");
    let mut sources = Sources::new();
    sources.root(folder.path());
    let of = |text: &str| lines(&check(&budget("size", text), &sources, None));
    assert_eq!(
        of("select = { artifact = \"dist/*.js\" }\nlimits = [\"raw < 9kB\"]"),
        "breach size dist/*.js: dist/a.js: raw < 9000 B; measured 10000 B\n\
         held size dist/*.js: dist/b.js: raw < 9000 B; measured 3 B"
    );
    assert_eq!(
        of("select = { artifact = \"dist/**/*.js\" }\nlimits = [\"raw < 9kB\"]")
            .lines()
            .count(),
        3
    );
    let small =
        of("select = { artifact = \"dist/a.js\" }\nlimits = [\"gzip < 100B\", \"brotli < 50B\"]");
    assert_eq!(small.matches("held").count(), 2, "{small}");
    assert!(
        of("select = { artifact = [\"dist/b.js\", \"gone\"] }\nlimits = [\"raw < 9kB\"]")
            .ends_with("missing size dist/b.js or gone: gone: raw < 9000 B; measured nothing; there is no such file")
    );
}

#[test]
fn gzip_is_what_gunzip_reads_back() {
    let folder = TempDir::new().unwrap();
    let text: String = (0..5_000).map(|i| format!("{} ", i * i % 977)).collect();
    write(&folder, "a.txt", &text);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    let expected = encoder.finish().unwrap().len();
    let mut sources = Sources::new();
    sources.root(folder.path());
    let at = |limit: usize| {
        let text = format!("select = {{ artifact = \"a.txt\" }}\nlimits = [\"gzip < {limit}B\"]");
        check(&budget("size", &text), &sources, None).exit_code()
    };
    assert_eq!((at(expected), at(expected + 1)), (3, 0));
}

#[test]
fn dependencies_are_counted_by_features() {
    let budgets = budget(
        "dependencies",
        "select = { package = \"shop\", default_features = false, features = [\"x\"] }\nlimits = [\"count <= 25\"]",
    );
    let query = PackageQuery {
        package: "shop".to_owned(),
        features: vec!["x".to_owned()],
        default_features: false,
    };
    assert_eq!(budgets.packages(), std::slice::from_ref(&query));
    let mut sources = Sources::new();
    assert_eq!(
        check(&budgets, &sources, None).rows[0].verdict,
        Verdict::Missing
    );
    sources.dependencies(query, 25);
    assert_eq!(
        check(&budgets, &sources, None).rows[0].verdict,
        Verdict::Held
    );
}

/// One budget, held against a run, a page of metrics, and what a load driver reports.
#[test]
fn one_budget_is_for_a_run_a_page_and_a_load_result_alike() {
    let budgets = budget("latency", "limits = [\"p99 < 300ms\"]");
    let k6 = r#"{"metrics": {
        "http_reqs": {"count": 100, "rate": 10.0},
        "http_req_duration": {"avg": 20.0, "med": 10.0, "p(95)": 30.0, "p(99)": 80.0, "max": 200.0},
        "http_req_failed": {"passes": 0, "fails": 100, "value": 0.0}
    }}"#;
    let of = |add: &dyn Fn(&mut Sources)| {
        let mut sources = Sources::new();
        add(&mut sources);
        let report = check(&budgets, &sources, None);
        assert_eq!(report.rows.len(), 1);
        (report.rows[0].verdict, lines(&report))
    };
    let of_run = of(&|sources| {
        sources.run_report(RUN).unwrap();
    });
    let of_page = of(&|sources| {
        sources.prometheus(PAGE).unwrap();
    });
    let of_load = of(&|sources| {
        sources.load_result(k6).unwrap();
    });
    assert_eq!(of_run.1, "held latency: p99 < 300 ms; measured 80.0 ms");
    assert_eq!(of_load.1, of_run.1);
    assert_eq!(
        of_page.0,
        Verdict::CannotTell,
        "{}: 99 of 100 are within 500 ms",
        of_page.1
    );
}
