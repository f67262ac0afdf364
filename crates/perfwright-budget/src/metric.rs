//! What can be budgeted: the metrics, their statistics, and what selects among them.
//!
//! [`SPECS`] has an entry for each: reader, JSON schema, and the test of the reference in `docs/budgets.md` go by it.

use crate::units::Dimension;

/// What a budget is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Metric {
    /// The share of a function, crate, route or span in a profile.
    ProfileShare,
    /// How long requests take.
    Latency,
    /// Requests per second.
    Throughput,
    /// The share of requests that failed.
    ErrorRate,
    /// Requests under way.
    Concurrency,
    /// Bytes of requests' bodies.
    RequestSize,
    /// Bytes of responses' bodies.
    ResponseSize,
    /// CPU time of requests and spans.
    Cpu,
    /// CPU time per time: 100 % is one core.
    ProcessCpu,
    /// Resident memory.
    ProcessRss,
    /// Open files and connections.
    ProcessFds,
    /// What is allocated.
    Heap,
    /// A pool of connections.
    Pool,
    /// How often a cache had what it was asked for.
    CacheHitRate,
    /// Saved results of criterion.
    Bench,
    /// The size of files.
    Size,
    /// The sections of a binary, and the crates in it.
    Binary,
    /// How long a command runs, and what it uses.
    Command,
    /// How many crates a package builds with.
    Dependencies,
    /// Any metric of a Prometheus page, by name.
    Prometheus,
}

/// What is known of a metric.
pub(crate) struct Spec {
    metric: Metric,
    /// Its name in a file.
    pub(crate) name: &'static str,
    /// What it is, in a line.
    pub(crate) about: &'static str,
    /// Where its values come from.
    pub(crate) from: &'static str,
    /// Its statistics, the one first that is meant when none is named. Percentiles come on top.
    pub(crate) stats: &'static [Stat],
    /// Whether one has to be named.
    pub(crate) names_stat: bool,
    /// What its percentiles are, if it has any.
    pub(crate) percentiles: Option<Dimension>,
    /// Whether it has shares above any value, such as `above 200ms`.
    pub(crate) has_shares_above: bool,
    /// What can be selected by.
    pub(crate) select: &'static [&'static str],
    /// What must be selected: one of each of these.
    pub(crate) needs: &'static [&'static [&'static str]],
    /// Below so many samples there is no verdict, if the budget does not say.
    pub(crate) min_samples: u64,
    /// Whether `sustained` can be asked of it.
    pub(crate) series: Series,
    /// Whether values are times, which work beside makes longer.
    pub(crate) is_timing: bool,
    /// Whether values depend on the machine, so that a baseline of another one says nothing.
    pub(crate) is_of_the_machine: bool,
    /// A limit, to show what one looks like.
    pub(crate) example: &'static str,
}

/// What is known of a metric over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Series {
    /// Nothing.
    None,
    /// A service tells it all the time; a run as a whole.
    Live,
    /// A run records it, too.
    Run,
}

/// A statistic: its name, what its values are, and what it is.
pub(crate) type Stat = (&'static str, Dimension, &'static str);

const SHARE: Dimension = Dimension::Share { exceeds: false };
const CORES: Dimension = Dimension::Share { exceeds: true };
use Dimension::{Any, Bytes, BytesPerSecond, Count, PerSecond, Time};

/// What most metrics have in common.
const OF_A_RUN: Spec = Spec {
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

impl Metric {
    /// The metric of this name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let found = SPECS.iter().find(|spec| spec.name == name);
        found.map(|spec| spec.metric)
    }

    /// The names of all metrics.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        SPECS.iter().map(|spec| spec.name)
    }

    /// What is known of it.
    pub(crate) fn spec(self) -> &'static Spec {
        let found = SPECS.iter().find(|spec| spec.metric == self);
        // A test sees to it that all metrics have one.
        found.unwrap_or(&OF_A_RUN)
    }

    /// Its name in a file.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// What it is, in a line.
    pub fn about(self) -> &'static str {
        self.spec().about
    }

    /// Where its values come from: `a run`, `files`.
    pub fn measured_from(self) -> &'static str {
        self.spec().from
    }

    /// What the values of a statistic are; `None` if the metric has no such statistic.
    pub(crate) fn dimension(self, stat: &str) -> Option<Dimension> {
        let spec = self.spec();
        let named = spec.stats.iter().find(|(name, ..)| *name == stat);
        let percentile = || spec.percentiles.filter(|_| quantile(stat).is_some());
        let above = || (spec.has_shares_above && threshold(stat).is_some()).then_some(SHARE);
        named.map(|stat| stat.1).or_else(percentile).or_else(above)
    }

    /// Whether another measurement may say something else.
    pub(crate) fn can_be_measured_again(self) -> bool {
        self.spec().is_of_the_machine && self != Self::ProfileShare
    }

    /// The statistic that is meant when none is named; `None` where one must be.
    pub(crate) fn default_stat(self) -> Option<&'static str> {
        let spec = self.spec();
        let first = spec.stats.first().filter(|_| !spec.names_stat);
        first.map(|(name, ..)| *name)
    }

    /// The names of all statistics, for messages.
    pub(crate) fn stat_names(self) -> String {
        let spec = self.spec();
        let percentiles = "p50, p95, p99.9 and other percentiles";
        let mut names: Vec<_> = spec.stats.iter().map(|(name, ..)| *name).collect();
        names.splice(0..0, spec.percentiles.map(|_| percentiles));
        names.extend(
            spec.has_shares_above
                .then_some("above 200ms and other shares"),
        );
        names.join(", ")
    }
}

/// The quantile that `p99.9` names: 0.999. Of `p0` and `p100` none: they are minimum and maximum.
pub(crate) fn quantile(stat: &str) -> Option<f64> {
    let digits = stat.strip_prefix('p')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let percent: f64 = digits.parse().ok().filter(|_| plain)?;
    (percent > 0.0 && percent < 100.0).then_some(percent / 100.0)
}

/// The time that `above 200ms` names, in seconds.
pub(crate) fn threshold(stat: &str) -> Option<f64> {
    let time = stat.strip_prefix("above ")?;
    Time.parse(time).ok().filter(|seconds| *seconds > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Limit;

    #[test]
    fn every_metric_is_found_by_its_name_and_its_example_is_a_limit() {
        for spec in SPECS {
            assert_eq!(Metric::find(spec.name), Some(spec.metric));
            assert_eq!(spec.metric.name(), spec.name);
            assert!(
                Limit::parse(spec.example, spec.metric).is_ok(),
                "{}",
                spec.name
            );
            let mut needs = spec.needs.iter().copied().flatten();
            assert!(needs.all(|key| spec.select.contains(key)));
        }
    }
}
