//! The debug listener over the always-on samplers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use perfwright::format::{Limits, read};
use perfwright::heap::SampledAlloc;
use perfwright::model::Profile;
use perfwright::{Engine, Perfwright};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

#[inline(never)]
fn burn_until(end: &AtomicBool) {
    let mut state = 1u64;
    while !end.load(Ordering::Relaxed) {
        for _ in 0..1_000 {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005));
        }
        std::hint::black_box(vec![0_u8; 10_000]);
    }
}

/// The status and the body of a request.
fn get(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let text = String::from_utf8_lossy(&answer[..head]).into_owned();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_off(head + 4);
    match text
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        true => (status, unchunked(&body)),
        false => (status, body),
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = body.iter().position(|&byte| byte == b'\n').expect("a size");
        let size = std::str::from_utf8(&body[..line]).unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[line + 1..][..size]);
        body = &body[line + 1 + size + 2..];
    }
}

fn profile(address: SocketAddr, path: &str) -> Profile {
    let (status, body) = get(address, path);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    read(&body, &Limits::default()).unwrap().profile
}

#[test]
fn the_always_on_samplers_are_served_and_go_on() {
    let perfwright = Perfwright::builder()
        .listen("127.0.0.1:0".parse().unwrap())
        .start()
        .unwrap();
    let address = perfwright.debug_address().unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let worker = std::thread::spawn({
        let end = Arc::clone(&end);
        move || perfwright::with_label("route", "/burn", || burn_until(&end))
    });
    let begin = Instant::now();
    while perfwright.cpu().unwrap().profile.total(0) < 50 && begin.elapsed().as_secs() < 60 {
        std::thread::sleep(Duration::from_millis(50));
    }

    let before = perfwright.cpu().unwrap().profile.total(1);
    let window = profile(address, "/debug/pprof/profile?seconds=1");
    let after = perfwright.cpu().unwrap().profile.total(1);
    let cpu = window.find_sample_type("cpu").unwrap();
    assert!(window.total(cpu) > 0);
    // What the window has, the always-on sampler has too, and what it had before.
    assert!(
        after - before >= window.total(cpu),
        "{before} {after} {}",
        window.total(cpu)
    );
    assert!(window.strings().any(|name| name.ends_with("burn_until")));
    let routes = window
        .samples()
        .filter(|sample| window.label_str(sample.labels, "route") == Some("/burn"));
    assert!(routes.count() > 0);

    // Another frequency is a capture of its own, after which the always-on sampler runs again.
    let fine = profile(
        address,
        "/debug/perfwright/profile?seconds=1&frequency_hz=499",
    );
    assert!(fine.total(0) > 0);
    assert_eq!(perfwright.status().engine, Some(Engine::Timer));

    let heap = profile(address, "/debug/pprof/heap?seconds=1");
    assert!(heap.find_sample_type("inuse_space").is_some());
    let allocated = heap.find_sample_type("alloc_space").unwrap();
    assert!(heap.total(allocated) > 0);

    let (status, text) = get(address, "/metrics");
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status, 200);
    assert!(text.contains("process_cpu_seconds_total"), "{text}");
    let (status, text) = get(address, "/debug/perfwright/status");
    assert_eq!(status, 200);
    let status: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert!(status.to_string().contains("\"timer\""), "{status}");

    end.store(true, Ordering::Relaxed);
    worker.join().unwrap();
    drop(perfwright);
    assert!(TcpStream::connect(address).is_err(), "it still listens");
}
