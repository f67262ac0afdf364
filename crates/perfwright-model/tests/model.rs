//! The model through its public API, in the notation of folded stacks.

use std::num::{NonZeroU32, NonZeroU64};

use perfwright_model::{
    Frame, Function, Importer, LabelSetId, Location, LocationId, Mapping, Period, Profile,
    SampleType, StackId,
};
use proptest::prelude::*;

/// A profile from lines such as `a;b;c 4`, with a label `thread` where a line starts with `name: `.
fn folded(text: &str) -> Profile {
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (stack, count) = line.rsplit_once(' ').expect("a count");
        let (thread, stack) = stack.split_once(": ").unwrap_or(("", stack));
        let locations: Vec<_> = stack
            .split(';')
            .map(|frame| profile.frame_location(frame))
            .collect();
        let stack = profile.intern_stack_root_first(locations);
        let labels = if thread.is_empty() {
            LabelSetId::EMPTY
        } else {
            let label = profile.str_label("thread", thread);
            profile.intern_labels(&[label])
        };
        profile.record(stack, labels, &[count.parse().expect("a whole count")]);
    }
    profile
}

/// The opposite of [`folded`], sorted.
fn unfolded(profile: &Profile) -> Vec<String> {
    let mut lines: Vec<_> = profile
        .samples()
        .map(|sample| {
            let mut frames: Vec<_> = profile
                .stack(sample.stack)
                .flat_map(|location| profile.frames(location))
                .map(|frame| profile.function_name(frame.function))
                .collect();
            frames.reverse();
            let thread = profile.label_str(sample.labels, "thread");
            let thread = thread.map(|name| format!("{name}: ")).unwrap_or_default();
            format!("{thread}{} {}", frames.join(";"), sample.values[0])
        })
        .collect();
    lines.sort();
    lines
}

#[track_caller]
fn check(profile: &Profile, expected: &[&str]) {
    assert_eq!(unfolded(profile), expected);
}

/// Pushes in any order find the same nodes: what is remembered of the last stack is only a shortcut.
#[test]
fn stacks_pushed_in_turns_are_the_same_nodes() {
    let mut profile = folded("");
    let [a, b, c] = ["a", "b", "c"].map(|name| profile.frame_location(name));
    let one = profile.push_stack(StackId::ROOT, a);
    let other = profile.push_stack(StackId::ROOT, b);
    let one_b = profile.push_stack(one, b);
    let other_b = profile.push_stack(other, b);
    let one_b_c = profile.push_stack(one_b, c);
    assert_ne!(one_b, other_b);
    assert_eq!(profile.push_stack(one, b), one_b);
    assert_eq!(profile.push_stack(other, b), other_b);
    assert_eq!(profile.intern_stack_root_first([a, b, c]), one_b_c);
    assert_eq!(profile.intern_stack_root_first([a, b]), one_b);
    assert_eq!(profile.push_stack(one_b, c), one_b_c);
    assert_eq!(profile.intern_stack_root_first([b, b]), other_b);
    assert_eq!(profile.intern_stack_root_first([a, b, c]), one_b_c);
    assert_eq!(profile.stack_count(), 6);
}

#[test]
fn equal_stacks_become_one_sample_and_callers_are_shared() {
    let profile = folded("main;a;b 1\nmain;a;c 2\nmain;a;b 3");
    check(&profile, &["main;a;b 4", "main;a;c 2"]);
    assert_eq!(profile.stack_count(), 1 + 4, "root, main, a, b, c");
    assert_eq!(profile.total(0), 6);
}

#[test]
fn parents_come_before_children() {
    let profile = folded("a;b;c 1\nd;c 1\na;e 1");
    for index in 1..profile.stack_count() {
        let id = StackId::from_index(index);
        assert!(profile.stack_node(id).is_some_and(|node| node.parent < id));
    }
    assert_eq!(profile.stack_node(StackId::ROOT), None);
}

#[test]
fn pushed_samples_stay_apart_until_one_is_recorded() {
    let mut profile = folded("a 1");
    let stack = profile.sample(0).stack;
    profile.push_sample(stack, LabelSetId::EMPTY, &[2]);
    profile.push_sample_at(stack, LabelSetId::EMPTY, &[4], Some(17));
    profile.record(stack, LabelSetId::EMPTY, &[8]);
    check(&profile, &["a 2", "a 4", "a 9"]);
    let times: Vec<_> = profile.samples().map(|sample| sample.time_nanos).collect();
    assert_eq!(times, [None, None, Some(17)]);
}

#[test]
fn sums_saturate() {
    let mut profile = folded(&format!("a {}", i64::MAX));
    let stack = profile.sample(0).stack;
    profile.record(stack, LabelSetId::EMPTY, &[1]);
    assert_eq!(profile.sample(0).values, [i64::MAX]);
    profile.push_sample(stack, LabelSetId::EMPTY, &[1]);
    assert_eq!(profile.total(0), i64::MAX);
}

