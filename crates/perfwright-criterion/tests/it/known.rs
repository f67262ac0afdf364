//! The example `known` as a bench executable.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use perfwright_analyze::{By, top};
use perfwright_criterion::saved::{self, Allocations, Counts};
use perfwright_format::Limits;
use perfwright_model::Profile;
use tempfile::TempDir;

fn known(home: &TempDir, arguments: &str) -> Command {
    // Examples are built beside the tests: target/debug/deps/it-123 and target/debug/examples/known.
    let it = std::env::current_exe().unwrap();
    let built = it.parent().and_then(Path::parent).unwrap();
    let mut command = Command::new(built.join("examples/known"));
    command
        .args(arguments.split_whitespace())
        .env("CRITERION_HOME", home.path());
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{error}");
    output
}

const SHORT: &str = "--bench --noplot --sample-size 10 --warm-up-time 0.02 --measurement-time 0.05 --nresamples 1001";

fn counts(home: &TempDir, set: &str) -> BTreeMap<String, Counts> {
    let benches = saved::benches(home.path(), set).unwrap();
    let counted = benches.into_iter().filter_map(|bench| {
        let counts = bench.counts().unwrap()?;
        assert_eq!(counts.name, bench.name);
        Some((bench.name, counts))
    });
    counted.collect()
}

/// What one iteration of each allocates, by hand.
const BY_HAND: [(&str, f64, f64); 8] = [
    ("known/allocates", 3.0, 40.0),
    ("known/allocates/large drop", 3.0, 40.0),
    ("known/batched/4", 1.0, 8.0),
    // The smallest capacity of a vector of u64 is 4.
    ("known/batched/by reference", 1.0, 32.0),
    ("known/first only", 0.0, 0.0),
    ("known/hot", 0.0, 0.0),
    ("nothing", 0.0, 0.0),
    ("suite", 3.0, 40.0),
];

fn assert_by_hand(counts: &BTreeMap<String, Counts>) {
    for (name, count, bytes) in BY_HAND {
        let found = counts
            .get(name)
            .unwrap_or_else(|| panic!("{name} in {:?}", counts.keys()));
        let Allocations {
            count: found_count,
            bytes: found_bytes,
            same_each_time,
            ..
        } = found.allocations.unwrap();
        assert_eq!(
            (found_count, found_bytes, same_each_time),
            (count, bytes, true),
            "{name}"
        );
    }
}

#[test]
fn a_measured_bench_has_its_counts_beside_criterions_results() {
    let home = TempDir::new().unwrap();
    let output = run(&mut known(&home, SHORT));
    let text = String::from_utf8(output.stdout).unwrap();
    let new = counts(&home, saved::LAST);
    assert_by_hand(&new);
    assert_eq!(counts(&home, "base"), new);
    let hot = &new["known/hot"];
    assert!(
        hot.process_cpu_ns.unwrap() > 0.0 && hot.thread_cpu_ns.unwrap() > 0.0,
        "{hot:?}"
    );
    assert!(
        text.contains(" of CPU, 3 allocations, 40 bytes\n"),
        "{text}"
    );

    // criterion's own results are beside them, and the throughput is known.
    let benches = saved::benches(home.path(), saved::LAST).unwrap();
    let hot = benches
        .iter()
        .find(|bench| bench.name == "known/hot")
        .unwrap();
    assert!(hot.estimates().unwrap().median.value > 0.0);
    assert_eq!(hot.sample().unwrap().times.len(), 10);
    assert_eq!(hot.throughput(), Some(saved::Throughput::Elements(10)));

    // The sweep's fit is printed and saved.
    assert!(text.contains(" growth: O("), "{text}");
    let sweep = std::fs::read(home.path().join("sweep/sweep.json")).unwrap();
    let sweep: serde_json::Value = serde_json::from_slice(&sweep).unwrap();
    assert_eq!(
        (&sweep["version"], &sweep["name"]),
        (&1.into(), &"sweep".into())
    );
}

