//! One profile.

use perfwright_flamegraph::{Direction, Error, Options, Summary, write_svg};
use perfwright_model::Profile;

use crate::boxes::{Drawing, read};
use crate::notation::{empty, folded};

pub(crate) fn draw(profile: &Profile, options: &Options) -> (Drawing, Summary) {
    let mut svg = Vec::new();
    let summary = write_svg(profile, options, &mut svg).expect("it can be drawn");
    assert_eq!(summary.bytes, svg.len());
    (read(&svg), summary)
}

#[test]
fn boxes_tell_function_time_and_share() {
    let (drawing, summary) = draw(&folded("main;b 1\nmain;a;x 6\nmain 3"), &Options::default());
    let expected = [
        "all (100 ms, 100.0 %)",
        " main (100 ms, 100.0 %)",
        "  a (60.0 ms, 60.0 %)",
        "  b (10.0 ms, 10.0 %)",
        "   x (60.0 ms, 60.0 %)",
    ];
    assert_eq!(drawing.lines(), expected);
    assert_eq!((summary.frames, summary.pruned_frames), (4, 0));
    assert_eq!((summary.pruned_share, summary.gone_share), (0.0, 0.0));
}

#[test]
fn the_heaviest_callee_is_first_after_the_callers_own_time() {
    let (drawing, _) = draw(&folded("main;a 1\nmain;b 6\nmain 3"), &Options::default());
    let starts: Vec<_> = ["b", "a"]
        .map(|name| drawing.find(name).start / 10_000_000)
        .into();
    assert_eq!(starts, [3, 9]);
}

#[test]
fn words_above_tell_what_was_measured_and_how() {
    let mut profile = folded("main 981");
    profile.meta.duration_nanos = Some(10_000_000_000);
    for fact in [
        "engine=timer",
        "frequency_effective_hz=98.7",
        "tick_limited=true",
    ] {
        profile
            .meta
            .comments
            .push(format!("perfwright audit: {fact}"));
    }
    let (drawing, _) = draw(&profile, &Options::default());
    assert!(
        drawing.says("CPU time: 9.81 s in 10.0 s"),
        "{:?}",
        drawing.texts
    );
    assert!(
        drawing.says("engine timer, 99 Hz, tick-limited · 981 samples"),
        "{:?}",
        drawing.texts
    );
    let mut options = Options::default();
    options.title = Some("shop & co".to_owned());
    options.subtitle = Some("at <noon>".to_owned());
    let (drawing, _) = draw(&profile, &options);
    assert!(
        drawing.says("shop & co") && drawing.says("at <noon> · engine"),
        "{:?}",
        drawing.texts
    );
}

