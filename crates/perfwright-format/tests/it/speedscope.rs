//! speedscope files, in the notation of folded stacks.

use perfwright_format::{ErrorKind, Limits, WarningKind, read, speedscope};
use perfwright_model::{Profile, keys};

use crate::text::{by_thread, folded};
use crate::{canon, pprof::rich_profile};

fn parse(text: &str) -> Profile {
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.warnings, []);
    read.profile
}

const FRAMES: &str = r#""$schema":"https://www.speedscope.app/file-format-schema.json",
    "shared":{"frames":[{"name":"main","file":"src/main.rs","line":3,"col":7},{"name":"parse"},{"name":""}]}"#;

#[test]
fn sampled_profiles_keep_weights_times_and_lines() {
    let profile = parse(&format!(
        r#"{{"profiles":[{{"type":"sampled","name":"cpu","unit":"milliseconds","startValue":5,"endValue":9,
            "samples":[[0],[0,1],[0,1,2],[0]],"weights":[1,2.5,0,0.5]}}],{FRAMES},"exporter":"x"}}"#
    ));
    assert_eq!(folded(&profile, 0), "main 1500000\nmain;parse 2500000\n");
    let times: Vec<_> = profile
        .samples()
        .map(|sample| sample.time_nanos.unwrap())
        .collect();
    assert_eq!(times, [0, 1_000_000, 3_500_000]);
    assert_eq!(profile.sample_types()[0].unit, "nanoseconds");
    let main = profile.stack(profile.sample(0).stack).next().unwrap();
    let frame = profile.frames(main)[0];
    assert_eq!(
        (frame.line.unwrap().get(), frame.column.unwrap().get()),
        (3, 7)
    );
    assert_eq!(
        profile.string(profile.function(frame.function).filename),
        "src/main.rs"
    );
}

#[test]
fn the_time_between_events_is_a_sample() {
    let profile = parse(&format!(
        r#"{{{FRAMES},"profiles":[{{"type":"evented","name":"a","unit":"microseconds","startValue":10,"endValue":30,"events":[
            {{"type":"O","frame":0,"at":10}},{{"type":"O","frame":1,"at":12}},{{"type":"C","frame":1,"at":20}},
            {{"type":"O","frame":2,"at":20}},{{"at":21,"type":"C","frame":2}},{{"type":"C","frame":0,"at":25}},
            {{"type":"O","frame":1,"at":28}},{{"type":"C","frame":1,"at":30}}]}}]}}"#
    ));
    assert_eq!(
        folded(&profile, 0),
        "main 6000\nmain;[unknown] 1000\nmain;parse 8000\nparse 2000\n"
    );
    assert_eq!(profile.sample(4).time_nanos, Some(18_000));
}

#[test]
fn several_profiles_are_threads_and_several_units_sample_types() {
    let profile = parse(&format!(
        r#"{{{FRAMES},"profiles":[
            {{"type":"sampled","name":"one","unit":"seconds","samples":[[0]],"weights":[2]}},
            {{"type":"sampled","name":"two","unit":"bytes","samples":[[0],[0]],"weights":[2,3]}},
            {{"type":"sampled","name":"one","unit":"none","samples":[[1]],"weights":[0.25]}}]}}"#
    ));
    let kinds = profile
        .sample_types()
        .iter()
        .map(|kind| format!("{}/{}", kind.kind, kind.unit));
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["time/nanoseconds", "space/bytes", "samples/count/1000000"]
    );
    assert_eq!(by_thread(&profile, 0), "one;main 2000000000\n");
    assert_eq!(by_thread(&profile, 1), "two;main 5\n");
    assert_eq!(by_thread(&profile, 2), "one;parse 0.25\n");
}

#[test]
fn what_is_written_reads_back_with_threads_and_sample_types() {
    let first = rich_profile();
    let mut written = Vec::new();
    speedscope::write(&first, &mut written).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(value["exporter"], "perfwright");
    let second = parse(std::str::from_utf8(&written).unwrap());
    assert_eq!(second.sample_types(), first.sample_types());
    for index in 0..first.sample_types().len() {
        assert_eq!(folded(&second, index), folded(&first, index));
        assert_eq!(by_thread(&second, index), by_thread(&first, index));
    }
    let mut again = Vec::new();
    speedscope::write(&second, &mut again).unwrap();
    let third = parse(std::str::from_utf8(&again).unwrap());
    let sorted = |profile: &Profile| {
        let text = canon::of_model(profile);
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&third), sorted(&second));
}

