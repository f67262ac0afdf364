//! Pages of metrics over time: rates, percentiles of what came new, series; restarts and broken pages.

use std::fmt::Write as _;

use perfwright_budget::{Sources, Verdict};

use crate::{budget, check, lines};

/// What a service counted so far.
struct Moment {
    fast: u32,
    slow: u32,
    failed: u32,
    cpu_seconds: f64,
    resident: u32,
}

fn page(moment: &Moment) -> String {
    let name = "http_server_request_duration_seconds";
    let labels = |status: &str| format!("method=\"GET\",route=\"/a\",status=\"{status}\"");
    let ok = moment.fast + moment.slow;
    let mut page = String::new();
    for (status, le, count) in [
        ("2xx", "0.1", moment.fast),
        ("2xx", "1", ok),
        ("2xx", "+Inf", ok),
        ("5xx", "0.1", moment.failed),
        ("5xx", "1", moment.failed),
        ("5xx", "+Inf", moment.failed),
    ] {
        let _ = writeln!(
            page,
            "{name}_bucket{{{},le=\"{le}\"}} {count}",
            labels(status)
        );
    }
    let _ = writeln!(page, "{name}_count{{{}}} {ok}", labels("2xx"));
    // A counter of errors is there once there is an error.
    if moment.failed > 0 {
        let _ = writeln!(page, "{name}_count{{{}}} {}", labels("5xx"), moment.failed);
    }
    let _ = writeln!(page, "process_cpu_seconds_total {}", moment.cpu_seconds);
    let _ = writeln!(page, "process_resident_memory_bytes {}", moment.resident);
    page
}

/// Three pages, ten seconds apart: slow before, fast while it was watched, with one failure and a restart.
fn watched() -> Sources {
    let moment = |fast, slow, failed, cpu_seconds, resident| Moment {
        fast,
        slow,
        failed,
        cpu_seconds,
        resident,
    };
    let moments = [
        moment(100, 900, 0, 7.0, 1_000_000),
        moment(200, 900, 0, 12.0, 3_000_000),
        // It began anew, and has counted from 0 since.
        moment(99, 0, 1, 3.0, 2_000_000),
    ];
    let mut sources = Sources::new();
    for (at, moment) in moments.iter().enumerate() {
        sources
            .prometheus_at(at as f64 * 10.0, &page(moment))
            .unwrap();
    }
    sources
}

fn of(sources: &Sources, metric: &str, text: &str) -> String {
    lines(&check(&budget(metric, text), sources, None))
}

#[test]
fn of_several_pages_only_what_came_new_counts() {
    let sources = watched();
    let latency = of(&sources, "latency", "limits = [\"p95 < 200ms\"]");
    assert_eq!(
        latency,
        "held latency: p95 < 200 ms; measured 95.0 ms (0 ns to 100 ms)"
    );
    assert_eq!(
        of(&sources, "throughput", "limits = [\"> 9/s\"]"),
        "held throughput: rate > 9/s; measured 10/s"
    );
    let errors = of(
        &sources,
        "error_rate",
        "select = { route = \"GET /a\" }\nlimits = [\"< 5%\"]",
    );
    assert!(
        errors.starts_with("held error_rate route=GET /a: GET /a: rate < 5.0 %; measured 0.50 %"),
        "{errors}"
    );
    assert_eq!(
        of(&sources, "process.cpu", "limits = [\"avg < 50%\"]"),
        "held process.cpu: avg < 50.0 %; measured 40.0 %"
    );
}

