//! The ring keeps its bounds, its order and its hands off what is not its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use perfwright_continuous::{Capture, Clock, Entry, Part, Ring, RingError, RingOptions, list};
use proptest::prelude::*;
use tempfile::TempDir;

const BLOCK: u64 = 4_096;

/// A clock that stands still unless it is set, in milliseconds since 1970.
#[derive(Clone)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn at(ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(ms)))
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Arc::new(move || at(hands.ms()))
    }

    fn ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

fn capture(start_ms: u64, length_ms: u64, files: &[(&str, usize)]) -> Capture {
    let parts = files
        .iter()
        .map(|&(kind, len)| Part::new(kind, vec![7; len]));
    Capture::new(
        at(start_ms),
        Duration::from_millis(length_ms),
        parts.collect(),
    )
}

fn one(start_ms: u64) -> Capture {
    capture(start_ms, 0, &[("cpu.pb.gz", 10)])
}

fn open(folder: &Path, options: RingOptions) -> Ring {
    Ring::open(folder, options).unwrap()
}

/// What is on disk below a folder, counted as the ring promises to.
fn disk_bytes(folder: &Path) -> u64 {
    let mut bytes = 0;
    for file in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_dir() {
            bytes += BLOCK + disk_bytes(&file.path());
        } else {
            bytes += file.metadata().unwrap().len().div_ceil(BLOCK) * BLOCK;
        }
    }
    bytes
}

/// The begins of entries, in milliseconds.
fn starts(entries: &[Entry]) -> Vec<u64> {
    let since = |entry: &Entry| entry.time.duration_since(UNIX_EPOCH).unwrap();
    entries
        .iter()
        .map(|entry| since(entry).as_millis() as u64)
        .collect()
}

#[test]
fn a_capture_appears_with_all_its_files() {
    let folder = TempDir::new().unwrap();
    let ring = open(folder.path(), RingOptions::new());
    let added = ring
        .add(&capture(
            1_795_268_132_123,
            10_000,
            &[("heap.pb.gz", 5_000), ("cpu.pb.gz", 3)],
        ))
        .unwrap();
    assert_eq!(added.kinds, ["cpu.pb.gz", "heap.pb.gz"]);
    assert_eq!(added.bytes, 5_003);
    assert_eq!(
        added.path,
        folder
            .path()
            .join("captures-0/20261121T133532.123Z-000000-10000ms-5003b")
    );
    assert_eq!(fs::read(added.file("cpu.pb.gz")).unwrap(), [7; 3]);
    assert_eq!(ring.list(), std::slice::from_ref(&added));
    assert_eq!(list(folder.path()).unwrap(), [added]);
    let audit = ring.audit();
    assert_eq!((audit.kept, audit.bytes, audit.written), (1, 4 * BLOCK, 1));
}

#[test]
fn the_captures_around_a_moment_are_those_that_cover_it_or_the_next_to_it() {
    let folder = TempDir::new().unwrap();
    let hands = Hands::at(500_000);
    let ring = open(folder.path(), RingOptions::new().clock(hands.clock()));
    for start in [100_000, 160_000, 165_000, 220_000] {
        ring.add(&capture(start, 10_000, &[("cpu.pb.gz", 1)]))
            .unwrap();
    }
    let around = |ms| starts(&ring.around(at(ms)));
    assert_eq!(around(105_000), [100_000]);
    assert_eq!(around(167_000), [160_000, 165_000]);
    assert_eq!(around(175_000), [165_000]);
    assert_eq!(around(130_000), [100_000, 160_000]);
    assert_eq!(around(200_000), [165_000, 220_000]);
    assert_eq!(around(1), [100_000]);
    assert_eq!(around(400_000), [220_000]);
}

#[test]
fn a_restart_finds_what_was_kept_and_counts_it() {
    let folder = TempDir::new().unwrap();
    let hands = Hands::at(1_000);
    let options = || RingOptions::new().max_bytes(6 * BLOCK).clock(hands.clock());
    let ring = open(folder.path(), options());
    for start in [1, 2, 3] {
        ring.add(&one(start)).unwrap();
    }
    drop(ring);
    let ring = open(folder.path(), options());
    assert_eq!(ring.audit().kept, 3);
    ring.add(&one(4)).unwrap();
    assert_eq!(starts(&ring.list()), [2, 3, 4]);
    drop(ring);
    // A smaller bound is kept from the start.
    let ring = open(folder.path(), options().max_bytes(2 * BLOCK));
    assert_eq!(starts(&ring.list()), [4]);
    assert_eq!(ring.audit().evicted, 2);
}

