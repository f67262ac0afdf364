//! Busy, idle, held, total: each case with its exact numbers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Waker};

use tracing::{Instrument as _, Span, error, info, info_span};

use crate::Rig;

#[test]
fn a_child_takes_its_time_from_its_parents_own() {
    let rig = Rig::new();
    rig.run(|| {
        let _outer = info_span!("outer").entered();
        rig.pass(3);
        {
            let _inner = info_span!("inner").entered();
            rig.pass(5);
        }
        rig.pass(2);
    });
    assert_eq!(
        rig.times("outer"),
        "1x: total 10 = busy 10 (self 5) + idle 0 (self 0), held 0, 1 polls"
    );
    assert_eq!(
        rig.times("outer;inner"),
        "1x: total 5 = busy 5 (self 5) + idle 0 (self 0), held 0, 1 polls"
    );
}

/// A request spawns a child with an explicit parent; the child waits 100, of which nothing is the parent's.
#[test]
fn what_a_child_waits_is_not_its_parents() {
    let rig = Rig::new();
    rig.run(|| {
        let parent = info_span!("request");
        let child = parent.in_scope(|| {
            rig.pass(1);
            info_span!(parent: &parent, "child")
        });
        child.in_scope(|| rig.pass(2));
        rig.pass(100);
        child.in_scope(|| rig.pass(2));
        drop(child);
        rig.pass(7);
        parent.in_scope(|| rig.pass(1));
        drop(parent);
    });
    // 104 of its idle time are the child's; 7 are its own.
    assert_eq!(
        rig.times("request"),
        "1x: total 113 = busy 2 (self 2) + idle 111 (self 7), held 0, 1 polls"
    );
    assert_eq!(
        rig.times("request;child"),
        "1x: total 104 = busy 4 (self 4) + idle 100 (self 100), held 0, 1 polls"
    );
}

#[test]
fn a_total_ends_at_the_last_exit() {
    let rig = Rig::new();
    rig.run(|| {
        let span = info_span!("span");
        rig.pass(1);
        span.in_scope(|| rig.pass(2));
        rig.pass(4);
        span.in_scope(|| rig.pass(8));
        let kept = span.clone();
        drop(span);
        rig.pass(16);
        drop(kept);
        // A child does not make its parent's waiting for the close anything but held.
        let parent = info_span!("parent");
        let child = parent.in_scope(|| info_span!("child"));
        rig.pass(32);
        drop((child, parent));
    });
    assert_eq!(
        rig.times("span"),
        "1x: total 15 = busy 10 (self 10) + idle 5 (self 5), held 16, 1 polls"
    );
    assert_eq!(
        rig.times("parent"),
        "1x: total 0 = busy 0 (self 0) + idle 0 (self 0), held 32, 1 polls"
    );
    assert_eq!(
        rig.times("parent;child"),
        "1x: total 32 = busy 0 (self 0) + idle 32 (self 32), held 0, 0 polls"
    );
}

#[test]
fn exits_may_come_out_of_order() {
    let rig = Rig::new();
    rig.run(|| {
        let (a, b, c) = (
            info_span!("a"),
            info_span!(parent: None, "b"),
            info_span!(parent: None, "c"),
        );
        let in_a = a.enter();
        rig.pass(1);
        let in_b = b.enter();
        rig.pass(2);
        let in_c = c.enter();
        rig.pass(4);
        drop(in_a);
        rig.pass(8);
        drop(in_b);
        rig.pass(16);
        drop(in_c);
        rig.pass(32);
    });
    let own = |path, total, own, idle: u64, held: u64| {
        let busy = total - idle;
        format!(
            "{path} 1x: total {total} = busy {busy} (self {own}) + idle {idle} (self {idle}), held {held}, 1 polls"
        )
    };
    let seen = |path| format!("{path} {}", rig.times(path));
    assert_eq!(seen("a"), own("a", 7, 1, 0, 56));
    assert_eq!(seen("b"), own("b", 15, 2, 1, 48));
    assert_eq!(seen("c"), own("c", 31, 28, 3, 32));
    assert_eq!(rig.spans.snapshot().audit.stray_exits, 0);
}

#[test]
fn an_exit_too_many_does_nothing_but_count() {
    let rig = Rig::new();
    rig.run(|| {
        let span = info_span!("span");
        let exit = || {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        };
        {
            let _in = span.enter();
            rig.pass(1);
            exit();
            rig.pass(2);
        }
        exit();
        rig.pass(4);
    });
    assert_eq!(
        rig.times("span"),
        "1x: total 1 = busy 1 (self 1) + idle 0 (self 0), held 6, 1 polls"
    );
    assert_eq!(rig.spans.snapshot().audit.stray_exits, 2);
}

