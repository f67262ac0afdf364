//! Reading saved results: of several versions of criterion, and broken ones.

use std::fs;
use std::path::Path;

use perfwright_criterion::saved::{self, Bench, Throughput};
use perfwright_criterion::table::{self, Row};
use tempfile::TempDir;

fn data(version: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    folder.join(format!("criterion-{version}"))
}

fn only(root: &Path, set: &str) -> Bench {
    let benches = saved::benches(root, set).unwrap();
    assert_eq!(benches.len(), 1, "{benches:?}");
    benches[0].clone()
}

/// What criterion of these versions left after a bench of `parse: all`, `sum`, 64.
#[test]
fn results_of_every_known_version_are_read() {
    for version in ["0.3.0", "0.4.0", "0.8.2"] {
        let bench = only(&data(version), saved::LAST);
        assert_eq!(bench.name, "parse: all/sum/64");
        assert_eq!(bench.throughput(), Some(Throughput::Bytes(64)));
        assert_eq!(bench.counts().unwrap(), None);
        let estimates = bench.estimates().unwrap();
        let sample = bench.sample().unwrap();
        assert_eq!((sample.iterations.len(), sample.times.len()), (10, 10));

        // The mean of what was measured is the mean that criterion estimated.
        let mean = sample.per_iteration().sum::<f64>() / 10.0;
        assert!(
            (mean / estimates.mean.value - 1.0).abs() < 1e-9,
            "{version}: {mean}"
        );
        assert_eq!(estimates.mean.confidence, 0.95);
        assert!(estimates.median.low <= estimates.median.value);
        assert!(estimates.median.value <= estimates.median.high);
        assert!(estimates.slope.is_some());

        let base = bench.other("base").unwrap();
        assert_eq!(base.estimates().unwrap(), estimates);
        assert_eq!(bench.other("gone"), None);
    }
}