#[test]
fn an_address_is_one_location_and_is_symbolized_in_place() {
    let mut profile = Profile::new([SampleType::new("cpu", "nanoseconds")]);
    let mapping = Some(profile.add_mapping(Mapping::new(0x1000, 0x2000)));
    let place = Location {
        mapping,
        address: NonZeroU64::new(0x1234),
        is_folded: false,
    };
    let id = profile.add_location(place, &[]);
    assert_eq!(profile.add_location(place, &[]), id);
    let stack = profile.push_stack(StackId::ROOT, id);
    profile.record(stack, LabelSetId::EMPTY, &[5]);

    let frames = ["inlined", "outer"].map(|name| {
        let name = profile.intern(name);
        let function = profile.add_function(Function::named(name));
        Frame {
            function,
            line: NonZeroU32::new(7),
            column: None,
        }
    });
    profile.set_frames(id, &frames);
    assert_eq!(profile.frames(id), frames);
    profile.set_frames(id, &frames[..1]);
    assert_eq!(profile.frames(id), &frames[..1]);
    assert_eq!(
        profile.add_location(place, &[]),
        id,
        "still found by its address"
    );
    assert_ne!(profile.push_location(place, &[]), id);
}

#[test]
fn locations_without_address_are_told_apart_by_function_and_line() {
    let mut profile = folded("f 1");
    let plain = profile.frame_location("f");
    let function = profile.frames(plain)[0].function;
    let lined = Frame {
        function,
        line: NonZeroU32::new(3),
        column: None,
    };
    let at_line = profile.add_location(Location::default(), &[lined]);
    assert_ne!(at_line, plain);
    assert_eq!(profile.add_location(Location::default(), &[lined]), at_line);
}

#[test]
fn label_sets_do_not_depend_on_order_and_keep_repeated_keys() {
    let mut profile = folded("");
    let route = profile.str_label("route", "/orders");
    let first = profile.num_label("bytes", 1, "bytes");
    let second = profile.num_label("bytes", 2, "bytes");
    let set = profile.intern_labels(&[route, first, second]);
    assert_eq!(profile.intern_labels(&[first, route, second]), set);
    assert_ne!(
        profile.intern_labels(&[second, route, first]),
        set,
        "same key: order counts"
    );
    assert_eq!(profile.labels(set).len(), 3);
    assert_eq!(profile.label_str(set, "route"), Some("/orders"));
    assert_eq!(profile.label_num(set, "bytes"), Some(1));
    assert_eq!(profile.label_num(set, "route"), None);
    assert_eq!(profile.label_str(set, "absent"), None);
    assert_eq!(profile.intern_labels(&[]), LabelSetId::EMPTY);
}

#[test]
fn merging_adds_equal_samples_and_keeps_the_rest() {
    let mut profile = folded("main;a 1\nw1: main;b 2");
    profile
        .merge(&folded("main;b 8\nw1: main;b 4\nmain;a 16"))
        .expect("same types");
    check(&profile, &["main;a 17", "main;b 8", "w1: main;b 6"]);
}

#[test]
fn merging_finds_columns_by_type_and_refuses_others() {
    let types = [
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ];
    let one = |types: &[SampleType], values: &[i64]| {
        let mut profile = Profile::new(types.to_vec());
        let location = profile.frame_location("f");
        let stack = profile.push_stack(StackId::ROOT, location);
        profile.record(stack, LabelSetId::EMPTY, values);
        profile
    };
    let swapped = [types[1].clone(), types[0].clone()];
    let mut profile = one(&types, &[1, 10]);
    profile
        .merge(&one(&swapped, &[20, 2]))
        .expect("same types in another order");
    assert_eq!(profile.sample(0).values, [3, 30]);

    let error = profile
        .merge(&one(&types[..1], &[1]))
        .expect_err("a type is missing");
    assert_eq!(
        error.to_string(),
        "merge profiles of different sample types: one has samples in count, cpu in nanoseconds, \
         the other samples in count"
    );
    assert_eq!(profile.sample(0).values, [3, 30], "unchanged");
}

#[test]
fn what_was_added_since_a_snapshot_is_the_difference() {
    let mut earlier = folded("main;a 3\nmain;b 5\nw1: main;a 2");
    earlier.meta.time_nanos = Some(1_000);
    earlier.meta.duration_nanos = Some(100);
    let mut later = folded("main;new 1\nmain;a 4\nmain;b 5\nw1: main;a 1");
    later.meta.time_nanos = Some(1_000);
    later.meta.duration_nanos = Some(250);
    let since = later.since(&earlier).expect("same types");
    assert_eq!(
        unfolded(&since),
        ["main;a 1", "main;new 1", "w1: main;a -1"]
    );
    assert_eq!(since.find_string("b"), None);
    assert_eq!(since.meta.time_nanos, Some(1_100));
    assert_eq!(since.meta.duration_nanos, Some(150));
    let other = Profile::new([SampleType::new("cpu", "nanoseconds")]);
    assert!(later.since(&other).is_err());
}

