//! V8's profiles and Chrome's traces, in the notation of folded stacks.

use perfwright_format::{ErrorKind, Format, Limits, WarningKind, read, v8};
use perfwright_model::{Profile, keys};

use crate::text::{by_thread, folded};

fn parse(text: &str, format: Format) -> Profile {
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.format, format);
    assert_eq!(read.warnings, []);
    read.profile
}

fn times(profile: &Profile) -> Vec<i64> {
    profile
        .samples()
        .map(|sample| sample.time_nanos.unwrap())
        .collect()
}

pub(crate) const CPU: &str = r#"{"nodes":[
    {"id":1,"callFrame":{"functionName":"(root)","scriptId":"0","url":"","lineNumber":-1,"columnNumber":-1},"children":[2,4]},
    {"id":3,"callFrame":{"functionName":"","url":"file:///a.js","lineNumber":9},"hitCount":2},
    {"id":2,"callFrame":{"functionName":"run","url":"file:///a.js","lineNumber":0},"hitCount":1,"children":[3]},
    {"id":4,"callFrame":{"functionName":"(idle)","url":"","lineNumber":-1},"hitCount":1}],
  "startTime":1000,"endTime":1600,"samples":[2,3,3,4],"timeDeltas":[50,100,100,200]}"#;

#[test]
fn a_cpu_profile_has_samples_that_last_until_the_next() {
    let profile = parse(CPU, Format::CpuProfile);
    assert_eq!(folded(&profile, 0), "(idle) 1\nrun 1\nrun;(anonymous) 2\n");
    assert_eq!(
        folded(&profile, 1),
        "(idle) 150000\nrun 100000\nrun;(anonymous) 300000\n"
    );
    assert_eq!(times(&profile), [50_000, 150_000, 250_000, 450_000]);
    let anonymous = profile
        .functions()
        .iter()
        .find(|function| profile.string(function.name) == "(anonymous)");
    let anonymous = anonymous.unwrap();
    assert_eq!(profile.string(anonymous.filename), "file:///a.js");
    assert_eq!(anonymous.start_line.unwrap().get(), 10);
}

#[test]
fn a_cpu_profile_without_samples_has_hits() {
    let text = CPU.replace(
        r#""samples":[2,3,3,4],"timeDeltas":[50,100,100,200]"#,
        r#""x":0"#,
    );
    let profile = parse(&text, Format::CpuProfile);
    assert_eq!(folded(&profile, 0), "(idle) 1\nrun 1\nrun;(anonymous) 2\n");
}

#[test]
fn an_old_cpu_profile_is_a_tree_with_times() {
    let profile = parse(
        r#"{"head":{"functionName":"(root)","id":1,"hitCount":0,"children":[
        {"functionName":"run","url":"a.js","lineNumber":3,"id":2,"hitCount":1,"children":[
          {"children":[],"id":3,"functionName":"inner"}]},{"functionName":"other","id":4,"children":null}]},
        "startTime":0.5,"endTime":0.9,"samples":[2,3,4],"timestamps":[500000,500100,500300]}"#,
        Format::CpuProfile,
    );
    assert_eq!(folded(&profile, 0), "other 1\nrun 1\nrun;inner 1\n");
    assert_eq!(folded(&profile, 1), "run 100000\nrun;inner 200000\n");
    assert_eq!(times(&profile), [0, 100_000, 300_000]);
}

pub(crate) const HEAP: &str = r#"{"head":{"callFrame":{"functionName":"(root)"},"selfSize":8,"id":1,"children":[
    {"selfSize":100,"children":[{"callFrame":{"functionName":"leaf","url":"b.js","lineNumber":4},"selfSize":20,
      "children":[]}],"callFrame":{"functionName":"run","url":"a.js","lineNumber":1}}]},"samples":[]}"#;

#[test]
fn a_heap_profile_has_sizes() {
    let profile = parse(HEAP, Format::HeapProfile);
    assert_eq!(profile.total(0), 128);
    assert!(folded(&profile, 0).ends_with("run 100\nrun;leaf 20\n"));
    assert_eq!(profile.sample_types()[0].kind, "inuse_space");
}