#[test]
fn the_sample_type_can_be_chosen() {
    let mut options = Options::default();
    options.sample_type = Some("samples".to_owned());
    let (drawing, _) = draw(&folded("main;a 1\nmain 3"), &options);
    assert_eq!(drawing.lines()[2], "  a (1 samples, 25.0 %)");
    assert!(drawing.says("4 samples"));
    options.sample_type = Some("heap".to_owned());
    let error = write_svg(&folded("main 1"), &options, Vec::new()).unwrap_err();
    assert!(matches!(error, Error::NoSampleType { .. }));
    let expected =
        "draw a flamegraph: the profile has no sample type \"heap\", choose one of samples, cpu";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn colours_are_the_crates_and_the_same_in_every_flamegraph() {
    let registry = "/r/.cargo/registry/src/index-1/tokio-1.45.0/src/lib.rs";
    let first = format!("shop::main@src/main.rs;tokio::run@{registry};core::fmt::write;memcpy 1");
    let (first, _) = draw(&folded(&first), &Options::default());
    let second = format!("other::main@src/main.rs;tokio::run@{registry};hyper::serve 1");
    let (second, _) = draw(&folded(&second), &Options::default());
    let of = |drawing: &Drawing, name: &str| drawing.find(name).fill;
    assert_eq!(of(&first, "tokio::run"), of(&second, "tokio::run"));
    let [red, green, blue] = of(&first, "shop::main");
    assert!(
        red > green && green > blue && red - blue > 80,
        "own code is orange"
    );
    let [red, green, blue] = of(&first, "core::fmt::write");
    assert!(
        blue > red && blue.abs_diff(red) < 40 && green > red,
        "std is grey-blue"
    );
    assert_ne!(of(&first, "memcpy"), of(&first, "core::fmt::write"));
}

#[test]
fn without_paths_the_crate_of_main_is_the_own_one() {
    let (drawing, _) = draw(
        &folded("shop::main;shop::run 1\nshop::main;tokio::run 1"),
        &Options::default(),
    );
    let is_orange = |name: &str| {
        let [red, green, blue] = drawing.find(name).fill;
        red > green && green > blue && red - blue > 80
    };
    assert!(is_orange("shop::run") && !is_orange("tokio::run"));
    let mut options = Options::default();
    options.own_crates.push("tokio".to_owned());
    let (drawing, _) = draw(&folded("shop::main;tokio::run 1"), &options);
    let [red, _, blue] = drawing.find("tokio::run").fill;
    assert!(red - blue > 80);
}

#[test]
fn names_are_short_unless_full_ones_are_wanted() {
    let profile = folded("<shop::Order as core::fmt::Display>::fmt::h0123456789abcdef 1");
    let (drawing, _) = draw(&profile, &Options::default());
    assert!(drawing.lines()[1].starts_with(" <shop::Order as Display>::fmt (10.0 ms"));
    let mut options = Options::default();
    options.full_names = true;
    let (drawing, _) = draw(&profile, &options);
    assert!(drawing.lines()[1].contains("core::fmt::Display>::fmt::h0123456789abcdef (10"));
}

#[test]
fn callers_stand_on_top_from_the_leaves_and_labels_below_everything() {
    let mut profile = folded("main;a;x 1\nmain;b;x 2");
    let mut options = Options::default();
    options.from_leaves = true;
    let (drawing, _) = draw(&profile, &options);
    let names: Vec<_> = drawing
        .lines()
        .iter()
        .map(|line| line.split(" (").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(names, ["all", " x", "  b", "  a", "   main", "   main"]);
    let label = profile.str_label("thread", "worker 1");
    let labels = profile.intern_labels(&[label]);
    profile.record(profile.sample(0).stack, labels, &[1, 10_000_000]);
    options.from_leaves = false;
    options.group_by = Some("thread".to_owned());
    let (drawing, _) = draw(&profile, &options);
    assert_eq!(drawing.find("worker\u{a0}1").depth, 1);
    assert_eq!(drawing.find("(no thread)").depth, 1);
}

#[test]
fn icicles_hang_down() {
    let mut options = Options::default();
    options.direction = Direction::Down;
    let (drawing, _) = draw(&folded("main;a 1"), &options);
    let names: Vec<_> = drawing
        .boxes
        .iter()
        .map(|b| b.title.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(names, ["a", "main", "all"], "the lowest first");
}

#[test]
fn a_profile_without_samples_says_so() {
    for profile in [empty(), Profile::new([]), folded("main 0")] {
        let (drawing, summary) = draw(&profile, &Options::default());
        assert!(
            drawing.says("This profile holds no samples"),
            "{:?}",
            drawing.texts
        );
        assert_eq!((summary.frames, drawing.boxes.len()), (0, 0));
    }
}

#[test]
fn samples_without_a_stack_have_a_box() {
    let mut profile = folded("main 1");
    profile.record(
        perfwright_model::StackId::ROOT,
        perfwright_model::LabelSetId::EMPTY,
        &[3, 30_000_000],
    );
    let (drawing, _) = draw(&profile, &Options::default());
    assert_eq!(drawing.lines()[1], " (no stack) (30.0 ms, 75.0 %)");
}
