//! The programs that are profiled: this test binary, when `SUBJECT` names one of them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tracing::info_span;

/// Runs the program that the environment asks for; without one, it is a test like any other.
#[test]
fn subject() {
    let Ok(name) = std::env::var("SUBJECT") else {
        let status = perfwright::start().status();
        assert!(
            status.engine.is_some() || !status.problems.is_empty(),
            "{status:?}"
        );
        return;
    };
    let args: Vec<String> = std::env::var("SUBJECT_ARGS")
        .unwrap()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    match name.as_str() {
        "silent" => std::thread::sleep(Duration::from_secs(600)),
        "dies" => end("no database", 7),
        "taken" => end("Os { code: 98, message: \"Address already in use\" }", 1),
        _ => profiled(&name, &args),
    }
}

fn end(words: &str, code: i32) -> ! {
    eprintln!("{words}");
    std::process::exit(code)
}

fn profiled(name: &str, args: &[String]) {
    let _perfwright = perfwright::Perfwright::builder()
        .spans(perfwright::spans::Options::new())
        .start_or_explain();
    match name {
        "returns" => work(),
        "waits" => wait_for_nothing(),
        "polls" => polls(),
        "exits" => {
            work();
            std::process::exit(0);
        }
        "exits-3" => {
            work();
            std::process::exit(3);
        }
        "aborts" => std::process::abort(),
        "ignores-sigterm" => {
            // SAFETY: ignoring a signal installs no handler of ours.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            loop {
                burn(Duration::from_millis(50));
            }
        }
        "serves" => serve(&args[0], "200 OK"),
        "never-ready" => serve(&args[0], "503 Service Unavailable"),
        other => panic!("no subject is called {other}"),
    }
}

fn work() {
    burn(Duration::from_millis(300));
    println!("burnt");
}

/// Polls that compute, that sleep, and that have to share a CPU with five others. Then it waits, so that the
/// threads are still there when the capture ends: the scheduler forgets those that ended.
fn polls() {
    info_span!("computes").in_scope(|| burn(Duration::from_millis(500)));
    info_span!("sleeps").in_scope(|| std::thread::sleep(Duration::from_millis(500)));
    for _ in 0..6 {
        std::thread::spawn(|| {
            on_one_cpu();
            info_span!("crowded").in_scope(|| burn(Duration::from_secs(1)));
            std::thread::sleep(Duration::from_secs(600));
        });
    }
    std::thread::sleep(Duration::from_secs(600));
}

/// The first CPU that this thread may use, and no other.
fn on_one_cpu() {
    // SAFETY: the set is plain memory of the size that is passed.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of_val(&set);
        libc::sched_getaffinity(0, size, &mut set);
        let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &set));
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(first.expect("a CPU"), &mut set);
        assert_eq!(libc::sched_setaffinity(0, size, &set), 0);
    }
}

#[inline(never)]
fn wait_for_nothing() {
    std::thread::sleep(Duration::from_secs(1));
    println!("waited");
}

/// Computes for a while.
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

fn serve(addr: &str, status: &str) {
    let listener = TcpListener::bind(addr).unwrap();
    let own = listener.local_addr().unwrap();
    if addr.ends_with(":0") {
        // Nobody will ask: so that there is something to see, it works by itself.
        println!("working on {own}");
        loop {
            burn(Duration::from_millis(50));
        }
    }
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            scope.spawn(move || {
                let mut stream = stream.unwrap();
                let requests = BufReader::new(stream.try_clone().unwrap()).lines();
                for line in requests.map_while(Result::ok) {
                    if line.is_empty() {
                        burn(Duration::from_millis(2));
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nhi");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
}
