//! `cargo perfwright bench` without a comparison, in a workspace of its own. Its bench executable talks like one of
//! criterion's, so that nothing has to be downloaded or built but itself.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// Lists three benches; run, it says with which arguments, and saves results as criterion and we do.
const BENCH: &str = r##"
use std::{env, fs, path::PathBuf};

const NAMES: [&str; 3] = ["parse/large", "parse/small", "print"];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return NAMES.iter().for_each(|name| println!("{name}: benchmark"));
    }
    println!("ran with {}", arguments.join(" "));
    let home = PathBuf::from(env::var_os("CRITERION_HOME").unwrap());
    let counted = env::var("PERFWRIGHT_COUNT").ok();
    for (number, name) in NAMES.iter().enumerate() {
        if arguments.iter().any(|argument| argument == "--profile-time") {
            let page = home.join(name).join("profile");
            fs::create_dir_all(&page).unwrap();
            fs::write(page.join("profile.html"), "").unwrap();
            continue;
        }
        let new = home.join(name).join("new");
        fs::create_dir_all(&new).unwrap();
        let json = format!(r#"{{"version": 1, "name": "{name}", "iterations": {},
            "allocations": {{"count": {number}.0, "bytes": 8.0, "same_each_time": true}}}}"#, counted.as_deref().unwrap_or("9"));
        fs::write(new.join("perfwright.json"), json).unwrap();
        let sample = format!(r#"{{"iters": [1], "times": [{}]}}"#, 1000 * (3 - number));
        fs::write(new.join("sample.json"), sample).unwrap();
    }
}
"##;

struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    fn new() -> Workspace {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Cargo.toml",
            "[package]\nname = \"subject\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n\
             [[bench]]\nname = \"speed\"\nharness = false\n\
             [profile.bench]\nopt-level = 0\ndebug = false\n",
        );
        write("src/lib.rs", "");
        write("benches/speed.rs", BENCH);
        Workspace { folder }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-perfwright"));
        command
            .arg("bench")
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("CRITERION_HOME")
            .env_remove("CARGO_TARGET_DIR");
        command.output().unwrap()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn benches_run_and_what_they_took_is_a_table() {
    let workspace = Workspace::new();
    let all = workspace.run(&[]);
    let (out, err) = (words(&all.stdout), words(&all.stderr));
    assert!(all.status.success(), "{out} {err}");
    assert!(
        out.starts_with("ran with --bench bench allocations bytes parse/large 0 8 B parse/small 1 8 B print 2 8 B"),
        "{out} {err}"
    );

    // Some of them by name, with arguments for criterion, and counted only.
    let some = workspace.run(&["pri", "large", "--count=5", "--", "--quiet"]);
    assert_eq!(
        words(&some.stdout),
        "ran with --bench --test --quiet ^(parse/large|print)$ bench allocations bytes parse/large 0 8 B print 2 8 B"
    );
    let counts = fs::read_to_string(workspace.path("target/criterion/print/new/perfwright.json"));
    assert!(counts.unwrap().contains("\"iterations\": 5"));

    // Shown again without running, as JSON.
    let saved = workspace.run(&["--saved", "--json", "print"]);
    let json: serde_json::Value = serde_json::from_slice(&saved.stdout).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["benches"][0]["name"], "print");
    assert_eq!(json["benches"][0]["allocations"], 2.0);
    assert_eq!(json["benches"][0]["median_ns"], serde_json::Value::Null);

    let none = workspace.run(&["absent"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        words(&none.stderr).contains("none has a name that contains"),
        "{}",
        words(&none.stderr)
    );
}

#[test]
fn shards_are_balanced_by_the_record_and_profiles_are_told() {
    let workspace = Workspace::new();
    assert!(
        workspace
            .run(&["--store-durations", "durations.json"])
            .status
            .success()
    );
    let shard = |shard: &str| {
        let run = workspace.run(&["--shard", shard, "--durations", "durations.json"]);
        words(&run.stdout)
            .split(" bench ")
            .next()
            .unwrap()
            .to_owned()
    };
    // 3, 2 and 1 us long.
    assert_eq!(shard("1/2"), "ran with --bench ^(parse/large)$");
    assert_eq!(shard("2/2"), "ran with --bench ^(parse/small|print)$");
    let wrong = workspace.run(&["--shard", "3/2"]);
    assert_eq!(wrong.status.code(), Some(2));

    let profiled = workspace.run(&["--profile=2", "print"]);
    let out = words(&profiled.stdout);
    assert!(
        out.starts_with("ran with --bench --profile-time 2 ^(print)$"),
        "{out}"
    );
    assert!(
        out.contains("target/criterion/print/profile/profile.html"),
        "{out}"
    );
}
