//! The facade as a service uses it, and as a command talks to it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perfwright::control::{CaptureOrder, Hello, Order, Reply, SOCKET_VARIABLE, VERSION};
use perfwright::format::{Limits, read};
use perfwright::{Engine, Perfwright};

/// There is one sampler in a process, so these tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[inline(never)]
fn burn(duration: Duration) -> u64 {
    let begin = Instant::now();
    let mut state = 1u64;
    while begin.elapsed() < duration {
        for _ in 0..1_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
        }
    }
    std::hint::black_box(state)
}

/// Works until the profiler has seen it.
fn work_until_seen(profiler: &Perfwright) {
    while profiler
        .cpu()
        .is_none_or(|capture| capture.profile.total(0) < 10)
    {
        perfwright::with_label("route", "/burn", || burn(Duration::from_millis(50)));
    }
}

#[test]
fn what_was_sampled_is_there_as_a_snapshot_and_as_files() {
    let _turn = turn();
    let profiler = perfwright::start();
    assert!(profiler.status().problems.is_empty());
    assert_eq!(profiler.status().engine, Some(Engine::Timer));
    work_until_seen(&profiler);
    let profile = profiler.cpu().unwrap().profile;
    let routes = profile
        .samples()
        .filter(|s| profile.label_str(s.labels, "route") == Some("/burn"));
    assert!(routes.count() > 0);

    let folder = tempfile::tempdir().unwrap();
    profiler.write(folder.path().join("new")).unwrap();
    let folded = fs::read_to_string(folder.path().join("new/cpu.folded")).unwrap();
    assert!(folded.contains("burn"), "{folded}");
    let bytes = fs::read(folder.path().join("new/cpu.pb.gz")).unwrap();
    assert!(read(&bytes, &Limits::default()).unwrap().profile.total(0) >= 10);
}

#[test]
fn a_second_profiler_is_refused_and_may_come_after_the_first() {
    let _turn = turn();
    let first = perfwright::start();
    assert!(first.status().engine.is_some());
    let second = perfwright::start();
    let status = second.status();
    assert_eq!(status.engine, None);
    assert!(
        status
            .problems
            .iter()
            .any(|problem| problem.contains("another one is running")),
        "{status:?}"
    );
    let error = second.write("/nowhere").unwrap_err().to_string();
    assert!(error.contains("another one is running"), "{error}");
    assert!(Perfwright::builder().start().is_err());
    drop((second, first));
    assert!(Perfwright::builder().frequency_hz(49).start().is_ok());
}

#[test]
fn options_without_sense_are_errors() {
    let _turn = turn();
    let error = Perfwright::builder().frequency_hz(0).start().unwrap_err();
    assert!(error.to_string().contains("0 Hz"), "{error}");
}

#[test]
fn taking_begins_anew() {
    let _turn = turn();
    let profiler = perfwright::start();
    work_until_seen(&profiler);
    let first = profiler.take_cpu().unwrap().profile.total(0);
    let second = profiler.cpu().unwrap().profile.total(0);
    assert!(second < first, "{second} of {first}");
}

/// The program of the next test, when it is started with a socket; on its own a profiler without one.
#[test]
fn program() {
    let controlled = std::env::var_os(SOCKET_VARIABLE).is_some();
    let _turn = turn();
    let profiler = perfwright::start();
    assert!(
        profiler.status().engine.is_some(),
        "{:?}",
        profiler.status()
    );
    if controlled {
        while !profiler.status().commanded {
            burn(Duration::from_millis(10));
        }
        while profiler.status().commanded {
            burn(Duration::from_millis(10));
        }
        // The always-on sampler is back.
        assert!(profiler.cpu().is_some());
    }
}

#[test]
fn a_command_takes_a_capture_and_the_program_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, out) = (
        folder.path().join("control"),
        folder.path().join("raw.pb.gz"),
    );
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
    let start = |engine: &str| Order::Start(capture_order(engine, &out));

    let exe = std::env::current_exe().unwrap();
    assert_eq!(
        reply(),
        Reply::Hello(Hello {
            version: VERSION,
            pid: child.id(),
            exe,
            heap: false,
        })
    );
    order(&Order::Go(None));
    order(&Order::Stop);
    assert!(matches!(reply(), Reply::Error { message } if message.contains("none is running")));
    order(&start("fast"));
    assert!(matches!(reply(), Reply::Error { message } if message.contains("\"fast\"")));
    order(&start("timer"));
    assert_eq!(
        reply(),
        Reply::Ok {
            engine: Some("timer".into())
        }
    );
    order(&start("timer"));
    assert!(matches!(reply(), Reply::Error { message } if message.contains("already running")));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!out.exists());
    order(&Order::Stop);
    assert_eq!(reply(), Reply::Ok { engine: None });
    let raw = read(&fs::read(&out).unwrap(), &Limits::default())
        .unwrap()
        .profile;
    assert!(raw.total(0) > 0);
    assert!(child.wait().unwrap().success());
}

fn capture_order(engine: &str, out: &Path) -> CaptureOrder {
    let (engine, out) = (engine.to_owned(), out.to_owned());
    CaptureOrder {
        engine,
        mode: "cpu".to_owned(),
        frequency_hz: 499,
        out,
        heap: None,
        spans: None,
    }
}
