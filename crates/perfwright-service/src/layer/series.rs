//! What requests are counted in: atomics, sharded by thread, found without a lock.
//!
//! ```text
//! Requests ── route ──> RouteEntry ── method ──> Series ── fate ──> latency histograms
//!    └── a table that only grows, to `max_routes`; beyond: `(other)`
//! ```

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use perfwright_clock::Clock;
use perfwright_context::{NodeId, Word};
use perfwright_model::keys;

/// The route of requests that no route matches.
pub(crate) const UNMATCHED: &str = "unmatched";
/// The route of requests whose route found no room.
pub(crate) const OTHER: &str = "(other)";

/// Histograms have at most so many finite bounds.
pub(crate) const MAX_BUCKETS: usize = 24;

/// Upper bounds of the latency buckets unless told otherwise, in nanoseconds: 100 us to 60 s.
const DEFAULT_BOUNDS: [u64; 18] = {
    const US: u64 = 1_000;
    const MS: u64 = 1_000 * US;
    const S: u64 = 1_000 * MS;
    [
        100 * US,
        250 * US,
        500 * US,
        MS,
        2_500 * US,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        S,
        2_500 * MS,
        5 * S,
        10 * S,
        30 * S,
        60 * S,
    ]
};

/// The methods that are told apart; all others are the last.
pub(crate) const METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "other",
];

/// The number of a method in [`METHODS`].
pub(crate) fn method_index(method: &http::Method) -> usize {
    use http::Method;
    match *method {
        Method::GET => 0,
        Method::POST => 1,
        Method::PUT => 2,
        Method::DELETE => 3,
        Method::HEAD => 4,
        Method::OPTIONS => 5,
        Method::PATCH => 6,
        Method::CONNECT => 7,
        Method::TRACE => 8,
        _ => 9,
    }
}

/// What became of a request; each has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// A response of this class, 1 to 5.
    Class(u8),
    /// The service returned an error instead of a response.
    Failed,
    /// Dropped before there was a response.
    Cancelled,
    /// The service panicked before there was a response.
    Panicked,
}

/// How fates are called, by [`Fate::index`].
pub(crate) const FATES: [&str; 8] = [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "error",
    "cancelled",
    "panic",
];

impl Fate {
    pub(crate) fn of(status: http::StatusCode) -> Fate {
        Fate::Class((status.as_u16() / 100) as u8)
    }

    fn index(self) -> usize {
        match self {
            Fate::Class(class @ 1..=5) => usize::from(class) - 1,
            // http knows status codes up to 999; what is above 599 is a server's fault.
            Fate::Class(_) => 4,
            Fate::Failed => 5,
            Fate::Cancelled => 6,
            Fate::Panicked => 7,
        }
    }
}

/// How the body of a response ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It was sent to its end.
    Whole,
    /// It was dropped before its end.
    Cancelled,
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
}

/// gRPC's status codes, 0 to 16, and the rest.
pub(crate) const GRPC_CODES: [&str; 18] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
    "other",
];

/// All requests of one [`Metrics`](crate::Metrics).
pub(crate) struct Requests {
    /// Open addressing, at most half full, so that a search ends.
    table: Box<[OnceLock<RouteEntry>]>,
    /// How many entries the table has. Held while one is added.
    len: Mutex<usize>,
    max_routes: usize,
    /// Requests whose route found no room.
    pub(crate) overflowed: AtomicU64,
    unmatched: RouteEntry,
    other: RouteEntry,
    clock: Clock,
    bounds: Bounds,
    shards: usize,
}

/// Upper bounds of buckets, in nanoseconds, and where a search among them begins.
#[derive(Clone)]
struct Bounds {
    nanos: Arc<[u64]>,
    /// By the number of significant bits of a value: the first bound that may be at or above it.
    first: [u8; 65],
}

impl Bounds {
    fn new(nanos: Vec<u64>) -> Bounds {
        let least = |bits: usize| bits.checked_sub(1).map_or(0, |bits| 1_u64 << bits);
        Bounds {
            first: std::array::from_fn(|bits| {
                nanos.partition_point(|&bound| bound < least(bits)) as u8
            }),
            nanos: nanos.into(),
        }
    }

    /// The bucket of a value: the first whose bound is not below it.
    #[inline]
    fn bucket(&self, nanos: u64) -> usize {
        let bits = (u64::BITS - nanos.leading_zeros()) as usize;
        let mut bucket = usize::from(self.first[bits]);
        while self.nanos.get(bucket).is_some_and(|&bound| bound < nanos) {
            bucket += 1;
        }
        bucket
    }
}

