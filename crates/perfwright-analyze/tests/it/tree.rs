//! The call tree.

use perfwright_analyze::{CallTree, NodeId, TreeBuilder};
use perfwright_model::Profile;

use crate::notation::folded;

/// One line a node: indented name, self, total.
pub(crate) fn show(tree: &CallTree) -> Vec<String> {
    let mut lines = Vec::new();
    let mut depth = 0;
    tree.walk(|visit| match visit {
        perfwright_analyze::Visit::Enter(id) => {
            let node = tree.node(id);
            let (name, values) = (tree.name(id), (node.self_value, node.total_value));
            lines.push(format!("{:depth$}{name} {}/{}", "", values.0, values.1));
            depth += 1;
        }
        perfwright_analyze::Visit::Leave(_) => depth -= 1,
    });
    lines
}

#[track_caller]
fn check<'a>(
    profile: &'a Profile,
    options: impl FnOnce(TreeBuilder<'a>) -> TreeBuilder<'a>,
    expected: &[&str],
) {
    let tree = options(CallTree::builder(profile, 0)).build();
    assert_eq!(show(&tree), expected);
}

#[test]
fn children_are_sorted_by_weight_then_name() {
    let profile = folded("main;b 1\nmain;c 5\nmain;a 1\nmain 2\nother 1");
    check(
        &profile,
        |tree| tree,
        &["main 2/9", " c 5/5", " a 1/1", " b 1/1", "other 1/1"],
    );
}

#[test]
fn inlined_frames_are_nodes_and_addresses_of_one_function_are_one() {
    let profile = folded("main@m.rs:1;f>g@g.rs:2 1\nmain@m.rs:9;f;h 2\nmain@m.rs:9;f>g@g.rs:3 4");
    check(
        &profile,
        |tree| tree,
        &["main 0/7", " f 0/7", "  g 5/5", "  h 2/2"],
    );
}

#[test]
fn groups_are_roots() {
    let profile = folded("thread=w1: main;a 1\nthread=w2: main;a 5\nthread=w2: main 1\nmain 2");
    check(
        &profile,
        |tree| tree.group_by("thread"),
        &[
            "w2 0/6",
            " main 1/6",
            "  a 5/5",
            "(no thread) 0/2",
            " main 2/2",
            "w1 0/1",
            " main 0/1",
            "  a 1/1",
        ],
    );
}

#[test]
fn a_group_is_not_a_function_of_its_name() {
    let profile = folded("thread=main: main 1");
    let tree = CallTree::builder(&profile, 0).group_by("thread").build();
    let ids: Vec<_> = tree.nodes()[1..].iter().map(|node| node.symbol).collect();
    assert_ne!(ids[0], ids[1]);
    assert!(tree.symbols()[ids[0].index()].is_label);
}

#[test]
fn from_leaves_the_callers_are_below() {
    let profile = folded("main;a;x 1\nmain;b;x 2\nmain;x>y 4");
    check(
        &profile,
        |tree| tree.from_leaves(true),
        &[
            "y 0/4",
            " x 0/4",
            "  main 4/4",
            "x 0/3",
            " b 0/2",
            "  main 2/2",
            " a 0/1",
            "  main 1/1",
        ],
    );
}

#[test]
fn renaming_joins_functions_that_look_alike() {
    let profile = folded("main;f::h1 1\nmain;f::h2 2");
    let rename = |name: &str| name.split("::").next().unwrap_or(name).to_owned();
    check(
        &profile,
        |tree| tree.rename(&rename),
        &["main 0/3", " f 3/3"],
    );
}

#[test]
fn stacks_without_weight_are_left_out() {
    let mut profile = folded("main;a 1");
    let location = profile.frame_location("unseen");
    profile.push_stack(perfwright_model::StackId::ROOT, location);
    check(&profile, |tree| tree, &["main 0/1", " a 1/1"]);
}

#[test]
fn an_empty_profile_is_a_root() {
    let tree = CallTree::new(&folded(""), 0);
    assert_eq!((tree.nodes().len(), tree.total_value()), (1, 0));
    assert_eq!(tree.children(NodeId::ROOT).len(), 0);
}

#[test]
fn a_path_leads_from_the_outermost_caller() {
    let tree = CallTree::new(&folded("main;a;b 1"), 0);
    let names: Vec<_> = tree
        .path(NodeId::from_index(3))
        .iter()
        .map(|&id| tree.name(id))
        .collect();
    assert_eq!(names, ["main", "a", "b"]);
}

#[test]
fn deep_stacks_need_no_recursion() {
    let stack = vec!["f"; 100_000].join(";");
    let tree = CallTree::new(&folded(&format!("{stack} 1")), 0);
    assert_eq!(tree.nodes().len(), 100_001);
    assert_eq!(
        perfwright_analyze::top(
            &folded(&format!("{stack} 1")),
            0,
            perfwright_analyze::By::Function
        )[0]
        .total_value,
        1
    );
}

#[test]
fn values_saturate() {
    let profile = folded(&format!("a {max}\na;b {max}", max = i64::MAX));
    check(
        &profile,
        |tree| tree,
        &[
            &format!("a {max}/{max}", max = i64::MAX),
            &format!(" b {max}/{max}", max = i64::MAX),
        ],
    );
}