#[test]
fn gauges_have_statistics_over_time() {
    let sources = watched();
    assert_eq!(
        of(
            &sources,
            "process.rss",
            "limits = [\"max < 2MB\", \"end <= 2MB\", \"slope < 1GB/h\"]"
        ),
        "breach process.rss: max < 1.91 MiB; measured 2.86 MiB\n\
         held process.rss: end <= 1.91 MiB; measured 1.91 MiB\n\
         held process.rss: slope < 954 MiB/h; measured 172 MiB/h (-720 MiB/h to 1.04 GiB/h)"
    );
    let named = |stats: &str| {
        let select = "select = { name = \"process_resident_memory_bytes\" }";
        of(
            &sources,
            "prometheus",
            &format!("{select}\nlimits = [{stats}]"),
        )
    };
    let told = named("\"min < 9\", \"avg < 9\", \"value < 9\"");
    let values: Vec<&str> = told
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(values, ["1000000", "2000000", "2000000"]);
    let select = "select = { name = \"process_cpu_seconds_total\" }";
    assert!(
        of(
            &sources,
            "prometheus",
            &format!("{select}\nlimits = [\"rate < 1\"]")
        )
        .ends_with("measured 0.400")
    );
}

#[test]
fn one_page_has_no_rate() {
    let mut sources = Sources::new();
    sources.prometheus("process_cpu_seconds_total 3\n").unwrap();
    let text = of(&sources, "process.cpu", "limits = [\"avg < 50%\"]");
    assert!(
        text.starts_with("missing") && text.contains("one page of metrics tells no rate"),
        "{text}"
    );
    let text = of(&sources, "process.rss", "limits = [\"max < 5MB\"]");
    assert!(
        text.ends_with("the page has no process_resident_memory_bytes"),
        "{text}"
    );
}

#[test]
fn a_limit_may_be_broken_for_a_moment() {
    let of = |seconds: u32| {
        let text = format!("limits = [\"max < 2500kB\"]\nsustained = {{ for = \"{seconds}s\" }}");
        check(&budget("process.rss", &text), &watched(), None).rows[0].verdict
    };
    assert_eq!(of(15), Verdict::Held);
}

#[test]
fn pages_out_of_order_or_broken_are_refused() {
    let mut sources = Sources::new();
    sources.prometheus_at(5.0, "a 1\n").unwrap();
    for (at, text) in [
        (5.0, "a 1\n"),
        (4.0, "a 1\n"),
        (f64::NAN, "a 1\n"),
        (6.0, "a{"),
    ] {
        assert!(sources.prometheus_at(at, text).is_err(), "{at} {text}");
    }
    sources.prometheus_at(6.0, "a NaN\n").unwrap();
    let text = of(
        &sources,
        "prometheus",
        "select = { name = \"a\" }\nlimits = [\"< 2\"]",
    );
    assert_eq!(text, "held prometheus a: value < 2; measured 1");
}

/// Bytes of pages changed at random, with a seed: an error or a verdict, whatever they are.
#[test]
fn hostile_pages_give_errors_or_verdicts() {
    let good = page(&Moment {
        fast: 3,
        slow: 2,
        failed: 1,
        cpu_seconds: 1.5,
        resident: 77,
    });
    let all = "[[budget]]\nmetric = \"latency\"\nlimits = [\"p95 < 1s\"]\n\
               [[budget]]\nmetric = \"throughput\"\nlimits = [\"> 1/s\"]\n\
               [[budget]]\nmetric = \"error_rate\"\nlimits = [\"< 1%\"]\n\
               [[budget]]\nmetric = \"process.rss\"\nlimits = [\"slope < 1MB/h\"]\n";
    let budgets = crate::budgets(all);
    let mut rng = perfwright_stats::Rng::new(5);
    for round in 0..1_000 {
        let mut sources = Sources::new();
        for at in 0..3 {
            let mut bytes = good.clone().into_bytes();
            for _ in 0..=rng.below(6) {
                let place = rng.below(bytes.len());
                bytes[place] = b"0123456789.-+eE{}\",=\\ \nNaInf"[rng.below(28)];
            }
            let text = String::from_utf8(bytes).unwrap();
            // A page that is none is left out, as the command does.
            let _ = sources.prometheus_at(f64::from(at), &text);
        }
        assert!(
            check(&budgets, &sources, None).rows.len() >= 4,
            "round {round}"
        );
    }
}