/// A route: its name, the context word's node for it, and its series by method.
pub(crate) struct RouteEntry {
    name: Arc<str>,
    /// The node below the empty path.
    node: NodeId,
    /// The last other (parent, node) pair; 0 if none.
    nested: AtomicU64,
    methods: [OnceLock<Arc<Series>>; METHODS.len()],
}

/// The requests of one route and method.
pub(crate) struct Series {
    pub(crate) route: Arc<str>,
    pub(crate) method: &'static str,
    pub(crate) clock: Clock,
    bounds: Bounds,
    shards: Box<[Shard]>,
    fates: [OnceLock<Box<[Timings]>>; FATES.len()],
}

/// One shard of the counts. Two cache lines apart: the prefetcher takes pairs.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    /// Requests that began. Those that ended are counted by their latencies.
    began: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    body_cancelled: AtomicU64,
    body_failed: AtomicU64,
    body_panicked: AtomicU64,
    grpc: [AtomicU64; GRPC_CODES.len()],
}

/// One shard of a fate's latencies.
#[repr(align(128))]
#[derive(Default)]
struct Timings {
    head: Buckets,
    end: Buckets,
}

#[derive(Default)]
struct Buckets {
    counts: [AtomicU64; MAX_BUCKETS + 1],
    sum_nanos: AtomicU64,
}

/// A histogram as it was read. `counts[i]` is of what was at most bound `i`, the last of what was above all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Histogram {
    pub(crate) counts: Vec<u64>,
    pub(crate) sum_nanos: u64,
}

/// A series as it was read.
pub(crate) struct Figures {
    pub(crate) in_flight: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) body_cancelled: u64,
    pub(crate) body_failed: u64,
    pub(crate) body_panicked: u64,
    pub(crate) grpc: [u64; GRPC_CODES.len()],
    /// By fate: to the head, to the end.
    pub(crate) fates: Vec<(&'static str, Histogram, Histogram)>,
}

impl Requests {
    pub(crate) fn new(max_routes: usize, bounds: &[Duration]) -> Requests {
        let max_routes = max_routes.clamp(1, 1 << 20);
        let mut nanos: Vec<u64> = bounds
            .iter()
            .map(|bound| u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX))
            .collect();
        if nanos.is_empty() {
            nanos = DEFAULT_BOUNDS.to_vec();
        }
        nanos.sort_unstable();
        nanos.dedup();
        nanos.truncate(MAX_BUCKETS);
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let slots = (max_routes * 2).next_power_of_two();
        Requests {
            table: (0..slots).map(|_| OnceLock::new()).collect(),
            len: Mutex::new(0),
            max_routes,
            overflowed: AtomicU64::new(0),
            unmatched: RouteEntry::new(UNMATCHED),
            other: RouteEntry::new(OTHER),
            clock: Clock::fastest(),
            bounds: Bounds::new(nanos),
            // One for each thread that a runtime usually has, and one for all further threads.
            shards: cores.min(16) + 1,
        }
    }

    /// The bounds of the latency buckets, in nanoseconds.
    pub(crate) fn bounds(&self) -> &[u64] {
        &self.bounds.nanos
    }

    /// The entry of a route; `None` is what no route matches.
    #[inline]
    pub(crate) fn route(&self, route: Option<&str>) -> &RouteEntry {
        let Some(name) = route else {
            return &self.unmatched;
        };
        if let Some(entry) = self.find(name) {
            return entry;
        }
        self.add(name)
    }

    /// The series of a route and method.
    #[inline]
    pub(crate) fn series(&self, route: &RouteEntry, method: usize) -> Arc<Series> {
        let series = route.methods[method].get_or_init(|| Arc::new(self.new_series(route, method)));
        Arc::clone(series)
    }

    /// Routes that have room of their own.
    pub(crate) fn route_count(&self) -> usize {
        *self.len.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every series, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Series>> {
        let own = self.table.iter().filter_map(OnceLock::get);
        let entries = own.chain([&self.unmatched, &self.other]);
        entries.flat_map(|entry| entry.methods.iter().filter_map(OnceLock::get))
    }

    #[inline]
    fn find(&self, name: &str) -> Option<&RouteEntry> {
        self.probe(name)
            .map_while(|slot| self.table[slot].get())
            .find(|entry| *entry.name == *name)
    }

    fn add(&self, name: &str) -> &RouteEntry {
        let mut len = self.len.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = self.find(name) {
            return entry;
        }
        if *len >= self.max_routes {
            self.overflowed.fetch_add(1, Relaxed);
            return &self.other;
        }
        let free = self
            .probe(name)
            .find(|&slot| self.table[slot].get().is_none());
        // Half of the slots are free, so there is one.
        let Some(slot) = free else {
            return &self.other;
        };
        *len += 1;
        self.table[slot].get_or_init(|| RouteEntry::new(name))
    }

    /// The slots where a name may be, in order.
    fn probe(&self, name: &str) -> impl Iterator<Item = usize> {
        let mask = self.table.len() - 1;
        let start = hash(name) as usize;
        (0..self.table.len()).map(move |step| start.wrapping_add(step) & mask)
    }

    fn new_series(&self, route: &RouteEntry, method: usize) -> Series {
        Series {
            route: Arc::clone(&route.name),
            method: METHODS[method],
            clock: self.clock,
            bounds: self.bounds.clone(),
            shards: (0..self.shards).map(|_| Shard::default()).collect(),
            fates: [const { OnceLock::new() }; FATES.len()],
        }
    }
}

