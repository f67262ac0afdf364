//! The registry and the instance slots under many threads, and what happens when they are full.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread;

use perfwright_context::{self as context, Instance, NodeId, Word};

/// One test, because the registry is one per process and this one fills it.
#[test]
fn many_threads_agree_until_the_registry_is_full() {
    agree_on_nodes();
    words_survive_other_threads();
    overflow_is_other_and_counted();
}

fn agree_on_nodes() {
    let seen: Mutex<HashMap<(u32, u32), NodeId>> = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for i in 0..2_000_u32 {
                    let (a, b) = (i % 40, i % 7);
                    let route = context::child(NodeId::ROOT, "route", &format!("/r{a}"));
                    let span = context::child(route, "span", &format!("s{b}"));
                    let mut seen = seen.lock().unwrap();
                    assert_eq!(*seen.entry((a, b)).or_insert(span), span);
                }
            });
        }
    });
    for ((a, b), node) in seen.into_inner().unwrap() {
        let expect = [
            ("route".into(), format!("/r{a}")),
            ("span".into(), format!("s{b}")),
        ];
        assert_eq!(context::labels(node), expect);
    }
}

fn words_survive_other_threads() {
    thread::scope(|scope| {
        for t in 0..8_u64 {
            scope.spawn(move || {
                for i in 0..2_000_u64 {
                    let id = t << 32 | i;
                    let instance = Instance::acquire(id).unwrap();
                    let before = context::set(Word::EMPTY.with_instance(Some(instance)));
                    let _label = context::label("thread", "x");
                    assert_eq!(context::current().instance().unwrap().id(), Some(id));
                    instance.release();
                    let late = context::current().instance().unwrap().id();
                    assert!(late.is_none_or(|late| late == id), "{late:?} of {id}");
                    context::set(before);
                }
            });
        }
    });
}

fn overflow_is_other_and_counted() {
    context::set_max_nodes(context::node_count() + 1);
    let last = context::child(NodeId::ROOT, "full", "last");
    assert_ne!(last, NodeId::OTHER);
    let before = context::overflowed();
    assert_eq!(
        context::child(NodeId::ROOT, "full", "beyond"),
        NodeId::OTHER
    );
    assert_eq!(context::child(NodeId::OTHER, "full", "last"), NodeId::OTHER);
    assert_eq!(context::overflowed(), before + 2);
    assert_eq!(
        context::child(NodeId::ROOT, "full", "last"),
        last,
        "known paths still work"
    );
    assert_eq!(
        context::labels(NodeId::OTHER),
        [("context".into(), "(other)".into())]
    );
}
