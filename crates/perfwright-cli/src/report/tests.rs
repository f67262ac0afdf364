use std::num::NonZeroU32;

use perfwright_model::{
    Frame, Function, LabelSetId, Location, LocationId, Profile, SampleType, keys,
};

use perfwright::spans::{Account, PathAccount};

use super::*;
use crate::terminal::Terminal;

/// Six seconds of a service: two workers, one of them with time that was not sampled.
fn profile() -> Profile {
    let types = [
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ];
    let mut profile = Profile::new(types);
    profile.meta.default_sample_type = Some(1);
    let lines = [
        (
            "worker",
            1,
            "main;shop::serve;shop::search;regex::compile",
            3_000,
        ),
        ("worker", 2, "main;shop::serve;shop::list", 2_000),
        ("worker", 2, "[kernel or lost]", 500),
        ("log", 3, "main;shop::log", 500),
    ];
    for (thread, tid, stack, ms) in lines {
        let frames: Vec<_> = stack
            .split(';')
            .map(|name| location(&mut profile, name))
            .collect();
        let stack = profile.intern_stack_root_first(frames);
        let labels = [
            profile.str_label(keys::THREAD, thread),
            profile.num_label(keys::TID, tid, ""),
        ];
        let labels = profile.intern_labels(&labels);
        profile.record(stack, labels, &[ms, ms * 1_000_000]);
    }
    profile
}

/// A location; the program's own functions have a file and a line.
fn location(profile: &mut Profile, name: &str) -> LocationId {
    if !name.starts_with("shop::") {
        return profile.frame_location(name);
    }
    let mut function = Function::named(profile.intern(name));
    function.filename = profile.intern("/home/me/shop/src/main.rs");
    let function = profile.add_function(function);
    let line = NonZeroU32::new(12);
    let frame = Frame {
        function,
        line,
        column: None,
    };
    profile.add_location(Location::default(), &[frame])
}

fn audit() -> Audit {
    let mut audit = Audit::default();
    audit.engine = perfwright_cpu::Engine::Perf;
    audit.frequency_asked_hz = 999;
    audit.frequency_effective_hz = 916.7;
    (audit.expected, audit.delivered) = (6_000, 5_500);
    (audit.rootless, audit.repaired, audit.threads_seen) = (11, 200, 3);
    (audit.cpu_nanos, audit.sampled_nanos) = (6_000_000_000, 5_900_000_000);
    (audit.lost_nanos, audit.own_cpu_nanos) = (100_000_000, 60_000_000);
    audit.duration_nanos = 10_000_000_000;
    audit
}

fn report() -> Report {
    let run = RunInfo {
        program: "shop".into(),
        args: vec!["--listen".into(), "127.0.0.1:8080".into()],
        command: "cargo perfwright profile".into(),
        started_unix: 1_795_225_180,
        duration_s: 10.04,
        ended_early: None,
        load_per_core: Some(0.25),
    };
    let stats = |name: &str, count, errors| RequestStats {
        name: name.into(),
        count,
        errors,
        rps: count as f64 / 10.0,
        p50_ms: 0.824,
        p95_ms: 12.44,
        p99_ms: 140.2,
        p99_9_ms: 700.0,
        max_ms: 1_240.0,
        mean_ms: 2.5,
        request_bytes: 17 * count,
        response_bytes: 1_000 * count,
    };
    let mut report = Report::new(run, &profile(), &audit(), &Default::default());
    report.load = Some(Load {
        connections: 8,
        requests: vec![stats("search", 3_000, 0), stats("checkout", 400, 2)],
        all: stats("all", 3_400, 2),
    });
    report.source_roots = vec!["/home/me/shop".into()];
    report.folder = "target/perfwright/latest".into();
    report.files = vec![
        FileInfo::new("cpu.svg", "flamegraph: open it in a browser"),
        FileInfo::new("cpu.pb.gz", "pprof: go tool pprof -http=: FILE"),
    ];
    report
}

/// Ten seconds of two routes: one computes, the other sleeps in its polls and has no sample; a worker besides.
fn spans() -> Spans {
    let ms = 1_000_000;
    let mut cpu = Profile::new([
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ]);
    cpu.meta.default_sample_type = Some(1);
    let leaf = cpu.frame_location("work");
    let stack = cpu.intern_stack_root_first([leaf]);
    let labels = [
        cpu.str_label(keys::ROUTE, "/search"),
        cpu.str_label(keys::SPAN, "parse"),
        cpu.str_label(keys::SPAN_PATH, "request > parse"),
        cpu.num_label(keys::TID, 1, ""),
    ];
    let labels = cpu.intern_labels(&labels);
    cpu.record(stack, labels, &[3_000, 3_000 * ms]);
    cpu.record(stack, LabelSetId::EMPTY, &[1_000, 1_000 * ms]);

    let mut spans = Profile::new([
        SampleType::new("count", "count"),
        SampleType::new("busy", "nanoseconds"),
    ]);
    let mut paths = Vec::new();
    let rows = [
        ("/search", "request", 400, 40),
        ("/search", "request;parse", 400, 3_100),
        ("/sleep", "request", 20, 900),
        ("worker", "worker", 1, 4),
    ];
    for (route, path, count, busy) in rows {
        let path: Vec<String> = path.split(';').map(str::to_owned).collect();
        let frames: Vec<_> = path.iter().map(|name| spans.frame_location(name)).collect();
        let stack = spans.intern_stack_root_first(frames);
        let label = spans.str_label(keys::ROUTE, route);
        let labels = spans.intern_labels(&[label]);
        spans.record(stack, labels, &[count, busy * ms]);
        paths.push(PathAccount {
            route: Some(route.into()),
            path,
            file: Some("/home/me/shop/src/main.rs".into()),
            line: Some(40),
            count: count as u64,
            errors: u64::from(route == "/sleep"),
            polls: 2 * count as u64,
            busy: (busy * ms) as u64,
            idle: 70_000_000,
            p50: (route != "worker").then_some(9_000_000),
            p99: (route != "worker").then_some(24_000_000),
            ..PathAccount::default()
        });
    }
    paths.push(PathAccount {
        route: Some("/search".into()),
        path: ["request", "SELECT id FROM products WHERE name = ?"]
            .map(String::from)
            .into(),
        target: "sqlx::query".into(),
        rows: 8_000,
        count: 4_000,
        idle: 1_200_000_000,
        p50: Some(250_000),
        p99: Some(900_000),
        ..PathAccount::default()
    });
    let account = Account {
        paths,
        run_delay: vec![(1, 50 * ms)],
        notes: vec!["3 spans were not followed".into()],
    };
    Spans::new(&cpu, None, Some((&spans, &account))).unwrap()
}

