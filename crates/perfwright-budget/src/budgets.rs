//! Budgets that make sense: what a file becomes once it is read and judged.

use std::ops::Range;

use toml::Spanned;

use crate::{
    date::Date,
    error::{FileError, Problem},
    file::{self, Missing, Names, Severity},
    limit::{Change, Limit, parse_floor, whole},
    measure::ENVIRONMENT_KEYS,
    metric::Metric,
    pattern::Pattern,
    units::{Dimension, Wrong, nearest},
};

/// The version of budget files that is read.
pub const FILE_VERSION: u32 = 1;
/// Bytes of a file that are read, at most.
const MAX_BYTES: usize = 4 << 20;
/// Standard deviations that an estimate has to be beyond a limit to be a breach, if the file does not say.
/// By chance that happens to one of 740 shares that are exactly at their limit.
const DEVIATIONS: f64 = 3.0;

/// The budgets of a file.
#[derive(Clone, Debug)]
pub struct Budgets {
    pub(crate) list: Vec<Budget>,
    /// What of the environment a baseline must agree with.
    pub(crate) environment: Vec<String>,
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
    /// In seconds.
    pub(crate) sustained: Option<f64>,
    /// By date.
    pub(crate) tighten: Vec<(Date, Vec<Limit>)>,
    pub(crate) waiver: Option<Waiver>,
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
    pub(crate) bench: Vec<Pattern>,
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
        let file: file::File = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => return fail(vec![of_toml(&error, text)]),
        };
        let mut reader = Reader {
            text,
            problems: Vec::new(),
        };
        let budgets = reader.file(name, file);
        match reader.problems.is_empty() {
            true => Ok(budgets),
            false => fail(reader.problems),
        }
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
        let mut names: Vec<&str> = (self.list.iter())
            .filter(|budget| budget.metric == Metric::ProfileShare)
            .map(|budget| budget.select.profile())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
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

    /// What is selected, for people.
    fn shown(&self) -> String {
        let list = |patterns: &[Pattern]| {
            let names: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
            names.join(" or ")
        };
        let mut words = vec![
            list(&self.function),
            list(&self.crate_name),
            list(&self.bench),
            list(&self.artifact),
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

/// Judges a file, and collects what is wrong.
struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, span: Range<usize>, title: &str, label: &str, help: &str) {
        self.problems.push(Problem {
            title: title.to_owned(),
            span,
            label: label.to_owned(),
            help: Some(help.to_owned()).filter(|help| !help.is_empty()),
        });
    }

    /// A problem inside a string.
    fn wrong(&mut self, of: &Spanned<String>, title: &str, wrong: Wrong) {
        let span = self.inside(of, wrong.at);
        self.problem(span, title, &wrong.what, &wrong.help);
    }

    /// The bytes of the file that are these of a string; the whole string where it has escapes.
    fn inside(&self, of: &Spanned<String>, at: Range<usize>) -> Range<usize> {
        let span = of.span();
        let raw = self.text.get(span.clone()).unwrap_or("");
        let plain = raw.len() == of.get_ref().len() + 2 && raw[1..].starts_with(of.get_ref());
        match plain && !at.is_empty() {
            // At least the closing quote is there to be marked.
            true => span.start + 1 + at.start..(span.start + 1 + at.end).min(span.end),
            false => span,
        }
    }

    fn file(&mut self, name: &str, file: file::File) -> Budgets {
        self.version(file.version.as_ref());
        let deviations = self.deviations(file.defaults.deviations.as_ref());
        let mut budgets = Budgets {
            list: Vec::with_capacity(file.budget.len()),
            environment: Vec::new(),
            deviations,
            file: name.to_owned(),
        };
        for key in file.environment.matches {
            if ENVIRONMENT_KEYS.contains(&key.get_ref().as_str()) {
                budgets.environment.push(key.into_inner());
            } else {
                let help = format!("known are {}", ENVIRONMENT_KEYS.join(", "));
                self.problem(key.span(), "unknown property of the environment", "", &help);
            }
        }
        let mut ids: std::collections::HashMap<String, usize> = Default::default();
        let mut lines = Lines::new(self.text);
        for raw in file.budget {
            let id_span = raw.id.as_ref().map(Spanned::span);
            let line = lines.of(raw.metric.span().start);
            let Some(mut budget) = self.budget(raw, &file.defaults, line) else {
                continue;
            };
            let uses = ids.entry(budget.id.clone()).or_default();
            *uses += 1;
            match (*uses, id_span) {
                (2.., Some(span)) => {
                    self.problem(
                        span,
                        "two budgets have one id",
                        "used before",
                        "choose another",
                    );
                }
                (count @ 2.., None) => budget.id = format!("{} ({count})", budget.id),
                _ => {}
            }
            budgets.list.push(budget);
        }
        budgets
    }

    fn version(&mut self, version: Option<&Spanned<i64>>) {
        let help = format!("this program reads version {FILE_VERSION}: `version = {FILE_VERSION}`");
        match version {
            None => self.problem(
                0..0,
                "the file has no version",
                "expected at the top",
                &help,
            ),
            Some(version) if *version.get_ref() != i64::from(FILE_VERSION) => {
                self.problem(version.span(), "unknown version", "not known", &help);
            }
            Some(_) => {}
        }
    }

    fn deviations(&mut self, given: Option<&Spanned<f64>>) -> f64 {
        let Some(given) = given else {
            return DEVIATIONS;
        };
        if !(0.0..=10.0).contains(given.get_ref()) {
            let help = "write how many of them a breach must be beyond its limit, 0 to 10";
            self.problem(given.span(), "impossible number of deviations", "", help);
        }
        *given.get_ref()
    }

    fn budget(
        &mut self,
        raw: file::Budget,
        defaults: &file::Defaults,
        line: usize,
    ) -> Option<Budget> {
        let at = raw.metric.span();
        let Some(metric) = Metric::find(raw.metric.get_ref()) else {
            self.unknown_metric(&raw.metric);
            return None;
        };
        let select = self.select(raw.select, metric, at.clone());
        let limits = self.limits(&raw.limits, metric);
        let tighten = self.tighten(&raw.tighten, metric, &limits);
        let regression = raw
            .regression
            .as_ref()
            .and_then(|raw| self.regression(raw, metric));
        if raw.limits.is_empty() && raw.tighten.is_empty() && raw.regression.is_none() {
            let help = "add `limits = [\"…\"]` or `regression = { max = \"…\" }`";
            self.problem(
                at.clone(),
                "a budget without limits",
                "nothing bounds this",
                help,
            );
        }
        let id = self.id(raw.id.as_ref(), metric, &select);
        Some(Budget {
            id,
            about: raw.about,
            metric,
            line,
            severity: raw.severity.or(defaults.severity).unwrap_or_default(),
            missing: raw.missing.or(defaults.missing).unwrap_or_default(),
            select,
            limits,
            regression,
            grandfather: raw.grandfather.or(defaults.grandfather).unwrap_or(true),
            min_samples: self.min_samples(raw.min_samples.as_ref(), metric),
            sustained: raw
                .sustained
                .and_then(|raw| self.sustained(&raw.duration, metric)),
            tighten,
            waiver: raw.waiver.and_then(|raw| self.waiver(&raw)),
        })
    }

    fn id(&mut self, given: Option<&Spanned<String>>, metric: Metric, select: &Select) -> String {
        if let Some(id) = given {
            if id.get_ref().trim().is_empty() {
                self.problem(
                    id.span(),
                    "an empty id",
                    "",
                    "name the budget, or leave the id out",
                );
            }
            return id.get_ref().clone();
        }
        match select.shown().as_str() {
            "" => metric.name().to_owned(),
            shown => format!("{} {shown}", metric.name()),
        }
    }

    fn unknown_metric(&mut self, written: &Spanned<String>) {
        let names: Vec<_> = Metric::names().collect();
        let known = format!("known are {}", names.join(", "));
        let help = match nearest(written.get_ref(), Metric::names()) {
            Some(near) => format!("did you mean `{near}`? {known}"),
            None => known,
        };
        self.problem(written.span(), "unknown metric", "not known", &help);
    }

    fn select(
        &mut self,
        raw: Option<Spanned<file::Select>>,
        metric: Metric,
        at: Range<usize>,
    ) -> Select {
        let at = raw.as_ref().map_or(at, |raw| raw.span());
        let raw = raw.map(Spanned::into_inner).unwrap_or_default();
        let given = given(&raw);
        let allowed = metric.select_keys();
        for (key, span) in &given {
            if !allowed.contains(key) {
                let help = match allowed {
                    [] => format!("{} selects by nothing: it is of the process", metric.name()),
                    _ => format!("{} selects by {}", metric.name(), allowed.join(", ")),
                };
                let label = format!("{} has no `{key}`", metric.name());
                self.problem(span.clone(), "nothing to select by", &label, &help);
            }
        }
        let needed = metric.needs_one_of();
        if !needed.is_empty() && !given.iter().any(|(key, _)| needed.contains(key)) {
            let help = format!(
                "add `select = {{ {} = \"…\" }}`",
                needed.join(" = \"…\" }` or `{ ")
            );
            self.problem(at, "nothing is selected", "of what?", &help);
        }
        if let (Some(crates), Some(_)) = (&raw.crate_name, &raw.function) {
            let help = "a pattern such as `serde_json::*` selects functions of one crate";
            self.problem(
                crates.span(),
                "crate and function selected at once",
                "one of them",
                help,
            );
        }
        self.selected(raw)
    }

    fn selected(&mut self, raw: file::Select) -> Select {
        let route = self.patterns(raw.route);
        let mut labels = Vec::new();
        if !route.is_empty() {
            labels.push((perfwright_model::keys::ROUTE.to_owned(), route.clone()));
        }
        let span = self.patterns(raw.span);
        if !span.is_empty() {
            labels.push((perfwright_model::keys::SPAN.to_owned(), span));
        }
        for (key, names) in raw.label.map(Spanned::into_inner).unwrap_or_default() {
            labels.push((key, names.0.into_iter().map(Pattern::new).collect()));
        }
        Select {
            profile: raw.profile.map(Spanned::into_inner),
            value: raw.value.map(Spanned::into_inner),
            function: self.patterns(raw.function),
            crate_name: self.patterns(raw.crate_name),
            labels,
            route,
            bench: self.patterns(raw.bench),
            artifact: self.artifacts(raw.artifact),
            package: raw.package.map(Spanned::into_inner),
            features: raw.features.map(Spanned::into_inner).unwrap_or_default(),
            default_features: raw.default_features.is_none_or(Spanned::into_inner),
            name: raw.name.map(Spanned::into_inner),
        }
    }

    fn patterns(&mut self, names: Option<Spanned<Names>>) -> Vec<Pattern> {
        let Some(names) = names else {
            return Vec::new();
        };
        let empty = names.get_ref().0.iter().any(|name| name.trim().is_empty());
        if empty || names.get_ref().0.is_empty() {
            let help = "write a name; `*` stands for any characters";
            self.problem(names.span(), "a name is empty", "selects nothing", help);
        }
        names.into_inner().0.into_iter().map(Pattern::new).collect()
    }

    /// Files are looked for below the root only.
    fn artifacts(&mut self, names: Option<Spanned<Names>>) -> Vec<Pattern> {
        let span = names.as_ref().map(Spanned::span);
        let patterns = self.patterns(names);
        let leaves = |pattern: &Pattern| {
            let path = std::path::Path::new(pattern.as_str());
            let mut parts = path.components();
            path.is_absolute() || parts.any(|part| part == std::path::Component::ParentDir)
        };
        if let Some(span) = span.filter(|_| patterns.iter().any(leaves)) {
            let help = "write the path as seen from the root, without `..`";
            self.problem(span, "a path outside of the root", "leads out", help);
        }
        patterns
    }

    fn limits(&mut self, raw: &[Spanned<String>], metric: Metric) -> Vec<Limit> {
        let mut limits: Vec<Limit> = Vec::with_capacity(raw.len());
        for text in raw {
            let Some(limit) = self.limit(text, metric) else {
                continue;
            };
            if limits.iter().any(|other| limit.replaces(other)) {
                let label = format!("{} is bounded from this side twice", limit.stat);
                self.problem(
                    text.span(),
                    "a limit is given twice",
                    &label,
                    "keep one of them",
                );
            }
            self.contradiction(text, &limit, &limits);
            limits.push(limit);
        }
        limits
    }

    fn limit(&mut self, text: &Spanned<String>, metric: Metric) -> Option<Limit> {
        match Limit::parse(text.get_ref(), metric) {
            Ok(limit) => Some(limit),
            Err(wrong) => {
                self.wrong(text, "a limit that cannot be used", wrong);
                None
            }
        }
    }

    fn contradiction(&mut self, text: &Spanned<String>, limit: &Limit, others: &[Limit]) {
        let against = |other: &&Limit| limit.excludes(other) || other.excludes(limit);
        if let Some(other) = others.iter().find(against) {
            let label = format!("no value holds this and `{other}`");
            self.problem(
                text.span(),
                "limits that contradict each other",
                &label,
                "change one of them",
            );
        }
    }

    fn tighten(
        &mut self,
        raw: &[file::Tighten],
        metric: Metric,
        limits: &[Limit],
    ) -> Vec<(Date, Vec<Limit>)> {
        let mut steps: Vec<Step<'_>> = Vec::new();
        for step in raw {
            let day = self.date(&step.from);
            let tighter = self.limits(&step.limits, metric);
            if step.limits.is_empty() {
                let help = "add `limits = [\"…\"]`";
                self.problem(
                    step.from.span(),
                    "a date without limits",
                    "nothing changes",
                    help,
                );
            }
            // Only where all could be read do limits and texts go together.
            if let Some(day) = day.filter(|_| tighter.len() == step.limits.len()) {
                steps.push((day, tighter, &step.limits));
            }
        }
        steps.sort_by_key(|(day, ..)| *day);
        let mut current = limits.to_vec();
        for (_, tighter, texts) in &steps {
            for (limit, text) in tighter.iter().zip(*texts) {
                let looser = |old: &&Limit| limit.replaces(old) && limit.is_looser_than(old);
                if let Some(old) = current.iter().find(looser) {
                    let label = format!("looser than `{old}`");
                    let help =
                        "limits only tighten; raise the limit itself, or waive it for a while";
                    self.problem(text.span(), "a limit that loosens", &label, help);
                }
                let others: Vec<_> = (current.iter().chain(tighter))
                    .filter(|old| !limit.replaces(old))
                    .cloned()
                    .collect();
                self.contradiction(text, limit, &others);
            }
            overlay(&mut current, tighter);
        }
        steps
            .into_iter()
            .map(|(day, limits, _)| (day, limits))
            .collect()
    }

    fn date(&mut self, text: &Spanned<String>) -> Option<Date> {
        let date = Date::parse(text.get_ref());
        if date.is_none() {
            let help = "write year, month and day: \"2027-01-31\"";
            self.problem(text.span(), "not a date", "no such day", help);
        }
        date
    }

    fn regression(&mut self, raw: &file::Regression, metric: Metric) -> Option<Regression> {
        let (stat, dimension) = self.regression_stat(raw, metric)?;
        let title = "a regression that cannot be used";
        let change = Change::parse(raw.max.get_ref(), dimension)
            .map_err(|wrong| self.wrong(&raw.max, title, wrong))
            .ok()?;
        let floor = match &raw.floor {
            None => 0.0,
            Some(floor) => parse_floor(floor.get_ref(), dimension)
                .map_err(|wrong| self.wrong(floor, title, wrong))
                .ok()?,
        };
        let text = match &raw.floor {
            Some(floor) => format!("{stat} {} and {}", raw.max.get_ref(), floor.get_ref()),
            None => format!("{stat} {}", raw.max.get_ref()),
        };
        Some(Regression {
            stat,
            dimension,
            change,
            floor,
            text,
        })
    }

    fn regression_stat(
        &mut self,
        raw: &file::Regression,
        metric: Metric,
    ) -> Option<(String, Dimension)> {
        let (named, place) = match &raw.stat {
            Some(stat) => (Some(stat.get_ref().as_str()), stat),
            None => (metric.default_stat(), &raw.max),
        };
        let found = named.and_then(|stat| Some((stat.to_owned(), metric.dimension(stat)?)));
        if found.is_none() {
            let help = format!(
                "add `stat = \"…\"`; {} has {}",
                metric.name(),
                metric.stat_names()
            );
            let wrong = Wrong {
                at: whole(place.get_ref()),
                what: "which statistic is meant?".to_owned(),
                help,
            };
            self.wrong(place, "a regression that cannot be used", wrong);
        }
        found
    }

    fn min_samples(&mut self, given: Option<&Spanned<u64>>, metric: Metric) -> u64 {
        let Some(given) = given else {
            return metric.min_samples();
        };
        if *given.get_ref() == 0 {
            let help = "without samples there is no data: 1 is the least";
            self.problem(given.span(), "no samples would be enough", "", help);
        }
        *given.get_ref()
    }

    fn sustained(&mut self, duration: &Spanned<String>, metric: Metric) -> Option<f64> {
        if !metric.has_series() {
            let help = "`sustained` is for process.rss and heap, which a run records over time";
            let label = format!("{} has no values over time", metric.name());
            self.problem(duration.span(), "nothing to be sustained", &label, help);
            return None;
        }
        match Dimension::Time.parse(duration.get_ref()) {
            Ok(seconds) if seconds > 0.0 => Some(seconds),
            Ok(_) => {
                self.problem(
                    duration.span(),
                    "no time at all",
                    "not above 0",
                    "write how long, such as 5m",
                );
                None
            }
            Err(wrong) => {
                self.wrong(duration, "a time that cannot be used", wrong);
                None
            }
        }
    }

    fn waiver(&mut self, raw: &file::Waiver) -> Option<Waiver> {
        if raw.reason.get_ref().trim().is_empty() {
            let help = "say why, for those who read it when it has expired";
            self.problem(
                raw.reason.span(),
                "a waiver without a reason",
                "empty",
                help,
            );
        }
        Some(Waiver {
            reason: raw.reason.get_ref().clone(),
            until: self.date(&raw.until)?,
        })
    }
}

