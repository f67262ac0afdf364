//! Profiles of the Firefox Profiler, in the notation of folded stacks.

use std::num::{NonZeroU32, NonZeroU64};

use perfwright_format::{ErrorKind, Format, Limits, WarningKind, firefox, read};
use perfwright_model::{Frame, Function, Location, Mapping, Profile, SampleType, keys};

use crate::text::{by_thread, folded};

fn parse(text: &str) -> Profile {
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.format, Format::Firefox);
    assert_eq!(read.warnings, []);
    read.profile
}

/// What each location of a stack holds, the root first: `address file: frame at line, frame at line`.
fn locations(profile: &Profile, sample: usize) -> Vec<String> {
    let mut locations: Vec<_> = profile
        .stack(profile.sample(sample).stack)
        .map(|id| {
            let location = profile.location(id);
            let file = location.mapping.map_or("", |mapping| {
                profile.string(profile.mapping(mapping).filename)
            });
            let frames = profile.frames(id).iter().map(|frame| {
                let line = frame.line.map_or(0, NonZeroU32::get);
                format!("{} at {line}", profile.function_name(frame.function))
            });
            let address = location.address.map_or(0, NonZeroU64::get);
            format!(
                "{address:#x} {file}: {}",
                frames.collect::<Vec<_>>().join(", ")
            )
        })
        .collect();
    locations.reverse();
    locations
}

/// Version 70: shared tables, offsets for prefixes, a library for each frame.
const SHARED: &str = r#"{"meta":{"preprocessedProfileVersion":70,"version":36,"interval":1,"startTime":1000.5,
    "product":"shop","sampleUnits":{"time":"ms","eventDelay":"ms","threadCPUDelta":"µs"}},
  "libs":[{"name":"shop","path":"/opt/shop","codeId":"00FF"}],
  "shared":{"stringArray":["main","parse","skip","src/main.rs","0x77","[kernel]"],
    "sources":{"filename":[3],"id":[null],"length":1},
    "funcTable":{"name":[0,1,2,4,5],"source":[0,0,0,null,null],"lineNumber":[1,10,null,null,null],
      "resource":[-1,-1,-1,-1,-1],"length":5},
    "frameTable":{"func":[0,1,2,3,4],"address":[16,32,32,119,-1],"inlineDepth":[0,0,1,0,0],"lib":[0,0,0,0,-1],
      "line":[5,12,7,null,null],"column":[null,3,null,null,null],"nativeSymbol":[null,null,null,null,null],"length":5},
    "stackTable":{"frame":[0,1,2,3,4],"prefixOffset":[0,1,1,1,4],"length":5},
    "resourceTable":{"name":[],"length":0}},
  "threads":[
    {"name":"worker","pid":"12","tid":"13","processName":"shop","markers":{"name":[],"length":0},
     "samples":{"stack":[3,2,null,4],"timeDeltas":[1.5,1,1,1],"weight":null,"weightType":"samples",
       "threadCPUDelta":[100,null,5,20],"length":4}},
    {"name":"other","pid":"x","tid":14,"markers":{"name":[],"length":0},
     "samples":{"stack":[0],"time":[7],"weight":[3],"weightType":"samples","length":1}}]}"#;

#[test]
fn shared_tables_keep_threads_times_lines_and_inlined_functions() {
    let profile = parse(SHARED);
    let kinds = profile
        .sample_types()
        .iter()
        .map(|kind| format!("{}/{}", kind.kind, kind.unit));
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["samples/count", "cpu/nanoseconds"]
    );
    assert_eq!(
        by_thread(&profile, 0),
        "other;main 3\nworker;main;[kernel] 1\nworker;main;parse;skip 1\nworker;main;parse;skip;[shop+0x77] 1\n"
    );
    assert_eq!(
        folded(&profile, 1),
        "main;[kernel] 20000\nmain;parse;skip;[shop+0x77] 100000\n"
    );
    assert_eq!(
        locations(&profile, 0),
        [
            "0x10 /opt/shop: main at 5",
            "0x20 /opt/shop: skip at 7, parse at 12",
            "0x77 /opt/shop: "
        ]
    );
    let times: Vec<_> = profile
        .samples()
        .map(|sample| sample.time_nanos.unwrap())
        .collect();
    assert_eq!(times, [1_500_000, 2_500_000, 4_500_000, 7_000_000]);
    assert_eq!(profile.meta.time_nanos, Some(1_000_500_000));
    let labels = profile.sample(0).labels;
    let numbers = [keys::TID, "process_id"].map(|key| profile.label_num(labels, key));
    assert_eq!(numbers, [Some(13), Some(12)]);
    assert_eq!(profile.label_str(labels, "process"), Some("shop"));
    assert_eq!(profile.string(profile.mappings()[0].build_id), "00ff");
}