#[test]
fn a_clock_set_back_does_not_evict_what_is_new() {
    let folder = TempDir::new().unwrap();
    let hands = Hands::at(2_000_000);
    let ring = open(
        folder.path(),
        RingOptions::new().max_bytes(4 * BLOCK).clock(hands.clock()),
    );
    ring.add(&one(1_900_000)).unwrap();
    hands.set(1_000_000);
    ring.add(&one(900_000)).unwrap();
    ring.add(&one(900_001)).unwrap();
    assert_eq!(starts(&ring.list()), [900_000, 900_001]);
}

#[test]
fn rings_of_one_folder_leave_each_other_alone() {
    let folder = TempDir::new().unwrap();
    let hands = Hands::at(1_000);
    let options = || {
        RingOptions::new()
            .max_bytes(4 * BLOCK)
            .max_age(Duration::from_secs(10))
            .clock(hands.clock())
    };
    let first = open(folder.path(), options());
    let second = open(folder.path(), options());
    let other = open(folder.path(), options().name("spans"));
    for start in [1, 3] {
        first.add(&one(start)).unwrap();
        second.add(&one(start + 1)).unwrap();
    }
    other.add(&one(5)).unwrap();
    // The second fills its own bound twice over.
    for start in [6, 7, 8] {
        second.add(&one(start)).unwrap();
    }
    assert_eq!(starts(&first.list()), [1, 3, 7, 8]);
    assert_eq!(starts(&second.list()), [1, 3, 7, 8]);
    assert_eq!(starts(&other.list()), [5]);
    assert_eq!(starts(&list(folder.path()).unwrap()), [1, 3, 5, 7, 8]);
    assert_eq!((first.audit().kept, second.audit().kept), (2, 2));

    // Alive, the first keeps what is too old until it adds; gone, the second removes it.
    hands.set(60_000);
    second.add(&one(60_000)).unwrap();
    assert_eq!(starts(&second.list()), [1, 3, 60_000]);
    drop(first);
    second.add(&one(60_001)).unwrap();
    assert_eq!(starts(&second.list()), [60_000, 60_001]);
    assert_eq!(starts(&other.list()), [5]);

    // The next to start takes the place that became free.
    let third = open(folder.path(), options());
    let added = third.add(&one(60_002)).unwrap();
    assert!(
        added.path.starts_with(folder.path().join("captures-0")),
        "{}",
        added.path.display()
    );
}

#[test]
fn half_written_captures_of_the_dead_are_removed_and_other_files_are_not_touched() {
    let folder = TempDir::new().unwrap();
    let slot = folder.path().join("captures-0");
    let ring = open(folder.path(), RingOptions::new());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let whole = ring.add(&capture(now, 0, &[("cpu.pb.gz", 100)])).unwrap();
    let cut = ring
        .add(&capture(now, 0, &[("cpu.pb.gz", 100), ("heap.pb.gz", 100)]))
        .unwrap();
    drop(ring);
    // A kill in the middle of a write, a kill in the middle of a removal, a power loss.
    let part = slot.join("20260101T000000.000Z-000007-0ms-1000b.part");
    fs::create_dir(&part).unwrap();
    fs::write(part.join("cpu.pb.gz"), [1; 10]).unwrap();
    fs::create_dir(slot.join("20260101T000000.000Z-000008-0ms-0b.part")).unwrap();
    fs::write(cut.file("heap.pb.gz"), []).unwrap();
    // Files that are not ours, some of them with names that are nearly so.
    let foreign = [
        "notes.txt",
        "20260101T000000.000Z-7-0ms-1b.part",
        "cpu.pb.gz.part",
        "captures-00",
        "captures-x",
    ];
    for name in foreign {
        fs::write(slot.join(name), "mine").unwrap();
        fs::write(folder.path().join(name), "mine").unwrap();
    }
    let file = "20000101T000000.000Z-000009-0ms-4b";
    fs::write(slot.join(file), "mine").unwrap();
    fs::create_dir(slot.join("old")).unwrap();

    let ring = open(folder.path(), RingOptions::new().max_bytes(2 * BLOCK));
    assert_eq!(ring.list(), [whole]);
    assert_eq!(ring.audit().broken, 3);
    let added = ring.add(&capture(now, 0, &[("cpu.pb.gz", 1)])).unwrap();
    assert_eq!(ring.list(), [added]);
    for name in foreign {
        assert_eq!(fs::read_to_string(slot.join(name)).unwrap(), "mine");
        assert_eq!(
            fs::read_to_string(folder.path().join(name)).unwrap(),
            "mine"
        );
    }
    assert_eq!(fs::read_to_string(slot.join(file)).unwrap(), "mine");
    assert!(slot.join("old").is_dir());
    let names = fs::read_dir(&slot)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = names
        .filter(|name| name.starts_with("2026") && name.ends_with("b.part"))
        .collect();
    assert_eq!(left, ["20260101T000000.000Z-7-0ms-1b.part"]);
}

