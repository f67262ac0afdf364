//! Start and stop, rates, bounds, and what is in the way.

use perfwright_heap::{Audit, Options, Sampler, StartError, Totals};

use crate::program::{Block, at, start, turn, value, value_and_error};

#[test]
fn there_is_one_sampler_at_a_time() {
    let _turn = turn();
    let sampler = start(1 << 20);
    let second = Sampler::start(Options::new());
    assert!(
        matches!(second, Err(StartError::AlreadyRunning)),
        "{second:?}"
    );
    drop(sampler);
    assert!(Sampler::start(Options::new()).is_ok());
}

#[test]
fn a_rate_of_nothing_is_refused() {
    let _turn = turn();
    let none = Sampler::start(Options::new().rate_bytes(0));
    assert!(matches!(none, Err(StartError::RateZero)), "{none:?}");
    let far = Sampler::start(Options::new().rate_bytes(u64::MAX));
    assert!(
        matches!(far, Err(StartError::RateTooHigh { .. })),
        "{far:?}"
    );
    let sampler = start(1000);
    assert!(matches!(
        sampler.set_rate_bytes(0),
        Err(StartError::RateZero)
    ));
    assert_eq!(sampler.stop().audit.rate_bytes, 1000);
}

#[test]
fn what_was_there_before_is_not_seen_and_what_stays_after_is_forgotten() {
    let _turn = turn();
    let before = at("before", || Block::new(100_000));
    let sampler = start(1);
    let during = at("during", || Block::new(100_000));
    drop(before);
    let capture = sampler.stop();
    assert_eq!(value(&capture, "before", "alloc_space"), 0);
    assert_eq!(value(&capture, "during", "inuse_space"), 100_000);
    let again = start(1);
    drop(during);
    let capture = again.stop();
    assert_eq!(value(&capture, "during", "alloc_space"), 0);
    assert_eq!(value(&capture, "during", "inuse_space"), 0);
}

#[test]
fn the_rate_changes_in_running_threads_and_weights_stay_right() {
    let _turn = turn();
    let sampler = start(1 << 20);
    let (go, wait) = std::sync::mpsc::channel();
    let (done, finished) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        for name in wait {
            at(name, || {
                for _ in 0..40_000 {
                    drop(Block::new(1000));
                }
            });
            done.send(()).unwrap();
        }
    });
    let run = |name: &'static str| {
        go.send(name).unwrap();
        finished.recv().unwrap();
    };
    run("coarse");
    sampler.set_rate_bytes(10_000).unwrap();
    run("fine");
    sampler.set_rate_bytes(1 << 20).unwrap();
    run("coarse again");
    sampler.pause();
    run("paused");
    sampler.resume();
    sampler.set_rate_bytes(10_000).unwrap();
    run("resumed");
    drop(go);
    thread.join().unwrap();
    let capture = sampler.stop();
    for (name, rate) in [
        ("coarse", 1_048_576.0),
        ("fine", 10_000.0),
        ("coarse again", 1_048_576.0),
        ("resumed", 10_000.0_f64),
    ] {
        let (bytes, error) = value_and_error(&capture, name, "alloc_space");
        let off = (bytes - 40_000_000).abs() as f64;
        let theory = (40_000_000.0 * rate).sqrt();
        assert!(off < 5.0 * theory, "{name}: {bytes} +- {theory}");
        assert!(
            (0.5..2.0).contains(&(error / theory)),
            "{name}: {error}, theory {theory}"
        );
    }
    assert_eq!(value(&capture, "paused", "alloc_space"), 0);
    let audit = &capture.audit;
    assert_eq!(
        (audit.rate_bytes_min, audit.rate_bytes_max),
        (10_000, 1 << 20)
    );
    let comments = capture.profile.meta.comments.iter().map(String::as_str);
    assert_eq!(Audit::from_comments(comments).as_ref(), Some(audit));
}

#[test]
fn frees_are_seen_while_paused() {
    let _turn = turn();
    let sampler = start(1);
    let block = at("paused", || Block::new(100_000));
    sampler.pause();
    assert!(sampler.snapshot().audit.paused);
    drop(block);
    assert_eq!(value(&sampler.stop(), "paused", "inuse_space"), 0);
}

#[test]
fn full_tables_lose_what_they_count() {
    let _turn = turn();
    let options = Options::new().rate_bytes(1).max_memory_bytes(1);
    let sampler = Sampler::start(options).unwrap();
    let mut blocks = Vec::with_capacity(20_000);
    at("full", || {
        for _ in 0..20_000 {
            blocks.push(Block::new(100));
        }
    });
    let capture = sampler.snapshot();
    let audit = &capture.audit;
    assert!(audit.untracked > 0, "{audit}");
    assert!(audit.memory_bytes <= audit.memory_bytes_max, "{audit}");
    assert_eq!(value(&capture, "full", "alloc_objects"), 20_000);
    let in_use = value(&capture, "full", "inuse_objects");
    assert!(0 < in_use && in_use < 20_000, "{in_use}");
    drop(blocks);
    assert_eq!(value(&sampler.stop(), "full", "inuse_objects"), 0);
}

#[test]
fn own_work_is_counted_and_not_sampled() {
    let _turn = turn();
    let sampler = start(1);
    let before = Totals::read().expect("it is the global allocator");
    at("own", || {
        drop(sampler.snapshot());
        drop(sampler.suspects());
        drop(sampler.peak());
    });
    let after = Totals::read().unwrap();
    assert!(after.allocations > before.allocations + 100);
    let capture = sampler.stop();
    assert_eq!(value(&capture, "own", "alloc_space"), 0);
}

#[test]
fn a_profile_says_what_it_is() {
    let _turn = turn();
    let sampler = start(1 << 16);
    let block = at("one", || Block::new(1 << 20));
    let capture = sampler.snapshot();
    drop(block);
    let types: Vec<_> = capture
        .profile
        .sample_types()
        .iter()
        .map(|kind| format!("{}/{}", kind.kind, kind.unit))
        .collect();
    assert_eq!(
        types,
        [
            "alloc_objects/count",
            "alloc_space/bytes",
            "inuse_objects/count",
            "inuse_space/bytes"
        ]
    );
    assert_eq!(capture.profile.default_sample_type(), Some(3));
    let period = capture.profile.meta.period.clone().unwrap();
    assert_eq!(
        (period.sample_type.kind.as_str(), period.value),
        ("space", 1 << 16)
    );
    assert_eq!(capture.errors.len(), capture.profile.sample_count());
    assert!(capture.errors.iter().all(|errors| errors.len() == 4));
    assert!(capture.audit.to_string().contains("one sample in 64 KiB"));
}
