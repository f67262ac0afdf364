//! The listener over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use perfwright_service::{DebugListener, DebugRoutes, ListenError, Metrics, Standalone};

use crate::support::{cpu_turn, talk};

fn listener() -> DebugListener {
    let routes = DebugRoutes::builder(Standalone::without_heap()).metrics(&Metrics::new());
    DebugListener::bind("127.0.0.1:0", routes).expect("a free port")
}

fn request(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[test]
fn it_answers_to_its_own_names_only() {
    let listener = listener();
    let address = listener.local_addr();
    let port = address.port();
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ] {
        let answer = talk(address, &request("/debug/pprof/cmdline", &host));
        assert_eq!(status(&answer), "200", "{host}: {answer}");
    }
    for host in [
        format!("evil.example:{port}"),
        "localhost".into(),
        "localhost:1".into(),
        String::new(),
    ] {
        let answer = talk(address, &request("/debug/pprof/cmdline", &host));
        assert_eq!(status(&answer), "403", "{host}: {answer}");
        assert!(
            answer.contains("the host is not this listener's"),
            "{answer}"
        );
    }
    // HTTP/1.0 needs no host, but we do.
    let answer = talk(address, "GET /debug/pprof/cmdline HTTP/1.0\r\n\r\n");
    assert_eq!(status(&answer), "403", "{answer}");
    let whole = "http://evil.example/debug/pprof/cmdline";
    let answer = talk(address, &request(whole, &format!("localhost:{port}")));
    assert_eq!(status(&answer), "403", "{answer}");
}

#[test]
fn every_page_has_its_status() {
    let listener = listener();
    let address = listener.local_addr();
    let host = address.to_string();
    for (target, expect) in [
        ("/debug/pprof/", "200"),
        ("/debug/perfwright/", "200"),
        ("/debug/perfwright/status", "200"),
        ("/metrics", "200"),
        ("/debug/pprof/heap", "404"),
        ("/debug/pprof/../pprof/cmdline", "400"),
        ("//debug/pprof/cmdline", "400"),
        ("/debug/%2e%2e/pprof/cmdline", "400"),
        ("/debug/pprof/profile?seconds=1e9", "400"),
        ("/", "404"),
    ] {
        let answer = talk(address, &request(target, &host));
        assert_eq!(status(&answer), expect, "{target}: {answer}");
    }
    let post = format!(
        "POST /debug/pprof/heap HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(status(&talk(address, &post)), "405");
    assert!(talk(address, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
}

#[test]
fn beyond_loopback_it_takes_a_token() {
    let routes = || DebugRoutes::builder(Standalone::without_heap());
    for address in ["0.0.0.0:0", "[::]:0"] {
        let error = DebugListener::bind(address, routes()).unwrap_err();
        assert!(matches!(error, ListenError::NotLoopback { .. }), "{error}");
        assert!(error.to_string().contains("bind_remote"), "{error}");
    }
    let remote = DebugListener::bind_remote("127.0.0.1:0", "secret", routes()).unwrap();
    let address = remote.local_addr();
    let open = request("/debug/pprof/cmdline", "service.example");
    assert_eq!(status(&talk(address, &open)), "401");
    let token = open.replace("connection", "authorization: Bearer secret\r\nconnection");
    assert_eq!(status(&talk(address, &token)), "200");
    let taken = DebugListener::bind(address, routes()).unwrap_err();
    assert!(matches!(taken, ListenError::Io { .. }), "{taken}");
}

#[test]
fn dropping_it_ends_it_and_its_captures() {
    let _turn = cpu_turn();
    let listener = listener();
    let address = listener.local_addr();
    let mut client = TcpStream::connect(address).unwrap();
    let host = address.to_string();
    client
        .write_all(request("/debug/pprof/profile?seconds=200", &host).as_bytes())
        .unwrap();
    let status = || talk(address, &request("/debug/perfwright/status", &host));
    while !status().contains("\"cpu_running\": true") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begin = Instant::now();
    drop(listener);
    let mut rest = String::new();
    let _ = client.read_to_string(&mut rest);
    assert_eq!(rest, "", "a capture that was ended gives no profile");
    assert!(
        begin.elapsed() < Duration::from_secs(100),
        "it does not wait for the capture"
    );
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_client_that_hangs_up_ends_its_capture() {
    let _turn = cpu_turn();
    let listener = listener();
    let address = listener.local_addr();
    let host = address.to_string();
    let status = || talk(address, &request("/debug/perfwright/status", &host));
    let mut client = TcpStream::connect(address).unwrap();
    client
        .write_all(request("/debug/pprof/profile?seconds=200", &host).as_bytes())
        .unwrap();
    while !status().contains("\"cpu_running\": true") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let busy = talk(address, &request("/debug/pprof/profile?seconds=1", &host));
    assert!(
        busy.starts_with("HTTP/1.1 500") && busy.contains("cpu profiling already in use"),
        "{busy}"
    );
    drop(client);
    while !status().contains("\"cpu_abandoned\": 1") || status().contains("\"cpu_running\": true") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let answer = talk(address, &request("/debug/pprof/profile?seconds=1", &host));
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "{}",
        answer.lines().next().unwrap_or("")
    );
}

#[test]
fn slow_and_silent_clients_are_in_nobodys_way() {
    let listener = listener();
    let address = listener.local_addr();
    let half: Vec<_> = (0..50)
        .map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client
                .write_all(b"GET /debug/pprof/ HTTP/1.1\r\nhost: ")
                .unwrap();
            client
        })
        .collect();
    let answer = talk(
        address,
        &request("/debug/pprof/cmdline", &address.to_string()),
    );
    assert_eq!(status(&answer), "200");
    // Heads that do not come are waited for for some seconds, then the connection is closed.
    let mut first = half.into_iter().next().unwrap();
    first
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let mut rest = Vec::new();
    let ended = first.read_to_end(&mut rest);
    assert!(
        !matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
        "{ended:?}"
    );
}

#[test]
fn connections_are_bounded() {
    let listener = listener();
    let address = listener.local_addr();
    let held: Vec<_> = (0..256)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut refused = String::new();
    // They are accepted in the order in which they came.
    let _ = TcpStream::connect(address)
        .unwrap()
        .read_to_string(&mut refused);
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    drop(held);
    let host = address.to_string();
    let retry = || talk(address, &request("/debug/pprof/cmdline", &host));
    while status(&retry()) != "200" {
        std::thread::sleep(Duration::from_millis(5));
    }
}
