//! `cargo perfwright profile` from outside: programs that behave and programs that do not.
//!
//! The command runs as its users run it, in a workspace of its own; only the build is replaced, by a
//! `cargo` that names this test binary as the executable. Started so, with `SUBJECT` in the
//! environment, the binary is the program that is profiled (see `subject.rs`).

mod subject;
mod workspace;

use std::time::Duration;

use workspace::{Workspace, is_running};

const LOAD: &str = r#"
[package.metadata.perfwright]
args = ["{addr}"]
ready = "/health"
[[package.metadata.perfwright.requests]]
name = "work"
path = "/work?n={1..9}"
"#;

#[test]
fn a_program_that_ends_by_itself_gives_its_profile() {
    for subject in ["returns", "exits"] {
        let workspace = Workspace::new(subject, "");
        let run = workspace.profile(&["--seconds", "60"]).expect_success();
        let report = workspace.report();
        assert_eq!(report["run"]["program"], "subject", "{subject}");
        assert_eq!(report["load"], serde_json::Value::Null);
        assert_eq!(report["run"]["ended_early"], serde_json::Value::Null);
        assert!(
            report["capture"]["samples_delivered"].as_u64() > Some(10),
            "{report:#}"
        );
        let folded = workspace.latest("cpu.folded");
        assert!(folded.contains("burn"), "{subject}: {folded}");
        assert!(run.stdout.contains("burn"), "{}", run.stdout);
        assert_eq!(workspace.latest("program.log").matches("burnt").count(), 1);
    }
}

#[test]
fn a_service_is_loaded_captured_and_stopped() {
    let workspace = Workspace::new("serves", LOAD);
    let run = workspace
        .profile(&["--seconds", "1", "--connections", "2"])
        .expect_success();
    let report = workspace.report();
    let work = &report["load"]["requests"][0];
    assert_eq!(work["name"], "work");
    assert!(work["count"].as_u64() > Some(5), "{report:#}");
    assert_eq!(work["errors"], 0);
    assert!(work["p50_ms"].as_f64() <= work["p99_ms"].as_f64());
    assert!(
        run.stdout.contains("burn") && run.stdout.contains("work"),
        "{}",
        run.stdout
    );
    for file in [
        "cpu.pb.gz",
        "cpu.svg",
        "cpu.folded",
        "report.md",
        "program.log",
    ] {
        assert!(!workspace.latest_bytes(file).is_empty(), "{file}");
    }
    let names = workspace.latest_names();
    assert!(
        !names
            .iter()
            .any(|name| name == "control" || name == "raw.pb.gz"),
        "{names:?}"
    );
    assert!(!is_running(&workspace.subject_pid()));
}

#[test]
fn waiting_is_seen_in_wall_mode() {
    let workspace = Workspace::new("waits", "");
    let wall = ["--mode", "wall", "--seconds", "60"];
    workspace.profile(&wall).expect_success();
    assert_eq!(workspace.report()["sample_type"]["kind"], "wall");
    let folded = workspace.latest("cpu.folded");
    assert!(folded.contains("wait_for_nothing"), "{folded}");
}

#[test]
fn polls_that_compute_block_or_lack_a_cpu_are_told_apart() {
    let workspace = Workspace::new("polls", "");
    workspace
        .profile(&["--seconds", "5", "--no-load"])
        .expect_success();
    let report = workspace.report();
    let polled = |span: &str| {
        let paths = report["spans"]["paths"].as_array().unwrap().iter();
        let mut paths = paths.filter(|path| path["path"] == serde_json::json!([span]));
        let path = paths
            .next()
            .unwrap_or_else(|| panic!("{span} in {report:#}"));
        (path["count"].clone(), path["polled"].clone())
    };
    let millis = |polled: &serde_json::Value, key: &str| polled[key].as_f64().unwrap() / 1e6;

    let (count, sleeps) = polled("sleeps");
    assert_eq!((count, &sleeps["verdict"]), (1.into(), &"blocked".into()));
    assert!(millis(&sleeps, "busy_nanos") >= 500.0, "{sleeps}");
    assert!(millis(&sleeps, "cpu_nanos") < 50.0, "{sleeps}");

    // Six threads on one CPU: at most a second of CPU time in six of being busy, and nobody slept.
    let (count, crowded) = polled("crowded");
    assert_eq!((count, &crowded["verdict"]), (6.into(), &"no cpu".into()));
    assert!(millis(&crowded, "busy_nanos") >= 6_000.0, "{crowded}");
    assert!(millis(&crowded, "cpu_nanos") < 1_500.0, "{crowded}");

    // It may have had to wait for a CPU, but it did not sleep.
    let (_, computes) = polled("computes");
    assert_ne!(computes["verdict"], "blocked", "{computes}");
    let blocked = millis(&computes, "blocked_nanos_min");
    assert!(
        blocked <= 5.0 * millis(&computes, "cpu_nanos_error"),
        "{computes}"
    );
}

#[test]
fn json_is_the_report_and_nothing_else() {
    let workspace = Workspace::new("returns", "");
    let run = workspace.profile(&["--json"]).expect_success();
    let printed: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(printed, workspace.report());
    assert_eq!(run.stderr, "");
}

