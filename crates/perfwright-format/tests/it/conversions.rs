//! What survives on the way from format to format: everything that both have a place for.

use perfwright_format::{Limits, firefox, folded, pprof, read, speedscope};
use perfwright_model::{Frame, Profile, keys};

use crate::{
    canon,
    pprof::rich_profile,
    samples::profiles,
    text::{by_thread, folded},
};

fn again(bytes: &[u8]) -> Profile {
    let read = read(bytes, &Limits::default()).unwrap();
    assert_eq!(read.warnings, []);
    read.profile
}

fn by_pprof(profile: &Profile) -> Profile {
    let mut bytes = Vec::new();
    pprof::write_gzip(profile, &mut bytes).unwrap();
    again(&bytes)
}

fn by_speedscope(profile: &Profile) -> Profile {
    let mut bytes = Vec::new();
    speedscope::write(profile, &mut bytes).unwrap();
    again(&bytes)
}

/// With the position of the sample type that was written.
fn by_firefox(profile: &Profile, sample_type: usize) -> (Profile, usize) {
    let mut bytes = Vec::new();
    firefox::write(profile, sample_type, &mut bytes).unwrap();
    let profile_again = again(&bytes);
    let kind = match profile.sample_types()[sample_type].unit.as_str() {
        "bytes" => "space",
        "nanoseconds" => "time",
        _ => "samples",
    };
    let at = profile_again.find_sample_type(kind).unwrap();
    (profile_again, at)
}

/// All stacks of all sample types below their threads.
fn stacks(profile: &Profile) -> Vec<String> {
    let types = 0..profile.sample_types().len();
    types.map(|at| by_thread(profile, at)).collect()
}

/// Every file of another program, and one with everything that pprof has: stacks, threads and values stay the same in
/// each format, and by way of all of them.
#[test]
fn stacks_threads_and_values_stay_the_same() {
    let files = profiles().into_iter().map(|(name, bytes)| {
        let read = read(&bytes, &Limits::default()).unwrap();
        (name, read.profile)
    });
    for (name, first) in files.chain([("rich".to_owned(), rich_profile())]) {
        let expected = stacks(&first);
        assert!(expected.iter().any(|stacks| !stacks.is_empty()), "{name}");
        assert_eq!(
            canon::of_model(&by_pprof(&first)),
            canon::of_model(&first),
            "{name}"
        );
        let spoken = by_speedscope(&first);
        assert_eq!(stacks(&spoken), expected, "{name} by speedscope");
        assert_eq!(spoken.sample_types(), first.sample_types(), "{name}");
        for (at, expected) in expected.iter().enumerate() {
            let (shown, shown_at) = by_firefox(&first, at);
            assert_eq!(&by_thread(&shown, shown_at), expected, "{name} by Firefox");
            let mut lines = Vec::new();
            let mut options = folded::Options::default();
            options.sample_type = at;
            folded::write_with(&first, &options, &mut lines).unwrap();
            if !lines.is_empty() {
                assert_eq!(
                    folded(&again(&lines), 0),
                    folded(&first, at),
                    "{name} folded"
                );
            }
        }
        let round = by_pprof(&by_speedscope(&by_pprof(&first)));
        assert_eq!(stacks(&round), expected, "{name} all around");
    }
}

/// Each sample's stack with its labels and time, a location in brackets: frames that were inlined into one another stand
/// in one. Without what the Firefox Profiler has no place for.
fn in_detail(profile: &Profile, sample_type: usize) -> Vec<String> {
    let frame = |frame: &Frame| {
        let function = profile.function(frame.function);
        let [name, file] = [function.name, function.filename].map(|id| profile.string(id));
        format!("{name} {file} {:?} {:?}", frame.line, frame.column)
    };
    let samples = profile
        .samples()
        .filter(|sample| sample.values[sample_type] != 0);
    let details = samples.map(|sample| {
        let locations = profile.stack(sample.stack).map(|location| {
            let frames: Vec<String> = profile.frames(location).iter().map(frame).collect();
            format!("[{}]", frames.join(", "))
        });
        let locations: Vec<String> = locations.collect();
        let labels = [keys::THREAD, "process"].map(|key| profile.label_str(sample.labels, key));
        // 0 is what the format has for an id that is not known.
        let id = |key| profile.label_num(sample.labels, key).filter(|&id| id != 0);
        let ids = [keys::TID, "process_id"].map(id);
        let value = sample.values[sample_type];
        format!("{} {labels:?} {ids:?} {value}", locations.join(" "))
    });
    let mut details: Vec<String> = details.collect();
    details.sort();
    details
}

#[test]
fn firefox_keeps_inlined_frames_lines_threads_and_ids() {
    let mut inlined = 0;
    for (name, bytes) in profiles() {
        let first = read(&bytes, &Limits::default()).unwrap().profile;
        for at in 0..first.sample_types().len() {
            let (second, second_at) = by_firefox(&first, at);
            let expected = in_detail(&first, at);
            assert_eq!(in_detail(&second, second_at), expected, "{name}");
            inlined += expected
                .iter()
                .filter(|sample| sample.contains(", "))
                .count();
        }
        let times = |profile: &Profile| -> Vec<_> {
            let mut times: Vec<_> = profile
                .samples()
                .filter_map(|sample| sample.time_nanos)
                .collect();
            times.sort_unstable();
            times
        };
        if !times(&first).is_empty() {
            assert_eq!(times(&by_firefox(&first, 0).0), times(&first), "{name}");
        }
    }
    assert!(inlined > 0);
}
