//! Requests that are kept whole, and their trace.

use std::collections::{BTreeMap, HashMap};

use perfwright_context::with_label;
use perfwright_tracing::{Options, Request, write_chrome_trace};
use serde_json::Value;
use tracing::{info, info_span};

use crate::Rig;

/// A request as `name start..end busy`, children indented below.
fn shown(request: &Request) -> String {
    let mut depths = Vec::new();
    let mut lines = Vec::new();
    for span in &request.spans {
        let depth = span.parent.map_or(0, |parent: usize| depths[parent] + 1);
        depths.push(depth);
        let (name, indent) = (&span.name.name, " ".repeat(depth));
        lines.push(format!(
            "{indent}{name} {}..{} {}",
            span.start_ns, span.end_ns, span.busy_ns
        ));
    }
    lines.join("\n")
}

fn request(rig: &Rig, route: &'static str, nanos: u64) {
    with_label("route", route, || {
        let root = info_span!("request", trace_id = %format_args!("t{nanos}"));
        root.in_scope(|| {
            rig.pass(1);
            info_span!("load").in_scope(|| rig.pass(nanos));
        });
        rig.pass(10);
        root.in_scope(|| info_span!("render").in_scope(|| rig.pass(2)));
    });
}

#[test]
fn the_slowest_of_each_route_are_kept_whole() {
    let rig = Rig::with(Options::new().slowest(2));
    rig.run(|| {
        for nanos in [5, 90, 20, 70, 90, 3] {
            request(&rig, "/a", nanos);
            request(&rig, "/b", nanos / 2);
        }
    });
    let slowest = rig.spans.slowest();
    let seen: Vec<_> = slowest
        .iter()
        .map(|r| (r.route.as_str(), r.total_ns, r.trace_id.as_deref()))
        .collect();
    assert_eq!(seen[..2], [("/a", 103, Some("t90")); 2]);
    assert_eq!(seen[2..], [("/b", 58, Some("t45")); 2]);
    let root = "request 0..103 93\n load 1..91 90\n render 101..103 2";
    assert_eq!(shown(&slowest[0]), root);
    assert_eq!((slowest[0].cut, slowest[0].spans[0].polls), (0, 1));
    assert_eq!(rig.spans.take_slowest().len(), 4);
    assert!(rig.spans.slowest().is_empty());
    rig.run(|| request(&rig, "/a", 1));
    assert_eq!(rig.spans.slowest()[0].total_ns, 14);
}

#[test]
fn chosen_fields_are_kept() {
    let rig = Rig::with(Options::new().fields(["user", "rows"]));
    rig.run(|| {
        let span = info_span!(
            "request",
            user = 7,
            secret = "no",
            rows = tracing::field::Empty
        );
        span.record("rows", 3);
        span.in_scope(|| info!(user = "again", other = "no", "an event"));
        info_span!(parent: &span, "child", user = %"x".repeat(5_000));
    });
    let request = &rig.spans.slowest()[0];
    let fields: Vec<_> = request.spans[0]
        .fields
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(fields, [("user", "7"), ("rows", "3"), ("user", "again")]);
    let long = &request.spans[1].fields[0].1;
    assert_eq!(*long, "x".repeat(1_024 - "user".len()));
}

#[test]
fn a_tree_is_bounded_in_bytes_of_fields() {
    let rig = Rig::with(Options::new().fields(["text"]));
    rig.run(|| {
        let _root = info_span!("request").entered();
        for _ in 0..100 {
            info_span!("part", text = "x".repeat(1_000));
        }
    });
    let request = &rig.spans.slowest()[0];
    let kept = request.spans.iter().filter(|span| !span.fields.is_empty());
    assert_eq!(
        (request.spans.len(), kept.count()),
        (101, 16 * 1_024 / 1_004)
    );
}

#[test]
fn a_tree_is_bounded_in_spans_and_polls() {
    let rig = Rig::with(Options::new().max_spans_per_request(10));
    rig.run(|| {
        let root = info_span!("request");
        for _ in 0..100 {
            root.in_scope(|| {
                info_span!("part").in_scope(|| rig.pass(1));
            });
        }
    });
    let request = &rig.spans.slowest()[0];
    assert_eq!(
        (request.spans.len(), request.spans[0].slices.len()),
        (11, 11)
    );
    assert_eq!(request.cut, 90 + 89);
    assert_eq!(rig.spans.snapshot().audit.cut_from_requests, 90 + 89);
    assert_eq!(rig.stats("request;part").count, 100);
}

