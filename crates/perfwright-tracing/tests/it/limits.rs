//! What is bounded.

use perfwright_tracing::Options;
use tracing::{Span, info_span};

use crate::Rig;

#[test]
fn paths_overflow_into_one() {
    let rig = Rig::with(Options::new().max_paths(2));
    rig.run(|| {
        info_span!("a").in_scope(|| info_span!("b").in_scope(|| rig.pass(1)));
        for _ in 0..5 {
            let node = perfwright_context::current().node();
            info_span!("c").in_scope(|| {
                assert_eq!(perfwright_context::current().node(), node);
                info_span!("b").in_scope(|| rig.pass(1));
            });
        }
    });
    let snapshot = rig.spans.snapshot();
    assert_eq!(
        (
            snapshot.audit.paths,
            snapshot.audit.overflowed,
            snapshot.audit.spans
        ),
        (2, 10, 12)
    );
    assert_eq!(crate::stats(&snapshot, "(other)").count, 10);
    assert_eq!(crate::stats(&snapshot, "a;b").count, 1);
}

#[test]
fn open_spans_beyond_the_bound_are_counted_and_harmless() {
    let rig = Rig::with(Options::new().max_open(64));
    rig.run(|| {
        let all: Vec<Span> = (0..1_000).map(|_| info_span!("open")).collect();
        let audit = rig.spans.snapshot().audit;
        assert_eq!(audit.open + audit.untracked, 1_000);
        // Homes are few: half of the slots find a tenant at least.
        assert!((32..=64).contains(&audit.open), "{}", audit.open);
        for span in &all {
            span.in_scope(|| rig.pass(1));
        }
        let open = audit.open;
        drop(all);
        let audit = rig.spans.snapshot().audit;
        assert_eq!((audit.open, audit.spans, audit.stray_exits), (0, open, 0));
        info_span!("next").in_scope(|| rig.pass(1));
    });
    assert_eq!(rig.stats("next").count, 1);
}

#[test]
fn ids_are_reused_and_never_mixed_up() {
    let rig = Rig::new();
    rig.run(|| {
        for round in 0..2_000_u64 {
            let short = info_span!("short");
            let long = info_span!("long");
            short.in_scope(|| rig.pass(1));
            long.in_scope(|| rig.pass(round % 7));
        }
    });
    assert_eq!(rig.stats("short").max_poll_ns, 1);
    assert_eq!(
        rig.stats("long").busy_ns,
        (0..2_000).map(|round| round % 7).sum::<u64>()
    );
    assert_eq!(rig.spans.snapshot().audit.untracked, 0);
}