#[test]
fn what_cannot_be_kept_is_said_counted_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let ring = open(folder.path(), RingOptions::new().max_bytes(2 * BLOCK));
    ring.add(&one(SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64))
        .unwrap();
    let error = |capture: &Capture| ring.add(capture).unwrap_err();
    let large = capture(0, 0, &[("cpu.pb.gz", 4_097)]);
    assert!(matches!(error(&large), RingError::TooLarge { bytes, .. } if bytes == 3 * BLOCK));
    for kind in [
        "",
        "..",
        "a/b",
        "a\\b",
        ".hidden",
        "-rf",
        "a b",
        "\u{fc}.pb",
    ] {
        assert!(
            matches!(error(&capture(0, 0, &[(kind, 1)])), RingError::Name { .. }),
            "{kind}"
        );
    }
    assert!(matches!(
        error(&capture(0, 0, &[("a", 1), ("a", 1)])),
        RingError::Twice { .. }
    ));
    let audit = ring.audit();
    assert_eq!(
        (audit.kept, audit.written, audit.failed, audit.evicted),
        (1, 1, 10, 0)
    );
    assert_eq!(
        audit.last_error.unwrap(),
        "keep a capture: it has two files of the name a"
    );
    assert!(Ring::open(folder.path(), RingOptions::new().name("../x")).is_err());
}

#[test]
fn a_folder_that_goes_away_is_made_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("profiles");
    let hands = Hands::at(0);
    let ring = open(&path, RingOptions::new().clock(hands.clock()));
    ring.add(&one(1)).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(ring.list(), []);
    assert!(ring.audit().last_error.unwrap().starts_with("read "));
    ring.add(&one(2)).unwrap();
    assert_eq!(starts(&ring.list()), [2]);
    assert_eq!((ring.audit().kept, ring.audit().failed), (1, 0));

    // A file in its place: the host goes on, and knows.
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "in the way").unwrap();
    let error = ring.add(&one(3)).unwrap_err().to_string();
    assert!(error.contains("profiles"), "{error}");
    assert_eq!(ring.audit().failed, 1);
    fs::remove_file(&path).unwrap();
    ring.add(&one(4)).unwrap();
    assert_eq!(starts(&ring.list()), [4]);
}

/// A path has at most 4,095 bytes, which makes the second file's write fail as a full disk would.
#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_half_way_costs_the_capture_and_nothing_else() {
    let root = TempDir::new().unwrap();
    let mut folder = root.path().to_owned();
    while folder.as_os_str().len() < 3_960 {
        let left = 3_960 - folder.as_os_str().len();
        folder.push("d".repeat(left.min(200)));
    }
    let long = "l".repeat(100);
    let ring = open(&folder, RingOptions::new().clock(Hands::at(0).clock()));
    let kept = ring.add(&capture(0, 0, &[("a", 20_000)])).unwrap();
    let error = ring
        .add(&capture(0, 0, &[("a", 20_000), (&long, 9)]))
        .unwrap_err();
    assert!(error.to_string().contains(&long), "{error}");
    assert_eq!(ring.list(), [kept]);
    let audit = ring.audit();
    assert_eq!((audit.failed, audit.kept, audit.bytes), (1, 1, 6 * BLOCK));
    assert_eq!(audit.last_error, Some(error.to_string()));
    assert_eq!(disk_bytes(&folder.join("captures-0")), 6 * BLOCK);
    ring.add(&capture(0, 0, &[("b", 20_000)])).unwrap();
    assert_eq!(ring.list().len(), 2);
}

