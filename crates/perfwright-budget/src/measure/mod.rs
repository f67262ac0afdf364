//! From sources to readings: what each budget asks for, taken from where it can be had.

mod artifacts;
mod binary;
mod command;
mod counts;
mod criterion;
mod explain;
mod load;
#[cfg(feature = "binary")]
mod object_file;
mod parts;
mod prometheus;
mod run;
mod shares;

pub use command::{CommandRun, CommandRuns};
pub use parts::Part;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use perfwright_model::Profile;
use perfwright_stats::{Share, student_quantile, two_sided_p};

use crate::{
    budgets::{Budget, Budgets, PackageQuery, Select},
    file::Severity,
    metric::Metric,
};

/// What of the environment a baseline can be asked to agree with.
pub(crate) const ENVIRONMENT_KEYS: [&str; 4] = ["arch", "cpu", "os", "rustc"];

/// Where numbers come from. A source that is not given is missing data for the budgets that need it.
#[derive(Default)]
pub struct Sources {
    profiles: BTreeMap<String, Profile>,
    run: Option<serde_json::Value>,
    /// In place of the run's own.
    load_result: Option<serde_json::Value>,
    criterion: Option<PathBuf>,
    root: Option<PathBuf>,
    pages: Option<prometheus::Pages>,
    dependencies: BTreeMap<PackageQuery, u64>,
    commands: BTreeMap<String, Result<CommandRuns, String>>,
    environment: BTreeMap<String, String>,
    load: Option<f64>,
}

/// A source that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceError {
    what: String,
}

impl SourceError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for SourceError {}

impl Sources {
    /// No source at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a profile under a name such as `cpu` or `heap`, in place of one of the same name.
    pub fn profile(&mut self, name: impl Into<String>, profile: Profile) -> &mut Self {
        self.profiles.insert(name.into(), profile);
        self
    }

    /// Adds the report of a run: the text of its `report.json`, of schema version 1.
    ///
    /// # Errors
    /// If it is no JSON, or of another version.
    pub fn run_report(&mut self, json: &str) -> Result<&mut Self, SourceError> {
        let report: serde_json::Value = serde_json::from_str(json)
            .map_err(|error| SourceError::new(format!("the run's report is broken: {error}")))?;
        match report
            .get("schema_version")
            .and_then(|version| version.as_u64())
        {
            Some(1) => {
                let load = report.pointer("/run/load_per_core");
                if let Some(load) = load.and_then(serde_json::Value::as_f64) {
                    self.load_per_core(load);
                }
                self.run = Some(report);
                self.put_load();
            }
            Some(other) => {
                return Err(SourceError::new(format!(
                    "the run's report has schema version {other}; 1 is read"
                )));
            }
            None => return Err(SourceError::new("the run's report has no schema version")),
        }
        Ok(self)
    }

    /// Adds what a load driver reported, in place of the load of the run: a run's `report.json`, the JSON of oha,
    /// a summary of k6, or what wrk prints.
    ///
    /// # Errors
    /// If it is broken, or of no known kind.
    pub fn load_result(&mut self, text: &str) -> Result<&mut Self, SourceError> {
        self.load_result = Some(load::parse(text)?);
        self.put_load();
        Ok(self)
    }

    fn put_load(&mut self) {
        if let Some(load) = &self.load_result {
            // A report is an object: its version was read from it.
            let run = self.run.get_or_insert_with(|| serde_json::json!({}));
            run["load"] = load.clone();
        }
    }

    /// Adds the folder in which criterion saves its results (`target/criterion`).
    pub fn criterion(&mut self, folder: impl Into<PathBuf>) -> &mut Self {
        self.criterion = Some(folder.into());
        self
    }

    /// Adds the folder below which artifacts lie.
    pub fn root(&mut self, folder: impl Into<PathBuf>) -> &mut Self {
        self.root = Some(folder.into());
        self
    }

