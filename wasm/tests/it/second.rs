//! A second implementation, that shares no code with the first: the sums straight from the samples.

use std::collections::{BTreeMap, HashMap, HashSet};

use perfwright_viewer::{Session, State};
use serde_json::Value;

use crate::{fixture, schema::Profile};

/// What a profile amounts to in one sample type.
struct Sums {
    total: i64,
    /// Distinct paths of calls.
    paths: usize,
    /// Self and total by function.
    functions: BTreeMap<String, [i64; 2]>,
}

fn sums(profile: &Profile, sample_type: usize) -> Sums {
    let name = |index: i64| profile.string_table[index as usize].as_str();
    let functions: HashMap<u64, &str> = (profile.function.iter())
        .map(|function| (function.id, name(function.name)))
        .collect();
    let locations: HashMap<u64, Vec<&str>> = (profile.location.iter())
        .map(|location| {
            let names = location
                .line
                .iter()
                .rev()
                .map(|line| functions[&line.function_id]);
            (location.id, names.collect())
        })
        .collect();
    let mut paths = HashSet::new();
    let mut by_function: BTreeMap<String, [i64; 2]> = BTreeMap::new();
    let mut total = 0;
    for sample in &profile.sample {
        let value = sample.value[sample_type];
        let outermost_first = sample.location_id.iter().rev();
        let path: Vec<&str> = outermost_first
            .flat_map(|id| locations[id].clone())
            .collect();
        for end in 1..=path.len() {
            paths.insert(path[..end].join("\n"));
        }
        for function in path.iter().collect::<HashSet<_>>() {
            by_function.entry((*function).to_owned()).or_default()[1] += value;
        }
        if let Some(leaf) = path.last() {
            by_function.entry((*leaf).to_owned()).or_default()[0] += value;
        }
        total += value;
    }
    Sums {
        total,
        paths: paths.len(),
        functions: by_function,
    }
}

/// The first 20 rows of the function table: name, self, total.
fn top(session: &mut Session) -> Vec<(String, i64, i64)> {
    let table: Value = serde_json::from_str(&session.table(0, 20)).expect("JSON");
    let rows = table["rows"].as_array().expect("rows").iter();
    let row = |row: &Value| {
        let value = |key: &str| row[key]["value"].as_f64().expect("a number") as i64;
        let name = row["full"].as_str().expect("a name").to_owned();
        (name, value("self"), value("total"))
    };
    rows.map(row).collect()
}

#[track_caller]
fn check(profile: &Profile) {
    let mut session = Session::new();
    session
        .open("a", &fixture::bytes(profile))
        .expect("a profile");
    for (at, sample_type) in profile.sample_type.iter().enumerate() {
        let kind = &profile.string_table[sample_type.r#type as usize];
        let expected = sums(profile, at);
        let mut by_self: Vec<(String, i64, i64)> = (expected.functions.iter())
            .map(|(name, [own, total])| (name.clone(), *own, *total))
            .collect();
        by_self.sort_by_key(|(name, own, total)| (-own, -total, name.clone()));
        let mut by_total = by_self.clone();
        by_total.sort_by_key(|(name, own, total)| (-total, -own, name.clone()));
        for (sort, mut rows) in [("self", by_self), ("total", by_total)] {
            rows.truncate(20);
            session.apply(State::parse(&format!(
                "full=1&view=table&type={kind}&sort={sort}"
            )));
            assert_eq!(top(&mut session), rows, "by {sort} of {kind}");
        }
        let description: Value = serde_json::from_str(&session.description()).expect("JSON");
        assert_eq!(
            description["nodes"], expected.paths as f64,
            "paths of {kind}"
        );
        let all: Value = serde_json::from_str(
            &session
                .node(perfwright_viewer::Pane::Main, 0)
                .expect("the root"),
        )
        .expect("JSON");
        assert_eq!(
            all["total"]["value"], expected.total as f64,
            "total of {kind}"
        );
    }
}

#[test]
fn a_service_with_inlined_frames_and_recursion() {
    check(&fixture::service(false));
}

#[test]
fn stacks_at_random() {
    check(&fixture::random(3_000));
}