#[test]
fn routes_and_spans() {
    let mut report = report();
    report.spans = Some(spans());
    let printed = printed(&report);
    let (_, from) = printed.split_once("Routes").unwrap();
    let (tables, _) = from.split_once("Requests").unwrap();
    insta::assert_snapshot!(format!("Routes{tables}"));
    assert!(printed.contains("! 3 spans were not followed."));
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    let polled = &json["spans"]["paths"][1]["polled"];
    assert_eq!(polled["verdict"], "blocked");
    assert_eq!(polled["samples"], 0);
    assert!(report.markdown().contains("## Routes"));
}

fn printed(report: &Report) -> String {
    let (mut terminal, captured) = Terminal::captured(90);
    report.print_terminal(&mut terminal);
    captured.out()
}

#[test]
fn terminal() {
    insta::assert_snapshot!(printed(&report()));
}

#[test]
fn markdown() {
    insta::assert_snapshot!(report().markdown());
}

#[test]
fn json() {
    let text = report()
        .json()
        .unwrap()
        .replace(env!("CARGO_PKG_VERSION"), "[version]");
    insta::assert_snapshot!(text);
}

#[test]
fn shares_are_of_everything_that_was_measured() {
    let report = report();
    assert_eq!(report.total_value, 6_000_000_000);
    let row = |rows: &[FunctionRow], at: usize| (rows[at].function.clone(), rows[at].total_share);
    assert_eq!(row(&report.top_self, 0), ("regex::compile".into(), 0.5));
    assert_eq!(row(&report.top_total, 0), ("main".into(), 0.916_667));
    let selfs: f64 = report.top_self.iter().map(|row| row.self_share).sum();
    assert!((selfs - 1.0).abs() < 1e-5);
    let threads: f64 = report.threads.iter().map(|thread| thread.total_share).sum();
    assert!((threads - 1.0).abs() < 1e-5);
}

#[test]
fn doubts_are_told() {
    let doubts = |change: fn(&mut Capture)| {
        let mut report = report();
        change(&mut report.capture);
        let remarks = report
            .remarks()
            .into_iter()
            .filter(|remark| remark.doubtful);
        remarks
            .map(|remark| remark.text)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(doubts(|_| {}), "");
    type Change = fn(&mut Capture);
    let cases: [(Change, &str); 7] = [
        (|capture| capture.samples_delivered = 0, "No samples"),
        (
            |capture| capture.sampled_nanos = 1_500_000_000,
            "1.50 of 6.00 CPU-seconds (25.0 %)",
        ),
        (|capture| capture.tick_limited = true, "Tick-limited"),
        (
            |capture| capture.stacks_rootless = 2_750,
            "50.0 % of the stacks reach",
        ),
        (|capture| capture.samples_dropped = 3, "3 samples dropped"),
        (
            |capture| capture.threads_overflow = 4,
            "4 threads not sampled",
        ),
        (
            |capture| capture.own_cpu_nanos = 600_000_000,
            "took 0.60 CPU-seconds (10.0 %",
        ),
    ];
    for (change, expected) in cases {
        let doubts = doubts(change);
        assert!(
            doubts.contains(expected),
            "{expected:?} is not in {doubts:?}"
        );
        assert_eq!(doubts.lines().count(), 1, "{doubts}");
    }
}

#[test]
fn an_empty_profile_has_a_report() {
    let empty = Report::new(
        RunInfo::default(),
        &Profile::new([]),
        &Audit::default(),
        &Default::default(),
    );
    assert!(printed(&empty).contains("No samples"));
    assert!(empty.markdown().contains("No samples"));
    assert!(empty.json().unwrap().contains("\"total_value\": 0"));
    let mut profile = profile();
    profile.record(perfwright_model::StackId::ROOT, LabelSetId::EMPTY, &[0, 0]);
    Report::new(RunInfo::default(), &profile, &audit(), &Default::default()).markdown();
}

#[test]
fn one_problem_of_many_files_is_one_sentence() {
    let mut symbolized = perfwright_symbolize::Report::default();
    symbolized.unresolved = 1;
    for file in ["/lib/a.so", "/lib/b.so", "/lib/c.so"] {
        let mut mapping = perfwright_symbolize::MappingReport::default();
        mapping.file = file.into();
        mapping.problems = vec![perfwright_symbolize::Problem::NotAFile];
        symbolized.mappings.push(mapping);
    }
    let symbols = Symbols::from(&symbolized);
    let expected = "/lib/a.so and 2 more: memory without a file: generated code or a kernel page";
    assert_eq!(symbols.problems, [expected]);
}
