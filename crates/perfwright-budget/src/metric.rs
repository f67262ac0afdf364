//! What can be budgeted: the metrics, their statistics, and what selects among them.
//!
//! [`SPECS`] has an entry for each: reader, JSON schema, and the test of the reference in `docs/budgets.md` go by it.

mod specs;

use crate::units::Dimension;
pub(crate) use specs::SPECS;
use specs::{OF_A_RUN, SHARE};

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
    Dimension::Time
        .parse(time)
        .ok()
        .filter(|seconds| *seconds > 0.0)
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