#[test]
fn trees_may_be_as_deep_as_the_limit() {
    let deep = |depth: usize| {
        let open = r#"{"callFrame":{"functionName":"f"},"selfSize":1,"children":["#;
        format!(r#"{{"head":{}{}}}"#, open.repeat(depth), "]}".repeat(depth))
    };
    let mut limits = Limits::default();
    limits.depth = 20_000;
    assert_eq!(
        v8::read_heap(deep(20_000).as_bytes(), &limits)
            .unwrap()
            .profile
            .total(0),
        20_000
    );
    let error = v8::read_heap(deep(20_001).as_bytes(), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

#[test]
fn broken_profiles_are_told_with_their_place() {
    let cases = [
        (
            r#""samples":[2,"#,
            r#""samples":[9,"#,
            ErrorKind::Dangling,
            "node 9 is used",
        ),
        (
            r#""children":[3]"#,
            r#""children":[8]"#,
            ErrorKind::Dangling,
            "node 8 is used",
        ),
        // Two nodes that call each other.
        (
            r#""hitCount":2}"#,
            r#""hitCount":2,"children":[2]}"#,
            ErrorKind::Limit,
            "frames in one stack",
        ),
        (
            r#""timeDeltas":[50,"#,
            r#""timeDeltas":[null,"#,
            ErrorKind::Malformed,
            "where a number should be",
        ),
    ];
    for (from, to, kind, expected) in cases {
        assert!(CPU.contains(from), "{from}");
        let error = read(CPU.replacen(from, to, 1).as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let said = error.to_string();
        assert!(
            said.contains(expected) && said.contains("(byte "),
            "{said} lacks {expected}"
        );
    }
}

pub(crate) const EVENTS: &str = r#"{"displayTimeUnit":"ms","traceEvents":[
    {"ph":"M","pid":1,"tid":2,"name":"thread_name","args":{"name":"worker"}},
    {"ph":"M","pid":1,"name":"process_name","args":{"name":"shop"}},
    {"ph":"B","pid":1,"tid":2,"ts":100,"name":"run"},{"ph":"X","pid":1,"tid":2,"ts":110,"dur":30,"name":"parse"},
    {"ph":"X","pid":1,"tid":2,"ts":110,"dur":10.5,"name":"lex"},{"ph":"i","pid":1,"tid":2,"ts":115,"name":"mark"},
    {"ph":"E","pid":1,"tid":2,"ts":200},{"ph":"X","pid":1,"tid":3,"ts":150,"dur":5,"name":"io","args":{"a":[{}]}},
    {"ph":"X","pid":1,"tid":2,"ts":300,"dur":1,"name":"run"}]}"#;

#[test]
fn events_give_their_time_less_that_of_the_events_within() {
    let read = read(EVENTS.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.format, Format::ChromeTrace);
    // The mark.
    assert_eq!(
        (read.warnings[0].kind, read.warnings[0].count),
        (WarningKind::LeftOut, 1)
    );
    let profile = read.profile;
    assert_eq!(
        by_thread(&profile, 0),
        "thread 3;io 5000\nworker;run 71000\nworker;run;parse 19500\nworker;run;parse;lex 10500\n"
    );
    assert_eq!(
        times(&profile),
        [0, 10_000, 20_500, 40_000, 200_000, 50_000]
    );
    let labels = profile.sample(0).labels;
    assert_eq!(profile.label_str(labels, "process"), Some("shop"));
    assert_eq!(profile.label_num(labels, keys::TID), Some(2));
}

#[test]
fn events_that_do_not_nest_are_cut_and_said() {
    let text = |events: &str| format!(r#"[{events}"#);
    let event = |phase: &str, name: &str, time: u32| {
        format!(r#"{{"ph":"{phase}","pid":1,"tid":1,"ts":{time},"name":"{name}"}},"#)
    };
    let long = r#"{"ph":"X","pid":1,"tid":1,"ts":5,"dur":10,"name":"long"},"#;
    let short = r#"{"ph":"X","pid":1,"tid":1,"ts":7,"dur":20,"name":"longer"},"#;
    let cases = [
        (
            event("B", "a", 0) + &event("B", "b", 3) + &event("E", "a", 9),
            "a 3\na;b 6",
        ),
        (
            event("B", "a", 0) + &event("E", "z", 3) + &event("E", "a", 9),
            "a 9",
        ),
        (event("B", "a", 0) + &event("B", "b", 4), "a 4"),
        (long.to_owned() + short, "long 2\nlong;longer 8"),
        (
            long.to_owned() + &event("B", "b", 6) + &event("E", "b", 18),
            "long 1\nlong;b 9",
        ),
    ];
    for (events, expected) in cases {
        let read = read(text(&events).as_bytes(), &Limits::default()).unwrap();
        assert_eq!(read.warnings[0].kind, WarningKind::Unbalanced, "{events}");
        let lines = folded(&read.profile, 0).replace("000\n", "\n");
        assert_eq!(lines.trim_end(), expected, "{events}");
    }
    let nothing = read(text(&event("i", "a", 0)).as_bytes(), &Limits::default()).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Empty);
}

#[test]
fn cpu_profiles_in_a_trace_come_in_chunks() {
    let text = r#"[{"ph":"M","pid":1,"tid":7,"name":"thread_name","args":{"name":"CrRendererMain"}},
        {"ph":"P","pid":1,"tid":7,"id":"0x1","ts":1,"name":"Profile","args":{"data":{"startTime":5000}}},
        {"ph":"P","pid":1,"tid":9,"id":"0x1","ts":2,"name":"ProfileChunk","args":{"data":{"cpuProfile":{"nodes":[
          {"id":1,"callFrame":{"functionName":"(root)"}},{"id":2,"parent":1,"callFrame":{"functionName":"run"}}],
          "samples":[2,2]},"timeDeltas":[100,200]}}},
        {"ph":"X","pid":1,"tid":7,"ts":1,"dur":100,"name":"Task"},
        {"ph":"P","pid":1,"tid":9,"id":"0x1","ts":3,"name":"ProfileChunk","args":{"data":{"cpuProfile":{"nodes":[
          {"id":3,"parent":2,"callFrame":{"functionName":"leaf"}}],"samples":[3,8]},"timeDeltas":[300,400]}}}]"#;
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.format, Format::ChromeTrace);
    assert_eq!(
        by_thread(&read.profile, 0),
        "CrRendererMain;run 2\nCrRendererMain;run;leaf 1\n"
    );
    assert_eq!(folded(&read.profile, 1), "run 500000\nrun;leaf 400000\n");
    let warnings = read
        .warnings
        .iter()
        .map(|warning| (warning.kind, warning.count));
    assert_eq!(
        warnings.collect::<Vec<_>>(),
        [(WarningKind::LeftOut, 1), (WarningKind::Lost, 1)]
    );
}

/// The first distance leads to the first sample; a sample that was taken in between is written late.
#[test]
fn samples_are_in_the_order_of_their_times() {
    let text = CPU.replacen(r#""timeDeltas":[50,"#, r#""timeDeltas":[50,-20,"#, 1);
    let profile = parse(&text, Format::CpuProfile);
    let times = times(&profile);
    assert!(times.is_sorted(), "{times:?}");
    let lasted = profile.total(1);
    assert_eq!(
        lasted,
        times.windows(2).map(|two| two[1] - two[0]).sum::<i64>()
            + profile.sample(times.len() - 1).values[1]
    );
}

#[test]
fn the_last_sample_of_a_trace_lasts_until_the_profile_ends() {
    let text = r#"[{"ph":"P","pid":1,"tid":7,"id":1,"name":"Profile","args":{"data":{"startTime":5000}}},
        {"ph":"P","pid":1,"tid":9,"id":1,"name":"ProfileChunk","args":{"data":{"cpuProfile":{"nodes":[
          {"id":1,"callFrame":{"functionName":"run"}}],"samples":[1,1]},"timeDeltas":[100,200]}}},
        {"ph":"P","pid":1,"tid":9,"id":1,"name":"ProfileChunk","args":{"data":{"endTime":5450}}}]"#;
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(folded(&read.profile, 1), "run 350000\n");
    // The profile in the event may tell the distances too.
    let twice = text.replacen(
        r#""samples":[1,1]"#,
        r#""timeDeltas":[100,200],"samples":[1,1]"#,
        1,
    );
    let read = perfwright_format::read(twice.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(folded(&read.profile, 1), "run 350000\n");
}

pub(crate) const STACK_FRAMES: &str = r#"{"stackFrames":{"1":{"name":"[root]"},"2":{"name":"run","parent":1},
    "x":{"name":"leaf","parent":"2"}},"traceEvents":[{"ph":"X","pid":1,"tid":"7","ts":"1","dur":5,"name":"beside"},
    {"ph":"M","pid":1,"tid":"7","name":"thread_name","args":{"name":"js"}}],"samples":[
    {"pid":1,"tid":"7","ts":"1000","sf":2,"weight":"1"},{"pid":1,"tid":8,"ts":1010,"sf":1},
    {"pid":1,"tid":7,"ts":1100,"sf":"x","weight":3},{"pid":1,"tid":7,"ts":1250.5,"sf":2},{"pid":1,"tid":7,"ts":1251,"sf":9}]}"#;

#[test]
fn samples_beside_the_events_have_stacks_and_last_until_the_next() {
    let read = read(STACK_FRAMES.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(
        by_thread(&read.profile, 0),
        "js;[root];run 2\njs;[root];run;leaf 3\nthread 8;[root] 1\n"
    );
    assert_eq!(
        folded(&read.profile, 1),
        "[root];run 100000\n[root];run;leaf 150500\n"
    );
    let warnings: Vec<_> = read.warnings.iter().map(|warning| warning.kind).collect();
    assert_eq!(warnings, [WarningKind::LeftOut, WarningKind::Lost]);
    let looped = STACK_FRAMES.replacen(
        r#"{"name":"[root]"}"#,
        r#"{"name":"[root]","parent":"x"}"#,
        1,
    );
    let error = perfwright_format::read(looped.as_bytes(), &Limits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}
