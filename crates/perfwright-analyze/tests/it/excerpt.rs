//! Profiles of what filtered trees are made of.

use perfwright_analyze::{By, CallTree, NodeId};
use perfwright_model::Profile;
use proptest::prelude::*;

use crate::{
    invariants::stacks,
    notation::{folded, unfolded},
};

/// What is left when functions of this name are taken out of every path.
fn without(profile: &Profile, by: By, name: &str) -> Profile {
    CallTree::builder(profile, 0)
        .by(by)
        .excerpt(|path, symbols| {
            path.retain(|frame| &*symbols[frame.symbol.index()].name != name);
            true
        })
}

#[test]
fn frames_go_one_by_one_and_labels_and_values_stay() {
    let profile = folded("thread=w1: main;f>g>h 1\nthread=w2: main;g 2\nmain;f 4");
    let left = without(&profile, By::Function, "g");
    assert_eq!(unfolded(&left), ["main 2", "main;f 4", "main;f;h 1"]);
    assert_eq!([left.total(0), left.total(1)], [7, 70_000_000]);
    let labels = |profile: &Profile| -> Vec<Option<String>> {
        let of = |sample: perfwright_model::SampleRef<'_>| {
            profile
                .label_str(sample.labels, "thread")
                .map(str::to_owned)
        };
        profile.samples().map(of).collect()
    };
    assert_eq!(labels(&left), labels(&profile));
}

#[test]
fn locations_of_which_nothing_goes_keep_their_address() {
    use std::num::NonZeroU64;
    let mut profile = folded("main;f>g 1");
    let address = NonZeroU64::new(0x10);
    let frames = profile
        .frames(perfwright_model::LocationId::from_index(1))
        .to_vec();
    let place = perfwright_model::Location {
        address,
        ..Default::default()
    };
    let place = profile.add_location(place, &frames);
    let stack = profile.intern_stack_root_first([place]);
    profile.record(stack, perfwright_model::LabelSetId::EMPTY, &[1, 1]);
    let addresses = |name| -> Vec<_> {
        let left = without(&profile, By::Function, name);
        left.locations()
            .filter_map(|location| location.address)
            .collect()
    };
    assert_eq!(addresses("main"), [address.expect("an address")]);
    assert_eq!(addresses("g"), []);
}

#[test]
fn by_file_a_name_stands_for_each_of_its_frames() {
    let profile = folded("main@a.rs;f@b.rs>g@b.rs>h@c.rs 1\nmain@a.rs;f@b.rs;k@b.rs 2");
    let left = without(&profile, By::File, "b.rs");
    let expected = folded("main@a.rs;h@c.rs 1\nmain@a.rs 2");
    assert_eq!(unfolded(&left), unfolded(&expected));
}

#[test]
fn samples_of_other_labels_and_of_dropped_paths_go() {
    let profile = folded("thread=w1: main;f 1\nthread=w2: main;f 2\nthread=w1: main;g 4");
    let keep = |labels| profile.label_str(labels, "thread") == Some("w1");
    let left = CallTree::builder(&profile, 0)
        .labels(&keep)
        .excerpt(|path, symbols| {
            path.iter()
                .any(|frame| &*symbols[frame.symbol.index()].name == "f")
        });
    assert_eq!(unfolded(&left), ["main;f 1"]);
}

proptest! {
    #[test]
    fn an_excerpt_has_the_tree_that_was_sifted(text in stacks()) {
        let profile = folded(&text);
        let hidden = CallTree::new(&profile, 0)
            .sifted(perfwright_analyze::Sift::Hide, |symbol| &*symbol.name == "b");
        let tree = CallTree::new(&without(&profile, By::Function, "b"), 0);
        let paths = |tree: &CallTree| -> Vec<String> {
            (0..tree.nodes().len())
                .map(|index| {
                    let id = NodeId::from_index(index);
                    let names: Vec<_> = tree.path(id).into_iter().map(|step| tree.name(step)).collect();
                    format!("{} {}", names.join(";"), tree.node(id).self_value)
                })
                .collect()
        };
        prop_assert_eq!(paths(&hidden), paths(&tree));
    }
}
