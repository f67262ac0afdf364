//! The main job on the example service: it names the planted functions, at the right lines, and decoders
//! that share no code with ours read the same profile.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use perfwright_format::Limits;
use perfwright_model::{LabelValue, Profile};
use prost::Message as _;
use serde_json::Value;

use crate::{need, output_of, root, schema};

struct Run {
    folder: PathBuf,
    report: Value,
}

/// One run for all tests of this file.
static RUN: LazyLock<Run> = LazyLock::new(|| run("main-job", &[]));

fn run(name: &str, program_args: &[&str]) -> Run {
    let folder = crate::target(name);
    let _ = fs::remove_dir_all(&folder);
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask
        .current_dir(root())
        .args(["profile", "--seconds", "8", "--heap", "--heap-rate", "16k"])
        .args(["--json", "--out"])
        .arg(&folder)
        .arg("--")
        .args(program_args);
    let report = serde_json::from_str(&output_of(&mut xtask)).expect("the report is JSON");
    Run { folder, report }
}

/// Functions of the shop that its mistakes run through, as they are named in the report and in the source.
const PLANTED: [(&str, &str); 3] = [
    ("shop::search::Patterns::compile", "fn compile()"),
    ("shop::routes::report::owned_totals", "fn owned_totals("),
    ("shop::respond::envelope", "fn envelope"),
];

#[test]
fn planted_functions_are_named_with_their_lines() {
    let rows = RUN.report["top_own"].as_array().expect("functions");
    for (name, definition) in PLANTED {
        let row = rows.iter().find(|row| {
            row["function"]
                .as_str()
                .is_some_and(|found| found.contains(name))
        });
        let row = row.unwrap_or_else(|| panic!("{name} is not in {rows:#?}"));
        let file = row["file"].as_str().expect("a file");
        let file = if Path::new(file).is_absolute() {
            file.into()
        } else {
            root().join(file)
        };
        let source =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let start = source
            .lines()
            .position(|line| line.contains(definition))
            .expect("the function") as u64
            + 1;
        let length = source
            .lines()
            .skip(start as usize)
            .position(|line| line.starts_with(['}']) || line == "    }");
        let end = start + 1 + length.expect("the function ends") as u64;
        let line = row["line"].as_u64().expect("a line");
        assert!(
            (start..=end).contains(&line),
            "{name} is at {start} to {end}, and not at {line}"
        );
    }
}

#[test]
fn the_service_answered_and_nothing_was_lost_unseen() {
    let report = &RUN.report;
    assert!(
        report["load"]["all"]["count"].as_u64() > Some(100),
        "{}",
        report["load"]
    );
    assert_eq!(report["load"]["all"]["errors"], 0);
    let capture = &report["capture"];
    let of = |key: &str| {
        capture[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key} in {capture}"))
    };
    let accounted = of("sampled_nanos") + of("lost_nanos");
    assert!(
        (accounted / of("cpu_nanos") - 1.0).abs() < 0.05,
        "{capture}"
    );
    assert!(
        of("stacks_rootless") < 0.05 * of("samples_delivered"),
        "{capture}"
    );
}

#[test]
fn allocation_sites_the_peak_and_the_leak_are_named() {
    let memory = &RUN.report["memory"];
    let functions = |list: &str| -> Vec<&str> {
        let sites = memory[list]
            .as_array()
            .unwrap_or_else(|| panic!("{list} in {memory}"));
        sites
            .iter()
            .map(|site| site["function"].as_str().expect("a name"))
            .collect()
    };
    let allocated = functions("top_allocated");
    assert!(allocated[0].contains("Patterns::compile"), "{allocated:?}");
    let row = functions("top_allocated")
        .iter()
        .any(|name| name.contains("shop::routes::export::row"));
    assert!(row, "the export's strings: {allocated:?}");
    let suspects = functions("suspects");
    assert!(
        suspects
            .first()
            .is_some_and(|name| name.contains("respond::")),
        "{suspects:?}"
    );
    assert!(!functions("top_peak").is_empty());

    let exact = memory["allocated_bytes"].as_f64().expect("exact bytes");
    let heap = fs::read(RUN.folder.join("heap.pb.gz")).expect("heap.pb.gz");
    let heap = perfwright_format::read(&heap, &Limits::default())
        .expect("a profile")
        .profile;
    let estimated = heap.total(heap.find_sample_type("alloc_space").expect("a type")) as f64;
    // Of gigabytes sampled every 16 KiB the error is far below this.
    assert!(
        (estimated / exact - 1.0).abs() < 0.05,
        "{estimated} of {exact}"
    );
    for file in [
        "heap.svg",
        "heap-allocated.svg",
        "heap.folded",
        "heap-peak.pb.gz",
        "memory.csv",
    ] {
        assert!(RUN.folder.join(file).exists(), "{file}");
    }
}

