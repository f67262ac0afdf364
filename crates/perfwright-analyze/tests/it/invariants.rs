//! What holds for every profile.

use perfwright_analyze::{By, CallTree, DiffTree, Filter, NodeId, butterfly, top};
use perfwright_model::Profile;
use proptest::prelude::*;

use crate::notation::folded;

/// Up to 40 stacks over five functions, so that recursion and shared callers are common.
pub(crate) fn stacks() -> impl Strategy<Value = String> {
    let frame = prop::sample::select(vec!["a", "b>c", "c", "d@d.rs:1", "d@d.rs:2", "a::e"]);
    let stack = (prop::collection::vec(frame, 1..8), 1..100_i64, 0..3_u8);
    let line = |(frames, count, thread): (Vec<&str>, i64, u8)| {
        format!("thread=w{thread}: {} {count}", frames.join(";"))
    };
    prop::collection::vec(stack.prop_map(line), 0..40).prop_map(|lines| lines.join("\n"))
}

const ALL: [By; 5] = [
    By::Function,
    By::FunctionLine,
    By::File,
    By::Crate,
    By::Mapping,
];

fn tree_is_sound(tree: &CallTree, total: i64) {
    assert_eq!(tree.total_value(), total);
    let selfs: i64 = tree.nodes().iter().map(|node| node.self_value).sum();
    assert_eq!(selfs, total, "self values add up");
    let mut seen = 1;
    for index in 0..tree.nodes().len() {
        let id = NodeId::from_index(index);
        let children: Vec<_> = tree.children(id).collect();
        seen += children.len();
        let below: i64 = children
            .iter()
            .map(|&child| tree.node(child).total_value)
            .sum();
        assert_eq!(tree.node(id).total_value, tree.node(id).self_value + below);
        assert!(
            children
                .iter()
                .all(|&child| child > id && tree.node(child).parent == id)
        );
        let weights = children
            .windows(2)
            .map(|pair| [pair[0], pair[1]].map(|id| tree.node(id).total_value));
        assert!(
            weights.into_iter().all(|[left, right]| left >= right),
            "heaviest first"
        );
    }
    assert_eq!(seen, tree.nodes().len(), "every node is the child of one");
}

fn rows(profile: &Profile, by: By) -> Vec<String> {
    let rows = top(profile, 0, by);
    rows.iter().map(|row| format!("{row:?}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn trees_are_sound(text in stacks()) {
        let profile = folded(&text);
        let total = profile.total(0);
        for by in ALL {
            tree_is_sound(&CallTree::builder(&profile, 0).by(by).build(), total);
            tree_is_sound(&CallTree::builder(&profile, 0).by(by).from_leaves(true).build(), total);
            tree_is_sound(&CallTree::builder(&profile, 0).by(by).group_by("thread").build(), total);
        }
    }

    #[test]
    fn rows_add_up(text in stacks()) {
        let profile = folded(&text);
        let total = profile.total(0);
        for by in ALL {
            let rows = top(&profile, 0, by);
            prop_assert_eq!(rows.iter().map(|row| row.self_value).sum::<i64>(), total);
            for row in rows {
                prop_assert!(row.self_value <= row.total_value && row.total_value <= total, "{row:?}");
            }
        }
    }

    #[test]
    fn totals_are_the_samples_that_have_the_function(text in stacks()) {
        let profile = folded(&text);
        for row in top(&profile, 0, By::Function) {
            let having = profile.samples().filter(|sample| {
                let mut frames = profile.stack(sample.stack).flat_map(|location| profile.frames(location));
                frames.any(|frame| profile.function_name(frame.function) == row.name)
            });
            prop_assert_eq!(row.total_value, having.map(|sample| sample.values[0]).sum::<i64>());
        }
    }

    #[test]
    fn rows_do_not_depend_on_where_stacks_start(text in stacks()) {
        let profile = folded(&text);
        let totals = |tree: CallTree| {
            let wings: Vec<_> = ["a", "b", "c", "d"]
                .iter()
                .map(|name| butterfly(&tree, name).map(|wings| wings.total_value))
                .collect();
            wings
        };
        let down = CallTree::builder(&profile, 0);
        let up = CallTree::builder(&profile, 0).from_leaves(true);
        prop_assert_eq!(totals(down.build()), totals(up.build()));
    }

    #[test]
    fn wings_add_up(text in stacks()) {
        let profile = folded(&text);
        let tree = CallTree::new(&profile, 0);
        for row in top(&profile, 0, By::Function) {
            let wings = butterfly(&tree, &row.name).expect("a row is in the tree");
            prop_assert_eq!(wings.total_value, row.total_value);
            prop_assert_eq!(wings.self_value, row.self_value);
            let callees: i64 = wings.callees.iter().map(|edge| edge.value).sum();
            prop_assert_eq!(callees + wings.self_value, wings.total_value);
            prop_assert!(wings.callers.iter().map(|edge| edge.value).sum::<i64>() <= wings.total_value);
            let symbol = tree.find_symbol(&row.name).expect("a row is in the tree");
            tree_is_sound(&tree.callees(symbol), row.total_value);
            tree_is_sound(&tree.callers(symbol), row.total_value);
        }
    }

    #[test]
    fn a_split_profile_merges_to_the_whole(text in stacks()) {
        let (mut left, mut right) = (String::new(), String::new());
        for (index, line) in text.lines().enumerate() {
            let half = if index % 2 == 0 { &mut left } else { &mut right };
            half.push_str(line);
            half.push('\n');
        }
        let mut merged = folded(&left);
        merged.merge(&folded(&right)).expect("the same sample types");
        for by in ALL {
            prop_assert_eq!(rows(&merged, by), rows(&folded(&text), by));
        }
    }

    #[test]
    fn focus_and_ignore_part_a_profile(text in stacks()) {
        let profile = folded(&text);
        let is_c = |name: &str| name == "c";
        let with = Filter::new().focus(is_c).apply(&profile).total(0);
        let without = Filter::new().ignore(is_c).apply(&profile).total(0);
        prop_assert_eq!(with + without, profile.total(0));
        let row = top(&profile, 0, By::Function).into_iter().find(|row| row.name == "c");
        prop_assert_eq!(with, row.map_or(0, |row| row.total_value));
    }

    #[test]
    fn collapsed_recursion_keeps_totals(text in stacks()) {
        let totals = |profile: &Profile| {
            let mut rows: Vec<_> = top(profile, 0, By::Function)
                .into_iter()
                .map(|row| (row.name, row.self_value, row.total_value))
                .collect();
            rows.sort();
            rows
        };
        let profile = folded(&text);
        let collapsed = Filter::new().collapse_recursion().apply(&profile);
        prop_assert_eq!(totals(&collapsed), totals(&profile));
    }

    #[test]
    fn a_difference_holds_both_sides(old in stacks(), new in stacks()) {
        let (old, new) = (folded(&old), folded(&new));
        for by in ALL {
            let tree = |profile| CallTree::builder(profile, 0).by(by).build();
            let merged = DiffTree::new(&tree(&old), &tree(&new));
            for (side, profile) in [&old, &new].into_iter().enumerate() {
                let selfs: i64 = merged.nodes.iter().map(|node| node.self_values[side]).sum();
                prop_assert_eq!(selfs, profile.total(0));
                prop_assert_eq!(merged.nodes[0].total_values[side], profile.total(0));
            }
        }
    }
}