    /// Adds a page of metrics in Prometheus's text format, in place of those before.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn prometheus(&mut self, text: &str) -> Result<&mut Self, SourceError> {
        self.pages = None;
        self.prometheus_at(0.0, text)
    }

    /// Adds a page of metrics after those before, with the seconds at which it was scraped, since any moment. Of
    /// several pages counters and histograms tell of the time from the first to the last.
    ///
    /// # Errors
    /// The first line that is none; if it is not later than the page before; if all of them are too much.
    pub fn prometheus_at(&mut self, seconds: f64, text: &str) -> Result<&mut Self, SourceError> {
        self.pages.get_or_insert_default().add(seconds, text)?;
        Ok(self)
    }

    /// Adds how many crates a package builds, itself included.
    pub fn dependencies(&mut self, of: PackageQuery, count: u64) -> &mut Self {
        self.dependencies.insert(of, count);
        self
    }

    /// Adds how a command ran, or why it did not; in place of runs before.
    pub fn command(
        &mut self,
        name: impl Into<String>,
        runs: Result<CommandRuns, String>,
    ) -> &mut Self {
        self.commands.insert(name.into(), runs);
        self
    }

    /// Adds a fact about the environment: `arch`, `cpu`, `os` or `rustc`.
    pub fn environment(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.environment.insert(key.into(), value.into());
        self
    }

    /// Adds how many processes were running on each core of the machine, on average, while it was measured. Of
    /// several the greatest counts, that of a run among them.
    pub fn load_per_core(&mut self, load: f64) -> &mut Self {
        self.load = Some(self.load.map_or(load, |other| other.max(load)));
        self
    }

    /// Takes the readings that the budgets ask for.
    pub fn measure(&self, budgets: &Budgets) -> Measurements {
        let mut readings: Vec<Vec<Reading>> = budgets.list.iter().map(|_| Vec::new()).collect();
        let mut shares = Vec::new();
        let mut parts = BTreeMap::new();
        let mut binaries = binary::Binaries::default();
        for (index, budget) in budgets.list.iter().enumerate() {
            if budget.severity == Severity::Off {
                continue;
            }
            match budget.metric {
                Metric::ProfileShare => shares.push(index),
                Metric::Binary => {
                    readings[index] = binaries.measure(self.root.as_deref(), budget);
                    let of_budget = binaries.parts(self.root.as_deref(), &budget.select);
                    parts.insert(budget.id.clone(), of_budget);
                }
                _ => readings[index] = self.readings(budget),
            }
        }
        shares::measure(&self.profiles, &budgets.list, &shares, &mut readings);
        let ids = budgets.list.iter().map(|budget| budget.id.clone());
        Measurements {
            environment: self.environment.clone(),
            load: self.load,
            by_budget: ids.zip(readings).collect(),
            parts,
        }
    }

    pub(crate) fn report(&self) -> Option<&serde_json::Value> {
        self.run.as_ref()
    }

    pub(crate) fn named_profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    fn bench(&self, budget: &Budget, stats: &[String]) -> Vec<Reading> {
        let measured = self.command_of(budget);
        if let Some(Err(why)) = measured {
            // What was saved is of an earlier run then.
            return all_missing(stats, why);
        }
        let readings = criterion::measure(self.criterion.as_deref(), &budget.select, stats);
        match budget.command() {
            Some(name)
                if measured.is_none() && readings.iter().all(|reading| reading.data.is_err()) =>
            {
                all_missing(
                    stats,
                    &format!("the command {name} was not run and measured"),
                )
            }
            _ => readings,
        }
    }

    fn command_of(&self, budget: &Budget) -> Option<&Result<CommandRuns, String>> {
        self.commands.get(budget.command()?)
    }

    /// Whether the clients of a load know better than anybody.
    fn is_of_load(&self, metric: Metric) -> bool {
        let of_requests = [Metric::Latency, Metric::Throughput, Metric::ErrorRate];
        self.load_result.is_some() && of_requests.contains(&metric)
    }

    fn readings(&self, budget: &Budget) -> Vec<Reading> {
        let stats = budget.stats();
        match budget.metric {
            Metric::Size => artifacts::measure(self.root.as_deref(), &budget.select, &stats),
            Metric::Command => command::measure(self.command_of(budget), &budget.select, &stats),
            Metric::Bench => self.bench(budget, &stats),
            Metric::Prometheus => prometheus::measure(self.pages.as_ref(), &budget.select, &stats),
            Metric::Dependencies => {
                let count = budget
                    .select
                    .package_query()
                    .and_then(|of| self.dependencies.get(&of));
                let data = match count {
                    Some(&count) => Ok(Data::exact(count as f64)),
                    None => Err("the dependencies of this package were not counted".to_owned()),
                };
                stats
                    .iter()
                    .map(|stat| Reading::new("", stat, data.clone()))
                    .collect()
            }
            Metric::ProfileShare | Metric::Binary => Vec::new(),
            metric => self.of_service(metric, &budget.select, &stats),
        }
    }

    /// From pages of metrics, or where those tell nothing of it, from the run; of a load's requests its clients
    /// come first.
    fn of_service(&self, metric: Metric, select: &Select, stats: &[String]) -> Vec<Reading> {
        let pages = self.pages.as_ref();
        let of_pages = pages.map(|pages| prometheus::service(pages, metric, select, stats));
        let of_run = self.run.as_ref().map(|report| {
            let profiles = &self.profiles;
            run::Run { report, profiles }.measure(metric, select, stats)
        });
        let (first, second) = match self.is_of_load(metric) {
            true => (of_run, of_pages),
            false => (of_pages, of_run),
        };
        let tells = |readings: &Vec<Reading>| readings.iter().any(|reading| reading.data.is_ok());
        match (first, second) {
            // Of two that tell nothing the first says why.
            (Some(first), Some(second)) if !tells(&first) && tells(&second) => second,
            (Some(readings), _) | (None, Some(readings)) => readings,
            (None, None) => all_missing(stats, "there is no run and no page of metrics"),
        }
    }
}

