//! Profiles to look at, written by prost: nothing of Perfwright has a part in them.

use std::{collections::HashMap, io::Write as _};

use prost::Message as _;

use crate::schema::{Function, Label, Line, Location, Profile, Sample, ValueType};

/// A profile of a small service: inlined frames, recursion, three sample types, threads and routes, and a
/// time for every sample. `slow` makes one function cost three times as much.
pub(crate) fn service(slow: bool) -> Profile {
    let mut fixture = Fixture::new();
    let factor = if slow { 3 } else { 1 };
    for round in 0..50_i64 {
        let route = ["/orders", "/products"][round as usize % 2];
        let thread = ["main", "worker-1", "worker-2"][round as usize % 3];
        let labels = [("route", route), ("thread", thread)];
        let mut sample = |stack: &[&[&str]], count: i64| {
            fixture.sample(stack, [count, count * 10_000_000, count * 4_096], &labels);
        };
        // One list a location, its innermost frame first: what comes before the last is inlined.
        let serve: &[&[&str]] = &[
            &["shop::main"],
            &[
                "<tokio::Task<F> as core::future::Future>::poll",
                "tokio::runtime::run",
            ],
            &["shop::serve"],
        ];
        let with = |more: &[&'static [&'static str]]| [serve, more].concat();
        sample(
            &with(&[
                &["shop::db::load::{{closure}}", "shop::db::load"],
                &["sqlite3_step"],
            ]),
            20 * factor,
        );
        sample(&with(&[&["shop::db::load"]]), 3 + round % 4);
        sample(
            &with(&[&["shop::walk"], &["shop::walk"], &["shop::walk"]]),
            5,
        );
        sample(
            &with(&[&[
                "core::slice::sort::<T>",
                "shop::rank::<alloc::vec::Vec<u8>>",
            ]]),
            7,
        );
        sample(&[&["shop::main"], &["[kernel or lost]"]], 1);
    }
    fixture.profile
}

/// Stacks at random, of functions that call one another in any order: `stacks` samples.
pub(crate) fn random(stacks: u64) -> Profile {
    let mut fixture = Fixture::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % end
    };
    let names: Vec<String> = (0..40)
        .map(|index| format!("crate_{}::function_{index}", index % 7))
        .collect();
    for _ in 0..stacks {
        let depth = 1 + below(30);
        let locations: Vec<Vec<&str>> = (0..depth)
            .map(|_| {
                (0..1 + below(3))
                    .map(|_| names[below(40) as usize].as_str())
                    .collect()
            })
            .collect();
        let locations: Vec<&[&str]> = locations.iter().map(Vec::as_slice).collect();
        let count = 1 + below(100) as i64;
        fixture.sample(
            &locations,
            [count, count * 1_000, 64],
            &[("thread", ["a", "b"][below(2) as usize])],
        );
    }
    fixture.profile
}

pub(crate) fn bytes(profile: &Profile) -> Vec<u8> {
    profile.encode_to_vec()
}

pub(crate) fn gzipped(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).expect("memory");
    packer.finish().expect("memory")
}

struct Fixture {
    profile: Profile,
    strings: HashMap<String, i64>,
    functions: HashMap<String, u64>,
    locations: HashMap<Vec<u64>, u64>,
}

impl Fixture {
    fn new() -> Self {
        let mut fixture = Self {
            profile: Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
        };
        fixture.string("");
        for (kind, unit) in [
            ("samples", "count"),
            ("cpu", "nanoseconds"),
            ("alloc_space", "bytes"),
        ] {
            let value_type = ValueType {
                r#type: fixture.string(kind),
                unit: fixture.string(unit),
            };
            fixture.profile.sample_type.push(value_type);
        }
        fixture.profile.default_sample_type = fixture.string("cpu");
        fixture.profile.duration_nanos = 10_000_000_000;
        fixture
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.strings.get(text) {
            return known;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }

    fn function(&mut self, name: &str) -> u64 {
        if let Some(&known) = self.functions.get(name) {
            return known;
        }
        let id = self.functions.len() as u64 + 1;
        let module = name.split("::").next().unwrap_or(name);
        let file = match name.contains("::") {
            true => format!("/src/{module}/src/lib.rs"),
            false => String::new(),
        };
        let function = Function {
            id,
            name: self.string(name),
            filename: self.string(&file),
            ..Function::default()
        };
        self.profile.function.push(function);
        self.functions.insert(name.to_owned(), id);
        id
    }

    fn location(&mut self, names: &[&str]) -> u64 {
        let functions: Vec<u64> = names.iter().map(|name| self.function(name)).collect();
        if let Some(&known) = self.locations.get(&functions) {
            return known;
        }
        let id = self.locations.len() as u64 + 1;
        let line = |&function_id: &u64| Line {
            function_id,
            line: 10 * function_id as i64,
            column: 0,
        };
        self.profile.location.push(Location {
            id,
            address: 0x1000 + id,
            line: functions.iter().map(line).collect(),
            ..Location::default()
        });
        self.locations.insert(functions, id);
        id
    }

    /// `stack` has the outermost location first.
    fn sample(&mut self, stack: &[&[&str]], values: [i64; 3], labels: &[(&str, &str)]) {
        let location_id = stack
            .iter()
            .rev()
            .map(|names| self.location(names))
            .collect();
        let mut label: Vec<Label> = labels
            .iter()
            .map(|(key, value)| Label {
                key: self.string(key),
                str: self.string(value),
                ..Label::default()
            })
            .collect();
        label.push(Label {
            key: self.string("perfwright::time"),
            num: 1_000_000 * (1 + self.profile.sample.len() as i64),
            num_unit: self.string("nanoseconds"),
            ..Label::default()
        });
        self.profile.sample.push(Sample {
            location_id,
            value: values.to_vec(),
            label,
        });
    }
}
