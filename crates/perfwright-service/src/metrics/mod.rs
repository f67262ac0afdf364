//! The handle to what was counted, and its text for Prometheus.

mod collect;
mod process;
mod text;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::Method;
use prometheus_client::registry::Registry;
use tokio_metrics::{RuntimeIntervals, RuntimeMonitor};

use crate::layer::series::{self, Requests, RouteEntry, Series};
use collect::All;
pub use text::Exposition;

/// What to count, within which bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MetricsOptions {
    /// Routes that are told apart, 512 by default; further ones are `(other)`. A route takes up to 8 KiB for each
    /// method and status class that it sees, by the number of cores.
    pub max_routes: usize,
    /// Upper bounds of the latency histograms' buckets, at most 24; empty: 18 from 100 us to 60 s.
    pub latency_buckets: Vec<Duration>,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            max_routes: 512,
            latency_buckets: Vec::new(),
        }
    }
}

impl MetricsOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`MetricsOptions::max_routes`](#structfield.max_routes).
    #[must_use]
    pub fn max_routes(mut self, max_routes: usize) -> Self {
        self.max_routes = max_routes;
        self
    }

    /// Sets [`MetricsOptions::latency_buckets`](#structfield.latency_buckets).
    #[must_use]
    pub fn latency_buckets(mut self, bounds: impl IntoIterator<Item = Duration>) -> Self {
        self.latency_buckets = bounds.into_iter().collect();
        self
    }
}

/// What a service's requests, process and runtime come to: a handle, cheap to clone.
///
/// [`ServiceLayer`](crate::ServiceLayer) counts into it; [`Metrics::render`] writes it for Prometheus, and
/// [`DebugRoutes`](crate::DebugRoutes) serves that under `/metrics`. Beside requests it has the process's CPU time,
/// memory, threads and files, the heap's exact counts where
/// [`SampledAlloc`](perfwright_heap::SampledAlloc) is the global allocator, the tokio runtime's metrics, and the
/// gauges and counters that you register.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    requests: Requests,
    registry: Registry,
    state: Arc<State>,
    /// The runtime that served the first request, unless one was given.
    runtime_known: OnceLock<()>,
}

/// What a scrape reads beside the requests.
#[derive(Default)]
struct State {
    own: Mutex<Vec<Own>>,
    runtime: Mutex<Option<Runtime>>,
}

/// A metric that the user registered.
struct Own {
    name: String,
    help: String,
    is_counter: bool,
    values: Vec<OwnValue>,
}

struct OwnValue {
    labels: Vec<(String, String)>,
    read: Arc<Read>,
}

type Read = dyn Fn() -> f64 + Send + Sync;

/// A tokio runtime: its intervals, summed up.
struct Runtime {
    intervals: RuntimeIntervals,
    parks: u64,
    busy: Duration,
}

/// Why a metric was not registered. Fits "failed to {error}".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Names are of letters, digits and `_`, do not begin with a digit, and a counter's is without `_total`, which
    /// is added.
    #[error("register the metric {name:?}: {why}")]
    Name {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The same name and labels are registered, or the name as another kind.
    #[error("register the metric {name:?}: it is registered already")]
    Taken {
        /// What was asked for.
        name: String,
    },
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet, with default bounds.
    pub fn new() -> Metrics {
        Metrics::with_options(&MetricsOptions::default())
    }

    /// Nothing counted yet.
    pub fn with_options(options: &MetricsOptions) -> Metrics {
        let state = Arc::new(State::default());
        let inner = Arc::new_cyclic(|inner| {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(All::new(inner.clone())));
            Inner {
                requests: Requests::new(options.max_routes, &options.latency_buckets),
                registry,
                state,
                runtime_known: OnceLock::new(),
            }
        });
        Metrics { inner }
    }

    /// Registers a gauge: a value that goes up and down, read at each scrape. For pools (`db_pool_connections`,
    /// `db_pool_idle_connections` and `db_pool_max_connections` by `pool`, which are the names that budgets know) and
    /// others. The name ends in its unit, a base unit (`seconds`, `bytes`), or what is counted.
    ///
    /// # Errors
    /// [`RegisterError`] for a name that Prometheus does not take, or one that is taken.
    pub fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.register(name, help, labels, false, Arc::new(read))
    }

    /// Registers a counter: a value that only grows, read at each scrape. `_total` is added to its name. For caches
    /// `cache_hits` and `cache_misses` by `cache`, of which budgets make the hit rate.
    ///
    /// # Errors
    /// As [`Metrics::gauge`].
    pub fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        self.register(name, help, labels, true, Arc::new(read))
    }

    /// Which tokio runtime to report; without it, the one that serves the first request.
    pub fn runtime(&self, runtime: &tokio::runtime::Handle) {
        let _ = self.inner.runtime_known.set(());
        *lock(&self.inner.state.runtime) = Some(Runtime::new(runtime));
    }

    /// The text of a scrape: OpenMetrics if the request's `Accept` header prefers it, else Prometheus's own format.
    pub fn render(&self, accept: Option<&str>) -> Exposition {
        text::render(&self.inner.registry, accept)
    }

    /// What was counted of each route and method, for a status page or a test.
    pub fn routes(&self) -> Vec<RouteFigures> {
        let requests = &self.inner.requests;
        let mut routes: Vec<_> = requests
            .all()
            .map(|series| RouteFigures::of(series, requests.bounds()))
            .collect();
        routes.sort_by(|a, b| (&a.route, a.method).cmp(&(&b.route, b.method)));
        routes
    }

    /// Requests whose route found no room; they are counted under `(other)`.
    pub fn overflowed(&self) -> u64 {
        let overflowed = &self.inner.requests.overflowed;
        overflowed.load(std::sync::atomic::Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn requests(&self) -> &Requests {
        &self.inner.requests
    }

    #[inline]
    pub(crate) fn series(&self, route: &RouteEntry, method: &Method) -> Arc<Series> {
        if self.inner.runtime_known.get().is_none() {
            self.find_runtime();
        }
        let method = series::method_index(method);
        self.inner.requests.series(route, method)
    }

    #[cold]
    fn find_runtime(&self) {
        if self.inner.runtime_known.set(()).is_ok()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            *lock(&self.inner.state.runtime) = Some(Runtime::new(&runtime));
        }
    }

    fn register(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        is_counter: bool,
        read: Arc<Read>,
    ) -> Result<(), RegisterError> {
        check_name(name, is_counter)?;
        labels
            .iter()
            .try_for_each(|(key, _)| check_name(key, false))?;
        let labels: Vec<_> = labels
            .iter()
            .map(|&(key, value)| (key.into(), value.into()))
            .collect();
        let taken = || RegisterError::Taken { name: name.into() };
        let mut metrics = lock(&self.inner.state.own);
        if collect::is_own_name(name) {
            return Err(taken());
        }
        let Some(known) = metrics.iter_mut().find(|metric| metric.name == name) else {
            metrics.push(Own {
                name: name.into(),
                help: help.replace('\\', "\\\\").replace('\n', "\\n"),
                is_counter,
                values: vec![OwnValue { labels, read }],
            });
            return Ok(());
        };
        if known.is_counter != is_counter || known.values.iter().any(|value| value.labels == labels)
        {
            return Err(taken());
        }
        known.values.push(OwnValue { labels, read });
        Ok(())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("routes", &self.inner.requests.route_count())
            .finish_non_exhaustive()
    }
}

