//! Names and values that nobody sane would choose.

use perfwright_flamegraph::{Options, write_diff_svg};

use crate::boxes::read;
use crate::drawing::draw;
use crate::notation::{add, empty, folded};

const NAMES: [&str; 20] = [
    "<&;\"'`",
    "]]>",
    "--><script>alert(1)</script>",
    "</title></g></svg>",
    "&lt;&#0;&nope;",
    "a\0b\u{1}\u{8}\u{b}\u{1f}\u{7f}\u{85}",
    "line\nbreak\r\n\ttab",
    "ends in a number 12",
    "ends in two 3 4",
    "12",
    "1.5",
    "# comment",
    "--",
    "-",
    "_[k]",
    "x_[é]",
    "right\u{202e}left",
    "\u{fffe}\u{ffff}",
    "(7 small frames)",
    "",
];

#[test]
fn every_name_gives_well_formed_boxes_of_the_right_width() {
    let mut profile = empty();
    for (index, name) in NAMES.iter().enumerate() {
        add(&mut profile, &["main", name, "leaf"], index as i64 + 1);
        add(&mut profile, &[name], 1);
    }
    let mut options = Options::default();
    for full_names in [false, true] {
        options.full_names = full_names;
        let (drawing, summary) = draw(&profile, &options);
        assert_eq!(
            summary.frames,
            1 + 3 * NAMES.len(),
            "no name is lost or doubled"
        );
        let leaves: u64 = drawing
            .boxes
            .iter()
            .filter(|b| b.title.starts_with("leaf ("))
            .map(|b| b.width / 10_000_000)
            .sum();
        assert_eq!(leaves as usize, (1..=NAMES.len()).sum::<usize>());
    }
    let mut svg = Vec::new();
    write_diff_svg(&profile, &profile, &options, &mut svg).expect("it can be drawn");
    let changed = read(&svg).boxes.into_iter().find(|b| b.fill != [250; 3]);
    assert_eq!(changed, None, "a profile does not differ from itself");
}

#[test]
fn long_names_are_cut() {
    let long = "x::".repeat(10_000);
    let mut profile = empty();
    add(&mut profile, &["main", &long], 1);
    let (drawing, summary) = draw(&profile, &Options::default());
    assert!(summary.bytes < 40_000, "{summary:?}");
    assert!(drawing.lines()[2].contains('…'));
}

#[test]
fn titles_may_hold_anything() {
    let mut options = Options::default();
    for name in NAMES {
        (options.title, options.subtitle) = (Some(name.to_owned()), Some(name.to_owned()));
        draw(&folded("main 1"), &options);
        draw(&empty(), &options);
    }
}

#[test]
fn units_may_be_anything() {
    for unit in NAMES {
        let types = [perfwright_model::SampleType::new(unit, unit)];
        let mut profile = perfwright_model::Profile::new(types);
        let place = profile.frame_location("main");
        let stack = profile.intern_stack_root_first([place]);
        profile.record(stack, perfwright_model::LabelSetId::EMPTY, &[5]);
        let (drawing, _) = draw(&profile, &Options::default());
        assert!(
            drawing.lines()[1].starts_with(" main ("),
            "{:?}",
            drawing.lines()
        );
    }
}

#[test]
fn values_of_any_size_are_drawn() {
    let mut profile = folded("main;a 1\nmain;b 1\nmain;c 1");
    for sample in 0..3 {
        let stack = profile.sample(sample).stack;
        profile.record(stack, perfwright_model::LabelSetId::EMPTY, &[i64::MAX; 2]);
    }
    let (drawing, _) = draw(&profile, &Options::default());
    assert!(
        drawing.find("a").title.ends_with("33.3 %)"),
        "{:?}",
        drawing.lines()
    );
    let mut svg = Vec::new();
    write_diff_svg(&folded("main 1"), &profile, &Options::default(), &mut svg).expect("drawn");
    read(&svg);
}

#[test]
fn values_below_zero_are_not_drawn_and_that_is_said() {
    let (drawing, _) = draw(&folded("main;a 5\nmain;b -3"), &Options::default());
    assert_eq!(
        drawing.lines()[1..],
        [" main (50.0 ms, 100.0 %)", "  a (50.0 ms, 100.0 %)"]
    );
    assert!(drawing.says("values below zero are not drawn"));
    let (drawing, _) = draw(&folded("main -3"), &Options::default());
    assert!(drawing.says("no samples"));
}

#[test]
fn the_deepest_stack_ends_somewhere() {
    let names: Vec<String> = (0..20_000)
        .map(|depth| format!("recursion::level{depth}"))
        .collect();
    let mut profile = empty();
    for depth in [10, 400, 20_000] {
        let names: Vec<&str> = names[..depth].iter().map(String::as_str).collect();
        add(&mut profile, &names, 1);
    }
    let (drawing, summary) = draw(&profile, &Options::default());
    assert_eq!((summary.frames, summary.pruned_frames), (500, 19_500));
    assert!((summary.pruned_share - 1.0 / 3.0).abs() < 1e-9);
    assert_eq!(drawing.find("(19500 small frames)").depth, 501);
}