/// From a day on: limits, and where they stand in the file.
type Step<'a> = (Date, Vec<Limit>, &'a [Spanned<String>]);

/// What is selected by, and where it stands.
fn given(raw: &file::Select) -> Vec<(&'static str, Range<usize>)> {
    fn place<T>(field: &Option<Spanned<T>>) -> Option<Range<usize>> {
        field.as_ref().map(Spanned::span)
    }
    let fields = [
        ("profile", place(&raw.profile)),
        ("value", place(&raw.value)),
        ("function", place(&raw.function)),
        ("crate", place(&raw.crate_name)),
        ("route", place(&raw.route)),
        ("span", place(&raw.span)),
        ("label", place(&raw.label)),
        ("bench", place(&raw.bench)),
        ("artifact", place(&raw.artifact)),
        ("package", place(&raw.package)),
        ("features", place(&raw.features)),
        ("default_features", place(&raw.default_features)),
        ("name", place(&raw.name)),
    ];
    let given = fields.into_iter();
    given.filter_map(|(key, span)| Some((key, span?))).collect()
}

/// Lines of ascending places, counted once.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
        }
    }

    fn of(&mut self, at: usize) -> usize {
        if let Some(between) = self.text.get(self.at..at) {
            self.line += between.matches('\n').count();
            self.at = at;
        }
        self.line
    }
}

