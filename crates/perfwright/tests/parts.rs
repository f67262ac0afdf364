//! The parts that a builder or the operator's environment turns on beside the samplers.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use perfwright::Perfwright;
use perfwright::continuous::{Keep, list};
use perfwright::format::{Limits, read};
use perfwright::heap::SampledAlloc;
use tracing::info_span;

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

#[inline(never)]
fn burn(duration: Duration) {
    let begin = Instant::now();
    let mut state = 1u64;
    while begin.elapsed() < duration {
        state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005));
        let block = vec![0_u8; 100_000];
        std::hint::black_box(&block);
    }
}

/// What a child of this test does, by the variable `PART`.
#[test]
fn program() {
    let Some(part) = std::env::var_os("PART") else {
        return;
    };
    let folder = std::env::var_os("FOLDER").unwrap();
    let folder = Path::new(&folder);
    match part.to_str().unwrap() {
        "kept" => kept(folder),
        "off" => {
            let perfwright = perfwright::start();
            let status = perfwright.status();
            assert_eq!(status.engine, None);
            assert!(status.problems[0].contains("PERFWRIGHT=off"), "{status:?}");
        }
        "operator" => operator(folder),
        other => panic!("no part {other}"),
    }
}

/// Spans are followed, and captures are kept until two are complete.
fn kept(folder: &Path) {
    let keep = Keep::new(folder).schedule(Duration::from_millis(500), Duration::from_millis(500));
    let perfwright = Perfwright::builder()
        .spans(perfwright::spans::Options::new())
        .keep(keep)
        .start()
        .unwrap();
    let ring = perfwright.kept().unwrap().ring().unwrap().clone();
    let begin = Instant::now();
    while ring.list().len() < 3 && begin.elapsed() < Duration::from_secs(60) {
        info_span!("job").in_scope(|| burn(Duration::from_millis(20)));
    }
    let audit = perfwright.kept().unwrap().audit();
    assert_eq!((audit.failed, audit.lost), (0, 0), "{audit:?}");
    // The layer that the builder installed is the process's subscriber, so that a second is refused.
    let second = Perfwright::builder().spans(perfwright::spans::Options::new());
    assert!(
        second
            .start()
            .unwrap_err()
            .to_string()
            .contains("subscriber")
    );
}

/// The operator's folder can't be: the program runs all the same, and says what it did not understand.
fn operator(folder: &Path) {
    let perfwright = Perfwright::builder().start().unwrap();
    let status = perfwright.status();
    assert!(status.engine.is_some());
    assert_eq!(status.problems.len(), 2, "{status:?}");
    assert!(perfwright.kept().is_none());
    assert!(folder.exists());
}

fn run(part: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["program", "--exact", "--nocapture"])
        .env("PART", part)
        .env("FOLDER", folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn captures_are_kept_and_have_names_spans_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    run("kept", folder.path(), &[]);
    let entries = list(folder.path()).unwrap();
    assert!(entries.len() >= 3, "{entries:?}");
    // A later capture has the whole time: the sampler was running when it began.
    let entry = &entries[1];
    let kinds: BTreeSet<_> = entry.kinds.iter().map(String::as_str).collect();
    let expected = ["cpu.pb.gz", "heap.pb.gz", "spans.pb.gz"];
    assert_eq!(kinds, BTreeSet::from(expected));
    let open = |kind: &str| {
        let bytes = std::fs::read(entry.file(kind)).unwrap();
        read(&bytes, &Limits::default()).unwrap().profile
    };
    let cpu = open("cpu.pb.gz");
    assert!(cpu.strings().any(|name| name.ends_with("burn")), "names");
    let in_job = cpu
        .samples()
        .filter(|sample| cpu.label_str(sample.labels, "span") == Some("job"));
    assert!(in_job.count() > 0);
    let spans = open("spans.pb.gz");
    let count = spans.find_sample_type("count").unwrap();
    let busy = spans.find_sample_type("busy").unwrap();
    assert!(spans.total(count) > 0);
    // A job of the window was busy for as long as it burnt; one at each edge may be in part.
    let least = (spans.total(count) - 2) * 20_000_000;
    assert!(
        spans.total(busy) >= least,
        "{} of {least}",
        spans.total(busy)
    );
    let heap = open("heap.pb.gz");
    let allocated = heap.find_sample_type("alloc_space").unwrap();
    assert!(heap.total(allocated) > 0);
}

#[test]
fn the_operator_turns_it_off() {
    let folder = tempfile::tempdir().unwrap();
    run("off", folder.path(), &[("PERFWRIGHT", "off")]);
}

#[test]
fn what_the_operator_can_not_have_does_not_stop_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let variables = [
        ("PERFWRIGHT_KEEP", file.to_str().unwrap()),
        ("PERFWRIGHT_FREQUENCY_HZ", "often"),
    ];
    let output = run("operator", folder.path(), &variables);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("PERFWRIGHT_FREQUENCY_HZ=often"), "{errors}");
    assert!(errors.contains(file.to_str().unwrap()), "{errors}");
}
