//! Callers and callees.

use perfwright_analyze::{CallTree, Edge, butterfly};

use crate::notation::folded;
use crate::tree::show;

fn show_edges(edges: &[Edge]) -> String {
    let edges: Vec<_> = edges
        .iter()
        .map(|edge| format!("{} {}", edge.name, edge.value))
        .collect();
    edges.join(", ")
}

/// `callers > self/total > callees` of the function `f`.
#[track_caller]
fn check(input: &str, expected: &str) {
    let found = butterfly(&CallTree::new(&folded(input), 0), "f").map(|wings| {
        let (callers, callees) = (show_edges(&wings.callers), show_edges(&wings.callees));
        format!(
            "{callers} > {}/{} > {callees}",
            wings.self_value, wings.total_value
        )
    });
    assert_eq!(found.as_deref(), Some(expected));
}

#[test]
fn callers_and_callees_add_up() {
    check(
        "main;a;f;x 1\nmain;b;f;y 2\nmain;b;f 4\nmain;b 8\nf;x 16",
        "b 6, a 1 > 4/23 > x 17, y 2",
    );
}

#[test]
fn of_recursion_the_outermost_caller_and_the_innermost_callee_count() {
    check("a;f;f;f;x 3", "a 3 > 0/3 > x 3");
    check(
        "a;f;b;f;x 3\na;f;b;f;b 2\na;f;b;f 1",
        "a 6 > 1/6 > x 3, b 2",
    );
}

#[test]
fn a_function_that_is_not_there_has_no_wings() {
    assert_eq!(butterfly(&CallTree::new(&folded("a 1"), 0), "f"), None);
    assert_eq!(butterfly(&CallTree::new(&folded(""), 0), ""), None);
}

#[test]
fn values_of_labels_call_nothing() {
    let profile = folded("thread=w: f;x 1");
    let tree = CallTree::builder(&profile, 0).group_by("thread").build();
    let wings = butterfly(&tree, "f").unwrap();
    assert_eq!(
        (wings.callers.len(), show_edges(&wings.callees)),
        (0, "x 1".to_owned())
    );
}

#[test]
fn trees_of_callees_and_callers() {
    let tree = CallTree::new(
        &folded("main;a;f;x 1\nmain;b;f;x 2\nmain;b;f;f;y 4\nmain;b 9"),
        0,
    );
    let function = tree.find_symbol("f").unwrap();
    let callees = tree.callees(function);
    assert_eq!(show(&callees), ["f 0/4", " y 4/4", "x 3/3"]);
    assert_eq!(callees.total_value(), 7);
    let callers = tree.callers(function);
    assert_eq!(show(&callers), ["b 0/6", " main 6/6", "a 0/1", " main 1/1"]);
}
