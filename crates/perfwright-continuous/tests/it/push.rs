//! Captures arrive at a server that has its moods.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use perfwright_continuous::{
    Capture, Continuous, Part, Push, PushAudit, PushOptions, SampleType, Schedule,
};

use crate::server::{Answer, serve};

/// Long enough for anything that is to happen at all.
const LONG: Duration = Duration::from_secs(60);

fn options(url: &str) -> PushOptions {
    PushOptions::new(url, "shop")
        .backoff(Duration::from_millis(1))
        .max_backoff(Duration::from_millis(4))
}

fn capture(files: &[(&str, &[u8])]) -> Capture {
    let parts = files
        .iter()
        .map(|(kind, bytes)| Part::new(*kind, bytes.to_vec()));
    Capture::new(
        UNIX_EPOCH + Duration::from_secs(1_000),
        Duration::from_secs(10),
        parts.collect(),
    )
}

fn profile(number: u8) -> Capture {
    capture(&[("cpu.pb.gz", &[number])])
}

/// Sent, failed, dropped, retried.
fn counts(audit: &PushAudit) -> [u64; 4] {
    [audit.sent, audit.failed, audit.dropped, audit.retried]
}

#[test]
fn a_profile_arrives_as_pyroscope_takes_it() {
    let server = serve(Vec::new());
    let options = options(&format!("{}/", server.url))
        .label("region", "eu")
        .basic_auth("me", "secret")
        .tenant("a|b");
    let push = Push::start(options).unwrap();
    let files: [(&str, &[u8]); 3] = [
        ("cpu.svg", b"<svg>"),
        ("cpu.pb.gz", b"\x1f\x8b1"),
        ("heap.pb", b"\x0a2"),
    ];
    assert_eq!(push.add(&capture(&files)), 2);
    assert!(push.flush(LONG));
    let received: Vec<_> = server.received.iter().take(2).collect();
    for received in &received {
        let query =
            "name=shop%7Bregion%3Deu%7D&from=1000&until=1010&spyName=perfwright&format=pprof";
        assert_eq!(received.line, format!("POST /ingest?{query} HTTP/1.1"));
        assert_eq!(received.header("authorization"), Some("Basic bWU6c2VjcmV0"));
        assert_eq!(received.header("x-scope-orgid"), Some("a|b"));
        assert_eq!(received.header("content-type"), Some("binary/octet-stream"));
    }
    assert_eq!(received[0].body, b"\x1f\x8b1");
    assert_eq!(received[1].body, b"\x0a2");
    assert_eq!(counts(&push.audit()), [2, 0, 0, 0]);
}

#[test]
fn sample_types_go_as_a_form() {
    let server = serve(Vec::new());
    let options = options(&server.url)
        .bearer("token")
        .sample_type(SampleType::new("busy", "samples"));
    let push = Push::start(options).unwrap();
    push.add(&profile(1));
    assert!(push.flush(LONG));
    let received = server.received.recv().unwrap();
    assert!(!received.line.contains("format="), "{}", received.line);
    assert_eq!(received.header("authorization"), Some("Bearer token"));
    let (form, boundary) = received
        .header("content-type")
        .unwrap()
        .split_once("; boundary=")
        .unwrap();
    assert_eq!(form, "multipart/form-data");
    let body = String::from_utf8(received.body.clone()).unwrap();
    let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
    assert_eq!((parts.len(), parts[0], parts[3]), (4, "", "--\r\n"));
    assert!(parts[1].ends_with("\r\n\r\n\u{1}\r\n"), "{:?}", parts[1]);
    assert!(
        parts[2].contains("name=\"sample_type_config\"") && parts[2].contains("{\"busy\":{"),
        "{:?}",
        parts[2]
    );
}

#[test]
fn a_server_that_is_away_is_asked_again_and_the_order_stays() {
    let answers = [503, 500, 429, 408, 502]
        .map(|status| Answer::Status(status, ""))
        .into_iter();
    let server = serve(answers.chain([Answer::Close]).collect());
    let push = Push::start(options(&server.url)).unwrap();
    push.add(&profile(1));
    push.add(&profile(2));
    assert!(push.flush(LONG));
    let bodies: Vec<_> = server
        .received
        .try_iter()
        .map(|received| received.body[0])
        .collect();
    assert_eq!(bodies, [1, 1, 1, 1, 1, 1, 1, 2]);
    let audit = push.audit();
    assert_eq!(counts(&audit), [2, 0, 0, 6]);
    assert_eq!((audit.queued, audit.queued_bytes), (0, 0));
    assert!(audit.last_error.is_some());
}

