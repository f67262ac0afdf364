//! Captures sent to a Pyroscope-compatible server.

mod http;
mod request;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::schedule::lock;
use crate::{Capture, Sink};

use http::{Client, Outcome};
use request::Request;

/// Who is sending. Never printed.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Auth {
    /// Nobody asks.
    #[default]
    None,
    /// A user and password, as Grafana Cloud takes them.
    Basic {
        /// The user.
        user: String,
        /// The password or API key.
        password: String,
    },
    /// A token.
    Bearer(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// How values of one sample type over time are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aggregation {
    /// Summed: CPU time, allocated bytes.
    Sum,
    /// Averaged: bytes in use.
    Average,
}

/// How the server is to take a sample type of the profiles: an entry of Pyroscope's `sample_type_config`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SampleType {
    /// The sample type's name in the profile.
    pub name: String,
    /// `samples`, `objects` or `bytes`: how the server shows values.
    pub units: String,
    /// How values are put together.
    pub aggregation: Aggregation,
    /// What is appended to the application's name; the server takes `name` if it is empty.
    pub display_name: String,
    /// Values are numbers of samples, to be scaled by the profile's period.
    pub sampled: bool,
}

impl SampleType {
    /// A sample type, summed and not scaled, under its own name.
    pub fn new(name: impl Into<String>, units: impl Into<String>) -> Self {
        let (name, units) = (name.into(), units.into());
        let (aggregation, display_name) = (Aggregation::Sum, String::new());
        Self {
            name,
            units,
            aggregation,
            display_name,
            sampled: false,
        }
    }

    /// Sets [`SampleType::aggregation`].
    #[must_use]
    pub fn aggregation(mut self, aggregation: Aggregation) -> Self {
        self.aggregation = aggregation;
        self
    }

    /// Sets [`SampleType::display_name`].
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = name.into();
        self
    }

    /// Sets [`SampleType::sampled`].
    #[must_use]
    pub fn sampled(mut self, sampled: bool) -> Self {
        self.sampled = sampled;
        self
    }
}

/// Where to send captures, as whom, and how hard to try.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PushOptions {
    /// The server: `http://localhost:4040`. `/ingest` is appended.
    pub url: String,
    /// The application's name.
    pub app: String,
    /// Labels of everything that is sent. In values `,`, `{`, `}` and `=`, which the form has no way to quote, become `_`.
    pub labels: Vec<(String, String)>,
    /// Who is sending.
    pub auth: Auth,
    /// The tenant of a server with several: the header `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// How to take sample types that the server does not know. Empty: it takes its own mapping, which knows those of
    /// Go. With one or more, profiles go as `multipart/form-data`.
    pub sample_types: Vec<SampleType>,
    /// How long one try may take in all. Default 10 s.
    pub timeout: Duration,
    /// How often a capture is tried at most. Default 10: some five minutes.
    pub attempts: u32,
    /// How long to wait after the first failure, on average three quarters of it; doubled with each further one.
    /// Default 1 s.
    pub backoff: Duration,
    /// The longest wait between tries, unless the server asks for a longer one. Default 60 s.
    pub max_backoff: Duration,
    /// The most bytes that wait, the one being sent included. Default 32 MiB.
    pub queue_bytes: usize,
    /// The most files that wait. Default 256.
    pub queue_len: usize,
    /// An HTTP proxy, `http://proxy:3128`. The environment's is not used unless it is given here.
    pub proxy: Option<String>,
}

impl PushOptions {
    /// To this server under this name, with the defaults for the rest.
    pub fn new(url: impl Into<String>, app: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            app: app.into(),
            labels: Vec::new(),
            auth: Auth::None,
            tenant: None,
            sample_types: Vec::new(),
            timeout: Duration::from_secs(10),
            attempts: 10,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            queue_bytes: 32 << 20,
            queue_len: 256,
            proxy: None,
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Adds a sample type.
    #[must_use]
    pub fn sample_type(mut self, sample_type: SampleType) -> Self {
        self.sample_types.push(sample_type);
        self
    }

    /// Sends a user and password.
    #[must_use]
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), password.into());
        self.auth = Auth::Basic { user, password };
        self
    }

    /// Sends a token.
    #[must_use]
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        self.auth = Auth::Bearer(token.into());
        self
    }

    /// Sets [`PushOptions::tenant`].
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Sets [`PushOptions::proxy`].
    #[must_use]
    pub fn proxy(mut self, proxy: impl Into<String>) -> Self {
        self.proxy = Some(proxy.into());
        self
    }
}

macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)?) => {
        impl PushOptions {
            $(
                #[doc = concat!("Sets [`PushOptions::", stringify!($field), "`](#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, value: $type) -> Self {
                    self.$field = value;
                    self
                }
            )*
        }
    };
}

setters! {
    timeout: Duration,
    attempts: u32,
    backoff: Duration,
    max_backoff: Duration,
    queue_bytes: usize,
    queue_len: usize,
}

/// Why nothing can be sent. Fits "failed to {error}".
#[derive(Debug)]
#[non_exhaustive]
pub enum PushError {
    /// An option is not what a server takes.
    Option {
        /// Which, and what is wrong with it. It says no secret.
        what: String,
    },
    /// The thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option { what } => write!(f, "set up the sending of profiles: {what}"),
            Self::Thread(error) => write!(f, "start the thread that sends profiles: {error}"),
        }
    }
}

impl std::error::Error for PushError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            Self::Option { .. } => None,
        }
    }
}

/// What a [`Push`] did, in files.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct PushAudit {
    /// Taken by the server.
    pub sent: u64,
    /// Given up: refused by the server, or tried too often.
    pub failed: u64,
    /// Never taken by the server, for the queue was full or the process ended; the oldest first.
    pub dropped: u64,
    /// Tries after the first.
    pub retried: u64,
    /// Waiting now, the one being sent included.
    pub queued: usize,
    /// Bytes waiting now, the one being sent included.
    pub queued_bytes: usize,
    /// Why a try failed, the last time. It says no secret.
    pub last_error: Option<String>,
}

/// Sends the pprof files of captures from a bounded queue on a thread of its own. Clones are the same queue; with
/// the last one dropped the thread ends, and what waits is lost: see [`Push::flush`].
#[derive(Clone)]
pub struct Push(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    options: PushOptions,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Item>,
    /// What is being sent is in neither `waiting` nor the free room.
    sending_bytes: Option<usize>,
    waiting_bytes: usize,
    /// After a failure nothing is sent before this, for it is the server that is away, not one file.
    not_before: Option<Instant>,
    failures: u32,
    stop: bool,
    /// The thread ended.
    done: bool,
    audit: PushAudit,
}

struct Item {
    request: Request,
    attempts: u32,
}

