//! Budgets that make sense: what a file becomes once it is read and judged.

mod commands;
mod limits;
mod reader;
mod select;
mod slo;
mod sustained;
mod syntax;

use crate::{
    date::Date,
    error::{FileError, Problem},
    file::{Burn, Missing, Severity},
    limit::{Change, Limit},
    metric::Metric,
    pattern::Pattern,
    units::Dimension,
};
pub use commands::CommandSpec;
use reader::Reader;

/// The version of budget files that is read.
pub const FILE_VERSION: u32 = 1;
/// Bytes of a file that are read, at most.
const MAX_BYTES: usize = 4 << 20;

/// The budgets of a file.
#[derive(Clone, Debug)]
pub struct Budgets {
    pub(crate) list: Vec<Budget>,
    pub(crate) commands: Vec<CommandSpec>,
    /// What of the environment a baseline must agree with.
    pub(crate) environment: Vec<String>,
    /// Above so much load of each core, times say nothing.
    pub(crate) max_load: Option<f64>,
    pub(crate) deviations: f64,
    pub(crate) file: String,
}

/// One `[[budget]]`.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Its name, given or made of metric and selection; no two are equal.
    pub id: String,
    /// What it is for.
    pub about: Option<String>,
    /// What it bounds.
    pub metric: Metric,
    /// The line in the file, 1-based.
    pub line: usize,
    /// What follows if it does not hold.
    pub severity: Severity,
    /// What follows if there is no data.
    pub missing: Missing,
    pub(crate) select: Select,
    pub(crate) limits: Vec<Limit>,
    pub(crate) regression: Option<Regression>,
    pub(crate) grandfather: bool,
    pub(crate) min_samples: u64,
    pub(crate) slo: Option<Slo>,
    pub(crate) sustained: Option<Sustained>,
    /// By date.
    pub(crate) tighten: Vec<(Date, Vec<Limit>)>,
    pub(crate) waiver: Option<Waiver>,
    /// How often a breach is measured again.
    pub(crate) reruns: u32,
}

/// What a budget is about. Lists are alternatives; empty ones select everything.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Select {
    pub(crate) profile: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) function: Vec<Pattern>,
    pub(crate) crate_name: Vec<Pattern>,
    /// Keys with patterns of their values; route and span are among them for profiles.
    pub(crate) labels: Vec<(String, Vec<Pattern>)>,
    pub(crate) route: Vec<Pattern>,
    pub(crate) span: Vec<Pattern>,
    pub(crate) bench: Vec<Pattern>,
    pub(crate) command: Option<String>,
    pub(crate) section: Vec<Pattern>,
    pub(crate) artifact: Vec<Pattern>,
    pub(crate) package: Option<String>,
    pub(crate) features: Vec<String>,
    pub(crate) default_features: bool,
    pub(crate) name: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Regression {
    pub(crate) stat: String,
    pub(crate) dimension: Dimension,
    pub(crate) change: Change,
    pub(crate) floor: f64,
    /// As it was written.
    pub(crate) text: String,
}

/// An objective: so much is good, over so long a time.
#[derive(Clone, Debug)]
pub(crate) struct Slo {
    /// What may be bad, as a limit on its share.
    pub(crate) limit: Limit,
    /// In seconds.
    pub(crate) window: f64,
    pub(crate) burn: Burn,
    /// For people: `99.9 % good over 30 d`.
    pub(crate) text: String,
}

/// For how long a limit must be broken. In seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sustained {
    pub(crate) seconds: f64,
    /// How often values are looked at.
    pub(crate) every: Option<f64>,
    /// For how long it is told of after it holds again.
    pub(crate) keep_firing: Option<f64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiver {
    pub(crate) reason: String,
    pub(crate) until: Date,
}

