//! `cargo perfwright bench --against` from outside, in small repositories of its own.
//!
//! The bench executable there says what it took rather than measuring it, so that no verdict depends on the machine.

mod interrupts;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::need::{Tool, need};

/// A repository with a library, `subject`, and one bench of it, `speed`.
struct Project {
    folder: tempfile::TempDir,
}

const BENCH: &str = include_str!("bench.rs.txt");
const MANIFEST: &str = "[package]\nname = \"subject\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n\
                        [[bench]]\nname = \"speed\"\nharness = false\n";

/// The library: what the bench says of itself.
fn library(names: &[&str], nanos: &str, allocations: u64) -> String {
    format!(
        "pub const VERSION: u32 = 1;\npub const NAMES: &[&str] = &{names:?};\n\
         pub const ALLOCATIONS: u64 = {allocations};\npub fn nanos(bench: usize) -> u64 {{ {nanos} }}\n"
    )
}

impl Project {
    /// A repository whose first commit is tagged `v1.0.0`.
    fn new(library: &str) -> Project {
        let project = Project {
            folder: tempfile::tempdir().unwrap(),
        };
        project.write("Cargo.toml", MANIFEST);
        project.write(".gitignore", "/target\n");
        project.write("benches/speed.rs", BENCH);
        project.write("src/lib.rs", library);
        project.git(&["init", "--quiet", "--initial-branch", "main"]);
        project.commit("first");
        project.git(&["tag", "v1.0.0"]);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        let output = Command::new("git")
            .arg("-C")
            .arg(self.folder.path())
            .args(identity)
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Runs the command; it leaves no worktree and does not touch what is here.
    fn bench(&self, args: &[&str]) -> Run {
        self.tidy(|| command(self.folder.path(), args).output().unwrap())
    }

    fn tidy(&self, run: impl FnOnce() -> Output) -> Run {
        let before = (self.git(&["status", "--porcelain"]), self.read_all());
        let run = Run(run());
        let worktrees = self.git(&["worktree", "list"]);
        assert_eq!(worktrees.lines().count(), 1, "{worktrees}");
        let after = (self.git(&["status", "--porcelain"]), self.read_all());
        assert_eq!(before, after, "the working tree was touched");
        run
    }

    fn read_all(&self) -> Vec<String> {
        ["Cargo.toml", "src/lib.rs", "benches/speed.rs"]
            .map(|name| fs::read_to_string(self.path(name)).unwrap_or_default())
            .into()
    }
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = counting_command(folder, args);
    command.arg("--no-instructions");
    command
}

/// The command that counts instructions, too.
fn counting_command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-perfwright"));
    command
        .current_dir(folder)
        .arg("bench")
        .args(
            ["--seconds", "1"]
                .iter()
                .filter(|_| !args.contains(&"--seconds")),
        )
        .args(args)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    command
}

struct Run(Output);

impl Run {
    #[track_caller]
    fn expect(self, code: i32) -> Run {
        assert_eq!(
            self.0.status.code(),
            Some(code),
            "{}{}",
            self.out(),
            self.err()
        );
        self
    }

    fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// `bench: verdict` of each row, and the reasons.
    fn verdicts(&self) -> Vec<String> {
        let report: serde_json::Value = serde_json::from_slice(&self.0.stdout).unwrap();
        let rows = report["benches"].as_array().unwrap().iter();
        rows.map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            format!("{} {}: {}", text("target"), text("bench"), text("verdict"))
        })
        .collect()
    }
}