/// Version 24: tables in each thread, libraries by way of resources, absolute times, weights in bytes.
#[test]
fn tables_of_each_thread_are_read() {
    let profile = parse(
        r#"{"meta":{"preprocessedProfileVersion":24,"interval":1},"threads":[{"name":"GeckoMain","pid":7,
        "libs":[{"name":"libxul.so"}],"stringArray":["run","0x9","a.js"],
        "funcTable":{"length":2,"name":[0,1],"resource":[-1,0],"fileName":[2,null],"lineNumber":[4,null]},
        "resourceTable":{"length":1,"lib":[0],"name":[1]},
        "frameTable":{"length":2,"func":[0,1],"address":[-1,9],"line":[6,null]},
        "stackTable":{"length":2,"frame":[0,1],"prefix":[null,0]},
        "samples":{"length":2,"stack":[1,0],"time":[1,2],"weight":[100,-30],"weightType":"bytes"}}]}"#,
    );
    assert_eq!(folded(&profile, 0), "run -30\nrun;[libxul.so+0x9] 100\n");
    assert_eq!(profile.sample_types()[0].unit, "bytes");
    assert_eq!(
        locations(&profile, 0),
        ["0x0 : run at 6", "0x9 libxul.so: "]
    );
}

/// Old versions say where a library was, too; addresses are relative to it all the same.
#[test]
fn addresses_are_relative_to_libraries_wherever_they_were() {
    let text = r#"{"meta":{"preprocessedProfileVersion":7},"threads":[{"name":"main","samples":{"stack":[0],"time":[1],"length":1},
        "libs":[{"name":"shop","path":"/opt/shop","start":65536,"end":131072}],"stringArray":["0x10f84"],
        "funcTable":{"name":[0],"resource":[0]},"resourceTable":{"lib":[0],"name":[0]},
        "frameTable":{"func":[0],"address":[3972]},"stackTable":{"frame":[0],"prefix":[null]}}]}"#;
    let profile = parse(text);
    assert_eq!(folded(&profile, 0), "[shop+0xf84] 1\n");
}

#[test]
fn gecko_profiles_have_rows_addresses_and_processes() {
    let thread = |name: &str, time: u32| {
        format!(
            r#"{{"name":"{name}","tid":5,"pid":4,"registerTime":0,
            "samples":{{"schema":{{"stack":0,"time":1,"eventDelay":2}},"data":[[2,{time},0],[null,{time}],[0,{time}]]}},
            "stackTable":{{"data":[[null,0],[0,1],[1,2]],"schema":{{"prefix":0,"frame":1}}}},
            "frameTable":{{"schema":{{"location":0,"relevantForJS":1,"line":4,"column":5}},
              "data":[[0],[1,false,null,null,33,2],[2]]}},
            "stringTable":["(root)","render (https://shop.example/a.js:30:4)","0x1010"]}}"#
        )
    };
    let profile = parse(&format!(
        r#"{{"meta":{{"version":25,"startTime":1000,"interval":1,"gcpoison":0}},
        "libs":[{{"start":4096,"end":8192,"offset":0,"name":"libxul.so","path":"/lib/libxul.so"}}],
        "threads":[{}],
        "processes":[{{"meta":{{"startTime":1002}},"libs":[],"threads":[{}],"processes":[]}}]}}"#,
        thread("GeckoMain", 1),
        thread("Content", 1)
    ));
    assert_eq!(
        by_thread(&profile, 0),
        "Content;(root) 1\nContent;(root);render;[0x1010] 1\n\
         GeckoMain;(root) 1\nGeckoMain;(root);render;[libxul.so+0x10] 1\n"
    );
    assert_eq!(locations(&profile, 0)[1], "0x0 : render at 33");
    let render = profile
        .functions()
        .iter()
        .find(|function| profile.string(function.name) == "render")
        .unwrap();
    assert_eq!(profile.string(render.filename), "https://shop.example/a.js");
    assert_eq!(render.start_line.unwrap().get(), 30);
    // The second process began 2 ms later.
    assert_eq!(profile.sample(2).time_nanos, Some(3_000_000));
}

