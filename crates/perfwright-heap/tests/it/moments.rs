//! The peak, the difference of two moments, and what grows.

use perfwright_heap::delta;

use crate::program::{Block, SITE, at, start, turn, value, value_in};

fn blocks(name: &str, count: usize, size: usize) -> Vec<Block> {
    let mut blocks = Vec::with_capacity(count);
    at(name, || blocks.extend((0..count).map(|_| Block::new(size))));
    blocks
}

#[test]
fn the_peak_has_what_was_live_then() {
    let _turn = turn();
    // Blocks far larger than the rate: all are sampled, so the values are exact.
    let sampler = start(1000);
    assert!(
        sampler
            .peak()
            .is_none_or(|peak| value(&peak, "base", "inuse_space") == 0)
    );
    let base = blocks("base", 10, 100_000);
    drop(blocks("early", 20, 100_000));
    let high = blocks("high", 50, 100_000);
    let on_top = blocks("on top", 5, 100_000);
    drop(on_top);
    drop(high);
    let late = blocks("late", 30, 100_000);
    drop(base);
    let peak = sampler.peak().expect("there were samples");
    let at_peak = ["base", "early", "high", "on top", "late"]
        .map(|name| value(&peak, name, "inuse_space") / 100_000);
    assert_eq!(at_peak, [10, 0, 50, 5, 0]);
    assert_eq!(value(&peak, "high", "inuse_objects"), 50);
    let now = sampler.stop();
    assert_eq!(value(&now, "late", "inuse_space"), 3_000_000);
    assert_eq!(value(&now, "base", "inuse_space"), 0);
    drop(late);
}

#[test]
fn a_delta_is_what_happened_between() {
    let _turn = turn();
    let sampler = start(1000);
    let freed = blocks("freed", 7, 100_000);
    let quiet = blocks("quiet", 3, 100_000);
    let earlier = sampler.snapshot();
    drop(freed);
    let kept = blocks("kept", 5, 100_000);
    drop(blocks("churned", 4, 100_000));
    let later = sampler.stop();
    let delta = delta(&earlier, &later);
    let of = |name| {
        ["alloc_objects", "inuse_objects", "inuse_space"].map(|kind| value_in(&delta, name, kind))
    };
    assert_eq!(of("freed"), [0, -7, -700_000]);
    assert_eq!(of("kept"), [5, 5, 500_000]);
    assert_eq!(of("churned"), [4, 0, 0]);
    assert_eq!(of("quiet"), [0, 0, 0]);
    let has = |name| {
        delta
            .samples()
            .any(|sample| delta.label_str(sample.labels, SITE) == Some(name))
    };
    assert!(
        has("kept") && !has("quiet"),
        "what did not change is not there"
    );
    drop((quiet, kept));
}

#[test]
fn a_leak_is_named_and_churn_is_not() {
    let _turn = turn();
    let sampler = start(1000);
    let cache = blocks("cache", 100, 2000);
    let (mut leaked, mut ring) = (Vec::with_capacity(1000), Vec::with_capacity(1000));
    for round in 0..20 {
        leaked.extend(blocks("leak", 10, 2000));
        drop(blocks("churn", 100, 2000));
        // A queue that is long and short in turns: what shares a frame with it does not grow steadily.
        ring.extend(blocks("ring", 100, 2000));
        let keep = if round % 2 == 0 { 20 } else { 80 };
        ring.drain(..ring.len() - keep);
        sampler.mark();
    }
    let found = sampler.suspects();
    let names: Vec<_> = found
        .profile
        .samples()
        .map(|sample| found.profile.label_str(sample.labels, SITE))
        .collect();
    assert_eq!(names.first(), Some(&Some("leak")), "{found:?}");
    for name in ["cache", "churn", "ring"] {
        assert!(!names.contains(&Some(name)), "{names:?}");
    }
    assert_eq!(found.suspects.len(), found.profile.sample_count());
    let leak = found.suspects[0];
    assert!((leak.live_objects as f64 - 200.0).abs() < 60.0, "{leak:?}");
    assert!(leak.survived_share > 0.9, "{leak:?}");
    assert!(leak.growth_bytes_per_second > 0.0);
    assert!(leak.p_value < 1e-4);
    drop((cache, leaked, ring));
}