#[test]
fn times_and_inlined_frames_survive_writing() {
    let mut first = Profile::new([perfwright_model::SampleType::new("cpu", "nanoseconds")]);
    let (a, b) = (first.frame_location("a"), first.frame_location("b"));
    let thread = first.str_label(keys::THREAD, "worker");
    let labels = first.intern_labels(&[thread]);
    let (short, long) = (
        first.intern_stack_root_first([a]),
        first.intern_stack_root_first([a, b]),
    );
    for (stack, time) in [(long, 30), (short, 0), (long, 10)] {
        first.push_sample_at(stack, labels, &[10], Some(time));
    }
    let mut written = Vec::new();
    speedscope::write(&first, &mut written).unwrap();
    let second = parse(std::str::from_utf8(&written).unwrap());
    let times: Vec<_> = second.samples().map(|sample| sample.time_nanos).collect();
    // The format has no gaps.
    assert_eq!(times, [Some(0), Some(10), Some(20)]);
    assert_eq!(by_thread(&second, 0), "worker;a 10\nworker;a;b 20\n");
}

#[test]
fn a_profile_without_samples_is_written_as_such() {
    let first = Profile::new([perfwright_model::SampleType::new("cpu", "nanoseconds")]);
    let mut written = Vec::new();
    speedscope::write(&first, &mut written).unwrap();
    let second = parse(std::str::from_utf8(&written).unwrap());
    assert_eq!(second.sample_types(), first.sample_types());
    assert_eq!(second.sample_count(), 0);
}

#[test]
fn broken_files_are_told_with_their_place() {
    let profiles = |text: &str| format!(r#"{{{FRAMES},"profiles":[{text}]}}"#);
    let events = |text: &str| {
        profiles(&format!(
            r#"{{"type":"evented","unit":"none","events":[{text}]}}"#
        ))
    };
    let cases = [
        (
            profiles(r#"{"type":"sampled","samples":[[3]],"weights":[1]}"#),
            ErrorKind::Dangling,
            "frame 3 is used, of 3",
        ),
        (
            profiles(r#"{"type":"sampled","samples":[[-1]],"weights":[1]}"#),
            ErrorKind::Dangling,
            "frame -1 is used",
        ),
        (
            profiles(r#"{"type":"sampled","samples":[[0],[0]],"weights":[1]}"#),
            ErrorKind::Malformed,
            "more samples",
        ),
        (
            profiles(r#"{"type":"sampled","samples":[[0]],"weights":[1,1]}"#),
            ErrorKind::Malformed,
            "more weights",
        ),
        (
            profiles(r#"{"type":"evented"}"#),
            ErrorKind::Malformed,
            "neither samples nor events",
        ),
        (profiles(""), ErrorKind::Empty, "no profile"),
        (
            profiles("{"),
            ErrorKind::Malformed,
            "where a text should be",
        ),
        (
            format!("{{{FRAMES}}}"),
            ErrorKind::Malformed,
            "no `profiles`",
        ),
        (
            profiles("") + "{}",
            ErrorKind::Malformed,
            "more text follows",
        ),
        (
            events(r#"{"type":"O","frame":0}"#),
            ErrorKind::Malformed,
            "without type, frame or time",
        ),
        (
            events(r#"{"type":"O","frame":0,"at":2},{"type":"C","frame":0,"at":1}"#),
            ErrorKind::Malformed,
            "an event that is earlier",
        ),
        (
            events(r#"{"type":"O","frame":0,"at":2},{"type":"C","frame":1,"at":3}"#),
            ErrorKind::Malformed,
            "frame 1 is closed",
        ),
    ];
    for (text, kind, expected) in cases {
        let error = read(text.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let said = error.to_string();
        assert!(
            said.contains(expected) && said.contains("(byte "),
            "{said} lacks {expected}"
        );
    }
    let open = events(r#"{"type":"O","frame":0,"at":2},{"type":"O","frame":1,"at":3}"#);
    let read = read(open.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.warnings[0].kind, WarningKind::Unbalanced);
    assert_eq!(folded(&read.profile, 0), "main 1\n");
    // What is open when the profile ends lasts until then.
    let ends = open.replacen(r#""events""#, r#""endValue":10,"events""#, 1);
    let read = perfwright_format::read(ends.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(folded(&read.profile, 0), "main 1\nmain;parse 7\n");
}