/// What the ring is asked to do.
#[derive(Clone, Debug)]
enum Step {
    /// Add a capture of these files, so long.
    Add(u64, Vec<usize>),
    /// Set the clock on, or back.
    Pass(i64),
    /// Prune.
    Prune,
    /// The process ends and starts again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(prop_oneof![Just(0), 1usize..200, 4_000usize..30_000], 0..4);
    prop_oneof![
        6 => (0u64..20_000, sizes).prop_map(|(length_ms, sizes)| Step::Add(length_ms, sizes)),
        3 => (-20_000i64..60_000).prop_map(Step::Pass),
        1 => Just(Step::Prune),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// After each step the ring on disk is what a list in memory says, and within its bounds.
    #[test]
    fn bounds_hold_whatever_is_added(steps in prop::collection::vec(step(), 1..40), blocks in 2u64..20) {
        const MAX_AGE_MS: u64 = 100_000;
        let folder = TempDir::new().unwrap();
        let hands = Hands::at(10_000_000);
        let options = || RingOptions::new()
            .max_bytes(blocks * BLOCK)
            .max_age(Duration::from_millis(MAX_AGE_MS))
            .clock(hands.clock());
        let mut ring = open(folder.path(), options());
        let slot = folder.path().join("captures-0");
        // What should be there, in the order of writing: begin, end, blocks, number.
        let mut model: Vec<(u64, u64, u64, u64)> = Vec::new();
        let mut numbers = 0;
        let contents = Mutex::new(BTreeMap::new());
        for step in steps {
            let now = hands.ms();
            let add = match step {
                Step::Pass(ms) => {
                    hands.set(now.saturating_add_signed(ms));
                    continue;
                }
                Step::Restart => {
                    drop(ring);
                    ring = open(folder.path(), options());
                    None
                }
                Step::Prune => {
                    ring.prune();
                    None
                }
                Step::Add(length_ms, sizes) => Some((length_ms, sizes)),
            };
            let needed = add.as_ref().map_or(0, |(_, sizes)| {
                1 + sizes.iter().map(|&size| (size as u64).div_ceil(BLOCK)).sum::<u64>()
            });
            let fits = needed <= blocks;
            if fits {
                model.retain(|&(_, until, ..)| now.saturating_sub(until) <= MAX_AGE_MS);
                while model.iter().map(|kept| kept.2).sum::<u64>() + needed > blocks {
                    model.remove(0);
                }
            }
            if let Some((length_ms, sizes)) = add {
                let parts = sizes.iter().enumerate().map(|(index, &size)| {
                    Part::new(format!("part{index}"), vec![numbers as u8; size])
                });
                let capture = Capture::new(at(now), Duration::from_millis(length_ms), parts.collect());
                prop_assert_eq!(ring.add(&capture).is_ok(), fits);
                if fits {
                    model.push((now, now + length_ms, needed, numbers));
                    contents.lock().unwrap().insert((now, numbers), sizes);
                    numbers += 1;
                }
            }
            let mut expected: Vec<_> = model.iter().map(|&(start, .., number)| (start, number)).collect();
            expected.sort_unstable();
            let listed = ring.list();
            let expected_starts: Vec<_> = expected.iter().map(|&(start, _)| start).collect();
            prop_assert_eq!(starts(&listed), expected_starts);
            for (entry, key) in listed.iter().zip(&expected) {
                let sizes = &contents.lock().unwrap()[key];
                prop_assert_eq!(entry.kinds.len(), sizes.len());
                for (index, &size) in sizes.iter().enumerate() {
                    let bytes = fs::read(entry.file(&format!("part{index}"))).unwrap();
                    prop_assert_eq!(bytes, vec![key.1 as u8; size]);
                }
            }
            let on_disk = disk_bytes(&slot);
            prop_assert!(on_disk <= blocks * BLOCK, "{} bytes of {} blocks", on_disk, blocks);
            prop_assert_eq!(ring.audit().bytes, on_disk);
        }
    }
}
