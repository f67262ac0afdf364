//! The context word: what samples are told.

use perfwright_context::{current, label, labels, with_label};
use perfwright_tracing::Options;
use tracing::{Span, info_span};

use crate::Rig;

/// The labels of the thread, as `route=/a span=x`.
fn here() -> String {
    let labels = labels(current().node());
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(" ")
}

#[test]
fn an_entered_span_is_the_context() {
    let rig = Rig::new();
    rig.run(|| {
        let before = current();
        let _route = label("route", "/orders/{id}");
        let outer = info_span!("outer");
        let inner = || info_span!("inner");
        assert_eq!(here(), "route=/orders/{id}");
        outer.in_scope(|| {
            assert_eq!(here(), "route=/orders/{id} span=outer");
            with_label("tenant", "acme", || {
                inner().in_scope(|| {
                    assert_eq!(
                        here(),
                        "route=/orders/{id} span=outer tenant=acme span=inner"
                    );
                });
                assert_eq!(here(), "route=/orders/{id} span=outer tenant=acme");
            });
            inner().in_scope(|| {
                assert_eq!(here(), "route=/orders/{id} span=outer span=inner");
            });
        });
        drop(_route);
        // Its context is where it was created, not where it is entered.
        outer.in_scope(|| assert_eq!(here(), "route=/orders/{id} span=outer"));
        assert_eq!(current(), before);
    });
    let inner = rig.stats("outer;inner");
    assert_eq!((inner.route.as_str(), inner.count), ("/orders/{id}", 2));
}

#[test]
fn parents_are_explicit_contextual_or_none() {
    let rig = Rig::new();
    rig.run(|| {
        with_label("route", "/a", || {
            let a = info_span!("a");
            let b = info_span!(parent: None, "b");
            b.in_scope(|| {
                // Elsewhere entered: what counts is the parent.
                info_span!(parent: &a, "child")
                    .in_scope(|| assert_eq!(here(), "route=/a span=a span=child"));
                info_span!(parent: None, "root")
                    .in_scope(|| assert_eq!(here(), "route=/a span=root"));
                info_span!("child").in_scope(|| assert_eq!(here(), "route=/a span=b span=child"));
            });
        });
    });
    for path in ["a;child", "b;child", "root"] {
        assert_eq!(rig.stats(path).route, "/a");
    }
}

#[test]
fn out_of_order_exits_restore_what_was_before_all() {
    let rig = Rig::new();
    rig.run(|| {
        let before = current();
        let (a, b) = (info_span!("a"), info_span!("b"));
        let in_a = a.enter();
        let in_b = b.enter();
        drop(in_a);
        assert_eq!(here(), "span=b");
        drop(in_b);
        assert_eq!(current(), before);
    });
}

#[test]
fn a_route_is_the_label_or_the_roots_name() {
    let rig = Rig::new();
    rig.run(|| {
        info_span!("job").in_scope(|| drop(info_span!("step")));
        // The route becomes known below the root, as with a router inside a tracing middleware.
        info_span!("request").in_scope(|| {
            with_label("route", "/late", || {
                info_span!("handler").in_scope(|| rig.pass(1))
            });
        });
    });
    let route = |path| rig.stats(path).route;
    assert_eq!([route("job"), route("job;step")], ["job", "job"]);
    assert_eq!(
        [route("request"), route("request;handler")],
        ["request", "/late"]
    );
    let mut routes: Vec<_> = rig
        .spans
        .slowest()
        .into_iter()
        .map(|request| request.route)
        .collect();
    routes.sort();
    assert_eq!(routes, ["/late", "job"]);
}

#[test]
fn many_spans_of_one_path_are_one_context() {
    let rig = Rig::new();
    rig.run(|| {
        let node = |span: &Span| span.in_scope(|| current().node());
        let (one, other) = (info_span!("warm"), info_span!("warm"));
        // Two callsites of one name on one line differ in nothing that could be told.
        let first = node(&one);
        assert_eq!(first, node(&other));
        let nodes = perfwright_context::node_count();
        for _ in 0..1_000 {
            let again = info_span!(parent: &one, "below");
            again.in_scope(|| ());
        }
        // Other tests add theirs meanwhile, but not a thousand.
        assert!(perfwright_context::node_count() < nodes + 500);
    });
}

#[test]
fn instances_are_told_when_asked_for() {
    let rig = Rig::with(Options::new().instances(true));
    rig.run(|| {
        let (one, other) = (info_span!("one"), info_span!("other"));
        let id =
            |span: &Span| span.in_scope(|| current().instance().and_then(|instance| instance.id()));
        assert!(id(&one).is_some());
        assert_eq!(id(&one), id(&one));
        assert_ne!(id(&one), id(&other));
        assert_eq!(current().instance(), None);
    });
    let plain = Rig::new();
    plain.run(|| info_span!("one").in_scope(|| assert_eq!(current().instance(), None)));
}
