//! V8's trees and DHAT's lists, by serde_json.

use serde_json::Value;
use std::collections::HashMap;

use super::Told;

pub(super) fn number(value: &Value) -> i64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number")) as i64
}

pub(super) fn array(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no array"))
}

/// A function without a name is `(anonymous)`; the root is none.
pub(super) fn name(call_frame: &Value) -> Option<String> {
    match call_frame["functionName"].as_str().expect("a name") {
        "(root)" => None,
        "" => Some("(anonymous)".to_owned()),
        name => Some(name.to_owned()),
    }
}

/// The nodes of a CPU profile: by id, the name and the id of the caller.
#[derive(Default)]
pub(super) struct Nodes(HashMap<i64, (Option<String>, Option<i64>)>);

impl Nodes {
    pub(super) fn add(&mut self, nodes: &[Value]) {
        for node in nodes {
            let id = number(&node["id"]);
            let known = self.0.entry(id).or_default();
            known.0 = name(&node["callFrame"]);
            known.1 = known.1.or(node["parent"].as_i64());
            for child in node["children"].as_array().into_iter().flatten() {
                self.0.entry(number(child)).or_default().1 = Some(id);
            }
        }
    }

    pub(super) fn path(&self, id: i64) -> Vec<String> {
        let mut path = Vec::new();
        let mut next = Some(id);
        while let Some((name, caller)) = next.map(|id| &self.0[&id]) {
            path.extend(name.clone());
            next = *caller;
        }
        path.reverse();
        path
    }
}

/// Samples with the microseconds that each lasts: until the next one in time, the last until the end. Their times are
/// told as distances, some of which are negative.
pub(super) fn lengths(
    start: i64,
    deltas: &[Value],
    ids: &[Value],
    end: Option<i64>,
) -> Vec<(i64, i64)> {
    let mut now = start;
    let mut samples: Vec<(i64, i64)> = Vec::new();
    for (delta, id) in deltas.iter().zip(ids) {
        now += number(delta);
        samples.push((now, number(id)));
    }
    samples.sort_by_key(|(time, _)| *time);
    let ends = samples.iter().skip(1).map(|(time, _)| *time);
    let ends: Vec<i64> = ends
        .chain(end.or(samples.last().map(|last| last.0)))
        .collect();
    samples
        .iter()
        .zip(ends)
        .map(|((time, id), end)| (*id, end - time))
        .collect()
}

pub(super) fn cpu(bytes: &[u8]) -> Told {
    let profile: Value = serde_json::from_slice(bytes).expect("JSON");
    let mut nodes = Nodes::default();
    nodes.add(array(&profile["nodes"]));
    let mut told = Told::new(&["samples", "time"]);
    let [deltas, samples] = ["timeDeltas", "samples"].map(|key| array(&profile[key]));
    let [start, end] = ["startTime", "endTime"].map(|key| number(&profile[key]));
    for (id, micros) in lengths(start, deltas, samples, Some(end)) {
        told.add("", nodes.path(id), &[1, micros * 1_000]);
    }
    told
}

pub(super) fn heap(bytes: &[u8]) -> Told {
    fn add(node: &Value, caller: &[String], told: &mut Told) {
        let path: Vec<String> = caller
            .iter()
            .cloned()
            .chain(name(&node["callFrame"]))
            .collect();
        told.add("", path.clone(), &[number(&node["selfSize"])]);
        for child in array(&node["children"]) {
            add(child, &path, told);
        }
    }
    let profile: Value = serde_json::from_slice(bytes).expect("JSON");
    let mut told = Told::new(&["inuse_space"]);
    add(&profile["head"], &[], &mut told);
    told
}

/// A program point is a stack; `0x12: name (file)` is a frame, the innermost first.
pub(super) fn dhat(bytes: &[u8]) -> Told {
    let profile: Value = serde_json::from_slice(bytes).expect("JSON");
    let frames: Vec<&str> = (array(&profile["ftbl"]).iter())
        .map(|frame| frame.as_str().expect("a text"))
        .collect();
    let name = |frame: &str| {
        let (_, rest) = frame.split_once(": ").expect("an address");
        rest.rsplit_once(" (").expect("a file").0.to_owned()
    };
    let mut told = Told::new(&[
        "alloc_space",
        "alloc_objects",
        "peak_space",
        "peak_objects",
        "inuse_space",
        "inuse_objects",
    ]);
    for point in array(&profile["pps"]) {
        let stack = array(&point["fs"]).iter().rev();
        let path = stack.map(|frame| name(frames[number(frame) as usize]));
        let values = ["tb", "tbk", "gb", "gbk", "eb", "ebk"].map(|key| number(&point[key]));
        told.add("", path.collect(), &values);
    }
    told
}
