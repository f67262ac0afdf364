//! Our numbers, as prometheus-client asks for them.

use std::fmt;
use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;

use perfwright_heap::Totals;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::process::Process;
use super::{Inner, OwnValue, lock};
use crate::layer::series::{Figures, GRPC_CODES, Histogram};

/// Everything that one [`Metrics`](crate::Metrics) knows.
pub(super) struct All {
    inner: Weak<Inner>,
}

impl All {
    pub(super) fn new(inner: Weak<Inner>) -> All {
        All { inner }
    }
}

impl fmt::Debug for All {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("All").finish_non_exhaustive()
    }
}

/// Whether a name begins as ours do: a user's metric would mix with them.
pub(super) fn is_own_name(name: &str) -> bool {
    ["http_server_", "process_", "heap_", "tokio_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

impl Collector for All {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(inner) = self.inner.upgrade() else {
            return Ok(());
        };
        inner.encode_requests(&mut encoder)?;
        encode_process(&mut encoder)?;
        encode_heap(&mut encoder)?;
        inner.encode_runtime(&mut encoder)?;
        inner.encode_own(&mut encoder)
    }
}

/// One route and method at the moment of the scrape.
struct Row {
    route: String,
    method: &'static str,
    figures: Figures,
}

impl Row {
    fn labels(&self) -> [(&str, &str); 2] {
        [("route", &self.route), ("method", self.method)]
    }

    fn labels_and<'a>(&'a self, key: &'a str, value: &'a str) -> [(&'a str, &'a str); 3] {
        let [route, method] = self.labels();
        [route, method, (key, value)]
    }
}

impl Inner {
    fn encode_requests(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let rows: Vec<_> = self
            .requests
            .all()
            .map(|series| Row {
                route: series.route.to_string(),
                method: series.method,
                figures: series.read(),
            })
            .collect();
        let mut counter = |name, help, values: &mut dyn FnMut(&Row, Counts) -> fmt::Result| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            rows.iter()
                .try_for_each(|row| values(row, Counts(&mut family)))
        };
        counter(
            "http_server_requests",
            "Requests by what became of them: a status class, error, cancelled before a response, or panic.",
            &mut |row, mut counts| {
                let fates = row.figures.fates.iter();
                fates.into_iter().try_for_each(|(fate, head, _)| {
                    counts.add(&row.labels_and("status", fate), head.count())
                })
            },
        )?;
        counter(
            "http_server_request_body_bytes",
            "Bytes of request bodies that were read.",
            &mut |row, mut counts| counts.add(&row.labels(), row.figures.request_bytes),
        )?;
        counter(
            "http_server_response_body_bytes",
            "Bytes of response bodies that were handed out.",
            &mut |row, mut counts| counts.add(&row.labels(), row.figures.response_bytes),
        )?;
        counter(
            "http_server_panics",
            "Panics of the service (phase head) or of a response's body.",
            &mut |row, mut counts| {
                counts.add(&row.labels_and("phase", "head"), row.early("panic"))?;
                counts.add(&row.labels_and("phase", "body"), row.figures.body_panicked)
            },
        )?;
        counter(
            "http_server_cancelled",
            "Requests dropped before there was a response (phase head) or before its body's end.",
            &mut |row, mut counts| {
                counts.add(&row.labels_and("phase", "head"), row.early("cancelled"))?;
                counts.add(&row.labels_and("phase", "body"), row.figures.body_cancelled)
            },
        )?;
        counter(
            "http_server_body_errors",
            "Response bodies that returned an error.",
            &mut |row, mut counts| counts.add(&row.labels(), row.figures.body_failed),
        )?;
        counter(
            "http_server_grpc_responses",
            "gRPC responses by status, from headers or trailers.",
            &mut |row, mut counts| {
                let codes = GRPC_CODES.iter().zip(row.figures.grpc);
                codes
                    .filter(|(_, count)| *count > 0)
                    .try_for_each(|(code, count)| counts.add(&row.labels_and("code", code), count))
            },
        )?;
        self.encode_latencies(encoder, &rows)?;
        let mut gauge = encoder.encode_descriptor(
            "http_server_requests_in_flight",
            "Requests that began and have not ended, their bodies included.",
            None,
            MetricType::Gauge,
        )?;
        for row in &rows {
            let in_flight = row.figures.in_flight as f64;
            gauge
                .encode_family(&row.labels())?
                .encode_gauge(&in_flight)?;
        }
        count(
            encoder,
            "http_server_routes_overflowed",
            "Requests counted under (other) because there was no room for their route.",
            self.requests.overflowed.load(Relaxed),
        )
    }

    fn encode_latencies(&self, encoder: &mut DescriptorEncoder, rows: &[Row]) -> fmt::Result {
        type Fate = (&'static str, Histogram, Histogram);
        type Which = for<'a> fn(&'a Fate) -> &'a Histogram;
        let families: [(&str, &str, Which); 2] = [
            (
                "http_server_first_byte_seconds",
                "Time until the response's head was there.",
                |(_, head, _)| head,
            ),
            (
                "http_server_request_duration_seconds",
                "Time until the end of the response's body, or until it was dropped.",
                |(_, _, end)| end,
            ),
        ];
        let bounds: Vec<f64> = self
            .requests
            .bounds()
            .iter()
            .map(|&b| b as f64 / 1e9)
            .collect();
        for (name, help, which) in families {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for row in rows {
                for fate in &row.figures.fates {
                    let labels = row.labels_and("status", fate.0);
                    encode_histogram(family.encode_family(&labels)?, &bounds, which(fate))?;
                }
            }
        }
        Ok(())
    }

    fn encode_runtime(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let mut runtime = lock(&self.state.runtime);
        let Some(runtime) = runtime.as_mut() else {
            return Ok(());
        };
        let Some(now) = runtime.intervals.next() else {
            return Ok(());
        };
        runtime.parks += now.total_park_count;
        runtime.busy += now.total_busy_duration;
        let gauges = [
            (
                "tokio_workers",
                "Worker threads of the runtime.",
                now.workers_count,
            ),
            (
                "tokio_live_tasks",
                "Tasks that have not ended.",
                now.live_tasks_count,
            ),
            (
                "tokio_global_queue_tasks",
                "Tasks that wait in the runtime's global queue.",
                now.global_queue_depth,
            ),
        ];
        for (name, help, value) in gauges {
            gauge(encoder, name, help, Some(value as f64))?;
        }
        count(
            encoder,
            "tokio_worker_parks",
            "Times that a worker had nothing to do and slept.",
            runtime.parks,
        )?;
        let name = "tokio_worker_busy_seconds";
        let help = "Time that workers were not asleep.";
        count_f64(encoder, name, help, Some(runtime.busy.as_secs_f64()))
    }

    fn encode_own(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let metrics = lock(&self.state.own);
        for metric in metrics.iter() {
            let (name, help) = (metric.name.as_str(), metric.help.as_str());
            let kind = match metric.is_counter {
                true => MetricType::Counter,
                false => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for OwnValue { labels, read } in &metric.values {
                let labels = labels.as_slice();
                let value = read();
                match metric.is_counter {
                    true => with_labels(&mut family, &labels, |encoder| {
                        encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
                    })?,
                    false => {
                        with_labels(&mut family, &labels, |encoder| encoder.encode_gauge(&value))?
                    }
                }
            }
        }
        Ok(())
    }
}