/// What TOML or serde found.
fn of_toml(error: &toml::de::Error, text: &str) -> Problem {
    let message = error.message().trim();
    let span = error.span().unwrap_or(0..text.len().min(1));
    let (title, rest) = match message.split_once(", expected ") {
        Some((title, rest)) => (title, rest),
        None => (message, ""),
    };
    let help = of_serde(title, rest, text.get(span.clone()).unwrap_or(""));
    // More than a line of detail is not for a title.
    let (title, label) = title.split_once('\n').unwrap_or((title, ""));
    Problem {
        title: title.to_owned(),
        span,
        label: label.trim().to_owned(),
        help,
    }
}

/// What to write instead of what serde did not expect.
fn of_serde(title: &str, expected: &str, raw: &str) -> Option<String> {
    let is_name = title.starts_with("unknown field") || title.starts_with("unknown variant");
    if is_name {
        let written = title.split('`').nth(1).unwrap_or("");
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let list = known.join(", ");
        return Some(match nearest(written, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? known are {list}"),
            None => format!("known are {list}"),
        });
    }
    if Date::parse(raw).is_some() {
        return Some(format!("write a date in quotes: \"{raw}\""));
    }
    match expected {
        "" => None,
        "a sequence" => Some(format!("expected a list: [{raw}]")),
        "u64" => Some("expected a whole number, not negative".to_owned()),
        other => Some(format!("expected {other}")),
    }
}
