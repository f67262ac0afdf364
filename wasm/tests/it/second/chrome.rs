//! Chrome's trace events, by serde_json.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

use super::{
    Told,
    v8::{Nodes, array, lengths, number},
};

type Ids = (i64, i64);

fn ids(event: &Value) -> Ids {
    (number(&event["pid"]), number(&event["tid"]))
}

/// The names of the threads.
fn threads(events: &[Value]) -> HashMap<Ids, String> {
    let named = events.iter().filter(|event| event["name"] == "thread_name");
    named
        .map(|event| {
            (
                ids(event),
                event["args"]["name"].as_str().expect("a name").to_owned(),
            )
        })
        .collect()
}

/// The CPU profile in its chunks, whose end is not told.
pub(super) fn timeline(bytes: &[u8]) -> Told {
    let trace: Value = serde_json::from_slice(bytes).expect("JSON");
    let events = array(&trace["traceEvents"]);
    let begins: Vec<&Value> = events
        .iter()
        .filter(|event| event["name"] == "Profile")
        .collect();
    assert_eq!(begins.len(), 1, "one profile");
    let thread = &threads(events)[&ids(begins[0])];
    let (mut nodes, mut samples, mut deltas) = (Nodes::default(), Vec::new(), Vec::new());
    for chunk in events
        .iter()
        .filter(|event| event["name"] == "ProfileChunk")
    {
        assert_eq!(chunk["id"], begins[0]["id"]);
        let data = &chunk["args"]["data"];
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        nodes.add(&list(&data["cpuProfile"]["nodes"]));
        samples.extend(list(&data["cpuProfile"]["samples"]));
        deltas.extend(list(&data["timeDeltas"]));
    }
    let mut told = Told::new(&["samples", "time"]);
    for (id, micros) in lengths(0, &deltas, &samples, None) {
        told.add(thread, nodes.path(id), &[1, micros * 1_000]);
    }
    told
}

/// From when to when something ran.
struct Interval {
    start: i64,
    end: i64,
    name: String,
}

/// Events are intervals. Of two that begin together the longer holds the shorter; each has the time that none within it
/// has.
pub(super) fn events(bytes: &[u8]) -> Told {
    let trace: Value = serde_json::from_slice(bytes).expect("JSON");
    let events = array(&trace["traceEvents"]);
    let names = threads(events);
    let mut told = Told::new(&["time"]);
    for (ids, mut intervals) in intervals(events) {
        intervals.sort_by_key(|interval| (interval.start, -interval.end));
        let unnamed = format!("thread {}", ids.1);
        let thread = names.get(&ids).unwrap_or(&unnamed);
        for (at, interval) in intervals.iter().enumerate() {
            let holds = |outer: &&Interval| outer.end >= interval.end && outer.end > interval.start;
            let path = intervals[..at].iter().filter(holds);
            let path = path.chain([interval]).map(|interval| interval.name.clone());
            told.add(thread, path.collect(), &[own(&intervals, at) * 1_000]);
        }
    }
    told
}

/// The time of an interval less that of the outermost ones within it.
fn own(intervals: &[Interval], at: usize) -> i64 {
    let outer = &intervals[at];
    let (mut own, mut now) = (outer.end - outer.start, outer.start);
    for inner in intervals[at + 1..]
        .iter()
        .filter(|inner| inner.end <= outer.end)
    {
        if inner.start >= now {
            own -= inner.end - inner.start;
            now = inner.end;
        }
    }
    own
}

fn intervals(events: &[Value]) -> BTreeMap<Ids, Vec<Interval>> {
    let mut by_thread: BTreeMap<Ids, Vec<Interval>> = BTreeMap::new();
    let mut open: HashMap<Ids, Vec<(i64, String)>> = HashMap::new();
    let mut in_time: Vec<&Value> = events.iter().collect();
    in_time.sort_by_key(|event| event["ts"].as_i64().unwrap_or(0));
    for event in in_time {
        let name = event["name"].as_str().expect("a name").to_owned();
        let found = match event["ph"].as_str().expect("a phase") {
            "X" => {
                let start = number(&event["ts"]);
                let end = start + number(&event["dur"]);
                Some(Interval { start, end, name })
            }
            "B" => {
                open.entry(ids(event))
                    .or_default()
                    .push((number(&event["ts"]), name));
                None
            }
            "E" => {
                let begun = open.entry(ids(event)).or_default().pop();
                let (start, begun) = begun.expect("something open");
                assert_eq!(begun, name);
                let end = number(&event["ts"]);
                Some(Interval { start, end, name })
            }
            _ => None,
        };
        by_thread.entry(ids(event)).or_default().extend(found);
    }
    by_thread
}
