//! A second implementation, that shares no code with the first: what a file says, read by prost, serde_json or by
//! splitting text, and the sums straight from its samples.
//!
//! The files are what other programs wrote, see `crates/perfwright-format/tests/data`. What is equal: the sample
//! types, for each of them the total, the number of distinct paths of calls (alone and below the threads), the totals
//! of the threads, and the first 20 functions by self and by total.

mod callgrind;
mod chrome;
mod firefox;
mod pprof;
mod text;
mod v8;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use perfwright_viewer::{Pane, Session, State};
use serde_json::Value;

/// What a file says.
struct Told {
    /// The sample types.
    kinds: Vec<String>,
    samples: Vec<Sample>,
}

#[derive(Clone)]
struct Sample {
    /// Empty where the file has no threads.
    thread: String,
    /// The outermost call first.
    path: Vec<String>,
    /// One a sample type.
    values: Vec<i64>,
}

impl Told {
    fn new(kinds: &[&str]) -> Self {
        Self {
            kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
            samples: Vec::new(),
        }
    }

    fn add(&mut self, thread: &str, path: Vec<String>, values: &[i64]) {
        self.samples.push(Sample {
            thread: thread.to_owned(),
            path,
            values: values.to_vec(),
        });
    }
}

type Reader = fn(&[u8]) -> Told;

/// The files at hand, and what reads them.
const FILES: [(&str, Reader); 13] = [
    ("program.perf.txt", text::perf),
    ("program.callgrind", callgrind::read),
    ("program.dhat.json", v8::dhat),
    ("program.cpuprofile", v8::cpu),
    ("program.heapprofile", v8::heap),
    ("page.timeline.json", chrome::timeline),
    ("page.trace.json", chrome::events),
    ("reader.trace.json", chrome::events),
    ("program.speedscope.json", text::speedscope),
    ("reader.speedscope.json", text::speedscope),
    ("program.samply.json", firefox::processed),
    ("program.firefox.json", firefox::processed),
    ("page.gecko.json", firefox::gecko),
];

fn path(name: &str) -> PathBuf {
    let folder = "../crates/perfwright-format/tests/data";
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(name)
}

/// The files at hand, and one that is gzipped.
pub(crate) fn files() -> Vec<PathBuf> {
    let names = FILES.iter().map(|(name, _)| *name);
    names.chain(["page.timeline.json.gz"]).map(path).collect()
}

fn file(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What a file amounts to in one sample type.
#[derive(Default)]
struct Sums {
    total: i64,
    /// Distinct paths of calls, and the same below their threads.
    paths: BTreeSet<Vec<String>>,
    thread_paths: BTreeSet<Vec<String>>,
    threads: BTreeMap<String, i64>,
    /// Self and total by function.
    functions: BTreeMap<String, [i64; 2]>,
}

fn sums(told: &Told, kind: usize) -> Sums {
    let mut sums = Sums::default();
    for Sample {
        thread,
        path,
        values,
    } in &told.samples
    {
        let value = values[kind];
        if value == 0 {
            continue;
        }
        sums.total += value;
        *sums.threads.entry(thread.clone()).or_default() += value;
        for end in 1..=path.len() {
            sums.paths.insert(path[..end].to_vec());
        }
        for end in 0..=path.len() {
            let below = [std::slice::from_ref(thread), &path[..end]].concat();
            sums.thread_paths.insert(below);
        }
        for function in path.iter().collect::<HashSet<_>>() {
            sums.functions.entry(function.clone()).or_default()[1] += value;
        }
        if let Some(leaf) = path.last() {
            sums.functions.entry(leaf.clone()).or_default()[0] += value;
        }
    }
    sums
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

/// The first 20 rows of the function table: name, self, total.
fn top(session: &mut Session) -> Vec<(String, i64, i64)> {
    let table = parsed(&session.table(0, 20));
    let rows = table["rows"].as_array().expect("rows").iter();
    let row = |row: &Value| {
        let value = |key: &str| row[key]["value"].as_f64().expect("a number") as i64;
        let name = row["full"].as_str().expect("a name").to_owned();
        (name, value("self"), value("total"))
    };
    rows.map(row).collect()
}

#[track_caller]
fn check(name: &str, bytes: &[u8], told: &Told) {
    let mut session = Session::new();
    session.open(name, bytes).expect("a profile");
    session.apply(State::default());
    let described = parsed(&session.description());
    let kinds: Vec<&str> = (described["types"].as_array().expect("types").iter())
        .map(|kind| kind["kind"].as_str().expect("a text"))
        .collect();
    assert_eq!(kinds, told.kinds, "sample types of {name}");
    for (at, kind) in told.kinds.iter().enumerate() {
        let expected = sums(told, at);
        assert!(at > 0 || !expected.paths.is_empty(), "{name} says nothing");
        check_functions(name, &mut session, kind, &expected);
        check_threads(name, &mut session, kind, &expected);
    }
}

fn check_functions(name: &str, session: &mut Session, kind: &str, expected: &Sums) {
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
        assert_eq!(top(session), rows, "{name}: by {sort} of {kind}");
    }
    let nodes = parsed(&session.description())["nodes"].clone();
    assert_eq!(
        nodes,
        expected.paths.len() as f64,
        "{name}: paths of {kind}"
    );
    let all = parsed(&session.node(Pane::Main, 0).expect("the root"));
    assert_eq!(
        all["total"]["value"], expected.total as f64,
        "{name}: total of {kind}"
    );
}

fn check_threads(name: &str, session: &mut Session, kind: &str, expected: &Sums) {
    session.apply(State::parse(&format!("full=1&type={kind}&group=thread")));
    let nodes = parsed(&session.description())["nodes"].clone();
    assert_eq!(
        nodes,
        expected.thread_paths.len() as f64,
        "{name}: paths below threads of {kind}"
    );
    // The threads lie side by side behind the root.
    let nodes = (1..).map_while(|node| session.node(Pane::Main, node));
    let threads = nodes
        .map(|node| parsed(&node))
        .take_while(|node| node["label"] == true);
    let threads: BTreeMap<String, i64> = threads
        .map(|node| {
            let name = node["name"].as_str().expect("a name");
            let name = if name == "(no thread)" { "" } else { name };
            let total = node["total"]["value"].as_f64().expect("a number") as i64;
            (name.to_owned(), total)
        })
        .collect();
    assert_eq!(threads, expected.threads, "{name}: threads of {kind}");
}

#[test]
fn files_of_other_programs() {
    for (name, read) in FILES {
        let bytes = file(name);
        check(name, &bytes, &read(&bytes));
    }
}

/// As the command `gzip -9` wrote it; in the page the browser unpacks it.
#[test]
fn a_gzipped_file() {
    let plain = file("page.timeline.json");
    check(
        "gzip",
        &file("page.timeline.json.gz"),
        &chrome::timeline(&plain),
    );
}