#[test]
fn nothing_is_suspected_when_the_leak_is_mended() {
    let mended = run("main-job-mended", &["--fix", "unbounded-cache"]);
    let suspects = &mended.report["memory"]["suspects"];
    assert_eq!(suspects.as_array().map(Vec::len), Some(0), "{suspects}");
}

const ROUTES: [&str; 6] = [
    "/products",
    "/products/{id}",
    "/orders",
    "/checkout",
    "/reports/sales",
    "/orders/export",
];

#[test]
fn routes_and_spans_own_their_time_on_whatever_thread() {
    let spans = &RUN.report["spans"];
    let rows = |list: &str| {
        let rows = spans[list].as_array();
        rows.unwrap_or_else(|| panic!("{list} in {spans}"))
    };
    for route in ROUTES {
        let row = rows("routes").iter().find(|row| row["route"] == route);
        let row = row.unwrap_or_else(|| panic!("{route} in {spans}"));
        assert!(row["requests"].as_u64() > Some(0), "{row}");
        assert!(row["cpu_nanos"].as_i64() > Some(0), "{row}");
        assert!(row["allocated_bytes"].as_i64() > Some(0), "{row}");
        assert_eq!(row["errors"], 0, "{row}");
    }
    // Spans are counted for a little longer than requests are.
    let requests: u64 = rows("routes")
        .iter()
        .filter_map(|row| row["requests"].as_u64())
        .sum();
    let loaded = RUN.report["load"]["all"]["count"]
        .as_u64()
        .expect("a count");
    assert!(requests + 8 >= loaded, "{requests} of {loaded}");
    // SQLite runs on threads of its own, which work for the span that they were called from.
    let routed = spans["routed_share"].as_f64().expect("a share");
    assert!((0.6..=1.0).contains(&routed), "{routed}");

    let n_plus_one = rows("statements").iter().find(|row| {
        let statement = row["statement"].as_str().expect("a template");
        row["route"] == "/orders" && statement.contains("WHERE order_id = ?")
    });
    let n_plus_one = n_plus_one.unwrap_or_else(|| panic!("the lines' query in {spans}"));
    assert!(
        n_plus_one["count_per_request"].as_f64() > Some(5.0),
        "{n_plus_one}"
    );
    assert!(
        n_plus_one["rows"].as_u64() >= n_plus_one["count"].as_u64(),
        "{n_plus_one}"
    );

    let trace = fs::read(RUN.folder.join("trace.json")).expect("trace.json");
    let trace: Value = serde_json::from_slice(&trace).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    assert!(events.len() > 100, "{} events", events.len());
    let text = trace.to_string();
    for route in ROUTES {
        assert!(text.contains(route), "{route} in trace.json");
    }
    for file in ["routes.svg", "spans.svg", "spans.pb.gz"] {
        assert!(RUN.folder.join(file).exists(), "{file}");
    }
}

#[test]
fn samples_in_a_span_have_its_label_and_others_have_not() {
    let packed = fs::read(RUN.folder.join("cpu.pb.gz")).expect("the profile");
    let profile = perfwright_format::read(&packed, &Limits::default())
        .expect("our own file")
        .profile;
    let at = profile.find_sample_type("cpu").expect("a type");
    let (mut inside, mut labelled, mut stray) = (0, 0, 0);
    for sample in profile.samples() {
        let runs = profile.stack(sample.stack).any(|location| {
            let mut frames = profile.frames(location).iter();
            frames.any(|frame| {
                profile
                    .function_name(frame.function)
                    .ends_with("summarize_owned")
            })
        });
        let has_label = profile.label_str(sample.labels, "span") == Some("summarize_owned");
        let value = sample.values[at];
        match (runs, has_label) {
            (true, true) => (inside, labelled) = (inside + value, labelled + value),
            (true, false) => inside += value,
            (false, true) => stray += value,
            (false, false) => {}
        }
    }
    assert!(inside > 0);
    // Entering and leaving the span is in the function, but not in the span.
    assert!(
        labelled as f64 >= 0.98 * inside as f64,
        "{labelled} of {inside}"
    );
    assert!(
        (stray as f64) < 0.02 * inside as f64,
        "{stray} beside {inside}"
    );
}

/// A sample as text: labels, then the stack with inlined calls, root first, each with its line.
type Samples = BTreeMap<String, Vec<i64>>;

