use std::fs;

use clap::Parser;
use perfwright_format::pprof;
use perfwright_model::{LabelSetId, Profile, SampleType};
use tempfile::TempDir;

use super::*;
use crate::args::{Cli, Command};
use crate::terminal::Captured;

/// A folder with a budget file, a run, and an artifact.
fn folder(budgets: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("target/perfwright/latest");
    fs::create_dir_all(&run).unwrap();
    fs::write(folder.path().join("perfwright.toml"), budgets).unwrap();
    fs::write(folder.path().join("page.html"), "<p>").unwrap();
    let report = r#"{"schema_version": 1, "capture": {"cpu_nanos": 5, "duration_nanos": 10}}"#;
    fs::write(run.join("report.json"), report).unwrap();
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    for (name, count) in [("a::f", 300), ("b::g", 700)] {
        let location = profile.frame_location(name);
        let stack = profile.intern_stack_root_first([location]);
        profile.record(stack, LabelSetId::EMPTY, &[count]);
    }
    let file = fs::File::create(run.join("cpu.pb.gz")).unwrap();
    pprof::write_gzip(&profile, file).unwrap();
    folder
}

/// Runs `budget check` on the folder's file with further arguments.
fn run_check(folder: &TempDir, more: &[&str]) -> (Result<u8>, Captured) {
    run_command("check", folder, more)
}

fn run_command(name: &str, folder: &TempDir, more: &[&str]) -> (Result<u8>, Captured) {
    let file = folder.path().join("perfwright.toml");
    let fixed = [
        "cargo-perfwright",
        "budget",
        name,
        "--file",
        file.to_str().unwrap(),
    ];
    let cli = Cli::try_parse_from(fixed.iter().chain(more)).unwrap();
    let Command::Budget(command) = cli.command else {
        panic!("not a budget command");
    };
    let (mut terminal, captured) = Terminal::captured(120);
    let today = Date::parse("2026-11-21").unwrap();
    let code = match command {
        BudgetCommand::Check(args) => check(&args, today, &mut terminal),
        BudgetCommand::Explain(args) => explain::run(&args, today, &mut terminal),
        BudgetCommand::Rules(args) => rules::write(&args, today, &mut terminal),
        BudgetCommand::Init(args) => init(&args, &mut terminal),
        BudgetCommand::Schema(args) => rules::schema(&args, &mut terminal),
    };
    (code, captured)
}

/// Its exit code and what it printed, without the folder's name.
fn checked(folder: &TempDir, more: &[&str]) -> (u8, String) {
    let (code, captured) = run_check(folder, more);
    let path = folder.path().display().to_string();
    (code.unwrap(), captured.out().replace(&path, "FOLDER"))
}