#[test]
fn a_span_that_is_entered_twice_at_once_is_busy_once() {
    let rig = Rig::new();
    rig.run(|| {
        let span = info_span!("span");
        span.in_scope(|| {
            rig.pass(1);
            span.in_scope(|| {
                rig.pass(2);
                info_span!("child").in_scope(|| rig.pass(4));
            });
            rig.pass(8);
        });
    });
    assert_eq!(
        rig.times("span"),
        "1x: total 15 = busy 15 (self 11) + idle 0 (self 0), held 0, 1 polls"
    );
    assert_eq!(
        rig.times("span;child"),
        "1x: total 4 = busy 4 (self 4) + idle 0 (self 0), held 0, 1 polls"
    );
}

#[test]
fn a_span_may_be_entered_ten_thousand_times() {
    let rig = Rig::new();
    rig.run(|| {
        let span = info_span!("span");
        for _ in 0..10_000 {
            span.in_scope(|| rig.pass(3));
            rig.pass(5);
        }
        // So that the last enter is not taken for the drop of a future.
        drop(info_span!("after"));
    });
    let stats = rig.stats("span");
    assert_eq!(
        (stats.polls, stats.busy_ns, stats.idle_ns),
        (10_000, 30_000, 5 * 9_999)
    );
    assert_eq!((stats.max_poll_ns, stats.held_ns), (3, 5));
}

#[test]
fn clones_and_links_change_nothing() {
    let rig = Rig::new();
    rig.run(|| {
        let cause = info_span!("cause");
        let span = info_span!("span");
        span.follows_from(&cause);
        let clones: Vec<Span> = (0..5).map(|_| span.clone()).collect();
        cause.in_scope(|| rig.pass(1));
        drop(cause);
        for clone in &clones {
            clone.in_scope(|| rig.pass(2));
        }
        drop(span);
        assert_eq!(rig.stats("span").count, 0);
        rig.pass(4);
        // So that the last enter is not taken for the drop of a future.
        drop(info_span!("after"));
    });
    assert_eq!(
        rig.times("cause"),
        "1x: total 1 = busy 1 (self 1) + idle 0 (self 0), held 0, 1 polls"
    );
    assert_eq!(
        rig.times("span"),
        "1x: total 11 = busy 10 (self 10) + idle 1 (self 1), held 4, 5 polls"
    );
}

#[test]
fn dropping_a_future_is_busy_but_no_poll() {
    struct Slow<'a>(&'a Rig);
    impl Drop for Slow<'_> {
        fn drop(&mut self) {
            self.0.pass(7);
        }
    }
    let rig = Rig::new();
    let poll_twice = |name: &'static str, last: bool| {
        rig.run(|| {
            let span = match name {
                "done" => info_span!("done"),
                _ => info_span!("cancelled"),
            };
            let work = async {
                let _slow = Slow(&rig);
                rig.pass(1);
                let mut polls = 0;
                std::future::poll_fn(|cx| {
                    polls += 1;
                    cx.waker().wake_by_ref();
                    if polls > 1 && last {
                        std::task::Poll::Ready(())
                    } else {
                        std::task::Poll::Pending
                    }
                })
                .await;
                rig.pass(1);
            };
            let mut future = pin!(work.instrument(span));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut cx).is_pending());
            rig.pass(10);
            assert_eq!(future.as_mut().poll(&mut cx).is_ready(), last);
            rig.pass(20);
        });
    };
    poll_twice("done", true);
    poll_twice("cancelled", false);
    // The future's locals went when it was done: the drop that follows is empty.
    assert_eq!(
        rig.times("done"),
        "1x: total 39 = busy 9 (self 9) + idle 30 (self 30), held 0, 2 polls"
    );
    assert_eq!(
        rig.times("cancelled"),
        "1x: total 38 = busy 8 (self 8) + idle 30 (self 30), held 0, 2 polls"
    );
}

#[test]
fn a_panic_leaves_its_spans() {
    let rig = Rig::new();
    rig.run(|| {
        let before = perfwright_context::current();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _outer = info_span!("outer").entered();
            let _inner = info_span!("inner").entered();
            rig.pass(1);
            panic!("on purpose");
        }));
        assert!(result.is_err());
        assert_eq!(perfwright_context::current(), before);
        info_span!("next").in_scope(|| rig.pass(2));
    });
    assert_eq!(
        rig.times("outer;inner"),
        "1x: total 1 = busy 1 (self 1) + idle 0 (self 0), held 0, 1 polls"
    );
    assert_eq!(
        rig.times("next"),
        "1x: total 2 = busy 2 (self 2) + idle 0 (self 0), held 0, 1 polls"
    );
    assert_eq!(rig.spans.snapshot().audit.open, 0);
}