#[test]
fn what_is_written_reads_back() {
    let mut first = Profile::new([
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ]);
    let filename = first.intern("/opt/shop");
    let build_id = first.intern("00ff12");
    let mapping = Mapping {
        filename,
        build_id,
        offset: 0x1000,
        ..Mapping::new(0x55_0000, 0x56_0000)
    };
    let mapping = Some(first.add_mapping(mapping));
    let mut frame = |name: &str, line: u32| {
        let (name, filename) = (first.intern(name), first.intern("src/\"main\".rs"));
        let start_line = NonZeroU32::new(line - 1);
        let function = first.add_function(Function {
            filename,
            start_line,
            ..Function::named(name)
        });
        Frame {
            function,
            line: NonZeroU32::new(line),
            column: NonZeroU32::new(4),
        }
    };
    let (inner, outer, main) = (frame("inner", 30), frame("outer", 20), frame("main", 10));
    let place = |address| Location {
        mapping,
        address: NonZeroU64::new(address),
        is_folded: false,
    };
    let main = first.add_location(place(0x55_0010), &[main]);
    let inlined = first.add_location(place(0x55_0020), &[inner, outer]);
    let bare = first.add_location(place(0x55_0030), &[]);
    let idle = first.frame_location("[idle]");
    let labels = [
        first.str_label(keys::THREAD, "worker"),
        first.num_label(keys::TID, 5, ""),
        first.num_label("process_id", 4, ""),
        first.str_label("process", "shop"),
    ];
    let labels = first.intern_labels(&labels);
    let none = first.intern_labels(&[]);
    let deep = first.intern_stack_root_first([main, inlined, bare]);
    let shallow = first.intern_stack_root_first([main, inlined]);
    let idle = first.intern_stack_root_first([idle]);
    first.push_sample_at(shallow, labels, &[2, 20_000], Some(3_000_000));
    first.push_sample_at(deep, labels, &[1, 10_000], Some(1_000_000));
    first.push_sample_at(idle, none, &[5, 0], Some(500_000));
    first.meta.time_nanos = Some(1_700_000_000_000_000_000);

    let mut written = Vec::new();
    firefox::write(&first, 0, &mut written).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(value["meta"]["preprocessedProfileVersion"], 56);
    assert_eq!(
        value["threads"][1]["frameTable"]["inlineDepth"].to_string(),
        "[0,0,1,0]"
    );
    let second = parse(std::str::from_utf8(&written).unwrap());
    assert_eq!(second.sample_types(), first.sample_types());
    assert_eq!(second.meta.time_nanos, first.meta.time_nanos);
    assert_eq!(folded(&second, 1), folded(&first, 1));
    assert_eq!(
        by_thread(&second, 0),
        "[idle] 5\nworker;main;outer;inner 2\nworker;main;outer;inner;[shop+0x1030] 1\n"
    );
    // Addresses are relative to the file now.
    assert_eq!(
        locations(&second, 1),
        [
            "0x1010 /opt/shop: main at 10",
            "0x1020 /opt/shop: inner at 30, outer at 20",
            "0x1030 /opt/shop: "
        ]
    );
    let times: Vec<_> = second
        .samples()
        .map(|sample| sample.time_nanos.unwrap())
        .collect();
    assert_eq!(times, [500_000, 1_000_000, 3_000_000]);
    let inner = second
        .functions()
        .iter()
        .find(|function| second.string(function.name) == "inner")
        .unwrap();
    assert_eq!(
        (
            second.string(inner.filename),
            inner.start_line.unwrap().get()
        ),
        ("src/\"main\".rs", 29)
    );
    assert_eq!(
        second.label_num(second.sample(1).labels, keys::TID),
        Some(5)
    );

    let mut packed = Vec::new();
    firefox::write_gzip(&first, 0, &mut packed).unwrap();
    let unpacked = read(&packed, &Limits::default()).unwrap();
    assert_eq!(by_thread(&unpacked.profile, 0), by_thread(&second, 0));

    // As CPU time, the other type is not needed.
    let mut written = Vec::new();
    firefox::write(&first, 1, &mut written).unwrap();
    let third = parse(std::str::from_utf8(&written).unwrap());
    assert_eq!(folded(&third, 0), folded(&first, 1));
    assert_eq!(
        third.sample_types(),
        [SampleType::new("time", "nanoseconds")]
    );
    assert!(firefox::write(&first, 2, Vec::new()).is_err());
}