fn add(samples: &mut Samples, mut labels: Vec<String>, mut frames: Vec<String>, values: &[i64]) {
    labels.sort();
    frames.reverse();
    let sums = samples
        .entry(format!("{labels:?} {frames:?}"))
        .or_insert_with(|| vec![0; values.len()]);
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

fn as_we_read_it(profile: &Profile) -> Samples {
    let mut samples = Samples::new();
    for sample in profile.samples() {
        let labels = profile.labels(sample.labels).iter().map(|label| {
            let key = profile.string(label.key);
            match label.value {
                LabelValue::Str(text) => format!("{key}={}", profile.string(text)),
                LabelValue::Num { value, unit } => {
                    format!("{key}={value} {}", profile.string(unit))
                }
            }
        });
        let mut frames = Vec::new();
        for location in profile.stack(sample.stack) {
            let address = profile
                .location(location)
                .address
                .map_or(0, |address| address.get());
            frames.push(format!("{address:#x}"));
            frames.extend(profile.frames(location).iter().map(|frame| {
                let function = profile.function(frame.function);
                let (name, file) = (
                    profile.string(function.name),
                    profile.string(function.filename),
                );
                format!("{name} {file}:{}", frame.line.map_or(0, |line| line.get()))
            }));
        }
        add(&mut samples, labels.collect(), frames, sample.values);
    }
    samples
}

fn as_prost_reads_it(profile: &schema::Profile) -> Samples {
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let locations: BTreeMap<_, _> = profile.location.iter().map(|row| (row.id, row)).collect();
    let functions: BTreeMap<_, _> = profile.function.iter().map(|row| (row.id, row)).collect();
    let mut samples = Samples::new();
    for sample in &profile.sample {
        let labels = sample.label.iter().map(|label| match label.str {
            0 => format!("{}={} {}", text(label.key), label.num, text(label.num_unit)),
            value => format!("{}={}", text(label.key), text(value)),
        });
        let mut frames = Vec::new();
        for id in &sample.location_id {
            let location = locations[id];
            frames.push(format!("{:#x}", location.address));
            frames.extend(location.line.iter().map(|line| {
                let function = functions[&line.function_id];
                format!(
                    "{} {}:{}",
                    text(function.name),
                    text(function.filename),
                    line.line
                )
            }));
        }
        add(&mut samples, labels.collect(), frames, &sample.value);
    }
    samples
}

#[test]
fn prost_reads_every_stack_line_label_and_value_alike() {
    let packed = fs::read(RUN.folder.join("cpu.pb.gz")).expect("the profile");
    let ours = perfwright_format::read(&packed, &Limits::default())
        .expect("our own file")
        .profile;
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&packed[..])
        .read_to_end(&mut bytes)
        .expect("gzip");
    let theirs = schema::Profile::decode(&bytes[..]).expect("protobuf");
    let (ours, theirs) = (as_we_read_it(&ours), as_prost_reads_it(&theirs));
    assert!(ours.len() > 50, "{} distinct samples", ours.len());
    assert_eq!(ours.len(), theirs.len());
    for (sample, values) in &theirs {
        assert_eq!(ours.get(sample), Some(values), "{sample}");
    }
}

#[test]
fn go_tool_pprof_agrees_on_the_table() {
    if !need::need(need::Tool::Go) {
        return;
    }
    let mut pprof = Command::new("go");
    pprof.args([
        "tool",
        "pprof",
        "-top",
        "-nodecount=100000",
        "-nodefraction=0",
        "-unit=ns",
        "-sample_index=cpu",
    ]);
    let table = output_of(
        pprof
            .arg(RUN.folder.join("cpu.pb.gz"))
            .env("PPROF_TMPDIR", crate::target("pprof")),
    );
    let theirs = go_rows(&table);
    let rows = RUN.report["top_self"].as_array().expect("functions");
    let mut compared = 0;
    for row in rows.iter().take(40) {
        let name = row["full_name"]
            .as_str()
            .or(row["function"].as_str())
            .expect("a name");
        // Go writes the inlined ones' names with a remark.
        let Some(&(flat, cum)) = theirs.get(name) else {
            continue;
        };
        assert_eq!(row["self_value"].as_i64(), Some(flat), "self of {name}");
        assert_eq!(row["total_value"].as_i64(), Some(cum), "total of {name}");
        compared += 1;
    }
    assert!(
        compared >= 25,
        "only {compared} of 40 functions stand in both tables:\n{table}\n{rows:#?}"
    );
}

/// The rows of `-top`: flat, flat %, sum %, cum, cum %, name.
fn go_rows(table: &str) -> BTreeMap<String, (i64, i64)> {
    let nanos = |word: &str| {
        word.trim_end_matches("ns")
            .parse::<f64>()
            .ok()
            .map(|value| value as i64)
    };
    table
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let flat = nanos(words.next()?)?;
            let cum = nanos(words.nth(2)?)?;
            let name = words.skip(1).collect::<Vec<_>>().join(" ");
            Some((
                name.trim_end_matches(" (inline)")
                    .trim_end_matches(" (partial-inline)")
                    .to_owned(),
                (flat, cum),
            ))
        })
        .collect()
}