/// Of the length, the first, the middle and the last 8 bytes: templates that agree in them are found by comparing, and
/// nobody makes a program's own templates collide on purpose.
fn hash(name: &str) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let bytes = name.as_bytes();
    let word = |at: usize| {
        let found = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
        found.map_or(0, u64::from_le_bytes)
    };
    let (first, middle, last) = match bytes.len() {
        8.. => (word(0), word(bytes.len() / 2 - 4), word(bytes.len() - 8)),
        _ => (
            bytes
                .iter()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
            0,
            0,
        ),
    };
    let mixed = first ^ middle.rotate_left(21) ^ last.rotate_left(42) ^ bytes.len() as u64;
    let product = u128::from(mixed) * u128::from(K);
    (product as u64) ^ ((product >> 64) as u64)
}

impl RouteEntry {
    fn new(name: &str) -> RouteEntry {
        RouteEntry {
            name: name.into(),
            node: perfwright_context::child(NodeId::ROOT, keys::ROUTE, name),
            nested: AtomicU64::new(0),
            methods: [const { OnceLock::new() }; METHODS.len()],
        }
    }

    /// The name that counts it.
    #[cfg_attr(not(feature = "spans"), expect(dead_code, reason = "the span's field"))]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The word of a request of this route that begins under `outer`.
    #[inline]
    pub(crate) fn word(&self, outer: Word) -> Word {
        let parent = outer.node();
        if parent == NodeId::ROOT {
            return outer.with_node(self.node);
        }
        let known = self.nested.load(Relaxed);
        if (known >> 32) as u32 == parent.to_bits() {
            return outer.with_node(NodeId::from_bits(known as u32));
        }
        let node = perfwright_context::child(parent, keys::ROUTE, &self.name);
        let pair = u64::from(parent.to_bits()) << 32 | u64::from(node.to_bits());
        self.nested.store(pair, Relaxed);
        outer.with_node(node)
    }
}

impl Series {
    #[inline]
    pub(crate) fn began(&self) {
        let (place, shard) = self.shard();
        place.add(&shard.began, 1);
    }

    #[inline]
    pub(crate) fn head(&self, fate: Fate, nanos: u64) {
        let (place, timings) = self.timings(fate);
        timings.head.record(place, &self.bounds, nanos);
    }

    /// The response's body ended, after what [`Series::head`] said.
    #[inline]
    pub(crate) fn ended(&self, fate: Fate, end: End, nanos: u64) {
        let (place, shard) = self.shard();
        match end {
            End::Whole => {}
            End::Cancelled => place.add(&shard.body_cancelled, 1),
            End::Failed => place.add(&shard.body_failed, 1),
            End::Panicked => place.add(&shard.body_panicked, 1),
        }
        let (place, timings) = self.timings(fate);
        timings.end.record(place, &self.bounds, nanos);
    }

    /// There was no response.
    pub(crate) fn ended_early(&self, fate: Fate, nanos: u64) {
        let (place, timings) = self.timings(fate);
        timings.head.record(place, &self.bounds, nanos);
        timings.end.record(place, &self.bounds, nanos);
    }

    #[inline]
    pub(crate) fn received(&self, bytes: u64) {
        let (place, shard) = self.shard();
        place.add(&shard.request_bytes, bytes);
    }

