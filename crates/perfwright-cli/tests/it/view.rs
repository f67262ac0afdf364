//! The commands that read profiles, as a user starts them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use perfwright_format::Limits;
use perfwright_model::{Location, Mapping, Profile, SampleType};
use tempfile::TempDir;

const BASELINE: &str = "\
main;shop::serve;shop::search;regex::compile 300
main;shop::serve;shop::list 200
main;shop::log 500
";
const CANDIDATE: &str = "\
main;shop::serve;shop::search 20
main;shop::serve;shop::list 210
main;shop::log 505
";

/// A folder with two profiles in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("base.folded"), BASELINE).unwrap();
    fs::write(folder.path().join("cand.folded"), CANDIDATE).unwrap();
    folder
}

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-perfwright"));
    command
        .current_dir(folder)
        .args(args)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

fn run(folder: &TempDir, args: &[&str]) -> Output {
    command(folder.path(), args).output().unwrap()
}

/// Standard output of a command that succeeds.
fn out(folder: &TempDir, args: &[&str]) -> String {
    let output = run(folder, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(folder: &TempDir, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&out(folder, args)).unwrap()
}

#[test]
fn view_writes_the_viewer_with_the_profiles_in_it() {
    let folder = folder();
    let html = out(&folder, &["view", "base.folded", "cand.folded", "-o", "-"]);
    assert!(html.starts_with("<!doctype html>"));
    for name in ["base.folded", "cand.folded"] {
        // Gzipped pprof, whatever it was: `H4sI` is how gzip begins in base64.
        let element = format!("data-profile=\"{name}\">H4sI");
        assert!(html.contains(&element), "{name}");
    }
    let alone = out(&folder, &["view", "--no-open", "-o", "viewer.html"]);
    assert_eq!(alone, "");
    let written = fs::read_to_string(folder.path().join("viewer.html")).unwrap();
    assert!(
        !written.contains("data-profile=\"base"),
        "no profile was given"
    );
}

#[test]
fn top_lists_functions() {
    insta::assert_snapshot!(out(&folder(), &["top", "base.folded", "-n", "3"]), @r"
    samples: 1,000 (and 3 more lines: -n 0)
      self       %  total       %  function
       500  50.0 %    500  50.0 %  shop::log
       300  30.0 %    300  30.0 %  regex::compile
       200  20.0 %    200  20.0 %  shop::list
    ");
}

#[test]
fn top_merges_sorts_and_groups() {
    let folder = folder();
    let args = [
        "top",
        "base.folded",
        "cand.folded",
        "--by",
        "crate",
        "--sort",
        "total",
        "--json",
    ];
    let json = json(&folder, &args);
    assert_eq!(json["total_value"], 1_735);
    let shop = json["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["function"] == "shop");
    assert_eq!(shop.unwrap()["total_value"], 1_735);
    assert_eq!(shop.unwrap()["self_value"], 1_435);
}

#[test]
fn top_keeps_what_is_selected() {
    let folder = folder();
    let total = |args: &[&str]| {
        json(&folder, &[&["top", "base.folded", "--json"], args].concat())["total_value"].clone()
    };
    assert_eq!(total(&["--focus", "search"]), 300);
    assert_eq!(total(&["--ignore", "^shop::log$"]), 500);
    assert_eq!(total(&["--show-from", "serve"]), 500);
    assert_eq!(total(&["--hide", "compile"]), 1_000);
    assert_eq!(total(&["--label", "thread=worker"]), 0);
}

#[test]
fn top_shows_a_function_between_its_callers_and_callees() {
    insta::assert_snapshot!(out(&folder(), &["top", "base.folded", "--around", "serve"]), @r"
    shop::serve
      self 0 (0.0 %), total 500 (50.0 %)

    Called by
      through it  of its total  function
             500       100.0 %  main

    Calls
      through it  of its total  function
             300        60.0 %  shop::search
             200        40.0 %  shop::list
    ");
}

/// A profile with labels: two threads on two routes.
fn labelled(folder: &TempDir) -> &'static str {
    let mut profile = Profile::new([SampleType::new("cpu", "nanoseconds")]);
    for (thread, route, ms) in [
        ("a", "/orders", 30),
        ("b", "/orders", 20),
        ("b", "/search", 50),
    ] {
        let location = profile.frame_location("handle");
        let stack = profile.intern_stack_root_first([location]);
        let labels = [
            profile.str_label("thread", thread),
            profile.str_label("route", route),
        ];
        let labels = profile.intern_labels(&labels);
        profile.record(stack, labels, &[ms * 1_000_000]);
    }
    let file = fs::File::create(folder.path().join("labels.pb")).unwrap();
    perfwright_format::pprof::write(&profile, file).unwrap();
    "labels.pb"
}

#[test]
fn top_groups_by_threads_and_labels() {
    let folder = folder();
    let file = labelled(&folder);
    insta::assert_snapshot!(out(&folder, &["top", file, "--by", "thread"]), @r"
    cpu: 100.0 ms
        total       %  thread
      70.0 ms  70.0 %  b
      30.0 ms  30.0 %  a
    ");
    insta::assert_snapshot!(out(&folder, &["top", file, "--by-label", "route"]), @r"
    cpu: 100.0 ms
        total       %  route
      50.0 ms  50.0 %  /orders
      50.0 ms  50.0 %  /search
    ");
    let args = [
        "top",
        file,
        "--label",
        "route=/orders",
        "--label",
        "thread=b",
        "--json",
    ];
    assert_eq!(json(&folder, &args)["total_value"], 20_000_000);
}

#[test]
fn diff_tells_differences_from_noise() {
    insta::assert_snapshot!(out(&folder(), &["diff", "base.folded", "base.folded", "-n", "1"]), @r"
    samples: 1,000 before, 1,000 after
      before       %  after       %  change     function
         300  30.0 %    300  30.0 %   0.0 %  ~  regex::compile
    change: in points of the share. ~: within the sampling error (1000 and 1000 samples).
    (and 2 lines with less change: -n 0)
    ");
    let folder = folder();
    let json = json(&folder, &["diff", "base.folded", "cand.folded", "--json"]);
    let verdict = |name: &str| {
        let rows = json["rows"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap()["verdict"].clone()
    };
    assert_eq!(verdict("regex::compile"), "less");
    assert_eq!(verdict("shop::log"), "more");
    assert_eq!(verdict("shop::search"), "more");
    assert_eq!(json["baseline"]["effective_samples"], 1_000.0);
}

#[test]
fn diff_draws_the_differences() {
    let folder = folder();
    let args = [
        "diff",
        "base.folded",
        "cand.folded",
        "--svg",
        "diff.svg",
        "--by",
        "thread",
    ];
    assert!(out(&folder, &args).contains("(no thread)"));
    assert!(is_svg(&fs::read(folder.path().join("diff.svg")).unwrap()));
    let args = ["diff", "base.folded", "cand.folded", "--svg", "-"];
    assert!(is_svg(out(&folder, &args).as_bytes()));
}

fn is_svg(bytes: &[u8]) -> bool {
    let text = text(bytes);
    text.starts_with("<?xml") && text.contains("shop::serve") && text.trim_end().ends_with("</svg>")
}

#[test]
fn flamegraph_writes_a_file_or_standard_output() {
    let folder = folder();
    let output = run(&folder, &["flamegraph", "base.folded", "--title", "a < b"]);
    assert!(text(&output.stderr).contains("Wrote flamegraph.svg"));
    let svg = fs::read(folder.path().join("flamegraph.svg")).unwrap();
    assert!(is_svg(&svg) && text(&svg).contains("a &lt; b"));
    assert!(is_svg(
        out(&folder, &["flamegraph", "base.folded", "-o", "-"]).as_bytes()
    ));
    assert_eq!(
        names(&folder),
        ["base.folded", "cand.folded", "flamegraph.svg"]
    );
}

/// What is in the folder, hidden files too.
fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn convert_goes_there_and_back() {
    let folder = folder();
    for (name, magic) in [("x.pb.gz", [0x1f, 0x8b]), ("x.pb", [0x0a, 0x00])] {
        out(&folder, &["convert", "base.folded", "-o", name]);
        let bytes = fs::read(folder.path().join(name)).unwrap();
        assert!(magic[1] == 0 || bytes.starts_with(&magic), "{name}");
        let folded = out(&folder, &["convert", name, "--to", "folded"]);
        assert_eq!(lines(&folded), lines(BASELINE));
    }
}

/// The profiles that other programs wrote.
fn foreign() -> Vec<std::path::PathBuf> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../perfwright-format/tests/data"
    );
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let sources = ["md", "c", "js", "py", "html"];
    paths
        .filter(|path| {
            sources
                .iter()
                .all(|source| path.extension().is_some_and(|found| found != *source))
        })
        .collect()
}

#[test]
fn convert_reads_what_any_profiler_wrote() {
    let folder = folder();
    let files = foreign();
    assert!(files.len() >= 14, "only {}", files.len());
    for file in &files {
        let file = file.to_str().unwrap();
        let direct = out(&folder, &["convert", file, "--to", "folded"]);
        out(&folder, &["convert", file, "-o", "x.pb.gz"]);
        let around = out(&folder, &["convert", "x.pb.gz", "--to", "folded"]);
        assert!(!direct.is_empty() && around == direct, "{file}");
    }
}

#[test]
fn convert_says_what_is_left_out() {
    let folder = folder();
    let file = foreign()
        .into_iter()
        .find(|file| file.ends_with("program.perf.txt"))
        .unwrap();
    let said = |format: &str| {
        let args = ["convert", file.to_str().unwrap(), "--to", format, "-o", "x"];
        text(&run(&folder, &args).stderr)
    };
    let folded = said("folded");
    assert!(
        folded.contains("folded stacks hold one value: cpu-clock;")
            && folded
                .contains("the format has no labels (thread, thread_id), lines, times: left out"),
        "{folded}"
    );
    let speedscope = said("speedscope");
    assert!(
        speedscope.contains("the format has no labels (thread_id): left out"),
        "{speedscope}"
    );
    for format in ["firefox", "pprof"] {
        let said = said(format);
        assert!(!said.contains("left out"), "{format}: {said}");
    }
}

#[test]
fn convert_writes_pictures_and_pages_of_what_the_filters_leave() {
    let folder = folder();
    let stacks = "main;tokio::run;shop::load;std::read 3\nmain;shop::walk;shop::walk;core::cmp 2\n";
    fs::write(folder.path().join("stacks.folded"), stacks).unwrap();
    let filters = ["--my-code", "--merge-recursion"];
    let folded = |more: &[&str]| {
        let input = ["convert", "stacks.folded", "--to", "folded"];
        out(&folder, &[&input, more].concat())
    };
    assert_eq!(lines(&folded(&filters)), ["shop::load 3", "shop::walk 2"]);
    let collapsed = folded(&["--collapse", "run|walk"]);
    assert_eq!(
        lines(&collapsed),
        ["main;shop::walk 2", "main;tokio::run 3"]
    );
    let written = |name: &str| {
        out(
            &folder,
            &[&["convert", "stacks.folded", "-o", name], &filters[..]].concat(),
        );
        fs::read_to_string(folder.path().join(name)).unwrap()
    };
    let svg = written("calls.svg");
    assert!(
        svg.contains("<title>shop::load (") && !svg.contains("tokio"),
        "{svg}"
    );
    let html = written("calls.html");
    assert!(html.contains("data-profile=\"calls.pb.gz\">H4sI"));
}

#[test]
fn view_embeds_sources_that_are_on_this_disk() {
    let folder = folder();
    let source = folder.path().join("lib.rs");
    fs::write(&source, "fn load() {}\n").unwrap();
    let callgrind = format!("events: Ir\nfl={}\nfn=load\n1 7\n", source.display());
    fs::write(folder.path().join("callgrind.out"), callgrind).unwrap();
    let html = out(&folder, &["view", "--source", "callgrind.out", "-o", "-"]);
    let element = format!("data-source=\"{}\">H4sI", source.display());
    assert!(html.contains(&element));
    let without = out(&folder, &["view", "callgrind.out", "-o", "-"]);
    assert!(!without.contains(&element));
}

fn lines(folded: &str) -> Vec<&str> {
    let mut lines: Vec<_> = folded.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_profile_comes_from_standard_input_too() {
    let folder = folder();
    let file = fs::File::open(folder.path().join("base.folded")).unwrap();
    let output = command(folder.path(), &["top", "-", "--json"])
        .stdin(file)
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["total_value"], 1_000);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder();
    let mut command = command(folder.path(), &["convert", "-", "--to", "folded"]);
    let streams = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = streams.spawn().unwrap();
    // It writes when it has read everything: the reader is gone by then.
    drop(child.stdout.take());
    child
        .stdin
        .take()
        .unwrap()
        .write_all(BASELINE.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output.stderr).as_str()),
        (Some(0), "")
    );
}

#[test]
fn colours_come_when_they_are_asked_for() {
    let folder = folder();
    assert!(!out(&folder, &["top", "base.folded"]).contains('\u{1b}'));
    assert!(out(&folder, &["top", "base.folded", "--color", "always"]).contains("\u{1b}[1m"));
}

/// A function whose name `symbolize` is to find.
#[inline(never)]
fn needle() -> usize {
    std::hint::black_box(42)
}

/// A profile of this program with nothing but an address in [`needle`].
fn unsymbolized() -> Profile {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let address = needle as *const () as u64;
    let found = maps.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (start, limit) = fields[0].split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).unwrap();
        let (start, limit) = (hex(start), hex(limit));
        let mut mapping = Mapping::new(start, limit);
        mapping.offset = hex(fields[2]);
        (start..limit)
            .contains(&address)
            .then(|| (mapping, fields[5].to_owned()))
    });
    let (mut mapping, file) = found.unwrap();
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    mapping.filename = profile.intern(&file);
    let mapping = profile.add_mapping(mapping);
    let location = Location {
        mapping: Some(mapping),
        address: std::num::NonZeroU64::new(address),
        is_folded: false,
    };
    let location = profile.add_location(location, &[]);
    let stack = profile.intern_stack_root_first([location]);
    profile.record(stack, perfwright_model::LabelSetId::EMPTY, &[7]);
    profile
}