#[test]
fn the_threads_clock_refuses_what_other_threads_do() {
    let home = TempDir::new().unwrap();
    let output = run(&mut known(&home, &format!("{SHORT} by")));
    let error = String::from_utf8(output.stderr).unwrap();
    let said = error
        .matches("failed to measure by the thread's CPU time")
        .count();
    assert_eq!(said, 1, "{error}");
    let benches = saved::benches(home.path(), saved::LAST).unwrap();
    let has_estimates = |name: &str| {
        let bench = benches.iter().find(|bench| bench.name == name).unwrap();
        bench.estimates().is_ok()
    };
    assert!(!has_estimates("elsewhere by thread"));
    assert!(has_estimates("elsewhere by process"));
    assert!(has_estimates("here by thread"));
    let counts = counts(&home, saved::LAST);
    assert!(counts["elsewhere by process"].other_threads().unwrap() > 1.0);
}

#[test]
fn benches_can_be_counted_without_being_measured() {
    let home = TempDir::new().unwrap();
    run(known(&home, "--test").env("PERFWRIGHT_COUNT", "5"));
    let new = counts(&home, saved::LAST);
    assert_by_hand(&new);
    assert!(
        new.values()
            .all(|counts| counts.iterations == 5 && counts.process_cpu_ns.is_none())
    );
    // It is no baseline.
    assert_eq!(counts(&home, "base"), BTreeMap::new());
    // Without the variable a test leaves nothing behind.
    let home = TempDir::new().unwrap();
    run(&mut known(&home, "--test"));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

fn profile(home: &TempDir, path: &str) -> Profile {
    let bytes = std::fs::read(home.path().join(path)).unwrap();
    perfwright_format::read(&bytes, &Limits::default())
        .unwrap()
        .profile
}

/// The share of a function with all it calls.
fn share(profile: &Profile, kind: &str, name: &str) -> f64 {
    let sample_type = profile.find_sample_type(kind).unwrap();
    let rows = top(profile, sample_type, By::Function);
    let row = rows.iter().find(|row| row.name.contains(name));
    let total = row.map_or(0, |row| row.total_value);
    total as f64 / profile.total(sample_type) as f64
}

#[test]
fn a_profile_names_the_bench_and_no_harness() {
    let home = TempDir::new().unwrap();
    let output = run(&mut known(&home, "--bench --profile-time 2 known/hot"));
    let text = String::from_utf8(output.stdout).unwrap();
    let files = [
        "profile.html",
        "cpu.pb.gz",
        "cpu.svg",
        "heap.pb.gz",
        "heap.svg",
    ];
    for file in files {
        assert!(
            home.path().join("known/hot/profile").join(file).is_file(),
            "{file}"
        );
    }
    let html = home.path().join("known/hot/profile/profile.html");
    assert!(text.contains(&html.display().to_string()), "{text}");
    // Nothing is measured, so nothing is saved.
    assert_eq!(counts(&home, saved::LAST), BTreeMap::new());

    let cpu = profile(&home, "known/hot/profile/cpu.pb.gz");
    let of = |name: &str| share(&cpu, "cpu", name);
    // The rest is reading clocks and what criterion does before and after.
    assert!(of("known::hot") > 0.9, "{} of {text}", of("known::hot"));
    // 7 parts to 3. Some 2,000 samples: a standard deviation is 0.01.
    let cooler = of("known::cooler") / of("known::hot");
    assert!((cooler - 0.3).abs() < 0.05, "{cooler}");
    for harness in [
        "criterion::",
        "perfwright_gate_collected",
        "std::rt::lang_start",
    ] {
        assert_eq!(of(harness), 0.0, "{harness}");
    }
    let roots = roots(&cpu);
    assert!(roots.iter().any(|root| root == "known::hot"), "{roots:?}");
}

/// The outermost functions.
fn roots(profile: &Profile) -> Vec<String> {
    let mut roots: Vec<String> = (profile.samples())
        .filter_map(|sample| {
            let outermost = profile.stack(sample.stack).last()?;
            let frame = profile.frames(outermost).last()?;
            Some(profile.function_name(frame.function).to_owned())
        })
        .collect();
    roots.sort();
    roots.dedup();
    roots
}

#[test]
fn a_heap_profile_names_who_allocates() {
    let home = TempDir::new().unwrap();
    run(&mut known(&home, "--bench --profile-time 1 suite"));
    let heap = profile(&home, "suite/profile/heap.pb.gz");
    let share = share(&heap, "alloc_space", "known::allocate");
    assert!(share > 0.9, "{share}");
}
