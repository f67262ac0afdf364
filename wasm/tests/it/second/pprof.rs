//! pprof, decoded by prost.

use std::collections::HashMap;

use super::{Told, check};
use crate::{fixture, schema::Profile};

fn told(profile: &Profile) -> Told {
    let name = |index: i64| profile.string_table[index as usize].as_str();
    let functions: HashMap<u64, &str> = (profile.function.iter())
        .map(|function| (function.id, name(function.name)))
        .collect();
    let locations: HashMap<u64, Vec<&str>> = (profile.location.iter())
        .map(|location| {
            let lines = location.line.iter().rev();
            let names = lines.map(|line| functions[&line.function_id]);
            (location.id, names.collect())
        })
        .collect();
    let kinds = profile.sample_type.iter().map(|kind| name(kind.r#type));
    let mut told = Told::new(&kinds.collect::<Vec<_>>());
    for sample in &profile.sample {
        let outermost_first = sample.location_id.iter().rev();
        let path = outermost_first.flat_map(|id| &locations[id]);
        let label = sample
            .label
            .iter()
            .find(|label| name(label.key) == "thread");
        let thread = label.map_or("", |label| name(label.str));
        told.add(
            thread,
            path.map(|&name| name.to_owned()).collect(),
            &sample.value,
        );
    }
    told
}

#[test]
fn a_service_with_inlined_frames_and_recursion() {
    let profile = fixture::service(false);
    check("service", &fixture::bytes(&profile), &told(&profile));
}

#[test]
fn stacks_at_random() {
    let profile = fixture::random(3_000);
    check("random", &fixture::bytes(&profile), &told(&profile));
}
