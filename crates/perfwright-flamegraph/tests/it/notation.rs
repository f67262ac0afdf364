//! Profiles from folded lines such as `main;run@src/run.rs 4`, a sample being 10 ms of CPU time.

use perfwright_model::{Frame, Function, LabelSetId, Location, LocationId, Profile, SampleType};

/// The profile of these lines.
pub(crate) fn folded(text: &str) -> Profile {
    let mut profile = empty();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (stack, count) = line.rsplit_once(' ').expect("a count");
        let frames: Vec<_> = stack.split(';').collect();
        add(&mut profile, &frames, count.parse().expect("a whole count"));
    }
    profile
}

/// A profile without samples.
pub(crate) fn empty() -> Profile {
    let types = [
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ];
    let mut profile = Profile::new(types);
    profile.meta.default_sample_type = Some(1);
    profile
}

/// Adds a stack, the root first, of any names.
pub(crate) fn add(profile: &mut Profile, frames: &[&str], count: i64) {
    let places: Vec<_> = frames
        .iter()
        .map(|frame| location(profile, frame))
        .collect();
    let stack = profile.intern_stack_root_first(places);
    profile.record(
        stack,
        LabelSetId::EMPTY,
        &[count, count.saturating_mul(10_000_000)],
    );
}

fn location(profile: &mut Profile, text: &str) -> LocationId {
    let (name, file) = text.rsplit_once('@').unwrap_or((text, ""));
    let (name, filename) = (profile.intern(name), profile.intern(file));
    let function = profile.add_function(Function {
        filename,
        ..Function::named(name)
    });
    let frame = Frame {
        function,
        line: None,
        column: None,
    };
    profile.add_location(Location::default(), &[frame])
}