#[test]
fn a_slower_candidate_is_worse_and_what_did_not_change_is_the_same() {
    let project = Project::new(&library(&["steady", "parse"], "[1_000, 2_000][bench]", 2));
    project.write(
        "src/lib.rs",
        &library(&["steady", "parse"], "[1_000, 4_000][bench]", 2),
    );
    let run = project
        .bench(&["--against", "main", "--format", "json"])
        .expect(3);
    let verdicts = run.verdicts();
    assert_eq!(
        verdicts,
        ["subject/speed steady: same", "subject/speed parse: worse"]
    );
    let report: serde_json::Value = serde_json::from_slice(&run.0.stdout).unwrap();
    let time = &report["benches"][1]["time"];
    assert_eq!(time["cpu"]["ratio"], 2.0, "{report:#}");
    assert_eq!(time["judged_by"], "cpu");
    assert_eq!(report["benches"][1]["allocations"]["base"], 2.0);

    let table = project
        .bench(&["--against", "main", "parse", "--github"])
        .expect(3);
    assert!(table.out().contains("): 1 worse\n"), "{}", table.out());
    assert!(table.out().contains("+100.0 %"), "{}", table.out());
    let annotation = "::error title=subject/speed%3A parse is worse::against main (";
    assert!(table.out().contains(annotation), "{}", table.out());
}

#[test]
fn executables_that_are_the_same_are_not_run() {
    let project = Project::new(&library(&["steady"], "1_000", 2));
    project.write("README.md", "Nothing that is compiled.\n");
    project.commit("second");
    // As a folder, too: a checkout of another place gives the same bytes.
    let elsewhere = tempfile::tempdir().unwrap();
    let clone = elsewhere.path().join("clone");
    let place = clone.to_str().unwrap();
    project.git(&["clone", "--quiet", ".", place]);
    for base in ["HEAD~1", "v1.0.0", place] {
        let run = project.bench(&["--against", base]).expect(0);
        assert!(
            run.out().contains("the same, byte for byte"),
            "{}{}",
            run.out(),
            run.err()
        );
    }
}

#[test]
fn more_allocations_are_worse_and_faster_is_better() {
    let project = Project::new(&library(&["steady"], "1_000", 2));
    project.write("src/lib.rs", &library(&["steady"], "1_000", 3));
    let run = project.bench(&["--against", "HEAD"]).expect(3);
    assert!(
        run.out().contains("more allocations: 2 -> 3 (+50.0 %)"),
        "{}",
        run.out()
    );
    project
        .bench(&["--against", "HEAD", "--judge", "time"])
        .expect(0);
    // Nothing counts the instructions of a bench that valgrind is not let at.
    let run = project.bench(&["--against", "HEAD", "--judge", "instructions"]);
    let run = run.expect(4);
    let words = "nothing that is judged was counted";
    assert!(run.out().contains(words), "{}", run.out());
    project.write("src/lib.rs", &library(&["steady"], "900", 2));
    let run = project
        .bench(&["--against", "HEAD", "--format", "json"])
        .expect(0);
    assert_eq!(run.verdicts(), ["subject/speed steady: better"]);
}

#[test]
fn small_steps_do_not_creep_past_a_release() {
    let project = Project::new(&library(&["steady"], "100_000", 2));
    for nanos in ["100_700", "101_400"] {
        project.write("src/lib.rs", &library(&["steady"], nanos, 2));
        project.commit("a small step");
    }
    project.bench(&["--against", "HEAD~1"]).expect(0);
    let both = [
        "--against",
        "HEAD~1",
        "--also-against",
        "release",
        "--format",
        "json",
    ];
    let run = project.bench(&both).expect(3);
    let verdicts = run.verdicts();
    assert_eq!(
        verdicts,
        ["subject/speed steady: same", "subject/speed steady: worse"]
    );
    assert!(run.out().contains("v1.0.0 ("), "{}", run.out());
}

#[test]
fn a_base_that_does_not_build_is_a_verdict() {
    let project = Project::new("this does not compile\n");
    project.write("src/lib.rs", &library(&["steady"], "1_000", 2));
    let run = project.bench(&["--against", "HEAD"]).expect(4);
    assert!(
        run.out().contains("the base does not build"),
        "{}",
        run.out()
    );
    // A candidate that does not is a failure.
    project.commit("second");
    project.write("src/lib.rs", "nor does this\n");
    let run = project.bench(&["--against", "HEAD"]).expect(1);
    assert!(
        run.err().contains("failed to build the candidate"),
        "{}",
        run.err()
    );
}