const HELD: &str = "version = 1
[[budget]]
metric = \"profile.share\"
select = { crate = \"a\" }
limits = [\"self < 40%\"]
[[budget]]
metric = \"process.cpu\"
limits = [\"< 60%\"]
[[budget]]
metric = \"size\"
select = { artifact = \"*.html\" }
limits = [\"raw <= 3B\"]
";

#[test]
fn what_holds_exits_with_0() {
    let (code, out) = checked(&folder(HELD), &[]);
    assert_eq!(code, 0);
    let expected = "  verdict  budget                  limit                           measured
  held     profile.share a         self < 40.0 %  30.0 % (25.8 % to 34.5 %)
  held     process.cpu             avg < 60.0 %                      50.0 %
  held     size *.html: page.html  raw <= 3 B                           3 B
Budgets: 3 held
";
    assert_eq!(out, expected);
}

#[test]
fn a_breach_exits_with_3_and_says_where() {
    let budgets = HELD.replace("40%", "20%").replace("raw <= 3B", "raw < 3B");
    let (code, out) = checked(&folder(&budgets), &[]);
    assert_eq!(code, 3);
    let expected = "  verdict  budget                  limit                           measured
  held     process.cpu             avg < 60.0 %                      50.0 %
  breach   profile.share a         self < 20.0 %  30.0 % (25.8 % to 34.5 %)
  breach   size *.html: page.html  raw < 3 B                            3 B
FOLDER/perfwright.toml:3: profile.share a: breach
FOLDER/perfwright.toml:10: size *.html: page.html: breach
Budgets: 1 held, 2 breach
";
    assert_eq!(out, expected);
}

#[test]
fn missing_data_exit_with_3() {
    let folder = folder(HELD);
    fs::remove_dir_all(folder.path().join("target")).unwrap();
    let (code, out) = checked(&folder, &[]);
    assert_eq!(code, 3);
    assert!(
        out.contains("there is no run") && out.contains("there is no cpu profile"),
        "{out}"
    );
}

#[test]
fn what_data_do_not_decide_exits_with_4() {
    let (code, out) = checked(&folder(&HELD.replace("40%", "29%")), &[]);
    assert_eq!(code, 4);
    assert!(out.contains("1 can't tell"), "{out}");
}

#[test]
fn a_bad_file_exits_with_2_and_is_shown_in_place() {
    let (code, captured) = run_check(&folder(&HELD.replace("40%", "40%%")), &[]);
    assert_eq!(code.unwrap(), 2);
    let err = captured.err();
    assert!(
        err.contains("perfwright.toml:5:21") && err.contains("^^ unknown unit `%%`"),
        "{err}"
    );
}

#[test]
fn sources_that_are_asked_for_must_be_there() {
    let folder = folder(HELD);
    for args in [
        ["--run", "gone"],
        ["--profile", "cpu=gone"],
        ["--metrics", "gone"],
        ["--criterion", "gone"],
        ["--baseline", "gone.json"],
    ] {
        assert!(run_check(&folder, &args).0.is_err(), "{args:?}");
    }
}

#[test]
fn a_report_is_a_baseline_and_nothing_else_is_written() {
    let regression = "[[budget]]\nmetric = \"size\"\nid = \"page\"\nselect = { artifact = \"page.html\" }\n\
                      regression = { max = \"+2%\" }\n";
    let folder = folder(&format!("{HELD}{regression}"));
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    let (code, text) = checked(&folder, &["--out", out]);
    assert_eq!(code, 3, "a regression without a baseline: {text}");
    assert_eq!(
        names(&folder.path().join("out")),
        ["budget.json", "budget.md", "budget.xml"]
    );
    assert_eq!(
        names(folder.path()),
        ["out", "page.html", "perfwright.toml", "target"]
    );
    assert_eq!(checked(&folder, &["--baseline", out]).0, 0);
    fs::write(folder.path().join("page.html"), "<p>longer").unwrap();
    let (code, text) = checked(&folder, &["--baseline", out, "--format", "markdown"]);
    assert_eq!(code, 3);
    assert!(
        text.contains("| **breach** | `page: page.html` | `raw +2%` | 9 B | 3 B | +200.00 % |"),
        "{text}"
    );
}

#[test]
fn annotations_and_json_are_printed() {
    let folder = folder(&HELD.replace("raw <= 3B", "raw < 3B"));
    let (_, out) = checked(&folder, &["--github", "--format", "json"]);
    let (json, github) = out.split_at(out.find("::error").unwrap());
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["exit_code"], 3);
    assert!(
        github.starts_with("::error file=FOLDER/perfwright.toml,line=10,title=breach%3A size"),
        "{github}"
    );
}

#[test]
fn dependencies_of_a_package_are_counted_by_cargo() {
    let folder = folder(
        "version = 1\n[[budget]]\nmetric = \"dependencies\"\nselect = { package = \"lone\" }\nlimits = [\"count <= 1\"]\n",
    );
    let src = folder.path().join("src");
    fs::create_dir_all(&src).unwrap();
    fs::write(src.join("lib.rs"), "").unwrap();
    fs::write(
        folder.path().join("Cargo.toml"),
        "[package]\nname = \"lone\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    )
    .unwrap();
    let lock = "version = 4\n\n[[package]]\nname = \"lone\"\nversion = \"0.1.0\"\n";
    fs::write(folder.path().join("Cargo.lock"), lock).unwrap();
    let (code, out) = checked(&folder, &[]);
    assert_eq!(code, 0, "{out}");
    fs::write(folder.path().join("Cargo.toml"), "[broken").unwrap();
    let (code, out) = checked(&folder, &[]);
    assert_eq!(code, 3, "{out}");
}

#[test]
fn a_breach_is_explained() {
    let folder = folder(&HELD.replace("40%", "20%"));
    let (code, captured) = run_command("explain", &folder, &[]);
    assert_eq!(code.unwrap(), 3);
    let expected = "profile.share a: breach (self < 20.0 %; measured 30.0 % (25.8 % to 34.5 %))
       %            part
  30.0 %  spent in  a::f
  30.0 %  in crate  a
";
    assert_eq!(captured.out(), expected);
    let size = ["size *.html"];
    let (_, captured) = run_command("explain", &folder, &size);
    assert!(
        captured.out().contains("nothing more is known"),
        "{}",
        captured.out()
    );
    assert!(run_command("explain", &folder, &["gone"]).0.is_err());
    let held = super::tests::folder(HELD);
    assert_eq!(
        run_command("explain", &held, &[]).1.out(),
        "Nothing is beyond its limit.\n"
    );
}

#[test]
fn rules_are_written_and_what_is_left_out_is_told() {
    let folder = folder(HELD);
    let (code, captured) = run_command("rules", &folder, &[]);
    assert_eq!(code.unwrap(), 0);
    assert!(
        captured
            .out()
            .contains("rate(process_cpu_seconds_total[5m])"),
        "{}",
        captured.out()
    );
    assert_eq!(
        captured.err().matches("left out:").count(),
        2,
        "{}",
        captured.err()
    );
}

#[test]
#[cfg(target_os = "linux")]
fn the_load_of_the_machine_is_asked_where_it_matters() {
    let text = "version = 1\n[environment]\nmax_load = 100000.0\n[[budget]]\nmetric = \"process.cpu\"\nlimits = [\"< 10%\"]\n";
    let (code, captured) = run_check(&folder(text), &["--format", "json"]);
    assert_eq!(code.unwrap(), 3, "no machine is that busy");
    let json: serde_json::Value = serde_json::from_str(&captured.out()).unwrap();
    assert!(json["measurements"]["load_per_core"].is_number());
    let (_, captured) = run_check(&folder(HELD), &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&captured.out()).unwrap();
    assert!(json["measurements"]["load_per_core"].is_null());
}

#[test]
fn a_dashboard_and_a_schema_are_written() {
    let folder = folder(HELD);
    let (rules, dashboard) = (
        folder.path().join("rules.yml"),
        folder.path().join("board.json"),
    );
    let files = [
        "-o",
        rules.to_str().unwrap(),
        "--grafana",
        dashboard.to_str().unwrap(),
    ];
    assert_eq!(run_command("rules", &folder, &files).0.unwrap(), 0);
    let json = |file| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    };
    assert!(fs::read_to_string(&rules).unwrap().starts_with("groups:"));
    assert!(json(dashboard)["panels"].as_array().unwrap().len() > 1);
    let file = folder.path().join("schema.json");
    let args = args::SchemaArgs {
        output: file.clone(),
    };
    let (mut terminal, _) = Terminal::captured(120);
    assert_eq!(rules::schema(&args, &mut terminal).unwrap(), 0);
    assert_eq!(json(file)["title"], "Budgets of performance");
}

#[test]
fn a_proposed_file_holds_and_overwrites_nothing() {
    let folder = folder(HELD);
    let run = folder.path().join("target/perfwright/latest");
    let run = ["--run", run.to_str().unwrap()];
    assert!(
        run_command("init", &folder, &run).0.is_err(),
        "there is a file already"
    );
    fs::remove_file(folder.path().join("perfwright.toml")).unwrap();
    assert_eq!(run_command("init", &folder, &run).0.unwrap(), 0);
    let (code, out) = checked(&folder, &[]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("profile.share a"), "{out}");
}

/// A budget file of a command.
fn with_command(run: &str, more: &str, limits: &str) -> TempDir {
    folder(&format!(
        "version = 1\n[[command]]\nname = \"work\"\nrun = [\"sh\", \"-c\", \"{run}\"]\n{more}\n\
         [[budget]]\nmetric = \"command\"\nselect = {{ command = \"work\" }}\nlimits = [{limits}]\n"
    ))
}

fn names(at: &Path) -> Vec<String> {
    let entries = fs::read_dir(at).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn commands_run_only_when_asked_and_are_remembered() {
    let folder = with_command(
        "echo ran >> ran.txt",
        "repeat = 3",
        "\"time < 24h\", \"peak < 1GiB\"",
    );
    let (_, captured) = run_check(&folder, &[]);
    assert_eq!(
        captured.err(),
        "note: --measure runs the commands of the file, and measures them\n"
    );
    let (code, out) = checked(&folder, &[]);
    assert_eq!(code, 3);
    assert!(
        out.contains("the command work was not run and measured"),
        "{out}"
    );
    assert!(!folder.path().join("ran.txt").exists());
    let (code, out) = checked(&folder, &["--measure"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("of 3 runs: how much they vary is not known"),
        "{out}"
    );
    let (code, out) = checked(&folder, &[]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("known; measured ") && out.contains(" ago"),
        "{out}"
    );
    let ran = fs::read_to_string(folder.path().join("ran.txt")).unwrap();
    assert_eq!(ran.lines().count(), 3);
    assert_eq!(
        names(&folder.path().join("target/perfwright")),
        ["commands", "commands.json", "latest"]
    );
    let file = folder.path().join("perfwright.toml");
    let other = fs::read_to_string(&file)
        .unwrap()
        .replace("echo ran", "echo other");
    fs::write(&file, other).unwrap();
    let (code, out) = checked(&folder, &[]);
    assert_eq!(code, 3);
    assert!(
        out.contains("the command is another than was measured"),
        "{out}"
    );
}

#[test]
fn cold_runs_have_a_new_folder_and_cached_ones_the_same() {
    // A cold run finds the folder empty, the cached one finds what the cold one left.
    let run = "test -d $OUT; ls $OUT | wc -l >> seen.txt; touch $OUT/done";
    let folder = with_command(
        run,
        "cold = \"OUT\"\nrepeat = 2",
        "\"cold.time < 24h\", \"cached.cpu < 24h\"",
    );
    let (code, out) = checked(&folder, &["--measure"]);
    assert_eq!(code, 0, "{out}");
    let seen = fs::read_to_string(folder.path().join("seen.txt")).unwrap();
    let seen: Vec<_> = seen.split_whitespace().collect();
    assert_eq!(seen, ["0", "1", "0", "1"]);
    assert_eq!(
        names(&folder.path().join("target/perfwright")),
        ["commands", "commands.json", "latest"]
    );
}

#[test]
fn a_command_that_fails_or_takes_too_long_is_missing_with_its_last_words() {
    let folder = with_command("echo no such luck; exit 7", "repeat = 2", "\"time < 24h\"");
    let (code, captured) = run_check(&folder, &["--measure"]);
    assert_eq!(code.unwrap(), 3);
    assert!(
        captured.out().contains("it ended with exit status: 7"),
        "{}",
        captured.out()
    );
    assert!(
        captured.err().contains("\n  no such luck"),
        "{}",
        captured.err()
    );
    let folder = with_command("sleep 600", "timeout = \"200ms\"", "\"time < 24h\"");
    let (code, out) = checked(&folder, &["--measure"]);
    assert_eq!(code, 3);
    assert!(out.contains("it took longer than"), "{out}");
    let gone = folder.path().join("perfwright.toml");
    fs::write(
        &gone,
        fs::read_to_string(&gone)
            .unwrap()
            .replace("\"sh\"", "\"no-such-program\""),
    )
    .unwrap();
    let (code, out) = checked(&folder, &["--measure"]);
    assert_eq!(code, 3);
    assert!(out.contains("start no-such-program"), "{out}");
}

#[test]
fn a_breach_of_a_command_is_measured_again() {
    // The first run keeps 60 MB in memory, later ones do not: an unlucky moment.
    let run = "test -e warm || head -c 60000000 /dev/zero | tail -n 1 | wc -c; touch warm";
    let folder = with_command(run, "repeat = 1", "\"peak < 30MB\"");
    let file = folder.path().join("perfwright.toml");
    let text = fs::read_to_string(&file).unwrap() + "on_breach = \"rerun:2\"\n";
    fs::write(&file, text).unwrap();
    let (code, captured) = run_check(&folder, &["--measure"]);
    assert_eq!(code.unwrap(), 0, "{}", captured.out());
    assert!(
        captured
            .out()
            .contains("a breach at first, not in measurement 2"),
        "{}",
        captured.out()
    );
    assert!(
        captured
            .err()
            .contains("command work: a breach is measured again"),
        "{}",
        captured.err()
    );
    let always = fs::read_to_string(&file).unwrap().replace("30MB", "1kB");
    fs::write(&file, always).unwrap();
    let (code, out) = checked(&folder, &["--measure"]);
    assert_eq!(code, 3);
    assert!(out.contains("a breach in each of 3 measurements"), "{out}");
}

#[test]
fn what_was_kept_of_commands_may_be_broken() {
    let folder = with_command("true", "repeat = 1", "\"time < 24h\"");
    let kept = folder.path().join("target/perfwright/commands.json");
    for broken in ["", "[]", "{\"schema_version\": 9, \"commands\": {}}"] {
        fs::write(&kept, broken).unwrap();
        let (code, captured) = run_check(&folder, &[]);
        assert_eq!(code.unwrap(), 3);
        assert!(
            captured.err().contains("--measure writes it anew"),
            "{}",
            captured.err()
        );
    }
    assert_eq!(checked(&folder, &["--measure"]).0, 0);
    assert_eq!(checked(&folder, &[]).0, 0);
}

/// A profile of `a::f` and `b::g` with so many samples, as a file.
fn profile_file(folder: &TempDir, name: &str, counts: [i64; 2]) -> String {
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    for (name, count) in ["a::f", "b::g"].into_iter().zip(counts) {
        let location = profile.frame_location(name);
        let stack = profile.intern_stack_root_first([location]);
        profile.record(stack, LabelSetId::EMPTY, &[count]);
    }
    let path = folder.path().join(name);
    pprof::write_gzip(&profile, fs::File::create(&path).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_grew_is_told_and_drawn() {
    let folder = folder(&HELD.replace("40%", "20%"));
    let before = profile_file(&folder, "before.pb.gz", [100, 900]);
    let out = folder.path().join("pictures");
    let more = ["--baseline", &before, "--out", out.to_str().unwrap()];
    let (code, captured) = run_command("explain", &folder, &more);
    assert_eq!(code.unwrap(), 3);
    let told = captured.out();
    assert!(
        told.contains("  30.0 %  +20.0 pp  spent in  a::f"),
        "{told}"
    );
    assert_eq!(names(&out), ["1-profile-share-a.svg"]);
    let svg = fs::read_to_string(out.join("1-profile-share-a.svg")).unwrap();
    assert!(svg.contains("<svg") && svg.contains("a::f"));
    let (_, captured) = run_command("explain", &folder, &["--out", out.to_str().unwrap()]);
    assert!(
        captured
            .err()
            .contains("it takes a cpu profile now and in the baseline"),
        "{}",
        captured.err()
    );
}

#[test]
fn times_and_cpu_are_explained_by_the_profile() {
    let folder =
        folder("version = 1\n[[budget]]\nmetric = \"process.cpu\"\nlimits = [\"< 10%\"]\n");
    let (code, captured) = run_command("explain", &folder, &[]);
    assert_eq!(code.unwrap(), 3);
    assert!(
        captured.out().contains("  70.0 %  spent in  b::g\n"),
        "{}",
        captured.out()
    );
}