#[test]
fn routes_with_requests_are_bounded() {
    let rig = Rig::with(Options::new().max_routes(3));
    rig.run(|| {
        for route in ["/1", "/2", "/3", "/4", "/5"] {
            request(&rig, route, 1);
        }
    });
    let mut routes: Vec<_> = rig
        .spans
        .slowest()
        .into_iter()
        .map(|request| request.route)
        .collect();
    routes.sort();
    assert_eq!(routes, ["/1", "/2", "/3"]);
    assert_eq!(rig.spans.snapshot().audit.unrouted_requests, 2);
}

#[test]
fn nothing_is_kept_when_nobody_wants_it() {
    let rig = Rig::with(Options::new().slowest(0));
    rig.run(|| request(&rig, "/a", 1));
    assert!(rig.spans.slowest().is_empty());
    assert_eq!(rig.stats("request").count, 1);
}

#[test]
fn a_child_may_close_after_its_parents_last_exit() {
    let rig = Rig::new();
    rig.run(|| {
        let root = info_span!("request");
        let child = root.in_scope(|| info_span!("background"));
        drop(root);
        rig.pass(50);
        child.in_scope(|| rig.pass(5));
    });
    let slowest = rig.spans.slowest();
    assert_eq!(slowest.len(), 1);
    assert_eq!(shown(&slowest[0]), "request 0..0 0\n background 0..55 5");
}

fn trace(requests: &[Request]) -> Vec<Value> {
    let mut bytes = Vec::new();
    write_chrome_trace(requests, &mut bytes).expect("memory takes it");
    let json: Value = serde_json::from_slice(&bytes).expect("valid JSON");
    json["traceEvents"].as_array().expect("events").clone()
}

/// On each track what begins within another ends within it: Perfetto drops what does not.
fn assert_nested(events: &[Value]) {
    let mut tracks: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let number = |key: &str| event[key].as_u64().expect("a number");
        let nanos = |key: &str| (event[key].as_f64().expect("a number") * 1e3).round() as u64;
        let track = tracks.entry((number("pid"), number("tid"))).or_default();
        track.push((nanos("ts"), nanos("ts") + nanos("dur")));
    }
    for (track, mut slices) in tracks {
        slices.sort_by_key(|&(start, end)| (start, std::cmp::Reverse(end)));
        let mut open: Vec<u64> = Vec::new();
        for (start, end) in slices {
            open.retain(|&outer| outer > start);
            assert!(
                open.iter().all(|&outer| end <= outer),
                "{start}..{end} on {track:?}"
            );
            open.push(end);
        }
    }
}

#[test]
fn the_trace_is_json_and_nests() {
    let rig = Rig::with(Options::new().fields(["say"]));
    rig.run(|| {
        with_label("route", "/\"odd\"\\\n", || {
            let root = info_span!("request", trace_id = "abc", say = "it \"is\" 1\u{7}");
            // Children that overlap, one that outlives the root.
            let (a, b) = root.in_scope(|| (info_span!("a"), info_span!("b")));
            a.in_scope(|| rig.pass(10));
            b.in_scope(|| rig.pass(20));
            a.in_scope(|| rig.pass(5));
            drop(a);
            root.in_scope(|| rig.pass(1_500));
            b.in_scope(|| rig.pass(3));
        });
        request(&rig, "/second", 100);
    });
    let events = trace(&rig.spans.slowest());
    assert_nested(&events);
    let of = |ph: &str, name: &str| -> Vec<&Value> {
        events
            .iter()
            .filter(|event| event["ph"] == ph && event["name"] == name)
            .collect()
    };
    let names: Vec<_> = of("M", "process_name")
        .iter()
        .map(|event| event["args"]["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            Some("/\"odd\"\\\n 0.002 ms abc"),
            Some("/second 0.000 ms t100")
        ]
    );
    let spans: HashMap<_, _> = events
        .iter()
        .filter(|event| event["cat"] == "span" && event["pid"] == 1)
        .map(|event| (event["name"].as_str().expect("a name"), event))
        .collect();
    assert_eq!(
        (&spans["request"]["ts"], &spans["request"]["dur"]),
        (&0.0.into(), &1.535.into())
    );
    assert_eq!(
        spans["request"]["args"]["fields"][0],
        "say=it \"is\" 1\u{7}"
    );
    assert_eq!(spans["a"]["tid"], spans["request"]["tid"]);
    assert_ne!(spans["b"]["tid"], spans["request"]["tid"]);
    let busy = events
        .iter()
        .filter(|event| event["cat"] == "busy" && event["name"] == "a");
    let busy: Vec<_> = busy
        .map(|event| (event["ts"].as_f64(), event["dur"].as_f64()))
        .collect();
    assert_eq!(busy, [(Some(0.0), Some(0.01)), (Some(0.03), Some(0.005))]);
    assert!(
        events
            .iter()
            .any(|event| event["args"]["name"] == "thread 1")
    );
    assert!(trace(&[]).is_empty());
}
