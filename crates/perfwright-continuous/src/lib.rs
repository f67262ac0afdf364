//! Captures kept and sent, whoever makes them.
//!
//! A service that profiles itself all the time wants three things that have nothing to do with profiles:
//! a [`Continuous`] thread that asks for a capture of N seconds every M, a [`Ring`] of the last captures on disk,
//! bounded by bytes and age, so that the minute before an incident can be looked at afterwards, and, with the
//! feature `push`, a queue that sends them to a Pyroscope-compatible server.
//!
//! You give a closure that captures, and get files that are complete or absent, and counts of what was lost.
//! What it will not do: know what a profile is (it sees bytes and names), start an async runtime, fail or block
//! its host. What cannot be had (a full disk, a server that is away) is counted and said in the audits.
//!
//! ```
//! use perfwright_continuous::{Continuous, Part, Ring, RingOptions, Schedule, Stop};
//! use std::time::Duration;
//!
//! let folder = std::env::temp_dir().join("perfwright-continuous-doc");
//! let ring = Ring::open(&folder, RingOptions::new().max_bytes(64 << 20))?;
//! let stop = Stop::new();
//! let waiting = stop.clone();
//! let continuous = Continuous::builder(Schedule::new(Duration::from_secs(60), Duration::from_secs(10)))
//!     .sink(ring.clone())
//!     .stop_with(stop)
//!     .start(move |length| {
//!         waiting.wait(length); // the profiler runs meanwhile
//!         Ok(vec![Part::new("cpu.pb.gz", b"bytes of a profile".to_vec())])
//!     })?;
//! // Later, after an incident:
//! for entry in ring.around(std::time::SystemTime::now()) {
//!     println!("{}: {:?}", entry.path.display(), entry.kinds);
//! }
//! let audit = continuous.stop();
//! assert_eq!(audit.failed, 0);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod name;
#[cfg(feature = "push")]
mod push;
mod random;
mod ring;
mod schedule;

use std::time::{Duration, SystemTime};

#[cfg(feature = "push")]
pub use push::{Aggregation, Auth, Push, PushAudit, PushError, PushOptions, SampleType};
pub use ring::{Clock, Entry, Ring, RingAudit, RingError, RingOptions, list};
pub use schedule::{Builder, Continuous, ContinuousAudit, Schedule, Stop};

/// One file of a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Part {
    /// What it is, as a file name: `cpu.pb.gz`. [`Ring`] names the file so; `Push` sends what ends
    /// in `.pb`, `.pb.gz` or `.pprof`.
    pub kind: String,
    /// What the file holds.
    pub bytes: Vec<u8>,
}

impl Part {
    /// A part of this kind.
    pub fn new(kind: impl Into<String>, bytes: Vec<u8>) -> Self {
        let kind = kind.into();
        Self { kind, bytes }
    }
}

/// What was captured at one time: one file or several that belong together.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Capture {
    /// When it began.
    pub time: SystemTime,
    /// How long it went on.
    pub length: Duration,
    /// The files, each of another kind.
    pub parts: Vec<Part>,
}

impl Capture {
    /// A capture from `time` on.
    pub fn new(time: SystemTime, length: Duration, parts: Vec<Part>) -> Self {
        Self {
            time,
            length,
            parts,
        }
    }

    /// When it ended.
    pub fn until(&self) -> SystemTime {
        self.time.checked_add(self.length).unwrap_or(self.time)
    }
}

/// Where captures go.
pub trait Sink: Send {
    /// Takes a capture. It should be quick, for the next capture waits for it.
    ///
    /// # Errors
    /// Why the capture is lost here, for [`ContinuousAudit::last_error`].
    fn put(&mut self, capture: &Capture) -> Result<(), String>;
}

impl<F: FnMut(&Capture) -> Result<(), String> + Send> Sink for F {
    fn put(&mut self, capture: &Capture) -> Result<(), String> {
        self(capture)
    }
}
