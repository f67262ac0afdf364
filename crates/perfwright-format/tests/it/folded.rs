//! Folded stacks, in their own notation.

use perfwright_format::{ErrorKind, Limits, Place, Reader, WarningKind, folded, read};
use perfwright_model::{Location, Mapping, Profile, SampleType};
use proptest::{collection::vec, prelude::*};
use std::num::NonZeroU64;

fn parse(text: &str) -> perfwright_format::Read {
    folded::read(text.as_bytes(), &Limits::default()).unwrap()
}

fn print(profile: &Profile) -> String {
    print_with(profile, &folded::Options::default())
}

fn print_with(profile: &Profile, options: &folded::Options) -> String {
    let mut out = Vec::new();
    folded::write_with(profile, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn options(change: impl FnOnce(&mut folded::Options)) -> folded::Options {
    let mut options = folded::Options::default();
    change(&mut options);
    options
}

#[test]
fn stacks_come_back_sorted_and_merged() {
    let cases = [
        ("a;b;c 12", "a;b;c 12\n"),
        ("b 1\na;c 2\na 3\na;b 4\nb 5\n", "a 3\na;b 4\na;c 2\nb 6\n"),
        ("a;b 1\r\na;c 2\r\n", "a;b 1\na;c 2\n"),
        ("\n# by a tool\na 1\n\n#\n", "a 1\n"),
        ("#[inline];a 1", "#[inline];a 1\n"),
        (
            "java;do it now;<init> (x)_[j] 7",
            "java;do it now;<init> (x)_[j] 7\n",
        ),
        ("a;--;b_[k] 7", "a;--;b_[k] 7\n"),
        ("worker 1;f 2\nmain 3", "main 3\nworker 1;f 2\n"),
        ("Vec<T, A>;x 2 y 3", "Vec<T, A>;x 2 y 3\n"),
        ("a;b\t5", "a;b 5\n"),
        ("a;;b; 5", "a;[unknown];b;[unknown] 5\n"),
        (" 12", " 12\n"),
        ("a 0\nb 1", "b 1\n"),
        ("a -3\nb 1", "a -3\nb 1\n"),
        ("\u{feff}größer;ß 1", "größer;ß 1\n"),
        ("a 9223372036854775807\na 1", "a 9223372036854775807\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(print(&parse(text).profile), expected, "{text:?}");
    }
}

#[test]
fn fractions_are_exact() {
    let cases = [
        ("a 1.5\nb 2\n", "count/10", 35, "a 1.5\nb 2\n"),
        ("a 0.001\nb 2.50\n", "count/1000", 2_501, "a 0.001\nb 2.5\n"),
        ("a 12.0\nb 3.\n", "count", 15, "a 12\nb 3\n"),
        ("a 0.1\na 0.2\n", "count/10", 3, "a 0.3\n"),
    ];
    for (text, unit, total, expected) in cases {
        let profile = parse(text).profile;
        assert_eq!(profile.sample_types(), [SampleType::new("samples", unit)]);
        assert_eq!(profile.total(0), total);
        assert_eq!(print(&profile), expected);
    }
    let rounded = parse("a 0.3333333333\nb 1");
    assert_eq!(rounded.warnings[0].kind, WarningKind::CountRounded);
    assert_eq!(print(&rounded.profile), "a 0.333333\nb 1\n");
}

#[test]
fn two_counts_on_every_line_are_a_differential_profile() {
    let read = parse("a;b 1 2\na;c 3 0\na 0.5 4\n");
    let kinds: Vec<_> = read
        .profile
        .sample_types()
        .iter()
        .map(|ty| ty.kind.as_str())
        .collect();
    assert_eq!(kinds, ["baseline", "candidate"]);
    assert_eq!((read.profile.total(0), read.profile.total(1)), (45, 60));
    assert_eq!(read.warnings[0].kind, WarningKind::TwoCounts);
    let both = options(|options| options.second_sample_type = Some(1));
    assert_eq!(
        print_with(&read.profile, &both),
        "a 0.5 4\na;b 1 2\na;c 3 0\n"
    );
    assert_eq!(print(&read.profile), "a 0.5\na;b 1\na;c 3\n");
    // One line without a second number, and the first is part of a name.
    assert_eq!(
        print(&parse("a;b 1 2\na;c 3\n").profile),
        "a;b 1 2\na;c 3\n"
    );
}

#[test]
fn a_bad_line_is_an_error_with_its_number() {
    let limits = Limits::default();
    let error = folded::read(b"a;b 1\n\n# c\na;c\nd 1\n", &limits).unwrap_err();
    assert_eq!(
        (error.kind(), error.place()),
        (ErrorKind::Malformed, Place::Line(4))
    );
    assert_eq!(
        error.to_string(),
        "read folded stacks (line 4): `a;c` does not end in a count: \
         write each stack as `root;caller;leaf 12`"
    );
    let long = format!("a 1\n{} x\n", "frame;".repeat(1000));
    let error = read(long.as_bytes(), &limits).unwrap_err();
    assert_eq!(error.place(), Place::Line(2));
    assert!(error.to_string().len() < 200, "{error}");
    for (text, kind) in [
        ("a 1e5", ErrorKind::Malformed),
        ("12", ErrorKind::Malformed),
        ("a 99999999999999999999", ErrorKind::Limit),
        ("a 9223372036854775807\nb 0.5", ErrorKind::Limit),
        ("# nothing\n\n", ErrorKind::Empty),
        ("", ErrorKind::Empty),
    ] {
        let error = folded::read(text.as_bytes(), &limits).unwrap_err();
        assert_eq!(error.kind(), kind, "{text:?}: {error}");
    }
}

#[test]
fn limits_hold() {
    let limit = |set: fn(&mut Limits)| {
        let mut limits = Limits::default();
        set(&mut limits);
        folded::read(b"a;b;c 1\na;d 2\n", &limits).map_err(|error| error.kind())
    };
    assert!(limit(|limits| limits.depth = 3).is_ok());
    assert_eq!(
        limit(|limits| limits.depth = 2).unwrap_err(),
        ErrorKind::Limit
    );
    assert_eq!(
        limit(|limits| limits.stack_nodes = 3).unwrap_err(),
        ErrorKind::Limit
    );
    assert_eq!(
        limit(|limits| limits.samples = 1).unwrap_err(),
        ErrorKind::Limit
    );
    assert_eq!(
        limit(|limits| limits.locations = 3).unwrap_err(),
        ErrorKind::Limit
    );
    assert_eq!(
        limit(|limits| limits.bytes = 13).unwrap_err(),
        ErrorKind::Limit
    );
}

#[test]
fn invalid_utf8_is_kept_with_replacement_and_said() {
    let read = folded::read(b"a;b\xff 1\n", &Limits::default()).unwrap();
    assert_eq!(print(&read.profile), "a;b\u{fffd} 1\n");
    assert_eq!(read.warnings[0].kind, WarningKind::InvalidUtf8);
}

#[test]
fn a_file_that_comes_in_pieces_is_read_as_the_whole() {
    let lines: String = (0..6_000)
        .map(|line| format!("main;größer {};leaf {}\n", line / 7, line % 9))
        .collect();
    let fractions = lines.clone() + "main;late 0.25\n";
    let broken = lines.clone() + "main;no count\nmain 1\n";
    for text in [&lines, &fractions, &broken, &lines.replace(" ", " 1 ")] {
        let outcome = |read: Result<perfwright_format::Read, perfwright_format::Error>| {
            read.map(|read| (print(&read.profile), read.warnings))
        };
        let whole = outcome(read(text.as_bytes(), &Limits::default()));
        for len in [1_000, 1_021, 65_535, 65_536, 65_537, text.len()] {
            let mut reader = Reader::new(Limits::default());
            reader.expect(text.len());
            text.as_bytes()
                .chunks(len)
                .for_each(|piece| reader.push(piece));
            assert_eq!(outcome(reader.finish()), whole, "pieces of {len}");
        }
    }
    let mut limits = Limits::default();
    limits.bytes = lines.len() - 1;
    let whole = read(lines.as_bytes(), &limits).unwrap_err();
    let mut reader = Reader::new(limits);
    lines
        .as_bytes()
        .chunks(1_000)
        .for_each(|piece| reader.push(piece));
    assert_eq!(reader.finish().unwrap_err(), whole);
}

#[test]
fn names_that_the_format_cannot_hold_are_changed() {
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    let none = profile.intern_labels(&[]);
    for (names, value) in [(["a;b", "c\r\nd"], 1), (["# x", "y"], 2), (["#", ""], 3)] {
        let stack = names.map(|name| profile.frame_location(name));
        let stack = profile.intern_stack_root_first(stack);
        profile.push_sample(stack, none, &[value]);
    }
    let text = print(&profile);
    assert_eq!(text, "[#];[unknown] 3\n[#] x;y 2\na:b;c  d 1\n");
    assert_eq!(parse(&text).profile.total(0), 6);
}

#[test]
fn addresses_and_inlined_frames_have_names() {
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    let libc = Mapping {
        offset: 0x100,
        filename: profile.intern("/lib/libc.so.6"),
        ..Mapping::new(0x7000, 0x8000)
    };
    let libc = profile.add_mapping(libc);
    let inner = profile.frame_location("inner");
    let outer = profile.frame_location("outer");
    let frames = [profile.frames(inner)[0], profile.frames(outer)[0]];
    let at = |mapping, address| Location {
        mapping,
        address: NonZeroU64::new(address),
        is_folded: false,
    };
    let locations = [
        profile.add_location(at(None, 0x10), &frames),
        profile.add_location(at(None, 0x20), &[]),
        profile.add_location(at(Some(libc), 0x7010), &[]),
        profile.add_location(at(Some(libc), 0), &[]),
    ];
    let stack = profile.intern_stack_root_first(locations);
    let none = profile.intern_labels(&[]);
    profile.push_sample(stack, none, &[1]);
    assert_eq!(
        print(&profile),
        "outer;inner;[0x20];[libc.so.6+0x110];[unknown] 1\n"
    );
}

#[test]
fn threads_can_be_the_roots() {
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    let stack = ["main", "work"].map(|name| profile.frame_location(name));
    let stack = profile.intern_stack_root_first(stack);
    for (thread, value) in [("worker-2", 1), ("worker-1", 2), ("worker-2", 4), ("", 8)] {
        let label = profile.str_label("thread", thread);
        let labels = profile.intern_labels(&[label]);
        profile.push_sample(stack, labels, &[value]);
    }
    assert_eq!(print(&profile), "main;work 15\n");
    assert_eq!(
        print_with(&profile, &options(|options| options.thread_root = true)),
        "main;work 8\nworker-1;main;work 2\nworker-2;main;work 5\n"
    );
}

#[test]
fn an_absent_sample_type_is_an_error() {
    let error = folded::write(&parse("a 1").profile, 1, Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "the profile has no sample type 1");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    /// Few names, so that lines begin alike in every way: a stack is the same whatever line came before.
    #[test]
    fn a_line_is_read_alike_after_any_other(
        lines in vec((vec("(a|aa|b|)", 1..5), 1..9_i64), 2..12),
    ) {
        let text = |lines: &[(Vec<String>, i64)]| -> String {
            lines
                .iter()
                .map(|(frames, count)| format!("x;{} {count}\n", frames.join(";")))
                .collect()
        };
        let together = parse(&text(&lines)).profile;
        let mut apart = parse(&text(&lines[..1])).profile;
        for line in &lines[1..] {
            apart.merge(&parse(&text(std::slice::from_ref(line))).profile).unwrap();
        }
        prop_assert_eq!(print(&together), print(&apart));
    }

    #[test]
    fn what_is_written_is_read_back(
        stacks in vec((vec("[a-z<>:$ 0-9]{0,5}[a-z#]", 1..6), 1..1_000_000_i64), 1..20),
        decimals in 0..4_usize,
    ) {
        let text: String = stacks
            .iter()
            .map(|(frames, count)| {
                let whole = count / 1000;
                format!("{} {whole}.{:0decimals$}\n", frames.join(";"), count % 10)
            })
            .filter(|line| !line.starts_with("# "))
            .collect();
        prop_assume!(!text.is_empty());
        let first = parse(&text).profile;
        let written = print(&first);
        if !written.is_empty() {
            let second = parse(&written).profile;
            prop_assert_eq!(print(&second), written);
            let scale = |profile: &Profile| {
                let unit = &profile.sample_types()[0].unit;
                unit.rsplit_once('/').map_or(1, |(_, divisor)| divisor.parse().unwrap())
            };
            prop_assert_eq!(first.total(0) * scale(&second), second.total(0) * scale(&first));
        }
    }
}
