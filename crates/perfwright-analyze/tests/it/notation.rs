//! Profiles from text, so that a test shows its input.
//!
//! A line is `frame;frame;frame count`, the root first; a label `thread` or `route` may stand before it:
//! `thread=w1 route=/a: main;run 4`. A frame is `name`, `name@file` or `name@file:line`; `f>g` is `g`
//! inlined into `f` at one address.

use std::num::NonZeroU32;

use perfwright_model::{Frame, Function, LabelSetId, Location, LocationId, Profile, SampleType};

/// The profile of these lines, with the sample types `samples/count` and `cpu/nanoseconds`; a sample is 10 ms.
pub(crate) fn folded(text: &str) -> Profile {
    let types = [
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ];
    let mut profile = Profile::new(types);
    profile.meta.default_sample_type = Some(1);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        add_line(&mut profile, line);
    }
    profile
}

fn add_line(profile: &mut Profile, line: &str) {
    let (stack, count) = line.rsplit_once(' ').expect("a count");
    let (labels, stack) = match stack.split_once(": ") {
        Some((labels, stack)) => (label_set(profile, labels), stack),
        None => (LabelSetId::EMPTY, stack),
    };
    let places: Vec<_> = stack
        .split(';')
        .map(|place| location(profile, place))
        .collect();
    let stack = profile.intern_stack_root_first(places);
    let count: i64 = count.parse().expect("a whole count");
    profile.record(stack, labels, &[count, count.saturating_mul(10_000_000)]);
}

fn label_set(profile: &mut Profile, text: &str) -> LabelSetId {
    let mut labels = Vec::new();
    for label in text.split(' ') {
        let (key, value) = label.split_once('=').expect("key=value");
        labels.push(match value.parse() {
            Ok(number) => profile.num_label(key, number, ""),
            Err(_) => profile.str_label(key, value),
        });
    }
    profile.intern_labels(&labels)
}

fn location(profile: &mut Profile, text: &str) -> LocationId {
    let mut frames: Vec<_> = text.split('>').map(|text| frame(profile, text)).collect();
    frames.reverse();
    profile.add_location(Location::default(), &frames)
}

fn frame(profile: &mut Profile, text: &str) -> Frame {
    let (name, place) = text.split_once('@').unwrap_or((text, ""));
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    let (name, filename) = (profile.intern(name), profile.intern(file));
    Frame {
        function: profile.add_function(Function {
            filename,
            ..Function::named(name)
        }),
        line: line.parse().ok().and_then(NonZeroU32::new),
        column: None,
    }
}

/// The opposite of [`folded`] for the sample count: equal stacks summed, sorted, without files and labels.
pub(crate) fn unfolded(profile: &Profile) -> Vec<String> {
    let mut sums = std::collections::BTreeMap::<String, i64>::new();
    for sample in profile.samples() {
        let mut names: Vec<_> = profile
            .stack(sample.stack)
            .flat_map(|location| profile.frames(location))
            .map(|frame| profile.function_name(frame.function))
            .collect();
        names.reverse();
        *sums.entry(names.join(";")).or_default() += sample.values[0];
    }
    sums.iter()
        .map(|(stack, sum)| format!("{stack} {sum}"))
        .collect()
}