#[test]
fn benches_that_come_and_go_are_named() {
    let project = Project::new(&library(&["steady", "old"], "1_000", 2));
    let more = "[[bench]]\nname = \"extra\"\npath = \"benches/speed.rs\"\nharness = false\n";
    project.write("Cargo.toml", &format!("{MANIFEST}{more}"));
    project.commit("one more target");
    project.write("Cargo.toml", MANIFEST);
    project.write("src/lib.rs", &library(&["steady", "young"], "1_000", 2));
    let run = project
        .bench(&["--against", "HEAD", "--format", "json"])
        .expect(4);
    let mut verdicts = run.verdicts();
    verdicts.sort();
    assert_eq!(
        verdicts,
        [
            "subject/extra : gone",
            "subject/speed old: gone",
            "subject/speed steady: same",
            "subject/speed young: new",
        ]
    );
}

#[test]
fn benches_that_panic_hang_or_speak_another_version_are_told_apart() {
    let project = Project::new(&library(&["steady"], "1_000", 2));
    let cases = [
        (
            "panic!(\"out of {}\", \"luck\")",
            "it ended in the middle of a batch",
        ),
        (
            "loop { std::thread::sleep(std::time::Duration::MAX) }",
            "no answer within 1 s (--timeout)",
        ),
    ];
    for (body, words) in cases {
        project.write("src/lib.rs", &library(&["steady"], body, 2));
        let run = project
            .bench(&["--against", "main", "--timeout", "1"])
            .expect(1);
        assert!(run.out().contains(words), "{words}: {}", run.out());
    }
    let version = library(&["steady"], "1_000", 2).replace("u32 = 1", "u32 = 99");
    project.write("src/lib.rs", &version);
    let run = project.bench(&["--against", "main"]).expect(1);
    assert!(
        run.out()
            .contains("it speaks version 99 of the gate's protocol"),
        "{}",
        run.out()
    );
}

#[test]
fn wrong_bases_and_targets_are_named() {
    let project = Project::new(&library(&["steady"], "1_000", 2));
    let cases: [(&[&str], &str); 4] = [
        (
            &["--against", "no-such-branch"],
            "neither a revision of this repository nor a folder",
        ),
        (
            &["--against", "main", "--bench", "speeds"],
            "find the bench target speeds",
        ),
        (
            &["--against", "main", "-p", "other"],
            "find the package other",
        ),
        (&["--against", "--output=x"], "neither a revision"),
    ];
    for (args, words) in cases {
        let code = if args[1].starts_with('-') { 2 } else { 1 };
        let run = project.bench(args).expect(code);
        assert!(
            code == 2 || run.err().contains(words),
            "{words}: {}",
            run.err()
        );
    }
    // Without git a folder is still a base.
    let plain = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let to = plain.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(project.path(name), to).unwrap();
    };
    for name in ["Cargo.toml", "src/lib.rs", "benches/speed.rs"] {
        copy(name);
    }
    let output = command(plain.path(), &["--against", "main"])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("there is no git repository here"), "{words}");
    let base = project.folder.path().to_str().unwrap();
    let output = command(plain.path(), &["--against", base])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// The example suite of perfwright-criterion, built.