#[test]
fn merging_keeps_what_one_side_does_not_know() {
    let (mut a, mut b) = (folded("f 1"), folded("f 1"));
    a.meta.duration_nanos = Some(5);
    b.meta.time_nanos = Some(77);
    b.meta.period = Some(Period {
        sample_type: SampleType::new("cpu", "nanoseconds"),
        value: 9,
    });
    b.meta.comments = vec!["from b".into()];
    b.meta.default_sample_type = Some(0);
    a.merge(&b).expect("same types");
    assert_eq!(
        (a.meta.duration_nanos, a.meta.time_nanos),
        (Some(5), Some(77))
    );
    assert_eq!(a.meta.period, b.meta.period);
    assert_eq!(a.meta.comments, ["from b"]);
    a.merge(&b).expect("same types");
    assert_eq!(a.meta.comments, ["from b"], "a comment is kept once");
    assert_eq!(a.default_sample_type(), Some(0));
}

#[test]
fn importing_fills_in_frames_that_the_target_lacks() {
    let address = Location {
        mapping: None,
        address: NonZeroU64::new(64),
        is_folded: false,
    };
    let mut raw = Profile::new([SampleType::new("samples", "count")]);
    let unresolved = raw.add_location(address, &[]);
    let mut symbolized = raw.clone();
    let name = symbolized.intern("f");
    let function = symbolized.add_function(Function::named(name));
    symbolized.set_frames(
        unresolved,
        &[Frame {
            function,
            line: None,
            column: None,
        }],
    );

    let same = Importer::new(&symbolized).location(&mut raw, LocationId::from_index(0));
    assert_eq!(same, unresolved);
    assert_eq!(raw.function_name(raw.frames(same)[0].function), "f");
}

#[test]
fn a_stack_of_a_million_frames_is_imported_without_recursion() {
    let mut deep = Profile::new([SampleType::new("samples", "count")]);
    let f = deep.frame_location("f");
    let stack = deep.intern_stack_root_first(std::iter::repeat_n(f, 1_000_000));
    deep.record(stack, LabelSetId::EMPTY, &[1]);
    let mut target = Profile::new([SampleType::new("samples", "count")]);
    target.merge(&deep).expect("same types");
    assert_eq!(target.stack(target.sample(0).stack).count(), 1_000_000);
}

#[test]
fn documented_costs_hold() {
    let mut profile = Profile::new([
        SampleType::new("samples", "count"),
        SampleType::new("cpu", "nanoseconds"),
    ]);
    let locations: Vec<_> = (0..1_000)
        .map(|n| profile.frame_location(&format!("f{n}")))
        .collect();
    let before = profile.heap_bytes();
    let stacks = 1 << 17;
    for n in 0..stacks {
        let stack = profile.intern_stack_root_first([locations[n % 1_000], locations[n / 1_000]]);
        profile.push_sample(stack, LabelSetId::EMPTY, &[1, 1]);
    }
    // Vectors may have grown to twice what they hold.
    let per_entry = (profile.heap_bytes() - before) / stacks;
    assert!(
        per_entry <= 2 * (19 + 24),
        "{per_entry} bytes for a node and a sample"
    );
}

#[test]
fn a_rescaled_type_has_another_unit_and_other_values() {
    let types = [SampleType::new("a", "count"), SampleType::new("wall", "ms")];
    let mut profile = Profile::new(types);
    let stack = profile.intern_stack_root_first([]);
    profile.push_sample(stack, LabelSetId::EMPTY, &[3, 4]);
    profile.push_sample(stack, LabelSetId::EMPTY, &[5, i64::MAX]);
    profile.rescale(1, 1_000, "us");
    assert_eq!(profile.sample_types()[1], SampleType::new("wall", "us"));
    let values: Vec<_> = profile
        .samples()
        .flat_map(|sample| sample.values.to_vec())
        .collect();
    assert_eq!(values, [3, 4_000, 5, i64::MAX]);
}

proptest! {
    /// In whatever order parents and children come, equal stacks are one node.
    #[test]
    fn pushed_nodes_are_those_of_a_map(
        pushes in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize), 0..200),
    ) {
        let mut profile = Profile::default();
        let locations = ["a", "b", "c", "d"].map(|name| profile.frame_location(name));
        let mut known = std::collections::HashMap::new();
        let mut nodes = vec![StackId::ROOT];
        for (parent, location) in pushes {
            let parent = *parent.get(&nodes);
            let node = profile.push_stack(parent, locations[location]);
            prop_assert_eq!(*known.entry((parent, location)).or_insert(node), node);
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        prop_assert_eq!(profile.stack_count(), known.len() + 1);
    }

    #[test]
    fn merging_the_parts_gives_the_whole(
        lines in prop::collection::vec((prop::collection::vec(0_u8..5, 1..6), 1_i64..100), 0..60),
        cut in 0_usize..60,
    ) {
        let text = |lines: &[(Vec<u8>, i64)]| {
            let line = |(frames, count): &(Vec<u8>, i64)| {
                let names: Vec<_> = frames.iter().map(|frame| format!("f{frame}")).collect();
                format!("{} {count}\n", names.join(";"))
            };
            lines.iter().map(line).collect::<String>()
        };
        let (left, right) = lines.split_at(cut.min(lines.len()));
        let mut merged = folded(&text(left));
        merged.merge(&folded(&text(right))).expect("same types");
        prop_assert_eq!(unfolded(&merged), unfolded(&folded(&text(&lines))));
    }
}