#[test]
fn an_interrupt_ends_the_capture_early_and_writes_it() {
    let workspace = Workspace::new("serves", "");
    let run = workspace.profile_and(
        &["--seconds", "600", "--no-load", "--", "127.0.0.1:0"],
        |command| {
            workspace.wait_for_work();
            command.interrupt();
        },
    );
    run.expect_success();
    assert_eq!(workspace.report()["run"]["ended_early"], "interrupted");
    assert!(!is_running(&workspace.subject_pid()));
}

#[test]
fn killing_the_command_leaves_no_program_behind() {
    let workspace = Workspace::new("serves", "");
    workspace.profile_and(
        &["--seconds", "600", "--no-load", "--", "127.0.0.1:0"],
        |command| {
            workspace.wait_for_work();
            command.kill();
        },
    );
    let pid = workspace.subject_pid();
    while is_running(&pid) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(workspace.finished_runs(), [""; 0]);
}

#[test]
fn a_program_that_ignores_sigterm_is_killed() {
    let workspace = Workspace::new("ignores-sigterm", "");
    let run = workspace.profile(&["--seconds", "0.5"]).expect_success();
    assert!(
        run.stderr
            .contains("subject did not end on SIGTERM and was killed"),
        "{}",
        run.stderr
    );
    assert!(!is_running(&workspace.subject_pid()));
}

#[test]
fn the_profile_of_a_program_that_fails_is_written_and_the_failure_told() {
    let workspace = Workspace::new("exits-3", "");
    let run = workspace.profile(&["--seconds", "60"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("subject failed (exit status 3)"),
        "{}",
        run.stderr
    );
    assert!(workspace.latest("cpu.folded").contains("burn"));
}

#[test]
fn programs_that_cannot_be_captured_are_explained() {
    let cases: [(&str, &str, &[&str], &[&str]); 6] = [
        (
            "dies",
            LOAD,
            &[],
            &[
                "it ended (exit status 7)",
                "The last lines of its output",
                "no database",
            ],
        ),
        (
            "silent",
            "",
            &["--ready-timeout", "0.5"],
            &["0.5 s went by", "link perfwright"],
        ),
        (
            "never-ready",
            LOAD,
            &["--ready-timeout", "0.5"],
            &["/health with 2xx", "--ready-timeout"],
        ),
        (
            "taken",
            LOAD,
            &[],
            &["it ended (exit status 1)", "Address already in use"],
        ),
        (
            "returns",
            "",
            &["--engine", "pprof"],
            &["failed to start the CPU sampler", "feature pprof-engine"],
        ),
        (
            "aborts",
            "",
            &[],
            &["it ended (signal 6) without writing its profile"],
        ),
    ];
    for (subject, manifest, args, expected) in cases {
        let workspace = Workspace::new(subject, manifest);
        let run = workspace.profile(args);
        assert_eq!(run.code, Some(1), "{subject}: {}", run.stderr);
        for text in expected {
            assert!(run.stderr.contains(text), "{subject}: {}", run.stderr);
        }
        assert_eq!(
            run.stderr.matches("error: ").count(),
            1,
            "{subject}: {}",
            run.stderr
        );
        assert_eq!(workspace.finished_runs(), [""; 0], "{subject}");
        assert!(!is_running(&workspace.subject_pid()), "{subject}");
        let starts = if subject == "taken" { 2 } else { 1 };
        assert_eq!(
            workspace.starts(),
            starts,
            "{subject}: another port is tried once"
        );
    }
}

#[test]
fn what_was_asked_wrongly_is_said_before_anything_is_built() {
    let cases: [(&[&str], i32, &str); 8] = [
        (
            &["--bin", "shop"],
            1,
            "find the bin `shop`; there are subject",
        ),
        (
            &["--example", "demo"],
            1,
            "find the example `demo`; there are none here",
        ),
        (
            &["--package", "shop"],
            1,
            "find the package `shop`; the workspace has subject",
        ),
        (&["--frequency", "0"], 2, "0 Hz samples nothing"),
        (&["--frequency", "1000000"], 2, "more than can be had"),
        (&["--seconds", "0"], 2, "must be between"),
        (
            &["--out", "/proc/run"],
            1,
            "give a folder that you can write to",
        ),
        (&["--out", "."], 1, "it exists and is no run of perfwright"),
    ];
    let workspace = Workspace::new("returns", "");
    for (args, code, expected) in cases {
        let run = workspace.profile(args);
        assert_eq!(run.code, Some(code), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
    }
    assert_eq!(workspace.starts(), 0);
    assert_eq!(workspace.build_arguments(), "");
}

#[test]
fn the_build_gets_a_profile_a_folder_and_frame_pointers() {
    let workspace = Workspace::new("returns", "");
    workspace
        .profile(&["--features", "a b", "--bin", "subject"])
        .expect_success();
    let build = workspace.build_arguments();
    for expected in [
        "build --profile profiling",
        "--target-dir",
        "target/perfwright/build",
        "--bin subject",
        "--features a b",
        "profile.profiling.inherits=\"release\"",
        "force-frame-pointers=yes",
    ] {
        assert!(build.contains(expected), "{expected}: {build}");
    }
}

#[test]
fn out_is_the_run_and_can_be_written_again() {
    let workspace = Workspace::new("returns", "");
    for _ in 0..2 {
        workspace.profile(&["--out", "mine"]).expect_success();
    }
    assert!(workspace.path("mine/report.json").exists());
    assert_eq!(workspace.finished_runs(), [""; 0]);
}