fn check_name(name: &str, is_counter: bool) -> Result<(), RegisterError> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let why = if name.is_empty() || !name.bytes().all(valid) || name.as_bytes()[0].is_ascii_digit()
    {
        "names are of letters, digits and _, and do not begin with a digit"
    } else if is_counter && name.ends_with("_total") {
        "_total is added to a counter's name"
    } else {
        return Ok(());
    };
    Err(RegisterError::Name {
        name: name.into(),
        why,
    })
}

impl Runtime {
    fn new(runtime: &tokio::runtime::Handle) -> Runtime {
        Runtime {
            intervals: RuntimeMonitor::new(runtime).intervals(),
            parks: 0,
            busy: Duration::ZERO,
        }
    }
}

/// What was counted of one route and method.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RouteFigures {
    /// The route's template, `unmatched` or `(other)`.
    pub route: String,
    /// The method; those beyond the standard ones are `other`.
    pub method: &'static str,
    /// Requests that began and have not ended.
    pub in_flight: u64,
    /// Requests by what became of them: `1xx` to `5xx`, `error` (the service returned one), `cancelled` (dropped
    /// before there was a response), `panic`. A request whose response is still to come is not among them.
    pub requests: Vec<(&'static str, u64)>,
    /// Bodies that were dropped before their end.
    pub body_cancelled: u64,
    /// Bodies that returned an error.
    pub body_errors: u64,
    /// Panics of the service or the body.
    pub panics: u64,
    /// Bytes of request bodies that were read.
    pub request_bytes: u64,
    /// Bytes of response bodies that were handed out.
    pub response_bytes: u64,
    /// The time to the end of the body at 0.5, 0.9, 0.99 of all requests, estimated from the buckets.
    pub latency: Option<[Duration; 3]>,
}

impl RouteFigures {
    /// All requests that have a fate.
    pub fn count(&self) -> u64 {
        self.requests.iter().map(|(_, count)| count).sum()
    }

    /// Requests of one fate, such as `2xx` or `cancelled`.
    pub fn fate(&self, fate: &str) -> u64 {
        let found = self.requests.iter().find(|(name, _)| *name == fate);
        found.map_or(0, |(_, count)| *count)
    }

    fn of(series: &Series, bounds: &[u64]) -> RouteFigures {
        let figures = series.read();
        let fates = figures.fates.iter();
        let requests: Vec<_> = fates.map(|(fate, head, _)| (*fate, head.count())).collect();
        let mut whole = series::Histogram {
            counts: vec![0; bounds.len() + 1],
            sum_nanos: 0,
        };
        for (_, _, end) in &figures.fates {
            for (sum, count) in whole.counts.iter_mut().zip(&end.counts) {
                *sum += count;
            }
        }
        let quantile = |share| whole.quantile(bounds, share).map(Duration::from_nanos);
        let latency = quantile(0.5).zip(quantile(0.9)).zip(quantile(0.99));
        let early = requests.iter().find(|(fate, _)| *fate == "panic");
        RouteFigures {
            route: series.route.to_string(),
            method: series.method,
            in_flight: figures.in_flight,
            body_cancelled: figures.body_cancelled,
            body_errors: figures.body_failed,
            panics: figures.body_panicked + early.map_or(0, |(_, count)| *count),
            request_bytes: figures.request_bytes,
            response_bytes: figures.response_bytes,
            latency: latency.map(|((half, most), nearly_all)| [half, most, nearly_all]),
            requests,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it holds is replaced or pushed whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
