//! Parts of profiles.

use std::num::NonZeroU64;

use perfwright_analyze::Filter;
use perfwright_model::{Location, LocationId, Mapping};

use crate::notation::{folded, unfolded};

#[track_caller]
fn check(filter: Filter, input: &str, expected: &[&str]) {
    assert_eq!(unfolded(&filter.apply(&folded(input))), expected);
}

const INPUT: &str = "main;a;b 1\nmain;a;c 2\nmain;d 4\nother;b 8";

#[test]
fn nothing_chosen_keeps_everything() {
    check(
        Filter::new(),
        INPUT,
        &["main;a;b 1", "main;a;c 2", "main;d 4", "other;b 8"],
    );
}

#[test]
fn focus_and_ignore_choose_samples() {
    check(
        Filter::new().focus(|name| name == "a"),
        INPUT,
        &["main;a;b 1", "main;a;c 2"],
    );
    check(
        Filter::new().ignore(|name| name == "a"),
        INPUT,
        &["main;d 4", "other;b 8"],
    );
    let both = Filter::new()
        .focus(|name| name == "b")
        .ignore(|name| name == "a");
    check(both, INPUT, &["other;b 8"]);
}

#[test]
fn hidden_frames_give_their_cost_to_their_callers() {
    check(
        Filter::new().hide(|name| name == "b"),
        INPUT,
        &["main;a 1", "main;a;c 2", "main;d 4", "other 8"],
    );
    check(
        Filter::new().hide(|name| name == "a"),
        INPUT,
        &["main;b 1", "main;c 2", "main;d 4", "other;b 8"],
    );
    check(Filter::new().hide(|_| true), "a;b 1", &[" 1"]);
}

#[test]
fn show_from_cuts_callers_and_samples_without_it() {
    check(
        Filter::new().show_from(|name| name == "a"),
        INPUT,
        &["a;b 1", "a;c 2"],
    );
    check(
        Filter::new().show_from(|name| name == "f"),
        "x;f;y;f;z 1",
        &["f;y;f;z 1"],
    );
}

#[test]
fn inlined_frames_are_cut_one_by_one() {
    check(
        Filter::new().hide(|name| name == "g"),
        "f>g>h 1",
        &["f;h 1"],
    );
    check(
        Filter::new().show_from(|name| name == "g"),
        "main;f>g>h 1\nmain;f>x 1",
        &["g;h 1"],
    );
    check(
        Filter::new().focus(|name| name == "g"),
        "main;f>g 1\nmain;f 1",
        &["main;f;g 1"],
    );
}

#[test]
fn direct_recursion_collapses() {
    let collapse = || Filter::new().collapse_recursion();
    check(
        collapse(),
        "a;f;f;f;b 1\na;f;f 2\na;f 4\na;f;b;f 8",
        &["a;f 6", "a;f;b 1", "a;f;b;f 8"],
    );
    check(collapse(), "f>f;f>g 1", &["f;g 1"]);
    check(collapse().hide(|name| name == "x"), "f;x;f 1", &["f 1"]);
}

#[test]
fn labels_choose_samples() {
    let input = "route=/a: f 1\nroute=/b: f 2\nf 4";
    check(
        Filter::new().label("route", |value| value == "/a"),
        input,
        &["f 1"],
    );
    check(Filter::new().label("route", str::is_empty), input, &["f 4"]);
    let none = Filter::new()
        .label("route", |value| value == "/a")
        .label("thread", |v| v == "w");
    check(none, input, &[]);
}

#[test]
fn whole_locations_keep_address_and_mapping_and_cut_ones_lose_the_address() {
    let mut profile = folded("");
    let mapping = profile.add_mapping(Mapping::new(0x1000, 0x2000));
    let place = profile.frame_location("f");
    let frames = [profile.frames(place)[0], {
        let outer = profile.frame_location("outer");
        profile.frames(outer)[0]
    }];
    let location = Location {
        mapping: Some(mapping),
        address: NonZeroU64::new(0x1234),
        is_folded: false,
    };
    let place = profile.add_location(location, &frames);
    let stack = profile.intern_stack_root_first([place]);
    profile.record(stack, perfwright_model::LabelSetId::EMPTY, &[1, 1]);

    let first = |profile: &perfwright_model::Profile| {
        let leaf = profile.stack(profile.sample(0).stack).next();
        profile.location(leaf.unwrap_or(LocationId::from_index(0)))
    };
    let whole = first(&Filter::new().apply(&profile));
    assert_eq!(whole.address, location.address);
    let cut = first(&Filter::new().hide(|name| name == "outer").apply(&profile));
    assert_eq!((cut.address, cut.mapping.is_some()), (None, true));
}

#[test]
fn times_and_facts_about_the_whole_stay() {
    let mut profile = folded("a;b 1");
    profile.meta.comments.push("engine perf".to_owned());
    let stack = profile.sample(0).stack;
    profile.push_sample_at(stack, perfwright_model::LabelSetId::EMPTY, &[1, 1], Some(5));
    let kept = Filter::new().focus(|name| name == "b").apply(&profile);
    assert_eq!(kept.meta, profile.meta);
    assert_eq!(
        kept.samples()
            .filter_map(|sample| sample.time_nanos)
            .collect::<Vec<_>>(),
        [5]
    );
}
