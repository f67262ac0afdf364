//! What does not fit.

use perfwright_flamegraph::{Options, Summary};

use crate::boxes::Drawing;
use crate::drawing::draw;
use crate::notation::{add, empty, folded};

/// A profile of `count` stacks that differ at several depths, in the shape of a service: a few heavy paths
/// and a long tail.
fn tail(count: usize) -> perfwright_model::Profile {
    let mut profile = empty();
    for index in 0..count {
        let (route, query, leaf) = (index % 13, index % 1_009, index);
        let frames = [
            "shop::main".to_owned(),
            "tokio::runtime::task::raw::poll".to_owned(),
            format!("shop::routes::handler{route}::{{{{closure}}}}"),
            format!("sqlx_core::query{query}::<&str>::fetch"),
            format!("serde_json::ser::Serializer{leaf}::serialize_str"),
        ];
        let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
        add(
            &mut profile,
            &frames,
            if index % 1_000 == 0 { 200 } else { 1 },
        );
    }
    profile
}

/// Every value is in the drawing once: boxes fill what is below them, and what was dropped is where the
/// summary says.
#[track_caller]
fn check_sums(drawing: &Drawing, summary: &Summary) {
    let is_small = |title: &str| title.contains(" small frame");
    let functions = drawing
        .boxes
        .iter()
        .filter(|b| b.depth > 0 && !is_small(&b.title))
        .count();
    assert_eq!(functions, summary.frames);
    let shown_as_small: u64 = drawing
        .boxes
        .iter()
        .filter(|b| is_small(&b.title))
        .map(|b| b.width)
        .sum();
    let all = drawing.boxes[0].width;
    let share = shown_as_small as f64 / all as f64;
    assert!(share <= summary.pruned_share + 1e-9, "{share} {summary:?}");
    for pair in drawing
        .boxes
        .windows(2)
        .filter(|pair| pair[0].depth == pair[1].depth)
    {
        assert!(
            pair[0].start + pair[0].width <= pair[1].start,
            "{pair:?} overlap"
        );
    }
}

#[test]
fn a_large_profile_keeps_to_five_megabytes() {
    let profile = tail(100_000);
    let (drawing, summary) = draw(&profile, &Options::default());
    assert!(summary.bytes <= 5_000_000, "{summary:?}");
    assert_eq!(drawing.boxes[0].title, "all (1,199 s, 100.0 %)");
    check_sums(&drawing, &summary);
    // Below 0.0001 of 119,900 samples are the leaves of one sample, 100,000 less the 100 heavy ones, and of
    // the 13,117 queries (13 times 1,009) all that have no heavy leaf.
    assert_eq!(summary.pruned_frames, 99_900 + 13_017);
    assert!((summary.pruned_share - 99_900.0 / 119_900.0).abs() < 1e-9);
    assert!(
        drawing.says("83.3 % in 112,917 frames too small to draw"),
        "{:?}",
        drawing.texts
    );
}

#[test]
fn without_a_least_share_the_file_still_fits() {
    let mut options = Options::default();
    options.min_share = 0.0;
    let profile = tail(10_000);
    for max_bytes in [60_000, 400_000, 2_000_000] {
        options.max_bytes = max_bytes;
        let (drawing, summary) = draw(&profile, &options);
        assert!(summary.bytes <= max_bytes, "{max_bytes}: {summary:?}");
        assert!(
            summary.bytes > max_bytes * 8 / 10,
            "{max_bytes} is made use of: {summary:?}"
        );
        check_sums(&drawing, &summary);
    }
}

#[test]
fn small_frames_stand_together_right_of_the_others() {
    let mut options = Options::default();
    options.min_share = 0.1;
    let text = "main;a 50\nmain;b;x 3\nmain;b;y 2\nmain;c 5\nmain 10\nmain;a;z 30";
    let (drawing, summary) = draw(&folded(text), &options);
    let expected = [
        "all (1.00 s, 100.0 %)",
        " main (1.00 s, 100.0 %)",
        "  a (800 ms, 80.0 %)",
        "  (4 small frames) (100 ms, 10.0 %)",
        "   z (300 ms, 30.0 %)",
    ];
    assert_eq!(drawing.lines(), expected);
    assert_eq!(
        (summary.frames, summary.pruned_frames, summary.pruned_share),
        (3, 4, 0.1)
    );
    assert!(drawing.says("10.0 % in 4 frames too small to draw"));
}

#[test]
fn when_nothing_is_large_there_is_one_small_box() {
    let mut options = Options::default();
    options.min_share = 0.9;
    let (drawing, summary) = draw(&folded("a 1\nb 1"), &options);
    assert_eq!(drawing.lines()[1], " (2 small frames) (20.0 ms, 100.0 %)");
    assert_eq!((summary.frames, summary.pruned_share), (0, 1.0));
}

#[test]
fn no_room_at_all_still_gives_a_picture() {
    let mut options = Options::default();
    options.max_bytes = 0;
    let (drawing, summary) = draw(&tail(1_000), &options);
    assert_eq!(summary.frames, 0);
    assert!(drawing.lines()[1].contains("small frames"));
}
