//! Two profiles side by side.

use perfwright_analyze::{By, CallTree, DiffError, DiffTree, diff};
use perfwright_model::{Profile, SampleType};

use crate::notation::folded;

/// Rows as `name self→self total→total`, in samples.
#[track_caller]
fn check(baseline: &str, candidate: &str, expected: &[&str]) {
    let diff = diff(
        &folded(baseline),
        &folded(candidate),
        Some("samples"),
        By::Function,
    );
    let rows: Vec<_> = diff
        .expect("both count samples")
        .rows
        .iter()
        .map(|row| {
            let (old, new) = (row.baseline, row.candidate);
            assert_eq!(
                (old.self_value, new.total_value),
                (old.self_samples, new.total_samples)
            );
            let values = (
                old.self_value,
                new.self_value,
                old.total_value,
                new.total_value,
            );
            format!(
                "{} {}→{} {}→{}",
                row.name, values.0, values.1, values.2, values.3
            )
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn the_greatest_change_of_share_is_first() {
    check(
        "main;a 5\nmain;b 5",
        "main;a 2\nmain;b 9\nmain;c 1",
        &["a 5→2 5→2", "b 5→9 5→9", "c 0→1 0→1", "main 0→0 10→12"],
    );
}

#[test]
fn rows_come_and_go() {
    let diff = diff(&folded("main;a 1"), &folded("main;b 3"), None, By::Function).unwrap();
    let marks: Vec<_> = diff
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.appeared(), row.disappeared()))
        .collect();
    assert_eq!(
        marks,
        [
            ("a", false, true),
            ("b", true, false),
            ("main", false, false)
        ]
    );
    assert_eq!(diff.self_share_change(&diff.rows[0]), -1.0);
    assert_eq!(diff.total_share_change(&diff.rows[2]), 0.0);
}

#[test]
fn values_per_second_need_a_duration() {
    let (mut old, new) = (folded("a 4"), folded("a 4"));
    old.meta.duration_nanos = Some(2_000_000_000);
    let diff = diff(&old, &new, Some("samples"), By::Function).unwrap();
    assert_eq!(diff.baseline.per_second(4), Some(2.0));
    assert_eq!(diff.candidate.per_second(4), None);
    assert_eq!(
        (diff.baseline.share(1), diff.baseline.total_samples),
        (0.25, 4)
    );
}

#[test]
fn a_default_sample_type_is_found_by_what_it_is_not_where() {
    let mut other = Profile::new([SampleType::new("cpu", "nanoseconds")]);
    let place = other.frame_location("a");
    let stack = other.intern_stack_root_first([place]);
    other.record(stack, perfwright_model::LabelSetId::EMPTY, &[30_000_000]);
    let diff = diff(&folded("a 1"), &other, None, By::Function).unwrap();
    let (old, new) = (diff.rows[0].baseline, diff.rows[0].candidate);
    assert_eq!((old.self_value, old.self_samples), (10_000_000, 1));
    assert_eq!((new.self_value, new.self_samples), (30_000_000, 0));
}

#[test]
fn profiles_of_other_things_are_refused() {
    let heap = Profile::new([SampleType::new("inuse_space", "bytes")]);
    let error = diff(&folded("a 1"), &heap, None, By::Function).unwrap_err();
    assert_eq!(
        error.to_string(),
        "compare profiles: the candidate has no cpu/nanoseconds, it has inuse_space/bytes; \
         choose a sample type that both have"
    );
    let error = diff(&Profile::new([]), &heap, None, By::Function).unwrap_err();
    assert_eq!(error, DiffError::NoSampleType);
    assert!(diff(&folded("a 1"), &folded("a 1"), Some("heap"), By::Function).is_err());
}

#[test]
fn empty_profiles_have_no_share() {
    let diff = diff(&folded(""), &folded("a 1"), None, By::Function).unwrap();
    assert_eq!(diff.self_share_change(&diff.rows[0]), 1.0);
}

#[test]
fn trees_are_laid_over_each_other() {
    let tree = |text: &str| CallTree::new(&folded(text), 0);
    let merged = DiffTree::new(
        &tree("main;a 1\nmain;b 2\nmain;b;c 1"),
        &tree("main;a 3\nmain 1\nx 1"),
    );
    let mut lines = Vec::new();
    let mut open = vec![(0, 0)];
    while let Some((at, depth)) = open.pop() {
        let node = &merged.nodes[at];
        let ([a, b], [c, d]) = (node.self_values, node.total_values);
        lines.push(format!("{:depth$}{} {a}→{b} {c}→{d}", "", node.name));
        open.extend(
            node.children
                .iter()
                .rev()
                .map(|&child| (child as usize, depth + 1)),
        );
    }
    let expected = [
        " 0→0 4→5",
        " main 0→1 4→4",
        "  a 1→3 1→3",
        "  b 2→0 3→0",
        "   c 1→0 1→0",
        " x 0→1 0→1",
    ];
    assert_eq!(lines, expected);
}
