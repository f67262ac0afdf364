//! What Valgrind's tools write, in the notation of folded stacks.

use perfwright_format::{ErrorKind, Format, Limits, Place, WarningKind, read};
use perfwright_model::Profile;

use crate::text::folded;

pub(crate) const DHAT: &str = r#"{"dhatFileVersion":2,"mode":"rust-heap","verb":"Allocated","bklt":true,"bkacc":false,
    "cmd":"target/shop --serve","pid":5,"pps":[
    {"tb":100,"tbk":2,"tl":9,"mb":60,"mbk":1,"gb":50,"gbk":1,"eb":7,"ebk":1,"fs":[1,2,4]},
    {"tb":30,"tbk":3,"gb":0,"gbk":0,"eb":0,"ebk":0,"fs":[3,4]},{"tb":1,"tbk":1,"fs":[5]}],
    "ftbl":["[root]","0x10: alloc (alloc.rs:20:9)","0x10: shop::load (src/load.rs:7)","0x20: malloc (in /lib/libc.so)",
      "0x30: main (main.rs:3:1)","0x40: ??? (in /bin/x)"]}"#;

fn parse(text: &str) -> Profile {
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.format, Format::Dhat);
    assert_eq!(read.warnings, []);
    read.profile
}

#[test]
fn dhat_keeps_lines_inlined_functions_and_what_was_live() {
    let profile = parse(DHAT);
    let kinds: Vec<_> = profile
        .sample_types()
        .iter()
        .map(|kind| kind.kind.as_str())
        .collect();
    let expected = [
        "alloc_space",
        "alloc_objects",
        "peak_space",
        "peak_objects",
        "inuse_space",
        "inuse_objects",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(
        folded(&profile, 0),
        "[0x40] 1\nmain;malloc 30\nmain;shop::load;alloc 100\n"
    );
    assert_eq!(
        folded(&profile, 1),
        "[0x40] 1\nmain;malloc 3\nmain;shop::load;alloc 2\n"
    );
    assert_eq!(folded(&profile, 2), "main;shop::load;alloc 50\n");
    assert_eq!(folded(&profile, 4), "main;shop::load;alloc 7\n");
    let leaf = profile.stack(profile.sample(0).stack).next().unwrap();
    let frames = profile.frames(leaf).iter().map(|frame| {
        let file = profile.string(profile.function(frame.function).filename);
        (file, frame.line.unwrap().get())
    });
    assert_eq!(
        frames.collect::<Vec<_>>(),
        [("alloc.rs", 20), ("src/load.rs", 7)]
    );
    assert_eq!(profile.meta.comments, ["command: target/shop --serve"]);
}

#[test]
fn dhat_of_other_modes_has_their_verb() {
    let text = DHAT
        .replace("Allocated", "Copied")
        .replace(r#""bklt":true"#, r#""bklt":false"#);
    let kinds: Vec<_> = parse(&text)
        .sample_types()
        .iter()
        .map(|kind| kind.kind.clone())
        .collect();
    assert_eq!(kinds, ["copied_space", "copied_objects"]);
}

#[test]
fn broken_dhat_files_are_told_with_their_place() {
    let cases = [
        (
            r#""fs":[5]"#,
            r#""fs":[6]"#,
            ErrorKind::Dangling,
            "frame 6 is used, of 6",
        ),
        (r#""ftbl""#, r#""x""#, ErrorKind::Malformed, "no `ftbl`"),
        (
            r#""tb":1,"#,
            r#""tb":"1","#,
            ErrorKind::Malformed,
            "where a number should be",
        ),
    ];
    for (from, to, kind, expected) in cases {
        let error = read(DHAT.replacen(from, to, 1).as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let said = error.to_string();
        assert!(
            said.contains(expected) && said.contains("(byte "),
            "{said} lacks {expected}"
        );
    }
}

/// The example of the format's specification, with names in both forms, relative numbers and two events.
pub(crate) const CALLGRIND: &str = "\
# callgrind format
version: 1
creator: by hand
positions: line
events: Ir Time_(10ns)

fl=(1) file1.c
fn=(1) main
16 20 1
cfn=(2) func1
calls=1 50
16 400 4
jfi=(2) file2.c
jfn=(3) func2
jcnd=1/2 20
16
cfi=(2)
cfn=(3)
calls=3 20
+0 400

fn=(2)
51 100
jump=3 51
51
cfi=(2)
cfn=(3)
calls=2 20
* 300

fl=(2)
fn=(3)
20 500 5
+1 200
totals: 820 6
";

fn callgrind(text: &str) -> Profile {
    let read = read(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(read.format, Format::Callgrind);
    assert_eq!(read.warnings[0].kind, WarningKind::CallGraph);
    assert_eq!(read.warnings.len(), 1);
    read.profile
}

#[test]
fn callgrind_costs_are_shared_out_to_the_callers() {
    let profile = callgrind(CALLGRIND);
    let kinds: Vec<_> = profile
        .sample_types()
        .iter()
        .map(|kind| (kind.kind.as_str(), kind.unit.as_str()))
        .collect();
    assert_eq!(kinds, [("Ir", "count"), ("Time", "10ns")]);
    assert_eq!(
        folded(&profile, 0),
        "main 20\nmain;func1 100\nmain;func1;func2 300\nmain;func2 400\n"
    );
    // Of this event no call of func2 tells a cost.
    assert_eq!(profile.total(1), 6);
    let func2 = profile
        .functions()
        .iter()
        .find(|function| profile.string(function.name) == "func2")
        .unwrap();
    assert_eq!(profile.string(func2.filename), "file2.c");
}

#[test]
fn callgrind_recursion_ends_and_nothing_is_lost() {
    let text = "events: Ir\nfn=main\n1 10\ncfn=a\ncalls=1 1\n1 90\nfn=a\n1 40\ncfn=b\ncalls=1 1\n1 70\n\
                cfn=a\ncalls=1 1\n1 30\nfn=b\n1 50\ncfn=a\ncalls=1 1\n1 20\n\nfn=island\n1 5\ncfn=coast\ncalls=1 1\n1 1\n\
                fn=coast\n1 1\ncfn=island\ncalls=1 1\n1 9\n";
    let profile = callgrind(text);
    assert_eq!(profile.total(0), 10 + 40 + 50 + 5 + 1);
    let lines = folded(&profile, 0);
    assert!(
        lines.contains("main 10\n") && lines.contains("main;a;b "),
        "{lines}"
    );
    assert!(!lines.contains("a;b;a"), "{lines}");
}

#[test]
fn a_callgrind_graph_of_many_ways_stays_small() {
    // Each function calls both of the next row: 2^40 ways from the first to the last.
    let mut text = "events: Ir\n".to_owned();
    for row in 0..40 {
        for side in ["l", "r"] {
            text += &format!("fn={side}{row}\n1 1\n");
            for below in ["l", "r"] {
                text += &format!("cfn={below}{}\ncalls=1 1\n1 {}\n", row + 1, 40 - row);
            }
        }
    }
    text += "fn=l40\n1 1\nfn=r40\n1 1\n";
    let profile = callgrind(&text);
    assert_eq!(profile.total(0), 82);
    assert!(profile.stack_count() < 1 << 20, "{}", profile.stack_count());
}

#[test]
fn broken_callgrind_files_are_told_with_their_line() {
    let cases = [
        (
            "fn=(1) main",
            "fn=(9)",
            ErrorKind::Dangling,
            8,
            "name (9) is used before",
        ),
        (
            "16 20 1",
            "16 20 1 4",
            ErrorKind::Malformed,
            9,
            "more costs than the 2 events",
        ),
        ("16 20 1", "16 x", ErrorKind::Malformed, 9, "`x` is no cost"),
        (
            "fn=(1) main",
            "",
            ErrorKind::Malformed,
            9,
            "before the first `fn=`",
        ),
        (
            "cfn=(2) func1",
            "",
            ErrorKind::Malformed,
            12,
            "without `cfn=`",
        ),
        (
            "totals: 820 6",
            "what",
            ErrorKind::Malformed,
            35,
            "neither a cost",
        ),
    ];
    for (from, to, kind, line, expected) in cases {
        let error = read(
            CALLGRIND.replacen(from, to, 1).as_bytes(),
            &Limits::default(),
        )
        .unwrap_err();
        assert_eq!(
            (error.kind(), error.place()),
            (kind, Place::Line(line)),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// 200 GB of copies if each use of the name were one.
#[test]
fn a_long_name_that_is_used_often_costs_its_length_once() {
    let mut text = format!(
        "# callgrind format\nevents: Ir\nfl=(1) {0}.c\nfn=(1) {0}\n",
        "x".repeat(1 << 20)
    );
    text += &"fl=(1)\nfn=(1)\n1 1\n".repeat(100_000);
    assert_eq!(callgrind(&text).total(0), 100_000);
}