#[test]
fn a_guard_that_is_forgotten_does_not_keep_the_thread_in_its_span() {
    let rig = Rig::new();
    rig.run(|| {
        let before = perfwright_context::current();
        let span = info_span!("forgotten");
        rig.pass(1);
        std::mem::forget(span.enter());
        rig.pass(2);
        drop(span);
        info_span!("next").in_scope(|| rig.pass(4));
        assert_eq!(perfwright_context::current(), before);
        // Also if it is another span's exit that comes next.
        info_span!("around").in_scope(|| {
            let span = info_span!(parent: None, "forgotten too");
            std::mem::forget(span.enter());
        });
        assert_eq!(perfwright_context::current(), before);
    });
    assert_eq!(
        rig.times("next"),
        "1x: total 4 = busy 4 (self 4) + idle 0 (self 0), held 0, 1 polls"
    );
    assert_eq!(rig.stats("forgotten").count, 1);
}

#[test]
fn errors_are_told_by_events_and_by_fields() {
    let rig = Rig::new();
    rig.run(|| {
        info_span!("request").in_scope(|| {
            info!("fine");
            info_span!("event").in_scope(|| error!("on purpose"));
            info_span!("quiet").in_scope(|| info!(error = "not an error's level"));
        });
        let later = info_span!("later", otel.status_code = tracing::field::Empty);
        later.record("otel.status_code", "ERROR");
        let fine = info_span!("fine", otel.status_code = "OK", error = false);
        error!(parent: &info_span!("named"), "elsewhere");
        drop(info_span!("field", error = "broken"));
        drop(fine);
    });
    let errors = |path| rig.stats(path).errors;
    assert_eq!(
        ["request;event", "later", "named", "field"].map(errors),
        [1; 4]
    );
    assert_eq!(["request", "request;quiet", "fine"].map(errors), [0; 3]);
}

#[test]
fn spans_that_are_open_are_told() {
    let rig = Rig::new();
    rig.run(|| {
        let open: Vec<_> = (0..3).map(|_| info_span!("open")).collect();
        let snapshot = rig.spans.snapshot();
        assert_eq!(snapshot.audit.open, 3);
        let stats = crate::stats(&snapshot, "open");
        assert_eq!((stats.open, stats.count, stats.min_ns), (3, 0, 0));
        drop(open);
    });
    assert_eq!(rig.stats("open").count, 3);
}

#[test]
fn taking_begins_anew() {
    let rig = Rig::new();
    rig.run(|| {
        let work = |nanos| info_span!("work").in_scope(|| rig.pass(nanos));
        work(5);
        work(7);
        let first = crate::stats(&rig.spans.take(), "work");
        assert_eq!((first.count, first.min_ns, first.max_ns), (2, 5, 7));
        assert!(rig.spans.snapshot().paths.is_empty());
        work(6);
        let next = rig.spans.snapshot();
        assert_eq!(next.duration_nanos, 6);
        let next = crate::stats(&next, "work");
        assert_eq!(
            (next.count, next.min_ns, next.max_ns, next.histogram.count()),
            (1, 6, 6, 1)
        );
    });
}

#[test]
fn the_profile_has_each_paths_own_values() {
    let rig = Rig::new();
    rig.run(|| {
        for _ in 0..2 {
            let outer = info_span!("outer");
            outer.in_scope(|| {
                rig.pass(3);
                info_span!("inner").in_scope(|| rig.pass(5));
            });
            rig.pass(10);
            outer.in_scope(|| ());
        }
    });
    let profile = rig.spans.snapshot().profile();
    let kinds: Vec<_> = profile
        .sample_types()
        .iter()
        .map(|t| (t.kind.as_str(), t.unit.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("count", "count"),
            ("busy", "nanoseconds"),
            ("idle", "nanoseconds"),
            ("wall", "nanoseconds")
        ]
    );
    assert_eq!(profile.default_sample_type(), Some(1));
    let mut rows: Vec<_> = profile
        .samples()
        .map(|sample| {
            let mut names: Vec<_> = profile
                .stack(sample.stack)
                .map(|location| {
                    let frame = profile.frames(location)[0];
                    assert!(frame.line.is_some());
                    let file = profile.function(frame.function).filename;
                    assert!(profile.string(file).ends_with("times.rs"));
                    profile.function_name(frame.function)
                })
                .collect();
            names.reverse();
            let route = profile.label_str(sample.labels, "route").unwrap_or("none");
            format!("{route}: {} {:?}", names.join(";"), sample.values)
        })
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            "outer: outer [2, 6, 20, 26]",
            "outer: outer;inner [2, 10, 0, 10]"
        ]
    );
}
