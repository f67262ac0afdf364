//! The thread that captures every so often.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crate::random::Random;
use crate::{Capture, Part, Sink};

/// When to capture and for how long.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Schedule {
    /// From the start of one capture to that of the next. A capture that takes longer skips beats.
    pub every: Duration,
    /// How long a capture goes on.
    pub length: Duration,
    /// How long after the start the first capture begins; `None`: a random part of `every`, so that the processes
    /// of a fleet that start together do not capture and send together.
    pub first: Option<Duration>,
}

impl Schedule {
    /// A capture of `length` every `every`.
    pub fn new(every: Duration, length: Duration) -> Self {
        Self {
            every,
            length,
            first: None,
        }
    }

    /// Sets [`Schedule::first`].
    #[must_use]
    pub fn first(mut self, after: Duration) -> Self {
        self.first = Some(after);
        self
    }
}

/// Says to whoever waits that it is time to stop. Clones are the same signal.
#[derive(Clone, Default, Debug)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// A signal that was not given.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal.
    pub fn stop(&self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }

    /// The signal was given.
    pub fn is_stopped(&self) -> bool {
        *lock(&self.0.0)
    }

    /// Sleeps, at most until the signal is given. `true`: it was given.
    pub fn wait(&self, time: Duration) -> bool {
        let stopped = lock(&self.0.0);
        let waited = self
            .0
            .1
            .wait_timeout_while(stopped, time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What a [`Continuous`] did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ContinuousAudit {
    /// Captures that were made.
    pub captured: u64,
    /// Captures that the closure refused or failed to make, or panicked over.
    pub failed: u64,
    /// Beats without a capture, because the one before took too long.
    pub skipped: u64,
    /// Captures that a sink could not take, counted once a sink.
    pub lost: u64,
    /// Why the last capture failed or was lost.
    pub last_error: Option<String>,
}

/// Captures on a thread of its own, until it is stopped or dropped.
///
/// Dropping gives the [`Stop`] signal and waits for a capture that is under way at most half a second; the
/// thread then ends by itself. [`Continuous::stop`] waits for it to the end.
#[must_use = "dropping it stops the captures"]
pub struct Continuous {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How long dropping waits.
const GRACE: Duration = Duration::from_millis(500);

struct Shared {
    stop: Stop,
    audit: Mutex<ContinuousAudit>,
    /// Given when the thread is about to end.
    done: Stop,
}

/// Sets up a [`Continuous`].
#[must_use = "nothing is captured before `start`"]
pub struct Builder {
    schedule: Schedule,
    sinks: Vec<Box<dyn Sink>>,
    stop: Stop,
}

impl Builder {
    /// Adds where captures go, such as a [`Ring`](crate::Ring), a `Push` or a closure. Each gets each.
    pub fn sink(mut self, sink: impl Sink + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// Uses this signal, so that the capturing closure can wait on it and stop early.
    pub fn stop_with(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Starts. The closure captures for the time that it is given and returns the files; what it captured when
    /// it is stopped early is kept. An `Err` (the profiler is busy, say) is counted.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start<F>(self, capture: F) -> io::Result<Continuous>
    where
        F: FnMut(Duration) -> Result<Vec<Part>, String> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            stop: self.stop,
            audit: Mutex::default(),
            done: Stop::new(),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            schedule: self.schedule,
            sinks: self.sinks,
            capture,
        };
        let thread = thread::Builder::new().name("perfwright-continuous".to_owned());
        let thread = Some(thread.spawn(move || worker.run())?);
        Ok(Continuous { shared, thread })
    }
}

impl Continuous {
    /// To capture by this schedule.
    pub fn builder(schedule: Schedule) -> Builder {
        Builder {
            schedule,
            sinks: Vec::new(),
            stop: Stop::new(),
        }
    }

    /// What it did so far.
    pub fn audit(&self) -> ContinuousAudit {
        lock(&self.shared.audit).clone()
    }

    /// Stops, waiting for a capture that is under way, and says what was done.
    pub fn stop(mut self) -> ContinuousAudit {
        self.shared.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.audit()
    }
}

impl Drop for Continuous {
    fn drop(&mut self) {
        self.shared.stop.stop();
        if let Some(thread) = self.thread.take()
            && self.shared.done.wait(GRACE)
        {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Continuous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Continuous")
            .field("audit", &self.audit())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("schedule", &self.schedule)
            .finish_non_exhaustive()
    }
}

struct Worker<F> {
    shared: Arc<Shared>,
    schedule: Schedule,
    sinks: Vec<Box<dyn Sink>>,
    capture: F,
}

impl<F> Drop for Worker<F> {
    fn drop(&mut self) {
        self.shared.done.stop();
    }
}

impl<F: FnMut(Duration) -> Result<Vec<Part>, String>> Worker<F> {
    fn run(mut self) {
        let every = self.schedule.every;
        let first = self
            .schedule
            .first
            .unwrap_or_else(|| Random::new().below(every));
        let mut beats = Beats::new(Instant::now(), first, every);
        loop {
            let now = Instant::now();
            let (wait, skipped) = beats.next(now);
            if skipped > 0 {
                self.audit().skipped += skipped;
            }
            if self.shared.stop.wait(wait) {
                return;
            }
            self.beat();
        }
    }

    fn beat(&mut self) {
        let (time, started) = (SystemTime::now(), Instant::now());
        let length = self.schedule.length;
        // A panic in the host's closure must not end the captures; what it holds is the host's own.
        let made = catch_unwind(AssertUnwindSafe(|| (self.capture)(length)));
        let parts = match made {
            Ok(Ok(parts)) => parts,
            Ok(Err(error)) => return self.fail(error),
            Err(panic) => return self.fail(format!("the capture panicked: {}", message(&*panic))),
        };
        let capture = Capture::new(time, started.elapsed(), parts);
        self.audit().captured += 1;
        for index in 0..self.sinks.len() {
            let sink = &mut self.sinks[index];
            let put = catch_unwind(AssertUnwindSafe(|| sink.put(&capture)))
                .unwrap_or_else(|panic| Err(format!("a sink panicked: {}", message(&*panic))));
            if let Err(error) = put {
                let mut audit = self.audit();
                audit.lost += 1;
                audit.last_error = Some(error);
            }
        }
    }

    fn fail(&self, error: String) {
        let mut audit = self.audit();
        audit.failed += 1;
        audit.last_error = Some(error);
    }

    fn audit(&self) -> MutexGuard<'_, ContinuousAudit> {
        lock(&self.shared.audit)
    }
}

/// The times at which captures begin: a fixed distance apart, whatever the captures take.
struct Beats {
    next: Instant,
    every: Duration,
}

/// Longer than any process runs, and short enough to be added to any time.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

impl Beats {
    fn new(start: Instant, first: Duration, every: Duration) -> Self {
        let next = start + first.min(FAR);
        let every = every.min(FAR);
        Self { next, every }
    }

    /// How long from now to the next beat, and how many were missed. A beat that is late by less than the
    /// distance takes place at once, so that captures as long as their distance follow one another.
    fn next(&mut self, now: Instant) -> (Duration, u64) {
        let late = now.saturating_duration_since(self.next);
        let missed = late.as_nanos().checked_div(self.every.as_nanos());
        let missed = u32::try_from(missed.unwrap_or(0)).unwrap_or(u32::MAX);
        let beat = self.next + self.every * missed;
        self.next = beat + self.every;
        (beat.saturating_duration_since(now), u64::from(missed))
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A panic elsewhere does not make counts wrong.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn beats_keep_their_distance_and_those_missed_are_counted() {
        let start = Instant::now();
        let at = |after| start + seconds(after);
        let mut beats = Beats::new(start, seconds(3), seconds(10));
        assert_eq!(beats.next(at(0)), (seconds(3), 0));
        // The capture took from 3 to 9: the next is at 13; that took to 24, so the next is late by 1.
        assert_eq!(beats.next(at(9)), (seconds(4), 0));
        assert_eq!(beats.next(at(24)), (seconds(0), 0));
        // From 24 to 54: those at 33 and 43 did not take place, that of 53 does now.
        assert_eq!(beats.next(at(54)), (seconds(0), 2));
        assert_eq!(beats.next(at(55)), (seconds(8), 0));
    }

    #[test]
    fn no_distance_is_one_capture_after_the_other() {
        let start = Instant::now();
        let mut beats = Beats::new(start, Duration::ZERO, Duration::ZERO);
        assert_eq!(beats.next(start), (Duration::ZERO, 0));
        assert_eq!(beats.next(start + seconds(5)), (Duration::ZERO, 0));
    }

    #[test]
    fn a_distance_beyond_the_clock_is_waited_for() {
        let start = Instant::now();
        let mut beats = Beats::new(start, Duration::ZERO, Duration::MAX);
        assert_eq!(beats.next(start), (Duration::ZERO, 0));
        assert_eq!(beats.next(start), (FAR, 0));
    }
}