impl Push {
    /// Starts the thread that sends.
    ///
    /// # Errors
    /// The URL, a label or a header is not what a server takes, HTTPS is asked for without the feature `push-tls`, or
    /// the thread could not be started. Whether the server answers is seen later, in the audit.
    pub fn start(options: PushOptions) -> Result<Self, PushError> {
        request::check(&options).map_err(|what| PushError::Option { what })?;
        let client = Client::new(&options).map_err(|what| PushError::Option { what })?;
        let shared = Arc::new(Shared {
            options,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new().name("perfwright-push".to_owned());
        let thread = thread
            .spawn(move || run(&worker, &client))
            .map_err(PushError::Thread)?;
        Ok(Self(Arc::new(Handle {
            shared,
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Queues the pprof files of a capture, at the cost of the oldest that wait. Returns how many there were.
    pub fn add(&self, capture: &Capture) -> usize {
        let shared = &self.0.shared;
        let mut added = 0;
        for part in capture
            .parts
            .iter()
            .filter(|part| request::is_pprof(&part.kind))
        {
            let request = Request::new(&shared.options, capture, part);
            shared.push(Item {
                request,
                attempts: 0,
            });
            added += 1;
        }
        added
    }

    /// What it did so far.
    pub fn audit(&self) -> PushAudit {
        self.0.shared.lock().audit()
    }

    /// Waits until nothing waits to be sent, at most so long. `true`: nothing does.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.0
            .shared
            .wait(timeout, |state| !state.is_idle() && !state.done)
            .is_idle()
    }
}

impl Sink for Push {
    /// Never an error: what the queue loses is counted in its own audit.
    fn put(&mut self, capture: &Capture) -> Result<(), String> {
        self.add(capture);
        Ok(())
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("app", &self.0.shared.options.app)
            .field("audit", &self.audit())
            .finish()
    }
}

/// How long dropping waits for a try that is under way; the thread then ends by itself after it.
const GRACE: Duration = Duration::from_millis(500);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stop = true;
        drop(state);
        self.shared.changed.notify_all();
        let done = self.shared.wait(GRACE, |state| !state.done).done;
        if done && let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn wait(&self, timeout: Duration, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn push(&self, item: Item) {
        let mut state = self.lock();
        if state.stop || state.done {
            state.audit.dropped += 1;
            return;
        }
        state.waiting_bytes += item.request.body.len();
        state.waiting.push_back(item);
        state.trim(&self.options);
        drop(state);
        self.changed.notify_all();
    }

    /// The next to send, once its time has come; `None`: stop.
    fn next(&self) -> Option<Item> {
        let mut state = self.lock();
        loop {
            if state.stop {
                return None;
            }
            let now = Instant::now();
            let wait = state
                .not_before
                .map(|time| time.saturating_duration_since(now));
            let wait = wait.filter(|wait| !wait.is_zero());
            if let Some(wait) = wait {
                let waited = self.changed.wait_timeout(state, wait);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else if let Some(item) = state.take() {
                return Some(item);
            } else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn settle(&self, mut item: Item, outcome: Outcome, random: &mut Random) {
        let mut state = self.lock();
        state.sending_bytes = None;
        item.attempts += 1;
        match outcome {
            Outcome::Sent => {
                state.audit.sent += 1;
                state.failures = 0;
                state.not_before = None;
            }
            Outcome::Refused(error) => {
                state.audit.failed += 1;
                state.audit.last_error = Some(error);
                state.failures = 0;
                state.not_before = None;
            }
            Outcome::Away { error, retry_after } => {
                state.audit.last_error = Some(error);
                let wait = self
                    .options
                    .wait(state.failures, random)
                    .max(retry_after.unwrap_or_default());
                state.not_before = Instant::now().checked_add(wait);
                state.failures = state.failures.saturating_add(1);
                if item.attempts >= self.options.attempts {
                    state.audit.failed += 1;
                } else {
                    state.waiting_bytes += item.request.body.len();
                    state.waiting.push_front(item);
                    state.trim(&self.options);
                }
            }
        }
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.sending_bytes.is_none()
    }

    fn audit(&self) -> PushAudit {
        PushAudit {
            queued: self.waiting.len() + usize::from(self.sending_bytes.is_some()),
            queued_bytes: self.waiting_bytes + self.sending_bytes.unwrap_or(0),
            ..self.audit.clone()
        }
    }

    fn take(&mut self) -> Option<Item> {
        let item = self.waiting.pop_front()?;
        self.waiting_bytes -= item.request.body.len();
        self.sending_bytes = Some(item.request.body.len());
        self.audit.retried += u64::from(item.attempts > 0);
        Some(item)
    }

    /// Drops the oldest that wait until the rest is within the bounds.
    fn trim(&mut self, options: &PushOptions) {
        loop {
            let audit = self.audit();
            if audit.queued <= options.queue_len && audit.queued_bytes <= options.queue_bytes {
                return;
            }
            let Some(item) = self.waiting.pop_front() else {
                return;
            };
            self.waiting_bytes -= item.request.body.len();
            self.audit.dropped += 1;
        }
    }
}

impl PushOptions {
    /// How long to wait after so many failures in a row: doubling, and spread over its upper half, so that the
    /// processes of a fleet do not come back together.
    fn wait(&self, failures: u32, random: &mut Random) -> Duration {
        let doubled = self
            .backoff
            .saturating_mul(1u32.checked_shl(failures).unwrap_or(u32::MAX));
        let half = doubled.min(self.max_backoff) / 2;
        half + random.below(half)
    }
}

fn run(shared: &Shared, client: &Client) {
    let _done = Done(shared);
    let mut random = Random::new();
    while let Some(item) = shared.next() {
        let outcome = client.send(&item.request);
        shared.settle(item, outcome, &mut random);
    }
}

/// Says that the thread ended, also if it panicked, and counts what is lost.
struct Done<'a>(&'a Shared);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.done = true;
        let lost = state.audit().queued;
        state.audit.dropped += lost as u64;
        state.waiting.clear();
        state.waiting_bytes = 0;
        state.sending_bytes = None;
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_stay_in_their_upper_half() {
        let options = PushOptions::new("http://localhost", "shop");
        let mut random = Random::new();
        for failures in 0..200 {
            let most = Duration::from_secs(1 << failures.min(6)).min(Duration::from_secs(60));
            let wait = options.wait(failures, &mut random);
            assert!(
                most / 2 <= wait && wait <= most,
                "{wait:?} after {failures} failures"
            );
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let options = PushOptions::new("http://localhost", "shop").basic_auth("me", "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
        let options = options.bearer("hunter3");
        assert!(!format!("{options:?}").contains("hunter3"), "{options:?}");
    }
}