fn suite() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--package",
            "perfwright-criterion",
            "--example",
            "suite",
        ])
        .args([
            "--no-default-features",
            "--features",
            "suite",
            "--message-format",
            "json",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let executable = text.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    executable.expect("cargo names the executable")
}

#[test]
fn a_real_suite_is_driven_counted_and_what_panics_is_told() {
    let suite = suite();
    let folder = tempfile::tempdir().unwrap();
    let copies = ["base", "same"].map(|name| folder.path().join(name));
    for copy in &copies {
        fs::copy(&suite, copy).unwrap();
    }
    let [base, same] = copies.map(|path| path.display().to_string());
    let args = ["--format", "json", "--executables", &base, &same];
    let output = command(folder.path(), &args)
        .env("SUITE_PANICS", "1")
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["benches"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["bench"] == name).unwrap();
    // Whatever the clocks say: the counts are exact, and only iterations are counted.
    let counts = [("sum", 0.0, 0.0), ("sort", 0.0, 0.0), ("text", 1.0, 2.0)];
    for (name, allocations, bytes) in counts {
        let (row, both) = (
            row(name),
            |n: f64| serde_json::json!({"base": n, "candidate": n}),
        );
        assert_eq!(row["allocations"], both(allocations), "{row:#}");
        assert!(
            row["allocated_bytes"]["base"].as_f64() >= Some(bytes),
            "{row:#}"
        );
        let time = &row["time"];
        assert!(time["cpu"]["base_nanos"].as_f64() > Some(1.0), "{row:#}");
        assert!(time["batches"].as_u64() >= Some(12), "{row:#}");
    }
    assert!(row("prints")["time"]["batches"].as_u64() > Some(1));
    assert_eq!(row("panics")["verdict"], "cannot_tell");
    assert_eq!(
        row("panics")["reason"],
        "in the base, it panicked: out of luck"
    );
}

#[test]
fn instructions_are_counted_and_can_be_judged() {
    if !need(Tool::Valgrind) {
        return;
    }
    let suite = suite();
    let folder = tempfile::tempdir().unwrap();
    let copies = ["base", "slower"].map(|name| folder.path().join(name));
    for copy in &copies {
        fs::copy(&suite, copy).unwrap();
    }
    let [base, slower] = copies.map(|path| path.display().to_string());
    let options = ["--judge", "instructions", "--format", "json", "s"];
    let args = [&options[..], &["--executables", &base, &slower]].concat();
    let run = Run(counting_command(folder.path(), &args).output().unwrap()).expect(3);
    let report: serde_json::Value = serde_json::from_slice(&run.0.stdout).unwrap();
    let rows = report["benches"].as_array().unwrap();
    let row = |name: &str| rows.iter().find(|row| row["bench"] == name).unwrap();
    let counts = |name: &str| {
        let counts = &row(name)["instructions"];
        ["base", "candidate"].map(|side| counts[side].as_f64().unwrap())
    };
    // The sum has 1,000 terms in the base and 1,100 in the other; what surrounds them is small.
    let [base, slower] = counts("sum");
    assert!(base > 1_000.0, "{base}");
    assert!((1.09..1.11).contains(&(slower / base)), "{slower} / {base}");
    assert_eq!(row("sum")["verdict"], "worse");
    // 500 numbers are compared with their neighbours at least; the two programs are the same in this.
    let [base, same] = counts("sort");
    assert!(base > 500.0, "{base}");
    assert!((base - same).abs() < 0.01 * base, "{same} / {base}");
    assert_eq!(row("sort")["verdict"], "same");
}

#[test]
fn executables_of_criterion_alone_are_compared_as_processes() {
    let project = Project::new(&library(
        &["steady", "odd: parse/x"],
        "[1_000, 2_000][bench]",
        2,
    ));
    let plain = include_str!("plain.rs.txt");
    let changed = |nanos: &str| library(&["steady", "odd: parse/x"], nanos, 2);
    project.write("benches/speed.rs", plain);
    project.write("src/lib.rs", &changed("[1_000, 4_000][bench]"));
    let run = project
        .bench(&["--against", "main", "--format", "json"])
        .expect(3);
    assert_eq!(
        run.verdicts(),
        [
            "subject/speed steady: same",
            "subject/speed odd: parse/x: worse"
        ]
    );
    let report: serde_json::Value = serde_json::from_slice(&run.0.stdout).unwrap();
    let time = &report["benches"][1]["time"];
    assert_eq!(time["judged_by"], "wall");
    assert_eq!(time["wall"]["ratio"], 2.0, "{report:#}");
    assert_eq!(time["wall"]["base_nanos"], 2_000.0, "{report:#}");

    let table = project.bench(&["--against", "main", "parse"]).expect(3);
    let interval = "wall +100.0 % to +100.0 %";
    assert!(table.out().contains(interval), "{}", table.out());

    project.write("src/lib.rs", &changed("panic!(\"out of luck {bench}\")"));
    let run = project.bench(&["--against", "main", "steady"]).expect(1);
    assert!(run.out().contains("out of luck 0"), "{}", run.out());
    project.write("src/lib.rs", &library(&[], "bench as u64", 2));
    let run = project.bench(&["--against", "main"]).expect(4);
    assert!(run.out().contains("it names no benches"), "{}", run.out());
}
