//! Results of load drivers, told apart by their content; also broken ones.

use perfwright_budget::Sources;

use crate::{budget, budgets, check, lines};

/// As oha 1 writes it, cut to what is read.
const OHA: &str = r#"{
  "summary": { "successRate": 0.98, "total": 10.0, "slowest": 0.5, "fastest": 0.001, "average": 0.02, "requestsPerSec": 100.0 },
  "latencyPercentiles": { "p10": 0.001, "p50": 0.010, "p95": 0.2, "p99": 0.3, "p99.9": 0.4, "p99.99": 0.5 },
  "statusCodeDistribution": { "200": 950, "404": 20, "503": 10 },
  "errorDistribution": { "aborted due to deadline": 50, "connection error": 20 }
}"#;

/// As `k6 run --summary-export` writes it.
const K6: &str = r#"{
  "metrics": {
    "http_req_duration": { "avg": 20.0, "min": 1.0, "med": 10.0, "max": 500.0, "p(90)": 150.0, "p(95)": 200.0, "p(99.9)": 400.0 },
    "http_req_duration{name:orders}": { "med": 30.0, "p(95)": 300.0 },
    "http_reqs{name:orders}": { "count": 100, "rate": 10.0 },
    "http_req_failed": { "passes": 50, "fails": 950, "value": 0.05 },
    "http_reqs": { "count": 1000, "rate": 100.0 }
  },
  "root_group": {}
}"#;

/// As `wrk --latency` prints it.
const WRK: &str = "\
Running 10s test @ http://127.0.0.1:3000/
  2 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    20.00ms    5.00ms 500.00ms   90.00%
    Req/Sec    50.00      3.00    60.00     75.00%
  Latency Distribution
     50%   10.00ms
     75%   50.00ms
     90%  150.00ms
     99%    1.20s
  1000 requests in 10.00s, 1.00MB read
  Socket errors: connect 10, read 5, write 0, timeout 15
  Non-2xx or 3xx responses: 20
Requests/sec:    100.00
Transfer/sec:    102.40KB
";

fn of(load: &str, metric: &str, text: &str) -> String {
    let mut sources = Sources::new();
    sources.load_result(load).unwrap();
    lines(&check(&budget(metric, text), &sources, None))
}

/// What is measured, without what it is held against.
fn measured(load: &str, metric: &str, limit: &str) -> String {
    let line = of(load, metric, &format!("limits = [\"{limit}\"]"));
    line.split_once("measured ").unwrap().1.to_owned()
}

#[test]
fn drivers_tell_of_all_requests() {
    for (load, errors) in [
        (OHA, "5.0 % (3.3 % to 7.5 %)"),
        (K6, "5.0 % (3.3 % to 7.5 %)"),
        (WRK, "5.0 % (3.3 % to 7.5 %)"),
    ] {
        assert_eq!(measured(load, "latency", "p50 < 1s"), "10.0 ms", "{load}");
        assert_eq!(measured(load, "latency", "max < 1s"), "500 ms", "{load}");
        assert_eq!(measured(load, "throughput", "> 1/s"), "100/s", "{load}");
        assert_eq!(measured(load, "error_rate", "< 10%"), errors, "{load}");
    }
    assert_eq!(measured(OHA, "latency", "p99.9 < 1s"), "400 ms");
    assert_eq!(measured(K6, "latency", "p99.9 < 1s"), "400 ms");
    assert_eq!(measured(WRK, "latency", "p99 < 1s"), "1.20 s");
}

#[test]
fn parts_of_k6_are_requests_by_name() {
    let text = of(
        K6,
        "latency",
        "select = { route = \"ord*\" }\nlimits = [\"p95 < 250ms\"]",
    );
    assert_eq!(
        text,
        "breach latency route=ord*: orders: p95 < 250 ms; measured 300 ms"
    );
    let in_values = K6
        .replace("{ \"avg\"", "{ \"type\": \"trend\", \"values\": { \"avg\"")
        .replace("400.0 }", "400.0 } }");
    assert_eq!(measured(&in_values, "latency", "p50 < 1s"), "10.0 ms");
}

#[test]
fn a_result_stands_in_place_of_the_runs_own() {
    let run = r#"{"schema_version": 1, "memory": {"allocations": 4000}, "load": {"all": {"count": 7, "p50_ms": 1.0}}}"#;
    let of = |first: &str, second: &str| {
        let mut sources = Sources::new();
        for text in [first, second] {
            match text.contains("schema_version") {
                true => sources.run_report(text).unwrap(),
                false => sources.load_result(text).unwrap(),
            };
        }
        sources
            .prometheus("http_server_request_duration_seconds_bucket{le=\"9\"} 1\n")
            .unwrap();
        lines(&check(
            &budget("latency", "limits = [\"p50 < 1s\"]"),
            &sources,
            None,
        ))
    };
    assert!(
        of(run, K6).ends_with("measured 10.0 ms"),
        "clients know better than a page"
    );
    assert_eq!(of(run, K6), of(K6, run));
    let mut own = Sources::new();
    own.load_result(run).unwrap();
    assert!(
        lines(&check(
            &budget("latency", "limits = [\"p50 < 1s\"]"),
            &own,
            None
        ))
        .ends_with("measured 1.00 ms")
    );
}

#[test]
fn what_is_no_result_is_refused() {
    for broken in [
        "",
        "{",
        "[]",
        "{}",
        "hello",
        "{\"metrics\": 3}",
        "{\"summary\": {}}",
        "1 requests in 2s",
    ] {
        assert!(Sources::new().load_result(broken).is_err(), "{broken}");
    }
    let deep = format!("{{\"load\": {}", "[".repeat(100_000));
    assert!(Sources::new().load_result(&deep).is_err());
}

/// Bytes of results changed at random, with a seed: an error or a verdict, whatever they are.
#[test]
fn hostile_results_give_errors_or_verdicts() {
    let all = "[[budget]]\nmetric = \"latency\"\nselect = { route = \"*\" }\nlimits = [\"p95 < 1s\"]\n\
               [[budget]]\nmetric = \"latency\"\nlimits = [\"p95 < 1s\"]\n\
               [[budget]]\nmetric = \"throughput\"\nlimits = [\"> 1/s\"]\n\
               [[budget]]\nmetric = \"error_rate\"\nlimits = [\"< 1%\"]\n";
    let budgets = budgets(all);
    let mut rng = perfwright_stats::Rng::new(3);
    for round in 0..3_000 {
        let mut bytes = [OHA, K6, WRK][round % 3].as_bytes().to_vec();
        for _ in 0..=rng.below(5) {
            let place = rng.below(bytes.len());
            bytes[place] = b"0123456789.-eE{}[]\",: \nnull%ms"[rng.below(30)];
        }
        let mut sources = Sources::new();
        if sources
            .load_result(&String::from_utf8(bytes).unwrap())
            .is_ok()
        {
            assert!(
                check(&budgets, &sources, None).rows.len() >= 4,
                "round {round}"
            );
        }
    }
}