fn with(file: &str, content: impl AsRef<[u8]>) -> (TempDir, Bench) {
    let root = TempDir::new().unwrap();
    let from = data("0.8.2").join("parse_ all/sum/64/new");
    let to = root.path().join("a/new");
    fs::create_dir_all(&to).unwrap();
    for name in ["estimates.json", "sample.json", "benchmark.json"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    fs::write(to.join(file), content).unwrap();
    let bench = only(root.path(), saved::LAST);
    (root, bench)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(file: &str, read: Result<T, saved::Error>, expected: &str) {
    let error = read.unwrap_err();
    assert!(error.path().ends_with(file), "{error}");
    let (text, path) = (error.to_string(), error.path().display().to_string());
    assert!(text.starts_with(&format!("read {path}: ")), "{text}");
    assert!(error.reason().contains(expected), "{text}");
}

#[test]
fn what_is_odd_is_said_with_its_file() {
    let other = "criterion 0.3 to 0.8 are known here";
    for (content, expected) in [
        ("", "broken JSON"),
        ("[[[", "broken JSON"),
        ("{}", "it has no median"),
        (r#"{"median": {}}"#, "median.point_estimate is no number"),
        (
            r#"{"median": {"point_estimate": 1.0}, "mean": null}"#,
            "median.confidence_interval.lower_bound is no number",
        ),
    ] {
        let (_root, bench) = with("estimates.json", content);
        refused("estimates.json", bench.estimates(), expected);
        if content.starts_with('{') {
            refused("estimates.json", bench.estimates(), other);
        }
    }
    for (content, expected) in [
        ("{}", "its iters are no list of numbers"),
        (
            r#"{"iters": [1, "a"], "times": []}"#,
            "its iters are no list of numbers",
        ),
        (
            r#"{"iters": [1, 2], "times": [1]}"#,
            "it has 1 times of 2 measurements",
        ),
        (
            r#"{"iters": [], "times": []}"#,
            "it has 0 times of 0 measurements",
        ),
        (r#"{"iters": [0], "times": [1]}"#, "below 0"),
        (r#"{"iters": [1], "times": [-1]}"#, "below 0"),
    ] {
        let (_root, bench) = with("sample.json", content);
        refused("sample.json", bench.sample(), expected);
    }
    for (content, expected) in [
        ("{}", "missing field `version`"),
        (r#"{"version": 2}"#, "it has version 2, and 1 is read"),
        (r#"{"version": 1, "name": 3}"#, "invalid type"),
    ] {
        let (_root, bench) = with("perfwright.json", content);
        refused("perfwright.json", bench.counts(), expected);
    }
    let large = vec![b' '; (4 << 20) + 1];
    let (_root, bench) = with("sample.json", large);
    refused("sample.json", bench.sample(), "more than 4194304 bytes");
    // What says nothing about the values is not missed.
    let (_root, bench) = with("benchmark.json", "null");
    assert_eq!((bench.name.as_str(), bench.throughput()), ("a", None));
    assert!(bench.estimates().is_ok());
}

#[test]
fn a_missing_folder_is_an_error_and_an_empty_one_has_no_benches() {
    let root = TempDir::new().unwrap();
    assert_eq!(saved::benches(root.path(), saved::LAST).unwrap(), []);
    let error = saved::benches(&root.path().join("gone"), saved::LAST).unwrap_err();
    assert!(error.is_not_found());
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_and_depth_is_bounded() {
    let root = TempDir::new().unwrap();
    std::os::unix::fs::symlink(root.path(), root.path().join("again")).unwrap();
    let deep = root.path().join("1/2/3/4/5/6/7/new");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("estimates.json"), "{}").unwrap();
    assert_eq!(saved::benches(root.path(), saved::LAST).unwrap(), []);
}

/// Every file cut short, and with a byte changed, at many places: an error or a value, never a panic.
#[test]
fn broken_files_do_no_harm() {
    let from = data("0.8.2").join("parse_ all/sum/64/new");
    let mut rng = perfwright_stats::Rng::new(11);
    let mut refused = 0;
    for name in ["estimates.json", "sample.json", "benchmark.json"] {
        let whole = fs::read(from.join(name)).unwrap();
        for round in 0..150 {
            let mut broken = whole.clone();
            match round % 2 {
                0 => broken.truncate(rng.below(whole.len())),
                _ => broken[rng.below(whole.len())] = rng.next_u64() as u8,
            }
            let (_root, bench) = with(name, &broken);
            let read = (
                bench.estimates(),
                bench.sample(),
                bench.throughput(),
                bench.counts(),
            );
            refused += u32::from(read.0.is_err() || read.1.is_err());
        }
    }
    // Each file that was cut is refused, but for that which is not needed.
    assert!(refused >= 150, "{refused}");
}

/// Rows as text: name, median, change, rate, allocations.
fn lines(root: &Path, baseline: Option<&str>) -> Vec<String> {
    let rows = table::rows(root, baseline).unwrap();
    let line = |row: Row| {
        let change = row.change.map(|change| {
            format!(
                "x{:.2} [{:.2}, {:.2}]",
                change.ratio, change.low, change.high
            )
        });
        let rate = row
            .throughput
            .map(|rate| format!("{:.3e} {}/s", rate.per_second, rate.of));
        let median = row
            .median_ns
            .map(|median| format!("{:.1} ns", median.value));
        let allocations = row.allocations.map(|count| format!("{count} allocations"));
        let parts = [median, change, rate, allocations].into_iter().flatten();
        [row.name]
            .into_iter()
            .chain(parts)
            .chain(row.problems)
            .collect::<Vec<_>>()
            .join(", ")
    };
    rows.into_iter().map(line).collect()
}

#[test]
fn a_table_has_what_is_known_and_says_what_is_odd() {
    let (root, bench) = with(
        "perfwright.json",
        r#"{"version": 1, "name": "parse: all/sum/64", "iterations": 3,
        "allocations": {"count": 2.0, "bytes": 16.0, "same_each_time": true}}"#,
    );
    // The baseline was twice as fast.
    let base = root.path().join("a/base");
    fs::create_dir_all(&base).unwrap();
    fs::copy(
        bench.folder.join("estimates.json"),
        base.join("estimates.json"),
    )
    .unwrap();
    let sample: Vec<f64> = bench.sample().unwrap().per_iteration().collect();
    let halves: Vec<f64> = sample.iter().map(|time| time / 2.0).collect();
    let json = serde_json::json!({ "iters": vec![1; halves.len()], "times": halves });
    fs::write(base.join("sample.json"), json.to_string()).unwrap();
    let counted = root.path().join("counted/new");
    fs::create_dir_all(&counted).unwrap();
    fs::write(
        counted.join("perfwright.json"),
        r#"{"version": 1, "name": "only counted", "iterations": 3}"#,
    )
    .unwrap();
    let odd = root.path().join("odd/new");
    fs::create_dir_all(&odd).unwrap();
    fs::write(odd.join("estimates.json"), "{}").unwrap();

    let lines = lines(root.path(), Some("base"));
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("odd, failed to read ") && lines[0].contains("it has no median"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "only counted");
    let median = bench.estimates().unwrap().median.value;
    let expected = format!("parse: all/sum/64, {median:.1} ns, x2.00 [");
    assert!(lines[2].starts_with(&expected), "{lines:?}");
    let rate = format!("], {:.3e} bytes/s, 2 allocations", 64e9 / median);
    assert!(lines[2].ends_with(&rate), "{lines:?} {rate}");
    assert!(!self::lines(root.path(), None)[2].contains(" x2.00"));
}
