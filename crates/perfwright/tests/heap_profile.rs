//! The heap beside the CPU: by itself, at a command's order, and when memory runs out.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perfwright::Perfwright;
use perfwright::control::{CaptureOrder, HeapOrder, Order, Reply, SOCKET_VARIABLE, heap_files};
use perfwright::format::{Limits, read};
use perfwright::heap::{Options, SampledAlloc, Threshold, WatchOptions};
use perfwright::model::Profile;
use perfwright::moment::Moment;

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

/// There is one sampler in a process, so these tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blocks larger than the distance between samples are all seen.
const BLOCK: usize = 1 << 20;

#[inline(never)]
fn hoard(blocks: usize) -> Vec<Vec<u8>> {
    (0..blocks).map(|_| black_box(vec![1; BLOCK])).collect()
}

#[inline(never)]
fn churn(blocks: usize) {
    (0..blocks).for_each(|_| drop(black_box(vec![1_u8; BLOCK])));
}

fn total(profile: &Profile, kind: &str) -> i64 {
    profile.total(profile.find_sample_type(kind).unwrap())
}

fn open(path: &Path) -> Profile {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read(&bytes, &Limits::default()).unwrap().profile
}

#[test]
fn the_heap_is_sampled_from_the_start_and_written_beside_the_cpu() {
    let _turn = turn();
    let heap = Options::new().rate_bytes(4 << 10);
    let profiler = Perfwright::builder().heap(heap).start().unwrap();
    let hoarded = hoard(16);
    churn(16);
    let capture = profiler.heap().unwrap();
    let mib = |kind| total(&capture.profile, kind) as f64 / BLOCK as f64;
    assert!(
        (32.0..33.0).contains(&mib("alloc_space")),
        "{}",
        mib("alloc_space")
    );
    assert!(
        (16.0..17.0).contains(&mib("inuse_space")),
        "{}",
        mib("inuse_space")
    );
    let peak = profiler.heap_peak().unwrap().profile;
    assert!(total(&peak, "inuse_space") >= total(&capture.profile, "inuse_space"));
    assert!(profiler.heap_suspects().unwrap().suspects.is_empty());
    let begin = Instant::now();
    while profiler.memory().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no timeline");
        std::thread::sleep(Duration::from_millis(20));
    }

    // In use for certain: whether anything small beside the first hoard is sampled is chance.
    let more = hoard(1);
    let folder = tempfile::tempdir().unwrap();
    profiler.write(folder.path()).unwrap();
    let folded = fs::read_to_string(folder.path().join("heap.folded")).unwrap();
    assert!(
        folded.contains("hoard") && !folded.contains("churn"),
        "{folded}"
    );
    assert!(folder.path().join("cpu.pb.gz").exists());
    let written = total(&open(&folder.path().join("heap.pb.gz")), "inuse_space");
    assert!(written > 16 << 20, "{written}");
    drop((hoarded, more));
}

#[test]
fn without_heap_there_is_none() {
    let _turn = turn();
    let profiler = Perfwright::builder().without_heap().start().unwrap();
    assert!(profiler.heap().is_none() && profiler.memory().is_empty());
    let folder = tempfile::tempdir().unwrap();
    profiler.write(folder.path()).unwrap();
    assert!(!folder.path().join("heap.pb.gz").exists());
}

#[test]
fn a_dump_is_written_once_when_memory_passes_the_threshold() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let when = WatchOptions::new().threshold(Threshold::ResidentBytes(96 << 20));
    let profiler = Perfwright::builder()
        .heap(Options::new().rate_bytes(64 << 10))
        .dump_heap(when, folder.path())
        .start()
        .unwrap();
    let dumps = || -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    while profiler.memory().len() < 2 {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(dumps().is_empty(), "{:?}", dumps());
    let hoard = hoard(128);
    let begin = Instant::now();
    let whole = || {
        let dumps = dumps();
        dumps
            .first()
            .filter(|dump| dump.join("heap.folded").exists())
            .cloned()
    };
    while whole().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no dump");
        std::thread::sleep(Duration::from_millis(50));
    }
    let profile = open(&whole().unwrap().join("heap.pb.gz"));
    assert!(total(&profile, "inuse_space") >= 128 << 20);
    let points = profiler.memory().len();
    while profiler.memory().len() < points + 2 {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(dumps().len(), 1, "once a crossing");
    drop(hoard);
}

/// The program of the next test, when it is started with a socket; on its own it does nothing.
#[test]
fn program() {
    if std::env::var_os(SOCKET_VARIABLE).is_none() {
        return;
    }
    let profiler = perfwright::start();
    let before = hoard(8);
    while !profiler.status().commanded {
        std::thread::sleep(Duration::from_millis(1));
    }
    churn(4);
    let during = hoard(4);
    while profiler.status().commanded {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(profiler.heap().is_some(), "the always-on sampler goes on");
    drop((before, during));
    // The reply to the last order is still under way.
    std::thread::sleep(Duration::from_secs(1));
}

#[test]
fn a_commanded_capture_has_what_was_allocated_meanwhile_and_all_that_is_in_use() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "program"])
        .env(SOCKET_VARIABLE, &socket)
        .spawn()
        .unwrap();
    let (stream, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut reply = || Reply::parse(&lines.next().unwrap().unwrap()).unwrap();
    let order = |order: &Order| (&stream).write_all(order.to_line().as_bytes()).unwrap();
    assert!(matches!(reply(), Reply::Hello(hello) if hello.heap));
    let heap = HeapOrder {
        rate_bytes: 8 << 10,
        epoch_millis: 100,
        out: folder.path().to_owned(),
    };
    order(&Order::Go(Some(heap.clone())));
    // The program hoards what the capture does not count as allocated meanwhile.
    std::thread::sleep(Duration::from_millis(500));
    order(&Order::Start(CaptureOrder {
        engine: "timer".into(),
        mode: "cpu".into(),
        frequency_hz: 99,
        out: folder.path().join("raw.pb.gz"),
        heap: Some(heap),
        spans: None,
    }));
    assert!(matches!(reply(), Reply::Ok { .. }));
    std::thread::sleep(Duration::from_secs(1));
    order(&Order::Stop);
    assert_eq!(reply(), Reply::Ok { engine: None });
    assert!(child.wait().unwrap().success());

    let raw = open(&folder.path().join(heap_files::HEAP));
    let mib = |kind| total(&raw, kind) as f64 / BLOCK as f64;
    assert!(
        (8.0..9.0).contains(&mib("alloc_space")),
        "{}",
        mib("alloc_space")
    );
    assert!(
        (12.0..13.0).contains(&mib("inuse_space")),
        "{}",
        mib("inuse_space")
    );
    let moments: Vec<Moment> = raw
        .meta
        .comments
        .iter()
        .filter_map(|comment| Moment::from_comment(comment))
        .collect();
    let (first, last) = (moments[0], moments[moments.len() - 1]);
    assert!(moments.len() > 4, "{moments:?}");
    let allocated = last.allocated.unwrap() - first.allocated.unwrap();
    assert!((8 << 20..9 << 20).contains(&allocated), "{allocated}");
    let peak = open(&folder.path().join(heap_files::PEAK));
    assert!(total(&peak, "inuse_space") >= 12 << 20);
    let suspects = open(&folder.path().join(heap_files::SUSPECTS));
    assert_eq!(suspects.sample_count(), 0);
    assert!(suspects.find_sample_type("growth").is_some());
}