    #[inline]
    pub(crate) fn sent(&self, bytes: u64) {
        let (place, shard) = self.shard();
        place.add(&shard.response_bytes, bytes);
    }

    pub(crate) fn grpc_status(&self, code: &[u8]) {
        let code = std::str::from_utf8(code)
            .ok()
            .and_then(|code| code.parse().ok());
        let last = GRPC_CODES.len() - 1;
        let (place, shard) = self.shard();
        place.add(&shard.grpc[code.unwrap_or(last).min(last)], 1);
    }

    pub(crate) fn read(&self) -> Figures {
        let sum = |field: fn(&Shard) -> &AtomicU64| -> u64 {
            let values = self.shards.iter().map(|shard| field(shard).load(Relaxed));
            values.fold(0, u64::wrapping_add)
        };
        // First what ended, then what began: so no request has ended that did not begin.
        let fates = self.read_fates();
        let ended = fates.iter().map(|(_, _, end)| end.count()).sum();
        let mut grpc = [0; GRPC_CODES.len()];
        for shard in &self.shards {
            for (sum, code) in grpc.iter_mut().zip(&shard.grpc) {
                *sum += code.load(Relaxed);
            }
        }
        Figures {
            in_flight: sum(|shard| &shard.began).saturating_sub(ended),
            request_bytes: sum(|shard| &shard.request_bytes),
            response_bytes: sum(|shard| &shard.response_bytes),
            body_cancelled: sum(|shard| &shard.body_cancelled),
            body_failed: sum(|shard| &shard.body_failed),
            body_panicked: sum(|shard| &shard.body_panicked),
            grpc,
            fates,
        }
    }

    fn read_fates(&self) -> Vec<(&'static str, Histogram, Histogram)> {
        let named = FATES.iter().zip(&self.fates);
        named
            .filter_map(|(&fate, shards)| {
                let shards = shards.get()?;
                let sum = |buckets: fn(&Timings) -> &Buckets| {
                    Histogram::sum(self.bounds.nanos.len(), shards.iter().map(buckets))
                };
                Some((
                    fate,
                    sum(|timings| &timings.head),
                    sum(|timings| &timings.end),
                ))
            })
            .collect()
    }

    #[inline]
    fn shard(&self) -> (Place, &Shard) {
        let place = Place::of(self.shards.len());
        (place, &self.shards[place.shard])
    }

    #[inline]
    fn timings(&self, fate: Fate) -> (Place, &Timings) {
        let shards = self.fates[fate.index()].get_or_init(|| {
            let shards = self.shards.iter();
            shards.map(|_| Timings::default()).collect()
        });
        let place = Place::of(shards.len());
        (place, &shards[place.shard])
    }
}

impl Buckets {
    #[inline]
    fn record(&self, place: Place, bounds: &Bounds, nanos: u64) {
        // There are at most as many bounds as counts, less one.
        if let Some(count) = self.counts.get(bounds.bucket(nanos)) {
            place.add(count, 1);
        }
        place.add(&self.sum_nanos, nanos);
    }
}

impl Histogram {
    fn sum<'a>(bounds: usize, shards: impl Iterator<Item = &'a Buckets>) -> Histogram {
        let mut sum = Histogram {
            counts: vec![0; bounds + 1],
            sum_nanos: 0,
        };
        for buckets in shards {
            for (count, bucket) in sum.counts.iter_mut().zip(&buckets.counts) {
                *count += bucket.load(Relaxed);
            }
            sum.sum_nanos = sum.sum_nanos.wrapping_add(buckets.sum_nanos.load(Relaxed));
        }
        sum
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value below which a share of what was recorded lies, in nanoseconds, as Prometheus estimates it:
    /// linear inside a bucket. `None` if nothing was recorded.
    pub(crate) fn quantile(&self, bounds: &[u64], share: f64) -> Option<u64> {
        let rank = share * self.count() as f64;
        let mut below = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            if count > 0 && (below + count) as f64 >= rank {
                let from = bucket.checked_sub(1).map_or(0, |before| bounds[before]);
                let Some(&to) = bounds.get(bucket) else {
                    return Some(from);
                };
                let part = (rank - below as f64) / count as f64;
                return Some(from + ((to - from) as f64 * part) as u64);
            }
            below += count;
        }
        None
    }
}

