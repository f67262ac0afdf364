//! The public noun: start, look, stop.

use std::fmt;
use std::time::Duration;

use perfwright_model::Profile;

use crate::audit::Audit;
use crate::error::StartError;
use crate::options::Options;

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
use crate::profiler::session::Session;

/// What was sampled, and what the profiler says about it.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Sample types `alloc_objects`/`count`, `alloc_space`/`bytes` (all since the start), `inuse_objects`/`count`
    /// and `inuse_space`/`bytes` (of that what was not freed yet), the last the default; each value stands for all
    /// allocations, sampled or not. A capture of a peak has the last two only. One sample for each stack and
    /// context. Locations have an AVMA and a mapping, no frames; the leaf is who called the allocator.
    pub profile: Profile,
    /// How well each sample's values are known: `errors[i]` is about `profile.sample(i)`, one standard deviation
    /// that comes from sampling for each of its values, in their order and units.
    pub errors: Vec<Vec<f64>>,
    /// The same facts that stand in the profile's comments.
    pub audit: Audit,
}

/// Places in the program that keep growing, and how. A place is a frame: all stacks that have it.
///
/// A place is suspected if its bytes in use grow steadily over the time observed, or a later part of it, its blocks
/// of old, middle and recent times survive, and it still grows at the end. Of several frames that grow as much the
/// one with the fewest allocations besides is named, then what grows without it. A program that does not leak is
/// suspected at about one look in 1,000. It takes at least 8 epochs. Not seen: growth of single large blocks (a
/// `Vec` that doubles), and a leak whose blocks are sampled fewer than 8 times.
#[derive(Clone, Debug)]
pub struct Suspects {
    /// Of each place the stack that grew most of late: sample types `inuse_objects`/`count` and
    /// `inuse_space`/`bytes`, of the whole place. Its sample `i` is about `suspects[i]`.
    pub profile: Profile,
    /// The fastest growing first.
    pub suspects: Vec<Suspect>,
}

/// A place that keeps growing.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Suspect {
    /// Bytes in use.
    pub live_bytes: u64,
    /// Objects in use.
    pub live_objects: u64,
    /// By how many bytes a second it grew, on average over the time observed.
    pub growth_bytes_per_second: f64,
    /// One standard error of that, from how unsteady the growth was.
    pub growth_error: f64,
    /// How likely a site that does not grow looks like this.
    pub p_value: f64,
    /// The age of the oldest blocks that live; at most this.
    pub oldest_age: Duration,
    /// The share of the sampled blocks that live, 0 to 1.
    pub survived_share: f64,
}

/// A running heap profiler. Use it from any thread; dropping it stops it.
///
/// In a forked child it is off: its captures are empty there. Exact [`Totals`](crate::Totals) go on. Another may be
/// started there, if no other thread of the parent was just starting a thread when it forked: the standard library
/// cannot start one in the child then.
#[must_use = "sampling stops when the sampler is dropped"]
pub struct Sampler {
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    session: Session,
    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    session: Never,
}

impl Sampler {
    /// Starts sampling in all threads of this process. What was allocated before is not seen, neither now nor
    /// when it is freed.
    ///
    /// # Errors
    /// [`StartError`] says what is in the way and what to do.
    pub fn start(options: Options) -> Result<Sampler, StartError> {
        check_rate(options.rate_bytes)?;
        start(options)
    }

    /// What was allocated since the start, and what of that is in use.
    pub fn snapshot(&self) -> Capture {
        self.session.snapshot()
    }

    /// What was in use when most was, since the start; `None` before the first sample. Sites are not swept for
    /// it: each keeps what it had at the peak when it first changes afterwards.
    pub fn peak(&self) -> Option<Capture> {
        self.session.peak()
    }

    /// Sites that look like leaks, the worst first.
    pub fn suspects(&self) -> Suspects {
        self.session.suspects()
    }

    /// Ends an epoch and begins the next, beside those that [`Options::epoch`] makes: the moments between which
    /// [`Sampler::suspects`] looks for growth.
    pub fn mark(&self) {
        self.session.mark();
    }

    /// Samples every so many bytes on average from now on, in all threads at once. Samples taken before keep
    /// their weight. If sampling is paused, it is the rate to resume with.
    ///
    /// # Errors
    /// [`StartError::RateZero`] or [`StartError::RateTooHigh`]; then nothing changes.
    pub fn set_rate_bytes(&self, rate_bytes: u64) -> Result<(), StartError> {
        check_rate(rate_bytes)?;
        self.session.set_rate(rate_bytes);
        Ok(())
    }

    /// Takes no more samples until [`Sampler::resume`]. Frees of what was sampled are still seen.
    pub fn pause(&self) {
        self.session.pause();
    }

    /// Samples again, at the rate before.
    pub fn resume(&self) {
        self.session.resume();
    }

    /// Stops, and returns the last snapshot.
    pub fn stop(self) -> Capture {
        self.session.snapshot()
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler").finish_non_exhaustive()
    }
}

/// What was allocated between two captures of one sampler, and by how much each site's use changed: in-use values
/// are below 0 where more was freed.
#[must_use]
pub fn delta(earlier: &Capture, later: &Capture) -> Profile {
    let delta = later.profile.since(&earlier.profile);
    // Two captures of the heap always have the same sample types.
    delta.unwrap_or_else(|_| Profile::new(later.profile.sample_types().to_vec()))
}

fn check_rate(asked: u64) -> Result<(), StartError> {
    let max = crate::thread::MAX_RATE;
    match asked {
        0 => Err(StartError::RateZero),
        _ if asked > max => Err(StartError::RateTooHigh { asked, max }),
        _ => Ok(()),
    }
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn start(options: Options) -> Result<Sampler, StartError> {
    Ok(Sampler {
        session: Session::start(options)?,
    })
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn start(_: Options) -> Result<Sampler, StartError> {
    Err(StartError::Unsupported)
}

/// No sampler runs where none can be started.
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
enum Never {}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
impl Never {
    fn snapshot(&self) -> Capture {
        match *self {}
    }

    fn peak(&self) -> Option<Capture> {
        match *self {}
    }

    fn suspects(&self) -> Suspects {
        match *self {}
    }

    fn mark(&self) {
        match *self {}
    }

    fn set_rate(&self, _: u64) {
        match *self {}
    }

    fn pause(&self) {
        match *self {}
    }

    fn resume(&self) {
        match *self {}
    }
}