impl Budgets {
    /// Reads a budget file; `name` is its name in messages.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place; of broken TOML and of fields that are
    /// unknown or of the wrong type, the first.
    pub fn parse(name: &str, text: &str) -> Result<Self, FileError> {
        let fail = |problems| Err(FileError::new(name, text, problems));
        if text.len() > MAX_BYTES {
            return Err(FileError::new(
                name,
                "",
                vec![Problem {
                    title: "the file is too large".to_owned(),
                    span: 0..0,
                    label: format!("{} bytes, of at most {MAX_BYTES}", text.len()),
                    help: None,
                }],
            ));
        }
        let file: crate::file::File = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => return fail(vec![syntax::of_toml(&error, text)]),
        };
        Reader::new(text).read(name, file).or_else(fail)
    }

    /// The budgets, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Budget> {
        self.list.iter()
    }

    /// How many standard deviations beyond its limit an estimate has to be to be called a breach.
    pub fn deviations(&self) -> f64 {
        self.deviations
    }

    /// What the budgets need: the names of the profiles, such as `cpu`.
    pub fn profiles(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.list.iter().filter_map(Budget::profile).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the load of the machine has to be known.
    pub fn needs_load(&self) -> bool {
        self.max_load.is_some()
    }

    /// What of the environment they need to know: `arch`, `cpu`, `os`, `rustc`.
    pub fn environment(&self) -> impl Iterator<Item = &str> {
        self.environment.iter().map(String::as_str)
    }

    /// The packages whose dependencies are to be counted.
    pub fn packages(&self) -> Vec<PackageQuery> {
        let mut packages: Vec<PackageQuery> = (self.list.iter())
            .filter_map(|budget| budget.select.package_query())
            .collect();
        packages.sort();
        packages.dedup();
        packages
    }
}

/// A package with features, whose dependencies are counted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PackageQuery {
    /// Its name.
    pub package: String,
    /// The features that are on.
    pub features: Vec<String>,
    /// Whether its default features are, too.
    pub default_features: bool,
}

impl Select {
    /// The name of the profile that is meant.
    pub(crate) fn profile(&self) -> &str {
        self.profile.as_deref().unwrap_or("cpu")
    }

    pub(crate) fn package_query(&self) -> Option<PackageQuery> {
        Some(PackageQuery {
            package: self.package.clone()?,
            features: self.features.clone(),
            default_features: self.default_features,
        })
    }

    /// Whether it is about one file, known by name.
    pub(crate) fn has_one_artifact(&self) -> bool {
        matches!(self.artifact.as_slice(), [one] if one.is_exact())
    }

    /// What is selected, for people.
    fn shown(&self) -> String {
        let list = |patterns: &[Pattern]| {
            let names: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
            names.join(" or ")
        };
        let mut words = vec![
            list(&self.artifact),
            list(&self.section),
            list(&self.function),
            list(&self.crate_name),
            list(&self.bench),
            self.command.clone().unwrap_or_default(),
            self.package.clone().unwrap_or_default(),
            self.name.clone().unwrap_or_default(),
        ];
        let labels = self.labels.iter();
        words.extend(labels.map(|(key, patterns)| format!("{key}={}", list(patterns))));
        words.retain(|word| !word.is_empty());
        words.join(", ")
    }
}

impl Budget {
    /// The name of the profile that it needs.
    fn profile(&self) -> Option<&str> {
        match self.metric {
            Metric::ProfileShare => Some(self.select.profile()),
            Metric::Heap if !self.select.labels.is_empty() => Some("heap"),
            _ => None,
        }
    }

    /// The limits that apply on a day.
    pub(crate) fn limits_on(&self, day: Date) -> Vec<Limit> {
        let mut limits = self.limits.clone();
        for (from, tighter) in &self.tighten {
            if *from <= day {
                overlay(&mut limits, tighter);
            }
        }
        limits
    }
}

/// Puts limits in the place of those that bound the same.
fn overlay(limits: &mut Vec<Limit>, tighter: &[Limit]) {
    for limit in tighter {
        limits.retain(|old| !limit.replaces(old));
        limits.push(limit.clone());
    }
}