#[test]
fn broken_files_are_told_with_their_place() {
    let cases = [
        (
            r#""frame":[0,1,2,3,4]"#,
            r#""frame":[0,1,2,3,9]"#,
            ErrorKind::Dangling,
            "frame 9 is used in row 4",
        ),
        (
            r#""frame":[0,1,2,3,4]"#,
            r#""frame":[0,1,2,3,null]"#,
            ErrorKind::Malformed,
            "row 4 of the table here has no frame",
        ),
        (
            r#""prefixOffset":[0,1,1,1,4]"#,
            r#""prefix":[null,1,1,1,4]"#,
            ErrorKind::Malformed,
            "row 1 is called from",
        ),
        (
            r#""prefixOffset":[0,1,1,1,4]"#,
            r#""prefixOffset":[0,9]"#,
            ErrorKind::Malformed,
            "row 1 is called from",
        ),
        (
            r#""stack":[3,2,null,4]"#,
            r#""stack":[5]"#,
            ErrorKind::Dangling,
            "stack 5 is used in row 0",
        ),
        (
            r#""func":[0,1,2,3,4]"#,
            r#""func":[0,1,2,3,5]"#,
            ErrorKind::Dangling,
            "function 5",
        ),
        (
            r#""name":[0,1,2,4,5]"#,
            r#""name":[0,1,2,4,6]"#,
            ErrorKind::Dangling,
            "string 6",
        ),
        (
            r#""lib":[0,0,0,0,-1]"#,
            r#""lib":[0,0,0,1,-1]"#,
            ErrorKind::Dangling,
            "library 1",
        ),
        (
            r#""threads""#,
            r#""thread""#,
            ErrorKind::Malformed,
            "no `threads`",
        ),
        (
            r#""length":1}}]}"#,
            r#""length":1}}]"#,
            ErrorKind::Truncated,
            "cut short",
        ),
    ];
    for (from, to, kind, expected) in cases {
        assert!(SHARED.contains(from), "{from}");
        let error = read(SHARED.replacen(from, to, 1).as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let said = error.to_string();
        assert!(
            said.contains(expected) && said.contains("(byte "),
            "{said} lacks {expected}"
        );
    }
    let marked = SHARED.replacen(r#""markers":{"name":[]"#, r#""markers":{"name":[1]"#, 1);
    let read = read(marked.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.warnings[0].kind, WarningKind::LeftOut);
}

/// One column of the smallest entries must not become more memory than the limits say.
#[test]
fn the_limits_hold() {
    let mut limits = Limits::default();
    for set in [
        |limits: &mut Limits| limits.stack_nodes = 4,
        |limits: &mut Limits| limits.locations = 4,
        |limits: &mut Limits| limits.functions = 4,
        |limits: &mut Limits| limits.strings = 5,
        |limits: &mut Limits| limits.samples = 3,
        |limits: &mut Limits| limits.depth = 2,
        |limits: &mut Limits| limits.mappings = 0,
    ] {
        set(&mut limits);
        let error = read(SHARED.as_bytes(), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        limits = Limits::default();
    }
}

/// 200 GB of copies if each use of the name were one.
#[test]
fn a_long_name_that_is_used_often_costs_its_length_once() {
    let zeros = "0,".repeat(100_000);
    let zeros = zeros.trim_end_matches(',');
    let name = "x".repeat(1 << 20);
    let profile = parse(&format!(
        r#"{{"meta":{{"preprocessedProfileVersion":24}},"threads":[{{"stringArray":["{name}"],
        "funcTable":{{"name":[{zeros}],"fileName":[{zeros}]}},"frameTable":{{"func":[{zeros}]}},
        "stackTable":{{"frame":[0],"prefix":[null]}},"samples":{{"stack":[0],"time":[0]}}}}]}}"#
    ));
    assert_eq!(profile.total(0), 1);
    let profile = parse(&format!(
        r#"{{"meta":{{"gcpoison":0}},"threads":[{{"stringTable":["{name} (a:1)"],
        "frameTable":{{"schema":{{"location":0}},"data":[{}]}},"stackTable":{{"schema":{{"prefix":0,"frame":1}},"data":[[null,0]]}},
        "samples":{{"schema":{{"stack":0,"time":1}},"data":[[0,0]]}}}}]}}"#,
        vec!["[0]"; 100_000].join(",")
    ));
    assert_eq!(profile.total(0), 1);
}

pub(crate) const SEED: &str = SHARED;
