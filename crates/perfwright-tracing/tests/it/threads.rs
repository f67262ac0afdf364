//! Spans on many threads.

use std::cell::RefCell;
use std::sync::Barrier;
use std::thread;

use perfwright_tracing::propagate;
use tracing::{Dispatch, Span, dispatcher, info_span};

use crate::Rig;

fn on<T: Send>(dispatch: &Dispatch, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| dispatcher::with_default(dispatch, work));
        thread.join().expect("the thread's work succeeds")
    })
}

#[test]
fn a_span_moves_across_threads() {
    let rig = Rig::new();
    let span = rig.run(|| info_span!("span"));
    span.in_scope(|| rig.pass(1));
    on(&rig.dispatch, || {
        rig.pass(2);
        span.in_scope(|| rig.pass(4));
    });
    rig.pass(8);
    drop(span);
    assert_eq!(
        rig.times("span"),
        "1x: total 7 = busy 5 (self 5) + idle 2 (self 2), held 8, 2 polls"
    );
}

#[test]
fn a_span_may_be_entered_on_two_threads_at_once() {
    let rig = Rig::new();
    let span = rig.run(|| info_span!("span"));
    let (entered, passed) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            dispatcher::with_default(&rig.dispatch, || {
                span.in_scope(|| {
                    entered.wait();
                    passed.wait();
                })
            })
        });
        entered.wait();
        rig.pass(1);
        span.in_scope(|| rig.pass(2));
        rig.pass(4);
        passed.wait();
    });
    rig.pass(8);
    span.in_scope(|| rig.pass(16));
    drop((span, rig.run(|| info_span!("after"))));
    let stats = rig.stats("span");
    // Seven on one thread, two of them also on the other.
    assert_eq!(
        (stats.busy_ns, stats.idle_ns, stats.total_ns),
        (7 + 2 + 16, 8, 31)
    );
}

#[test]
fn threads_that_ended_are_counted() {
    let rig = Rig::new();
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                dispatcher::with_default(&rig.dispatch, || {
                    for _ in 0..100 {
                        let _outer = info_span!("outer").entered();
                        let _inner = info_span!("inner").entered();
                    }
                })
            });
        }
        // While they run, too: what a snapshot has is whole.
        for _ in 0..20 {
            let snapshot = rig.spans.snapshot();
            for stats in &snapshot.paths {
                assert_eq!(stats.count, stats.histogram.count());
            }
        }
    });
    let snapshot = rig.spans.snapshot();
    let counts = ["outer", "outer;inner"].map(|path| crate::stats(&snapshot, path).count);
    assert_eq!(counts, [10_000; 2]);
    assert_eq!((snapshot.audit.open, snapshot.audit.untracked), (0, 0));
}

/// A thread's own variables may hold spans, and go after what the layer keeps for the thread.
#[test]
fn a_span_may_outlive_its_threads_state() {
    thread_local! {
        static KEPT: RefCell<Vec<Span>> = const { RefCell::new(Vec::new()) };
    }
    let rig = Rig::new();
    on(&rig.dispatch, || {
        // What is used first goes last.
        KEPT.with_borrow_mut(Vec::clear);
        let span = info_span!("kept");
        span.in_scope(|| rig.pass(3));
        KEPT.with_borrow_mut(|kept| kept.push(span));
    });
    assert_eq!(
        rig.times("kept"),
        "1x: total 3 = busy 3 (self 3) + idle 0 (self 0), held 0, 1 polls"
    );
    assert_eq!(rig.spans.snapshot().audit.open, 0);
}

#[test]
fn a_dead_layers_threads_do_not_mind() {
    for _ in 0..3 {
        let rig = Rig::new();
        rig.run(|| info_span!("span").in_scope(|| rig.pass(1)));
        assert_eq!(rig.stats("span").count, 1);
    }
}

#[test]
fn a_pools_threads_get_the_context_by_propagate() {
    let rig = Rig::new();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("a pool");
    rig.run(|| {
        let _span = info_span!("request").entered();
        let here = perfwright_context::current();
        let seen = || perfwright_context::current();
        assert_eq!(pool.install(propagate(seen)), here);
        assert_eq!(pool.join(propagate(seen), propagate(seen)), (here, here));
        let (send, receive) = std::sync::mpsc::channel();
        let send = propagate(move || send.send(seen()).expect("somebody listens"));
        pool.scope(|scope| scope.spawn(move |_| send()));
        assert_eq!(receive.recv(), Ok(here));
        // A closure that is called many times.
        use rayon::prelude::*;
        let each = || {
            (0..100)
                .into_par_iter()
                .all(|_| perfwright_context::with_word(here, || seen() == here))
        };
        assert!(pool.install(each));
        assert_eq!(pool.install(seen), perfwright_context::Word::EMPTY);
    });
}