impl Row {
    fn early(&self, wanted: &str) -> u64 {
        let mut fates = self.figures.fates.iter();
        let found = fates.find(|(fate, _, _)| *fate == wanted);
        found.map_or(0, |(_, head, _)| head.count())
    }
}

/// A family of counters that is being written.
struct Counts<'a, 'b>(&'a mut MetricEncoder<'b>);

impl Counts<'_, '_> {
    fn add<const N: usize>(&mut self, labels: &[(&str, &str); N], value: u64) -> fmt::Result {
        let mut encoder = self.0.encode_family(labels)?;
        encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }
}

fn with_labels(
    family: &mut MetricEncoder<'_>,
    labels: &&[(String, String)],
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    match labels.is_empty() {
        true => write(family),
        false => write(&mut family.encode_family(labels)?),
    }
}

fn encode_histogram(mut encoder: MetricEncoder<'_>, bounds: &[f64], of: &Histogram) -> fmt::Result {
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(of.counts.iter().copied()).collect();
    encoder.encode_histogram::<NoLabelSet>(of.sum_nanos as f64 / 1e9, of.count(), &buckets, None)
}

fn encode_process(encoder: &mut DescriptorEncoder) -> fmt::Result {
    let process = Process::read();
    count_f64(
        encoder,
        "process_cpu_seconds",
        "CPU time of the process, user and system.",
        process.cpu_seconds,
    )?;
    let gauges = [
        (
            "process_resident_memory_bytes",
            "Memory that lies in RAM.",
            process.resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "Memory that is mapped.",
            process.virtual_bytes,
        ),
        (
            "process_threads",
            "Threads of the process.",
            process.threads,
        ),
        (
            "process_open_fds",
            "Open files, sockets included.",
            process.open_fds,
        ),
        (
            "process_max_fds",
            "How many files may be open.",
            process.max_fds,
        ),
        (
            "process_start_time_seconds",
            "When the process began, since 1970.",
            process.start_seconds,
        ),
    ];
    gauges
        .into_iter()
        .try_for_each(|(name, help, value)| gauge(encoder, name, help, value))
}

fn encode_heap(encoder: &mut DescriptorEncoder) -> fmt::Result {
    let Some(totals) = Totals::read() else {
        return Ok(());
    };
    let counters = [
        ("heap_allocations", "Blocks allocated.", totals.allocations),
        (
            "heap_allocated_bytes",
            "Bytes allocated.",
            totals.allocated_bytes,
        ),
        ("heap_frees", "Blocks freed.", totals.frees),
        ("heap_freed_bytes", "Bytes freed.", totals.freed_bytes),
    ];
    for (name, help, value) in counters {
        count(encoder, name, help, value)?;
    }
    let live = totals.live_bytes() as f64;
    gauge(
        encoder,
        "heap_live_bytes",
        "Bytes allocated and not freed.",
        Some(live),
    )
}

fn count(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn count_f64(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    value: Option<f64>,
) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn gauge(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    value: Option<f64>,
) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    metric.encode_gauge(&value)
}
