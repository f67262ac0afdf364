use super::*;

const MIB: u64 = 1 << 20;

fn resident(bytes: u64) -> ProcessMemory {
    ProcessMemory {
        resident_bytes: Some(bytes),
        ..ProcessMemory::default()
    }
}

fn cgroup(used: u64, reclaimable: u64, limit: Option<u64>) -> ProcessMemory {
    ProcessMemory {
        cgroup_used_bytes: Some(used),
        cgroup_reclaimable_bytes: Some(reclaimable),
        cgroup_limit_bytes: limit,
        ..ProcessMemory::default()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The seconds at which a watch of 100 MiB dumps, given the MiB of each second.
fn dumps(options: WatchOptions, mib: &[u64]) -> Vec<u64> {
    let mut watch = Watch::new(options.threshold(Threshold::ResidentBytes(100 * MIB)));
    let at = |(second, mib): (usize, &u64)| {
        let second = second as u64;
        watch
            .decide(seconds(second), &resident(mib * MIB))
            .map(|_| second)
    };
    mib.iter().enumerate().filter_map(at).collect()
}

fn often() -> WatchOptions {
    WatchOptions::new()
        .min_interval(Duration::ZERO)
        .max_dumps(99)
}

#[test]
fn a_crossing_dumps_once() {
    assert_eq!(dumps(often(), &[50, 99, 100, 101, 300, 300, 120]), [2]);
    assert_eq!(dumps(often(), &[100]), [0], "above from the beginning");
    assert_eq!(dumps(often(), &[99, 98, 0]), []);
    assert_eq!(dumps(often(), &[]), []);
}

#[test]
fn it_arms_again_after_memory_fell_by_a_tenth() {
    // Noise around the threshold is one crossing.
    assert_eq!(dumps(often(), &[101, 99, 101, 91, 101, 90, 101]), [0]);
    assert_eq!(dumps(often(), &[101, 89, 95, 101, 101, 89, 100]), [0, 3, 6]);
}

#[test]
fn a_saw_tooth_dumps_no_more_than_allowed() {
    let teeth: Vec<u64> = (0..100)
        .map(|second| if second % 10 < 5 { 50 } else { 150 })
        .collect();
    assert_eq!(dumps(often().max_dumps(3), &teeth), [5, 15, 25]);
    assert_eq!(dumps(often().max_dumps(0), &teeth), []);
    // Every third tooth, 30 s apart; a tooth that is up when the interval ends dumps then.
    let spaced = often().min_interval(seconds(28));
    assert_eq!(dumps(spaced, &teeth), [5, 35, 65, 95]);
    let late = often().min_interval(seconds(22));
    assert_eq!(dumps(late, &teeth), [5, 27, 49, 75, 97]);
}

#[test]
fn a_crossing_that_passed_in_the_interval_is_counted() {
    let options = often().min_interval(seconds(10));
    let mut watch = Watch::new(options.threshold(Threshold::ResidentBytes(100)));
    let mut tick = |second, bytes| {
        let due = watch.decide(seconds(second), &resident(bytes)).is_some();
        (due, watch.missed())
    };
    assert_eq!(tick(0, 100), (true, 0));
    assert_eq!(tick(1, 50), (false, 0));
    assert_eq!(tick(2, 100), (false, 0));
    assert_eq!(tick(3, 95), (false, 0), "not below yet");
    assert_eq!(tick(4, 50), (false, 1));
    assert_eq!(tick(5, 50), (false, 1), "counted once");
    assert_eq!(tick(6, 200), (false, 1));
    assert_eq!(
        tick(10, 200),
        (true, 1),
        "still above when the interval is over"
    );
    assert_eq!(tick(11, 10), (false, 1), "that one was dumped");
    assert_eq!(watch.dumps(), 2);
}

#[test]
fn a_share_is_of_the_limit_and_without_what_can_be_reclaimed() {
    let mut watch = Watch::new(often().threshold(Threshold::CgroupShare(0.9)));
    let mut tick = |memory| watch.decide(Duration::ZERO, &memory);
    assert_eq!(tick(cgroup(1000, 200, Some(1000))), None, "page cache");
    assert_eq!(tick(cgroup(899, 0, Some(1000))), None);
    let crossing = tick(cgroup(950, 50, Some(1000))).unwrap();
    assert_eq!(
        crossing,
        Crossing {
            threshold: Threshold::CgroupShare(0.9),
            threshold_bytes: 900,
            used_bytes: 900,
            number: 1
        }
    );
    // The limit is raised: below now, and armed again.
    assert_eq!(tick(cgroup(950, 0, Some(2000))), None);
    assert_eq!(tick(cgroup(1900, 0, Some(2000))).unwrap().number, 2);
    assert_eq!(tick(cgroup(1900, 0, None)), None);
}

#[test]
fn what_is_unknown_passes_nothing_and_changes_nothing() {
    let options = often()
        .threshold(Threshold::ResidentBytes(100))
        .threshold(Threshold::CgroupBytes(100))
        .threshold(Threshold::CgroupShare(0.5));
    let mut watch = Watch::new(options);
    let unknown = ProcessMemory::default();
    assert_eq!(watch.decide(Duration::ZERO, &unknown), None);
    assert!(watch.decide(Duration::ZERO, &resident(200)).is_some());
    assert_eq!(watch.decide(Duration::ZERO, &unknown), None);
    assert_eq!(
        watch.decide(Duration::ZERO, &resident(200)),
        None,
        "not armed again"
    );
    assert_eq!(watch.decide(Duration::ZERO, &cgroup(99, 0, None)), None);
    assert!(
        watch
            .decide(Duration::ZERO, &cgroup(100, 0, None))
            .is_some()
    );
    for share in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
        let mut watch = Watch::new(often().threshold(Threshold::CgroupShare(share)));
        assert_eq!(
            watch.decide(Duration::ZERO, &cgroup(9, 0, Some(10))),
            None,
            "{share}"
        );
    }
}

#[test]
fn thresholds_passed_together_share_a_dump() {
    let options = often()
        .threshold(Threshold::ResidentBytes(100))
        .threshold(Threshold::ResidentBytes(200));
    let mut watch = Watch::new(options);
    let crossing = watch.decide(seconds(1), &resident(250)).unwrap();
    assert_eq!(crossing.threshold, Threshold::ResidentBytes(100));
    assert_eq!(watch.decide(seconds(2), &resident(250)), None);
    // Each arms again by itself.
    assert_eq!(watch.decide(seconds(3), &resident(150)), None);
    let crossing = watch.decide(seconds(4), &resident(250)).unwrap();
    assert_eq!(crossing.threshold, Threshold::ResidentBytes(200));
}

#[test]
fn a_tick_calls_the_dump() {
    let mut watch = Watch::new(often().threshold(Threshold::ResidentBytes(100)));
    let name = |crossing: &Crossing| format!("heap-{}.pb.gz", crossing.number);
    assert_eq!(watch.tick(&resident(99), name), None);
    assert_eq!(
        watch.tick(&resident(100), name).as_deref(),
        Some("heap-1.pb.gz")
    );
    assert_eq!(watch.tick(&resident(100), name), None);
}
