use super::*;

fn reading(resident: u64, allocated: u64, freed: u64) -> Reading {
    Reading {
        process: ProcessMemory {
            resident_bytes: Some(resident),
            ..ProcessMemory::default()
        },
        totals: Some(Totals {
            allocations: allocated / 10,
            allocated_bytes: allocated,
            frees: freed / 10,
            freed_bytes: freed,
        }),
        allocator: None,
    }
}

fn filled(max_points: usize, residents: impl IntoIterator<Item = u64>) -> Timeline {
    let mut timeline = Timeline::with_max_points(max_points);
    for (second, resident) in residents.into_iter().enumerate() {
        let second = second as u64;
        timeline.add(
            Duration::from_secs(second),
            reading(resident, 100 * second, 90 * second),
        );
    }
    timeline
}

#[test]
fn observing_reads_what_there_is() {
    let mut timeline = Timeline::new();
    let first = timeline.observe();
    let second = timeline.observe();
    let [a, b] = timeline.points() else {
        panic!("{:?}", timeline.points());
    };
    assert_eq!((a.last, b.last), (first, second));
    assert!(a.to <= b.from);
    assert_eq!(
        first.process.resident_bytes.is_some(),
        cfg!(any(unix, windows))
    );
    // The tests of this crate's library run on the system's allocator alone.
    assert_eq!(first.totals, None);
    assert_eq!(first.allocator, None);
    assert_eq!(timeline.allocator(), None);
}

#[test]
fn a_full_series_halves_its_resolution() {
    let spans = |timeline: &Timeline| -> Vec<(u64, u64, u64)> {
        let points = timeline.points().iter();
        points
            .map(|point| (point.from.as_secs(), point.to.as_secs(), point.observations))
            .collect()
    };
    assert_eq!(
        spans(&filled(4, [1; 4])),
        [(0, 0, 1), (1, 1, 1), (2, 2, 1), (3, 3, 1)]
    );
    assert_eq!(spans(&filled(4, [1; 5])), [(0, 1, 2), (2, 3, 2), (4, 4, 1)]);
    assert_eq!(spans(&filled(4, [1; 9])), [(0, 3, 4), (4, 7, 4), (8, 8, 1)]);
    // An odd number: the last point is alone, and takes the next observation.
    assert_eq!(spans(&filled(3, [1; 4])), [(0, 1, 2), (2, 3, 2)]);
    assert_eq!(spans(&filled(3, [1; 7])), [(0, 3, 4), (4, 6, 3)]);
    assert_eq!(
        spans(&filled(0, [1; 5])),
        [(0, 3, 4), (4, 4, 1)],
        "2 at least"
    );
}

#[test]
fn peaks_and_dips_survive_any_number_of_halvings() {
    let mut residents = vec![1000; 10_000];
    residents[1234] = 9999;
    residents[7777] = 3;
    let timeline = filled(16, residents);
    let points = timeline.points();
    assert!(points.len() <= 16 && points.len() > 8, "{}", points.len());
    assert_eq!(
        points.iter().map(|point| point.observations).sum::<u64>(),
        10_000
    );
    let at = |second| {
        let second = Duration::from_secs(second);
        points
            .iter()
            .find(|point| point.from <= second && second <= point.to)
            .unwrap()
    };
    assert_eq!(at(1234).high.process.resident_bytes, Some(9999));
    assert_eq!(at(1234).low.process.resident_bytes, Some(1000));
    assert_eq!(at(7777).low.process.resident_bytes, Some(3));
    let others = points
        .iter()
        .filter(|point| point.high.process.resident_bytes == Some(1000));
    assert_eq!(others.count(), points.len() - 1);
    assert!(points.windows(2).all(|pair| pair[0].to < pair[1].from));
}

#[test]
fn a_point_keeps_the_last_counters_and_the_extremes_of_live_bytes() {
    let mut timeline = Timeline::with_max_points(2);
    for (second, allocated, freed) in [(0, 100, 0), (1, 900, 100), (2, 1000, 950)] {
        timeline.add(Duration::from_secs(second), reading(1, allocated, freed));
    }
    timeline.add(Duration::from_secs(3), reading(1, 1000, 990));
    let [first, second] = timeline.points() else {
        panic!("{:?}", timeline.points());
    };
    assert_eq!(first.last.totals.unwrap().allocated_bytes, 900);
    assert_eq!(
        (first.live_bytes_low, first.live_bytes_high),
        (Some(100), Some(800))
    );
    assert_eq!(
        (second.live_bytes_low, second.live_bytes_high),
        (Some(10), Some(50))
    );
    // A free that is seen before its allocation does not make a huge number.
    assert_eq!(reading(1, 5, 9).live_bytes(), Some(0));
}

#[test]
fn unknown_values_stay_out_of_lows_and_highs() {
    let known = Reading {
        allocator: Some(AllocatorStats {
            resident_bytes: Some(7),
            ..AllocatorStats::default()
        }),
        ..reading(5, 0, 0)
    };
    let mut timeline = Timeline::with_max_points(2);
    for (second, reading) in [Reading::default(), known, Reading::default()]
        .into_iter()
        .enumerate()
    {
        timeline.add(Duration::from_secs(second as u64), reading);
    }
    let point = timeline.points()[0];
    assert_eq!(point.last, known);
    assert_eq!(point.low, known);
    assert_eq!(point.low.process.virtual_bytes, None);
    assert_eq!(timeline.points()[1].low, Reading::default());
}