#[test]
fn what_the_server_refuses_is_not_tried_again() {
    let answers =
        [400, 401, 413, 422, 302].map(|status| Answer::Status(status, "Location: /elsewhere\r\n"));
    let server = serve(answers.into());
    let push = Push::start(options(&server.url)).unwrap();
    for number in 1..=6 {
        push.add(&profile(number));
    }
    assert!(push.flush(LONG));
    let bodies: Vec<_> = server
        .received
        .try_iter()
        .map(|received| received.body[0])
        .collect();
    assert_eq!(bodies, [1, 2, 3, 4, 5, 6]);
    let audit = push.audit();
    assert_eq!(counts(&audit), [1, 5, 0, 0]);
    assert_eq!(
        audit.last_error.as_deref(),
        Some("the server answered 302: why")
    );
}

#[test]
fn retry_after_is_waited_for() {
    let server = serve(vec![Answer::Status(429, "Retry-After: 3600\r\n")]);
    let push = Push::start(options(&server.url)).unwrap();
    push.add(&profile(1));
    server.received.recv().unwrap();
    // Without it, it would have been tried a dozen times by now.
    assert!(!push.flush(Duration::from_millis(100)));
    assert_eq!(server.received.try_iter().count(), 0);
    let audit = push.audit();
    assert_eq!((counts(&audit), audit.queued), ([0, 0, 0, 0], 1));
}

#[test]
fn a_server_that_says_nothing_is_given_up_on_and_asked_again() {
    let (hold, hang) = mpsc::channel();
    let server = serve(vec![Answer::Hang(hang)]);
    let push = Push::start(options(&server.url).timeout(Duration::from_millis(200))).unwrap();
    push.add(&profile(1));
    server.received.recv().unwrap();
    while push.audit().last_error.is_none() {
        std::thread::yield_now();
    }
    drop(hold);
    assert!(push.flush(LONG));
    let audit = push.audit();
    assert_eq!((audit.sent, audit.failed), (1, 0));
    assert!(audit.retried >= 1, "{audit:?}");
}

#[test]
fn after_so_many_tries_a_profile_is_given_up() {
    // A port that nobody listens on: it was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let push = Push::start(options(&format!("http://{free}")).attempts(3)).unwrap();
    push.add(&profile(1));
    push.add(&profile(2));
    assert!(push.flush(LONG));
    assert_eq!(counts(&push.audit()), [0, 2, 0, 4]);
}

#[test]
fn a_backlog_drops_the_oldest_and_counts_it() {
    let (hold, hang) = mpsc::channel();
    let server = serve(vec![Answer::Hang(hang)]);
    let push = Push::start(options(&server.url).queue_len(5).queue_bytes(4_000)).unwrap();
    push.add(&profile(0));
    server.received.recv().unwrap();
    for number in 1..=200 {
        push.add(&capture(&[("cpu.pb.gz", &[number; 100])]));
        let audit = push.audit();
        assert!(
            audit.queued <= 5 && audit.queued_bytes <= 4_000,
            "{audit:?}"
        );
    }
    assert_eq!(push.audit().dropped, 196);
    // By bytes: one of 3,000 leaves room for nine of 100 and the one being sent.
    push.add(&capture(&[("cpu.pb.gz", &[201; 3_800])]));
    let audit = push.audit();
    assert_eq!((audit.queued, audit.dropped), (3, 199));
    // Larger than the whole queue.
    push.add(&capture(&[("cpu.pb.gz", &[202; 5_000])]));
    assert_eq!(push.audit().queued, 1);
    push.add(&profile(203));
    drop(hold);
    assert!(push.flush(LONG));
    let audit = push.audit();
    assert_eq!(audit.sent + audit.dropped, 204);
    assert_eq!(server.received.try_iter().last().unwrap().body, [203]);
}

#[test]
fn dropping_does_not_wait_for_the_server() {
    let (hold, hang) = mpsc::channel();
    let server = serve(vec![Answer::Hang(hang)]);
    let push = Push::start(options(&server.url).timeout(Duration::from_secs(24 * 3_600))).unwrap();
    push.add(&profile(1));
    server.received.recv().unwrap();
    let clone = push.clone();
    drop(push);
    clone.add(&profile(2));
    assert_eq!(clone.audit().queued, 2);
    // It returns although the server never answers.
    drop(clone);
    drop(hold);
    assert_eq!(server.received.try_iter().count(), 0);
}

#[test]
fn what_a_schedule_captures_is_sent() {
    let server = serve(Vec::new());
    let push = Push::start(options(&server.url)).unwrap();
    let schedule = Schedule::new(Duration::from_millis(1), Duration::ZERO).first(Duration::ZERO);
    let continuous = Continuous::builder(schedule)
        .sink(push.clone())
        .start(|_| Ok(vec![Part::new("cpu.pb.gz", b"profile".to_vec())]));
    let continuous = continuous.unwrap();
    assert_eq!(server.received.recv().unwrap().body, b"profile");
    let audit = continuous.stop();
    assert!(push.flush(LONG));
    assert_eq!(push.audit().sent + push.audit().dropped, audit.captured);
}