#[test]
fn symbolize_names_a_function_of_this_program() {
    assert_eq!(needle(), 42);
    let folder = folder();
    let file = fs::File::create(folder.path().join("raw.pb.gz")).unwrap();
    perfwright_format::pprof::write_gzip(&unsymbolized(), file).unwrap();
    let output = run(&folder, &["symbolize", "raw.pb.gz", "-o", "named.pb.gz"]);
    assert!(
        text(&output.stderr).contains("Resolved 1 of 1 addresses"),
        "{output:?}"
    );
    let bytes = fs::read(folder.path().join("named.pb.gz")).unwrap();
    let named = perfwright_format::read(&bytes, &Limits::default())
        .unwrap()
        .profile;
    assert!(named.strings().any(|name| name.ends_with("::needle")));
    assert!(out(&folder, &["top", "named.pb.gz"]).contains("view.rs:"));
    let again = run(&folder, &["symbolize", "named.pb.gz", "-o", "-"]);
    assert!(text(&again.stderr).contains("there was nothing to do"));
}

#[test]
fn bad_input_gets_one_message_and_leaves_no_file() {
    let folder = folder();
    fs::write(folder.path().join("broken.pb.gz"), [0x1f, 0x8b, 8, 0, 0]).unwrap();
    fs::write(
        folder.path().join("broken.folded"),
        "main;f 1\nmain;g many\n",
    )
    .unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    fs::write(folder.path().join("picture.png"), b"\x89PNG\r\n\x1a\n0000").unwrap();
    let before = names(&folder);
    let cases: [(&[&str], &str); 16] = [
        (&["top", "nope"], "error: failed to read nope: No such file"),
        (&["top", "."], "failed to read .: Is a directory"),
        (&["top", "empty"], "the input is empty"),
        (&["top", "picture.png"], "PNG"),
        (&["top", "broken.pb.gz"], "failed to read broken.pb.gz: "),
        (&["top", "broken.folded"], "(line 2)"),
        (&["top", "-", "-"], "give - only once"),
        (
            &["top", "base.folded", "--sample-type", "cpu"],
            "the profile has samples",
        ),
        (
            &["top", "base.folded", "--around", "nothing"],
            "`top` lists them",
        ),
        (
            &["flamegraph", "base.folded", "--sample-type", "cpu"],
            "choose one of samples",
        ),
        (
            &["flamegraph", "base.folded", "-o", "no/folder.svg"],
            "failed to write no/folder.svg",
        ),
        (&["flamegraph", "base.folded", "-o", "."], "it is a folder"),
        (
            &["convert", "base.folded", "-o", "x"],
            "give --to pprof, folded",
        ),
        (&["diff", "base.folded", "nope"], "failed to read nope"),
        (
            &["diff", "base.folded", "base.folded", "--sample-type", "x"],
            "sample type",
        ),
        (
            &[
                "symbolize",
                "base.folded",
                "-o",
                "x.pb",
                "--debug-file",
                "nope",
            ],
            "failed to read nope",
        ),
    ];
    for (args, message) in cases {
        let output = run(&folder, args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert_eq!(stderr.matches("error: ").count(), 1, "{args:?}: {stderr}");
        assert_eq!(output.stdout, b"", "{args:?}");
    }
    assert_eq!(names(&folder), before);
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let folder = folder();
    let cases: [&[&str]; 5] = [
        &["top"],
        &["top", "base.folded", "--focus", "("],
        &["top", "base.folded", "--label", "thread"],
        &["flamegraph", "base.folded", "--min-percent", "101"],
        &["nonsense"],
    ];
    for args in cases {
        assert_eq!(run(&folder, args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_file_is_replaced_only_by_a_whole_one() {
    let folder = folder();
    fs::write(folder.path().join("flamegraph.svg"), "precious").unwrap();
    run(
        &folder,
        &["flamegraph", "base.folded", "--sample-type", "cpu"],
    );
    let kept = fs::read_to_string(folder.path().join("flamegraph.svg")).unwrap();
    assert_eq!(kept, "precious");
    run(&folder, &["flamegraph", "base.folded"]);
    assert!(is_svg(
        &fs::read(folder.path().join("flamegraph.svg")).unwrap()
    ));
}

#[test]
fn completions_and_the_man_page_know_every_command() {
    let folder = folder();
    let pages = [
        out(&folder, &["completions", "bash"]),
        out(&folder, &["completions", "zsh"]),
        out(&folder, &["completions", "fish"]),
        out(&folder, &["man"]),
    ];
    for page in &pages {
        for name in [
            "profile",
            "top",
            "flamegraph",
            "diff",
            "convert",
            "symbolize",
            "min-percent",
        ] {
            // roff writes its hyphens with a backslash.
            assert!(page.replace("\\-", "-").contains(name), "{name}");
        }
    }
    assert!(
        pages[3].starts_with(".ie") || pages[3].starts_with(".TH"),
        "{}",
        &pages[3][..40]
    );
}

#[test]
fn cargo_passes_the_name_of_the_subcommand() {
    let folder = folder();
    assert_eq!(
        out(&folder, &["perfwright", "top", "base.folded"]),
        out(&folder, &["top", "base.folded"])
    );
}