impl Budget {
    /// The statistics that it asks for, on whatever day.
    pub(crate) fn stats(&self) -> Vec<String> {
        let later = self.tighten.iter().flat_map(|(_, limits)| limits);
        let slo = self.slo.iter().map(|slo| &slo.limit);
        let limits = self.limits.iter().chain(later).chain(slo);
        let limits = limits.map(|limit| &limit.stat);
        let regression = self.regression.iter().map(|regression| &regression.stat);
        let mut stats: Vec<String> = Vec::new();
        for stat in limits.chain(regression) {
            if !stats.contains(stat) {
                stats.push(stat.clone());
            }
        }
        stats
    }
}

/// Everything that was measured for a file's budgets; also what a later check is compared to.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    pub(crate) environment: BTreeMap<String, String>,
    /// Of each core.
    pub(crate) load: Option<f64>,
    /// By the budgets' ids.
    pub(crate) by_budget: BTreeMap<String, Vec<Reading>>,
    /// What the values of some are made of, by the budgets' ids.
    pub(crate) parts: BTreeMap<String, Vec<Part>>,
}

impl Measurements {
    /// What a budget's value was made of, if that was kept: of binaries it is.
    pub fn parts(&self, budget: &Budget) -> &[Part] {
        self.parts.get(&budget.id).map_or(&[], Vec::as_slice)
    }
}

/// One statistic of one subject.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Reading {
    /// Which of several: the route, the bench, the file. Empty if there is only one.
    pub(crate) subject: String,
    pub(crate) stat: String,
    /// Or why there is none.
    pub(crate) data: Result<Data, String>,
}

impl Reading {
    pub(crate) fn new(
        subject: impl Into<String>,
        stat: impl Into<String>,
        data: Result<Data, String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            stat: stat.into(),
            data,
        }
    }
}

/// The same reason for every statistic.
fn all_missing(stats: &[String], why: &str) -> Vec<Reading> {
    let missing = |stat| Reading::new("", stat, Err(why.to_owned()));
    stats.iter().map(missing).collect()
}

/// A value, and how well it is known.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Data {
    /// In the base unit of its dimension.
    pub(crate) value: f64,
    pub(crate) error: Error,
    /// How many samples it is made of, where that is a question.
    pub(crate) samples: Option<f64>,
    /// The same value over time: seconds and value.
    pub(crate) series: Vec<(f64, f64)>,
    /// What the reader of a verdict should know.
    pub(crate) note: Option<String>,
}

/// How far the truth may be from a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Error {
    None,
    /// A share, of as many samples of equal weight.
    Share(f64),
    /// One standard deviation.
    Normal(f64),
    /// It lies between.
    Between(f64, f64),
    /// One standard deviation of its logarithm, from so many repeated measurements.
    Repeated {
        log_deviation: f64,
        runs: f64,
    },
}

impl Data {
    pub(crate) fn exact(value: f64) -> Self {
        Self {
            value,
            error: Error::None,
            samples: None,
            series: Vec::new(),
            note: None,
        }
    }

    pub(crate) fn share(value: f64, effective_count: f64) -> Self {
        Self {
            error: Error::Share(effective_count),
            samples: Some(effective_count),
            ..Self::exact(value)
        }
    }

    /// Where the truth lies unless chance was more than so many standard deviations off.
    pub(crate) fn interval(&self, deviations: f64) -> (f64, f64) {
        match self.error {
            Error::None => (self.value, self.value),
            Error::Share(effective_count) => Share {
                share: self.value,
                effective_count,
            }
            .interval(deviations),
            Error::Normal(deviation) => {
                let off = deviations * deviation;
                (self.value - off, self.value + off)
            }
            Error::Between(low, high) => (low, high),
            Error::Repeated {
                log_deviation,
                runs,
            } => {
                // With few runs chance goes further than with many.
                let beyond = two_sided_p(deviations) / 2.0;
                let off = (log_deviation * student_quantile(beyond, runs - 1.0)).exp();
                (self.value / off, self.value * off)
            }
        }
    }
}

/// A file's bytes; none that is larger than `max`.
fn read_bytes(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let read = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(max + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() as u64 > max => Err(format!("more than {max} bytes")),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}
