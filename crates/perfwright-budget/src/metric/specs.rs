//! The table of metrics.

use super::{Metric, Series, Spec};
use crate::units::Dimension;
use Dimension::{Any, Bytes, BytesPerSecond, Count, PerSecond, Time};

pub(super) const SHARE: Dimension = Dimension::Share { exceeds: false };
const CORES: Dimension = Dimension::Share { exceeds: true };
/// What most metrics have in common.
pub(super) const OF_A_RUN: Spec = Spec {
    metric: Metric::ProcessCpu,
    name: "",
    about: "",
    from: "a run",
    stats: &[],
    names_stat: false,
    percentiles: None,
    has_shares_above: false,
    select: &[],
    needs: &[],
    min_samples: 1,
    series: Series::None,
    is_timing: false,
    is_of_the_machine: true,
    example: "",
};

/// All metrics.
pub(crate) const SPECS: &[Spec] = &[
    Spec {
        metric: Metric::ProfileShare,
        name: "profile.share",
        about: "The share of a function, crate, route or span in a profile.",
        from: "a profile",
        stats: &[
            ("total", SHARE, "with everything it calls"),
            ("self", SHARE, "without what it calls"),
        ],
        select: &[
            "profile", "value", "function", "crate", "route", "span", "label",
        ],
        needs: &[&["function", "crate", "route", "span", "label"]],
        // One standard deviation of a share of 10 % is then 3 points.
        min_samples: 100,
        example: "total < 15%",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Latency,
        name: "latency",
        about: "How long requests and spans take.",
        from: "a run, a page of metrics",
        stats: &[("mean", Time, "on average"), ("max", Time, "the longest")],
        names_stat: true,
        percentiles: Some(Time),
        has_shares_above: true,
        select: &["route", "span"],
        series: Series::Live,
        is_timing: true,
        example: "p95 < 200ms",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Throughput,
        name: "throughput",
        about: "Requests per second; of spans, how often they were entered.",
        from: "a run, two pages of metrics",
        stats: &[("rate", PerSecond, "on average")],
        select: &["route", "span"],
        series: Series::Live,
        is_timing: true,
        example: "> 2000/s",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::ErrorRate,
        name: "error_rate",
        about: "The share of requests that failed.",
        from: "a run, a page of metrics",
        stats: &[("rate", SHARE, "of all requests")],
        select: &["route", "span"],
        series: Series::Live,
        example: "< 1%",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Concurrency,
        name: "concurrency",
        about: "Requests under way at once.",
        from: "a run, a page of metrics",
        stats: &[
            (
                "avg",
                Count,
                "on average: the time in requests, in that time",
            ),
            ("now", Count, "when the page was served"),
        ],
        select: &["route", "span"],
        series: Series::Live,
        is_timing: true,
        example: "avg < 50",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::RequestSize,
        name: "request.size",
        about: "Bytes of requests' bodies.",
        from: "a run, a page of metrics",
        stats: &[("mean", Bytes, "of each request")],
        select: &["route"],
        series: Series::Live,
        is_of_the_machine: false,
        example: "mean < 4KiB",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::ResponseSize,
        name: "response.size",
        about: "Bytes of responses' bodies.",
        from: "a run, a page of metrics",
        stats: &[("mean", Bytes, "of each response")],
        select: &["route"],
        series: Series::Live,
        is_of_the_machine: false,
        example: "mean < 100KiB",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Cpu,
        name: "cpu",
        about: "CPU time of requests, of all or of a route, and of spans without those inside.",
        from: "a run, a page of metrics",
        stats: &[(
            "time/op",
            Time,
            "for each request, or each time a span is entered",
        )],
        select: &["route", "span"],
        series: Series::Live,
        is_timing: true,
        example: "time/op < 2ms",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::ProcessCpu,
        name: "process.cpu",
        about: "CPU time of the process per time: 100 % is one core.",
        from: "a run, two pages of metrics",
        stats: &[
            ("avg", CORES, "on average"),
            ("max", CORES, "at most, from moment to moment"),
        ],
        series: Series::Run,
        is_timing: true,
        example: "avg < 60%",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::ProcessRss,
        name: "process.rss",
        about: "Resident memory of the process.",
        stats: &[
            ("max", Bytes, "the most"),
            ("end", Bytes, "in the end"),
            (
                "slope",
                BytesPerSecond,
                "its growth, as the line of least squares",
            ),
        ],
        names_stat: true,
        series: Series::Run,
        example: "max < 256MiB",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::ProcessFds,
        name: "process.fds",
        about: "Open files of the process, connections among them.",
        from: "a page of metrics",
        stats: &[("now", Count, "when the page was served")],
        series: Series::Live,
        example: "now < 900",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Heap,
        name: "heap",
        about: "What is allocated, in all or by a route or span.",
        from: "a run, a page of metrics",
        stats: &[
            ("bytes", Bytes, "allocated during the run"),
            ("allocs", Count, "allocations during the run"),
            ("bytes/op", Bytes, "allocated for each request"),
            ("allocs/op", Count, "allocations for each request"),
            ("live", Bytes, "allocated and not freed, in the end"),
            ("peak", Bytes, "allocated and not freed, at most"),
        ],
        names_stat: true,
        select: &["route", "span"],
        series: Series::Run,
        example: "allocs/op <= 3",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Pool,
        name: "pool",
        about: "A pool of connections.",
        from: "a page of metrics; waits also a run whose spans have sqlx's events",
        stats: &[
            (
                "usage",
                SHARE,
                "connections in use, of as many as there may be",
            ),
            ("connections", Count, "open"),
            ("in_use", Count, "open and not idle"),
            ("wait", Time, "for a connection, on average"),
        ],
        names_stat: true,
        percentiles: Some(Time),
        select: &["name"],
        series: Series::Live,
        is_timing: true,
        example: "usage < 80%",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::CacheHitRate,
        name: "cache.hit_rate",
        about: "How often a cache had what it was asked for.",
        from: "a page of metrics",
        stats: &[("rate", SHARE, "of all times it was asked")],
        select: &["name"],
        series: Series::Live,
        is_of_the_machine: false,
        example: "> 90%",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Bench,
        name: "bench",
        about: "Saved results of benches.",
        from: "criterion's folder",
        stats: &[
            ("median", Time, "of an iteration"),
            ("mean", Time, "of an iteration"),
            ("slope", Time, "of the line through time and iterations"),
            ("allocs", Count, "an iteration, counted beside the timing"),
            ("bytes", Bytes, "allocated an iteration"),
        ],
        select: &["bench", "command"],
        is_timing: true,
        example: "median < 12us",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Size,
        name: "size",
        about: "The size of files.",
        from: "files",
        stats: &[
            ("raw", Bytes, "as it is"),
            ("gzip", Bytes, "after gzip -9"),
            ("brotli", Bytes, "after brotli -q 11"),
        ],
        select: &["artifact"],
        needs: &[&["artifact"]],
        is_of_the_machine: false,
        example: "gzip < 300KiB",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Binary,
        name: "binary",
        about: "The sections of an executable, library or wasm module, and the crates in it.",
        from: "files",
        stats: &[
            ("bytes", Bytes, "in the file"),
            (
                "share",
                SHARE,
                "of the file; of a crate, of all that has symbols",
            ),
        ],
        select: &["artifact", "section", "crate"],
        needs: &[&["artifact"], &["section", "crate"]],
        is_of_the_machine: false,
        example: "bytes < 2MiB",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Command,
        name: "command",
        about: "How long a command of the file runs, and what it uses.",
        from: "runs of the command",
        stats: &[
            ("time", Time, "from start to end, the median"),
            ("cpu", Time, "CPU time of all its processes"),
            ("peak", Bytes, "the most memory of one of its processes"),
            ("cold.time", Time, "in a new folder"),
            ("cold.cpu", Time, "in a new folder"),
            ("cold.peak", Bytes, "in a new folder"),
            ("cached.time", Time, "again, nothing changed"),
            ("cached.cpu", Time, "again, nothing changed"),
            ("cached.peak", Bytes, "again, nothing changed"),
        ],
        names_stat: true,
        select: &["command"],
        needs: &[&["command"]],
        is_timing: true,
        example: "time < 20s",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Dependencies,
        name: "dependencies",
        about: "How many crates a package builds with, itself included.",
        from: "cargo tree",
        stats: &[("count", Count, "crates")],
        select: &["package", "features", "default_features"],
        needs: &[&["package"]],
        is_of_the_machine: false,
        example: "count <= 25",
        ..OF_A_RUN
    },
    Spec {
        metric: Metric::Prometheus,
        name: "prometheus",
        about: "Any metric of a page of metrics, by its name there.",
        from: "a page of metrics",
        stats: &[
            ("value", Any, "of each set of labels, in the end"),
            ("rate", Any, "a counter's growth per second"),
            ("min", Any, "the least over time"),
            ("max", Any, "the most over time"),
            ("avg", Any, "the mean over time"),
        ],
        percentiles: Some(Any),
        select: &["name", "label"],
        needs: &[&["name"]],
        series: Series::Live,
        example: "value < 100",
        ..OF_A_RUN
    },
];
