//! What can be budgeted: the metrics, their statistics, and what selects among them.

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
    /// CPU time per time: 100 % is one core.
    ProcessCpu,
    /// Resident memory.
    ProcessRss,
    /// What is allocated.
    Heap,
    /// Saved results of criterion.
    Bench,
    /// The size of files.
    Size,
    /// How many crates a package builds with.
    Dependencies,
    /// Any metric of a Prometheus page, by name.
    Prometheus,
}

/// All metrics with their names in a file.
const METRICS: [(&str, Metric); 11] = [
    ("profile.share", Metric::ProfileShare),
    ("latency", Metric::Latency),
    ("throughput", Metric::Throughput),
    ("error_rate", Metric::ErrorRate),
    ("process.cpu", Metric::ProcessCpu),
    ("process.rss", Metric::ProcessRss),
    ("heap", Metric::Heap),
    ("bench", Metric::Bench),
    ("size", Metric::Size),
    ("dependencies", Metric::Dependencies),
    ("prometheus", Metric::Prometheus),
];

const SHARE: Dimension = Dimension::Share { exceeds: false };
const CORES: Dimension = Dimension::Share { exceeds: true };

impl Metric {
    /// The metric of this name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let found = METRICS.iter().find(|(known, _)| *known == name);
        found.map(|&(_, metric)| metric)
    }

    /// The names of all metrics.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        METRICS.iter().map(|(name, _)| *name)
    }

    /// Its name in a file.
    pub fn name(self) -> &'static str {
        let found = METRICS.iter().find(|(_, metric)| *metric == self);
        found.map_or("", |(name, _)| name)
    }

    /// Its statistics, the one first that is meant when none is named. Percentiles come on top.
    pub(crate) fn stats(self) -> &'static [(&'static str, Dimension)] {
        use Dimension::{Any, Bytes, BytesPerSecond, Count, PerSecond, Time};
        match self {
            Self::ProfileShare => &[("total", SHARE), ("self", SHARE)],
            Self::Latency => &[("max", Time)],
            Self::Throughput => &[("rate", PerSecond)],
            Self::ErrorRate => &[("rate", SHARE)],
            Self::ProcessCpu => &[("avg", CORES)],
            Self::ProcessRss => &[("max", Bytes), ("end", Bytes), ("slope", BytesPerSecond)],
            Self::Heap => &[
                ("bytes", Bytes),
                ("allocs", Count),
                ("bytes/op", Bytes),
                ("allocs/op", Count),
                ("live", Bytes),
                ("peak", Bytes),
            ],
            Self::Bench => &[("median", Time), ("mean", Time), ("slope", Time)],
            Self::Size => &[("raw", Bytes), ("gzip", Bytes), ("brotli", Bytes)],
            Self::Dependencies => &[("count", Count)],
            Self::Prometheus => &[("value", Any)],
        }
    }

    /// What the values of a statistic are; `None` if the metric has no such statistic.
    pub(crate) fn dimension(self, stat: &str) -> Option<Dimension> {
        if let Some((_, dimension)) = self.stats().iter().find(|(name, _)| *name == stat) {
            return Some(*dimension);
        }
        let is_percentile = quantile(stat).is_some();
        match self {
            Self::Latency if is_percentile => Some(Dimension::Time),
            Self::Prometheus if is_percentile => Some(Dimension::Any),
            _ => None,
        }
    }

    /// The statistic that is meant when none is named; `None` where one must be.
    pub(crate) fn default_stat(self) -> Option<&'static str> {
        match self {
            Self::Latency | Self::ProcessRss | Self::Heap => None,
            _ => self.stats().first().map(|(name, _)| *name),
        }
    }

    /// The names of all statistics, for messages.
    pub(crate) fn stat_names(self) -> String {
        let mut names: Vec<_> = self.stats().iter().map(|(name, _)| *name).collect();
        if matches!(self, Self::Latency | Self::Prometheus) {
            names.insert(0, "p50, p95, p99.9 and other percentiles");
        }
        names.join(", ")
    }

    /// What can be selected by.
    pub(crate) fn select_keys(self) -> &'static [&'static str] {
        match self {
            Self::ProfileShare => &[
                "profile", "value", "function", "crate", "route", "span", "label",
            ],
            Self::Latency | Self::Throughput | Self::ErrorRate => &["route"],
            Self::ProcessCpu | Self::ProcessRss | Self::Heap => &[],
            Self::Bench => &["bench"],
            Self::Size => &["artifact"],
            Self::Dependencies => &["package", "features", "default_features"],
            Self::Prometheus => &["name", "label"],
        }
    }

    /// What must be selected: one of these.
    pub(crate) fn needs_one_of(self) -> &'static [&'static str] {
        match self {
            Self::ProfileShare => &["function", "crate", "route", "span", "label"],
            Self::Size => &["artifact"],
            Self::Dependencies => &["package"],
            Self::Prometheus => &["name"],
            _ => &[],
        }
    }

    /// Below so many samples there is no verdict, if the budget does not say.
    pub(crate) fn min_samples(self) -> u64 {
        match self {
            // One standard deviation of a share of 10 % is then 3 points.
            Self::ProfileShare => 100,
            _ => 1,
        }
    }

    /// Whether values are series that `sustained` can be asked of.
    pub(crate) fn has_series(self) -> bool {
        matches!(self, Self::ProcessRss | Self::Heap)
    }

    /// Whether values depend on the machine, so that a baseline of another one says nothing.
    pub(crate) fn is_of_the_machine(self) -> bool {
        !matches!(self, Self::Size | Self::Dependencies)
    }
}

/// The quantile that `p99.9` names: 0.999. Of `p0` and `p100` none: they are minimum and maximum.
pub(crate) fn quantile(stat: &str) -> Option<f64> {
    let digits = stat.strip_prefix('p')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let percent: f64 = digits.parse().ok().filter(|_| plain)?;
    (percent > 0.0 && percent < 100.0).then_some(percent / 100.0)
}
