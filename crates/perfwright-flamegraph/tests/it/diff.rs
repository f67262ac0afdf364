//! Two profiles laid over each other.

use perfwright_flamegraph::{Error, Normalize, Options, Summary, write_diff_svg};
use perfwright_model::{Profile, SampleType};

use crate::boxes::{Drawing, read};
use crate::notation::folded;

fn draw_diff(old: &Profile, new: &Profile, options: &Options) -> (Drawing, Summary) {
    let mut svg = Vec::new();
    let summary = write_diff_svg(old, new, options, &mut svg).expect("it can be drawn");
    (read(&svg), summary)
}

/// `+` red, `-` blue, `=` white.
fn sign(drawing: &Drawing, name: &str) -> char {
    match drawing.find(name).fill {
        [255, green, blue] if green == blue && green < 250 => '+',
        [red, green, 255] if red == green && red < 250 => '-',
        [250, 250, 250] => '=',
        other => panic!("{other:?} is no colour of a difference"),
    }
}

#[test]
fn red_is_more_and_blue_is_less() {
    let old = folded("main;up 2\nmain;down 6\nmain;same;x 2");
    let new = folded("main;up 5\nmain;down 3\nmain;same;x 2");
    let (drawing, summary) = draw_diff(&old, &new, &Options::default());
    let signs: String = ["up", "down", "same", "x", "main"]
        .map(|name| sign(&drawing, name))
        .into_iter()
        .collect();
    assert_eq!(signs, "+-===");
    assert_eq!(
        drawing.find("up").title,
        "up (50.0 ms, 50.0 %; self +30.00 %)"
    );
    assert_eq!(
        drawing.find("down").title,
        "down (30.0 ms, 30.0 %; self -30.00 %)"
    );
    assert_eq!(
        drawing.find("x").title,
        "x (20.0 ms, 20.0 %; self unchanged)"
    );
    assert_eq!(summary.gone_share, 0.0);
    assert!(
        drawing.says("CPU time: 100 ms, baseline 100 ms"),
        "{:?}",
        drawing.texts
    );
}

#[test]
fn a_callers_own_change_is_its_own_colour() {
    let (drawing, _) = draw_diff(
        &folded("main;f 1\nmain;f;x 9"),
        &folded("main;f 5\nmain;f;x 5"),
        &Options::default(),
    );
    assert_eq!(
        (
            sign(&drawing, "f"),
            sign(&drawing, "x"),
            sign(&drawing, "main")
        ),
        ('+', '-', '=')
    );
}

#[test]
fn what_is_gone_is_said_and_what_is_new_is_red() {
    let (drawing, summary) = draw_diff(
        &folded("main;old;x 3\nmain;a 7"),
        &folded("main;new 3\nmain;a 7"),
        &Options::default(),
    );
    assert_eq!(sign(&drawing, "new"), '+');
    assert!(!drawing.boxes.iter().any(|b| b.title.starts_with("old")));
    assert!((summary.gone_share - 0.3).abs() < 1e-9);
    assert_eq!(summary.pruned_frames, 0);
    assert!(
        drawing.says("30.0 % of the baseline is gone"),
        "{:?}",
        drawing.texts
    );
    assert_eq!(
        sign(&drawing, "main"),
        '=',
        "the caller itself is as it was"
    );
}

#[test]
fn profiles_of_different_size_are_compared_by_share_unless_told_otherwise() {
    let (mut old, mut new) = (folded("main;a 1\nmain;b 1"), folded("main;a 10\nmain;b 10"));
    let mut options = Options::default();
    let (drawing, _) = draw_diff(&old, &new, &options);
    assert_eq!((sign(&drawing, "a"), sign(&drawing, "b")), ('=', '='));
    assert!(
        drawing.says("baseline scaled by 10.000"),
        "{:?}",
        drawing.texts
    );
    options.normalize = Normalize::No;
    assert_eq!(sign(&draw_diff(&old, &new, &options).0, "a"), '+');
    options.normalize = Normalize::Duration;
    assert_eq!(
        sign(&draw_diff(&old, &new, &options).0, "a"),
        '+',
        "durations are unknown"
    );
    (old.meta.duration_nanos, new.meta.duration_nanos) = (Some(1), Some(20));
    assert_eq!(sign(&draw_diff(&old, &new, &options).0, "a"), '-');
}

#[test]
fn small_frames_are_compared_too() {
    let mut options = Options::default();
    options.min_share = 0.2;
    let old = folded("main;a 80\nmain;b 9\nmain;c 11");
    let new = folded("main;a 70\nmain;b 14\nmain;c 16");
    let (drawing, summary) = draw_diff(&old, &new, &options);
    assert_eq!(
        drawing.find("(2 small frames)").title,
        "(2 small frames) (300 ms, 30.0 %; self +10.00 %)"
    );
    assert_eq!(
        (sign(&drawing, "(2 small frames)"), summary.pruned_frames),
        ('+', 2)
    );
}

#[test]
fn an_empty_baseline_is_all_new_and_an_empty_candidate_says_so() {
    let (drawing, _) = draw_diff(&folded(""), &folded("main 1"), &Options::default());
    assert_eq!(sign(&drawing, "main"), '+');
    let (drawing, summary) = draw_diff(&folded("main 1"), &folded(""), &Options::default());
    assert!(drawing.says("no samples") && summary.frames == 0);
}

#[test]
fn profiles_of_different_things_are_refused() {
    let heap = Profile::new([SampleType::new("inuse_space", "bytes")]);
    let error =
        write_diff_svg(&folded("main 1"), &heap, &Options::default(), Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Diff(_)));
    assert!(
        error.to_string().contains("it has inuse_space/bytes"),
        "{error}"
    );
}
