//! Processes that share a folder, and one that is killed while it writes.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use perfwright_continuous::{Capture, Entry, Part, Ring, RingOptions, list};
use tempfile::TempDir;

const FOLDER: &str = "PERFWRIGHT_TEST_RING";

/// This test again, as another process that only writes, once it has written a few captures.
fn writer(test: &str, folder: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("it writes")));
    child
}

/// In the other process: writes until it is killed.
fn write_forever(folder: &Path) -> ! {
    let ring = Ring::open(folder, options()).unwrap();
    for number in 0u32.. {
        let parts = ["cpu.pb.gz", "heap.pb.gz", "spans.pb.gz"]
            .map(|kind| Part::new(kind, vec![number as u8; 50_000]));
        ring.add(&Capture::new(
            SystemTime::now(),
            Duration::ZERO,
            parts.into(),
        ))
        .unwrap();
        if number == 3 {
            println!("\nit writes");
        }
    }
    unreachable!("more captures than fit in time")
}

fn options() -> RingOptions {
    RingOptions::new().max_bytes(1 << 20)
}

fn assert_whole(entry: &Entry) {
    assert_eq!(entry.kinds, ["cpu.pb.gz", "heap.pb.gz", "spans.pb.gz"]);
    let first = fs::read(entry.file("cpu.pb.gz")).unwrap();
    assert_eq!(first, vec![first[0]; 50_000]);
    for kind in &entry.kinds {
        assert_eq!(fs::read(entry.file(kind)).unwrap(), first, "{kind}");
    }
}

#[test]
fn a_kill_in_the_middle_of_a_write_leaves_only_whole_captures() {
    if let Some(folder) = env::var_os(FOLDER) {
        write_forever(Path::new(&folder));
    }
    let folder = TempDir::new().unwrap();
    for _ in 0..8 {
        let mut child = writer(
            "kill::a_kill_in_the_middle_of_a_write_leaves_only_whole_captures",
            folder.path(),
        );
        child.kill().unwrap();
        child.wait().unwrap();
        let found = list(folder.path()).unwrap();
        assert!(!found.is_empty());
        found.iter().for_each(assert_whole);
        let ring = Ring::open(folder.path(), options()).unwrap();
        let audit = ring.audit();
        assert_eq!(audit.kept, found.len());
        assert!(audit.bytes <= 1 << 20, "{}", audit.bytes);
        let slot = folder.path().join("captures-0");
        let names = fs::read_dir(slot)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        let parts = names.filter(|name| name.to_string_lossy().ends_with(".part"));
        assert_eq!(parts.count(), 0);
    }
}

#[test]
fn two_processes_write_beside_each_other() {
    if let Some(folder) = env::var_os(FOLDER) {
        write_forever(Path::new(&folder));
    }
    let folder = TempDir::new().unwrap();
    let mut child = writer("kill::two_processes_write_beside_each_other", folder.path());
    let ring = Ring::open(folder.path(), options()).unwrap();
    let added = ring
        .add(&Capture::new(SystemTime::now(), Duration::ZERO, Vec::new()))
        .unwrap();
    assert!(
        added.path.starts_with(folder.path().join("captures-1")),
        "{}",
        added.path.display()
    );
    for _ in 0..100 {
        ring.prune();
        assert!(ring.list().contains(&added));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ring.audit().kept, 1);
}
