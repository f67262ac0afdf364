//! Trees made of trees, and trees in order of time.

use perfwright_analyze::{CallTree, Filter, NodeId, Overlay, Sides, Sift};
use perfwright_model::{LabelSetId, Profile, SampleType};
use proptest::prelude::*;

use crate::{invariants::stacks, notation::folded};

/// Every node as `a;b self total`, in the tree's order.
fn lines(tree: &CallTree) -> Vec<String> {
    (0..tree.nodes().len())
        .map(|index| {
            let id = NodeId::from_index(index);
            let path: Vec<_> = tree
                .path(id)
                .into_iter()
                .map(|step| tree.name(step))
                .collect();
            let node = tree.node(id);
            format!(
                "{} {} {}",
                path.join(";"),
                node.self_value,
                node.total_value
            )
        })
        .collect()
}

fn sorted(tree: &CallTree) -> Vec<String> {
    let mut lines = lines(tree);
    lines.sort_unstable();
    lines
}

const SIFTS: [Sift; 6] = [
    Sift::Focus,
    Sift::Ignore,
    Sift::Hide,
    Sift::ShowFrom,
    Sift::Collapse,
    Sift::Recursion,
];

/// A filter of a profile, and what does the same to its tree.
fn same_filter(sift: Sift, name: &'static str) -> Filter<'static> {
    let is = move |other: &str| other == name;
    match sift {
        Sift::Focus => Filter::new().focus(is),
        Sift::Ignore => Filter::new().ignore(is),
        Sift::Hide => Filter::new().hide(is),
        Sift::ShowFrom => Filter::new().show_from(is),
        Sift::Collapse => Filter::new().collapse(is),
        Sift::Recursion => Filter::new().collapse_recursion(),
    }
}

proptest! {
    #[test]
    fn a_sifted_tree_is_the_tree_of_the_filtered_profile(text in stacks()) {
        let profile = folded(&text);
        let tree = CallTree::new(&profile, 0);
        for sift in SIFTS {
            for name in ["a", "b", "c"] {
                let sifted = tree.sifted(sift, |symbol| {
                    sift == Sift::Recursion || &*symbol.name == name
                });
                let filtered = same_filter(sift, name).apply(&profile);
                prop_assert_eq!(lines(&sifted), lines(&CallTree::new(&filtered, 0)), "{:?} {}", sift, name);
            }
        }
    }

    #[test]
    fn collapsed_functions_call_nothing_and_cost_the_same(text in stacks()) {
        let tree = CallTree::new(&folded(&text), 0);
        let collapsed = tree.sifted(Sift::Collapse, |symbol| &*symbol.name == "c");
        prop_assert_eq!(collapsed.total_value(), tree.total_value());
        for index in 0..collapsed.nodes().len() {
            let id = NodeId::from_index(index);
            if collapsed.name(id) == "c" {
                prop_assert_eq!(collapsed.children(id).len(), 0);
            }
        }
    }

    #[test]
    fn an_overlay_has_what_each_tree_has(old in stacks(), new in stacks()) {
        let trees = [&old, &new].map(|text| CallTree::new(&folded(text), 0));
        let overlay = Overlay::new(&trees[0], &trees[1], [1.0, 1.0]);
        for (side, tree) in trees.iter().enumerate() {
            let mut found: Vec<String> = (overlay.sides.iter().enumerate())
                .filter(|(index, sides)| *index == 0 || sides.total_values[side] != 0)
                .map(|(index, sides)| {
                    let path = overlay.tree.path(NodeId::from_index(index));
                    let names: Vec<_> = path.into_iter().map(|step| overlay.tree.name(step)).collect();
                    let Sides { self_values, total_values } = sides;
                    format!("{} {} {}", names.join(";"), self_values[side], total_values[side])
                })
                .collect();
            found.sort_unstable();
            prop_assert_eq!(found, sorted(tree));
        }
        for (node, sides) in overlay.tree.nodes().iter().zip(&overlay.sides) {
            prop_assert_eq!(node.total_value, sides.total_values.iter().sum::<i64>());
        }
    }
}

/// Samples of one stack each, a second apart, in the order of `stacks`.
fn timed(stacks: &[&str]) -> Profile {
    let mut profile = Profile::new([SampleType::new("samples", "count")]);
    // Written backwards: the order of time is not that of the file.
    for (second, stack) in stacks.iter().enumerate().rev() {
        let locations: Vec<_> = stack
            .split(';')
            .map(|name| profile.frame_location(name))
            .collect();
        let stack = profile.intern_stack_root_first(locations);
        profile.push_sample_at(
            stack,
            LabelSetId::EMPTY,
            &[1],
            Some(second as i64 * 1_000_000_000),
        );
    }
    profile
}

#[test]
fn in_time_order_only_neighbours_are_merged() {
    let profile = timed(&["a;b", "a;b;c", "a;d", "a;b", "e"]);
    let tree = CallTree::builder(&profile, 0)
        .in_time_order(|_, _| true)
        .expect("times");
    assert_eq!(
        lines(&tree),
        [
            " 0 5",
            "a 0 4",
            "e 1 1",
            "a;b 1 2",
            "a;d 1 1",
            "a;b 1 1",
            "a;b;c 1 1"
        ]
    );
    let tree = CallTree::builder(&profile, 0)
        .in_time_order(|path, symbols| {
            path.retain(|frame| &*symbols[frame.symbol.index()].name != "d");
            &*symbols[path[0].symbol.index()].name == "a"
        })
        .expect("times");
    assert_eq!(
        lines(&tree),
        [" 0 4", "a 1 4", "a;b 1 2", "a;b 1 1", "a;b;c 1 1"]
    );
}

#[test]
fn a_profile_without_times_has_no_order_of_time() {
    let profile = folded("a;b 1");
    assert!(
        CallTree::builder(&profile, 0)
            .in_time_order(|_, _| true)
            .is_none()
    );
}

#[test]
fn only_the_wanted_label_sets_count() {
    let profile = folded("thread=w1: a;b 3\nthread=w2: a;c 4\na 5");
    let keep = |labels| profile.label_str(labels, "thread") == Some("w1");
    let tree = CallTree::builder(&profile, 0).labels(&keep).build();
    assert_eq!(lines(&tree), [" 0 3", "a 0 3", "a;b 3 3"]);
}
