//! The thread that captures.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use perfwright_continuous::{Capture, Continuous, Part, Ring, RingOptions, Schedule, Stop};

/// As fast as can be.
fn at_once() -> Schedule {
    Schedule::new(Duration::ZERO, Duration::from_millis(1)).first(Duration::ZERO)
}

/// A sink, and what it was given.
fn channel() -> (
    impl FnMut(&Capture) -> Result<(), String> + Send,
    Receiver<Capture>,
) {
    let (sender, receiver) = mpsc::sync_channel(1);
    // Once nobody receives any more, the test is over.
    let sink = move |capture: &Capture| {
        sender
            .send(capture.clone())
            .map_err(|error| error.to_string())
    };
    (sink, receiver)
}

#[test]
fn every_sink_gets_every_capture() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::open(folder.path(), RingOptions::new()).unwrap();
    let (sink, captures) = channel();
    let mut number = 0;
    let continuous = Continuous::builder(at_once())
        .sink(ring.clone())
        .sink(sink)
        .start(move |length| {
            number += 1;
            assert_eq!(length, Duration::from_millis(1));
            Ok(vec![Part::new("cpu.pb.gz", vec![number])])
        });
    let continuous = continuous.unwrap();
    for number in 1..=3 {
        assert_eq!(
            captures.recv().unwrap().parts,
            [Part::new("cpu.pb.gz", vec![number])]
        );
    }
    drop(captures);
    let audit = continuous.stop();
    assert!(audit.captured >= 3, "{audit:?}");
    assert_eq!(ring.audit().written, audit.captured);
    assert_eq!(audit.failed, 0);
}

#[test]
fn a_capture_that_fails_or_panics_is_counted_and_the_next_is_made() {
    let (sink, captures) = channel();
    let mut number = 0;
    let continuous = Continuous::builder(at_once()).sink(sink).start(move |_| {
        number += 1;
        match number {
            1 => Err("another capture is running".to_owned()),
            2 => panic!("out of ideas"),
            number => Ok(vec![Part::new("cpu.pb.gz", vec![number])]),
        }
    });
    let continuous = continuous.unwrap();
    assert_eq!(captures.recv().unwrap().parts[0].bytes, [3]);
    let audit = continuous.audit();
    assert_eq!(audit.failed, 2);
    assert_eq!(
        audit.last_error.as_deref(),
        Some("the capture panicked: out of ideas")
    );
}

#[test]
fn a_sink_that_fails_or_panics_costs_the_others_nothing() {
    let (sink, captures) = channel();
    let continuous = Continuous::builder(at_once())
        .sink(|_: &Capture| Err("the disk is full".to_owned()))
        .sink(|_: &Capture| -> Result<(), String> { panic!("at the sink") })
        .sink(sink)
        .start(|_| Ok(Vec::new()));
    let continuous = continuous.unwrap();
    captures.recv().unwrap();
    captures.recv().unwrap();
    let audit = continuous.audit();
    assert!(audit.lost >= 4, "{audit:?}");
    // The third capture may be on its way.
    let error = audit.last_error.unwrap();
    assert!(
        ["the disk is full", "a sink panicked: at the sink"].contains(&&*error),
        "{error}"
    );
}

#[test]
fn stopping_interrupts_the_wait_for_the_next_capture() {
    // These would be done by tomorrow.
    let day = Duration::from_secs(24 * 3_600);
    let schedule = Schedule::new(day, Duration::from_secs(1));
    let continuous = Continuous::builder(schedule.clone().first(day))
        .start(|_| Err("too early".to_owned()))
        .unwrap();
    assert_eq!(continuous.stop().failed, 0);
    drop(
        Continuous::builder(schedule)
            .start(|_| Err("too early".to_owned()))
            .unwrap(),
    );
    let endless = Schedule::new(Duration::MAX, Duration::MAX).first(Duration::MAX);
    drop(
        Continuous::builder(endless)
            .start(|_| Err("too early".to_owned()))
            .unwrap(),
    );
}

#[test]
fn a_capture_that_waits_for_the_signal_is_cut_short_and_kept() {
    let (sink, captures) = channel();
    let stop = Stop::new();
    let waiting = stop.clone();
    let (began, beginning) = mpsc::channel();
    let schedule =
        Schedule::new(Duration::ZERO, Duration::from_secs(24 * 3_600)).first(Duration::ZERO);
    let continuous = Continuous::builder(schedule)
        .sink(sink)
        .stop_with(stop)
        .start(move |length| {
            began.send(()).map_err(|error| error.to_string())?;
            assert!(waiting.wait(length));
            Ok(vec![Part::new("cpu.pb.gz", vec![1])])
        });
    let continuous = continuous.unwrap();
    beginning.recv().unwrap();
    let audit = continuous.stop();
    assert_eq!((audit.captured, audit.lost), (1, 0));
    assert_eq!(captures.recv().unwrap().parts[0].bytes, [1]);
}

#[test]
fn dropping_does_not_wait_for_a_capture_that_hears_nothing() {
    let (began, beginning) = mpsc::channel();
    let (finish, finishing) = mpsc::channel::<()>();
    let (ended, end) = mpsc::channel::<()>();
    let continuous = Continuous::builder(at_once()).start(move |_| {
        let _ends_with_the_thread = &ended;
        began.send(()).map_err(|error| error.to_string())?;
        finishing.recv().map_err(|error| error.to_string())?;
        Ok(Vec::new())
    });
    let continuous = continuous.unwrap();
    beginning.recv().unwrap();
    // It returns although nobody let the capture finish.
    drop(continuous);
    finish.send(()).unwrap();
    assert_eq!(end.recv(), Err(mpsc::RecvError), "the thread goes on");
}