/// Where the calling thread counts.
#[derive(Clone, Copy)]
struct Place {
    shard: usize,
    /// No other thread writes there.
    is_own: bool,
}

impl Place {
    /// Of so many shards: one of its own, or the last, which threads without one share.
    #[inline]
    fn of(shards: usize) -> Place {
        let shared = shards - 1;
        // While a thread ends it has no number any more.
        match NUMBER.try_with(Number::get) {
            Ok(number) if number < shared => Place {
                shard: number,
                is_own: true,
            },
            _ => Place {
                shard: shared,
                is_own: false,
            },
        }
    }

    /// Locked instructions take five times as long, so they are left to those who need them.
    #[inline]
    fn add(self, to: &AtomicU64, value: u64) {
        match self.is_own {
            true => to.store(to.load(Relaxed).wrapping_add(value), Relaxed),
            false => {
                to.fetch_add(value, Relaxed);
            }
        }
    }
}

/// A number that one thread has at a time; small, for it goes to the next when the thread ends.
struct Number(Cell<usize>);

const UNKNOWN: usize = usize::MAX;

thread_local! {
    static NUMBER: Number = const { Number(Cell::new(UNKNOWN)) };
}

/// Numbers of threads that ended, and the first that no thread has had. Handing one over under the lock makes what its
/// last owner counted visible to the next.
static NUMBERS: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

impl Number {
    #[inline]
    fn get(&self) -> usize {
        match self.0.get() {
            UNKNOWN => self.rent(),
            number => number,
        }
    }

    #[cold]
    fn rent(&self) -> usize {
        let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
        let number = numbers.0.pop().unwrap_or_else(|| {
            numbers.1 += 1;
            numbers.1 - 1
        });
        self.0.set(number);
        number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        if self.0.get() != UNKNOWN {
            let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.0.push(self.0.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_beyond_the_bound_are_one() {
        let requests = Requests::new(3, &[]);
        for i in 0..10_000 {
            requests.route(Some(&format!("/{i}")));
        }
        assert_eq!(requests.route_count(), 3);
        assert_eq!(&*requests.route(Some("/2")).name, "/2");
        assert_eq!(&*requests.route(Some("/3")).name, OTHER);
        assert_eq!(requests.overflowed.load(Relaxed), 9_998);
        assert_eq!(&*requests.route(None).name, UNMATCHED);
    }

    #[test]
    fn a_route_nests_in_the_outer_labels() {
        let requests = Requests::new(8, &[]);
        let route = requests.route(Some("/series/nested"));
        let tenant = perfwright_context::child(NodeId::ROOT, "tenant", "acme");
        for _ in 0..2 {
            let word = route.word(Word::new(tenant));
            let expect = [
                ("tenant".into(), "acme".into()),
                ("route".into(), "/series/nested".into()),
            ];
            assert_eq!(perfwright_context::labels(word.node()), expect);
        }
        let word = route.word(Word::EMPTY);
        assert_eq!(
            perfwright_context::labels(word.node()),
            [("route".into(), "/series/nested".into())]
        );
    }

    #[test]
    fn quantiles_are_linear_in_a_bucket() {
        let requests = Requests::new(1, &[Duration::from_nanos(100), Duration::from_nanos(200)]);
        let series = requests.series(requests.route(None), 0);
        let fate = Fate::Class(2);
        for nanos in [1, 100, 101, 200] {
            series.began();
            series.head(fate, nanos);
            series.ended(fate, End::Whole, nanos);
        }
        let figures = series.read();
        assert_eq!(figures.in_flight, 0);
        let (name, head, _) = &figures.fates[0];
        assert_eq!(*name, "2xx");
        assert_eq!(head.counts, [2, 2, 0]);
        assert_eq!(head.sum_nanos, 402);
        assert_eq!(head.quantile(&[100, 200], 0.5), Some(100));
        assert_eq!(head.quantile(&[100, 200], 0.75), Some(150));
        assert_eq!(head.quantile(&[100, 200], 1.0), Some(200));
    }

    #[test]
    fn odd_codes_have_a_place() {
        assert_eq!(FATES[Fate::Class(9).index()], "5xx");
        let requests = Requests::new(1, &[]);
        let series = requests.series(requests.route(None), 0);
        for code in ["0", "16", "17", "4294967296000000000000", "x"] {
            series.grpc_status(code.as_bytes());
        }
        let grpc = series.read().grpc;
        assert_eq!((grpc[0], grpc[16], grpc[17]), (1, 1, 3));
    }
}
