//! From what is written to what is meant: reads a file's tables, and collects everything that is wrong.

use std::ops::Range;

use toml::Spanned;

use super::{Budget, Budgets, FILE_VERSION, Select, Waiver, syntax::Lines};
use crate::{
    date::Date,
    error::Problem,
    file,
    measure::ENVIRONMENT_KEYS,
    metric::Metric,
    units::{Wrong, nearest},
};

/// Standard deviations that an estimate has to be beyond a limit to be a breach, if the file does not say.
/// By chance that happens to one of 740 shares that are exactly at their limit.
const DEVIATIONS: f64 = 3.0;

/// Judges a file, and collects what is wrong.
pub(super) struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            problems: Vec::new(),
        }
    }

    /// The budgets of a file, or everything that is wrong with it.
    pub(super) fn read(mut self, name: &str, file: file::File) -> Result<Budgets, Vec<Problem>> {
        let budgets = self.file(name, file);
        match self.problems.is_empty() {
            true => Ok(budgets),
            false => Err(self.problems),
        }
    }

    pub(super) fn problem(&mut self, span: Range<usize>, title: &str, label: &str, help: &str) {
        self.problems.push(Problem {
            title: title.to_owned(),
            span,
            label: label.to_owned(),
            help: Some(help.to_owned()).filter(|help| !help.is_empty()),
        });
    }

    /// A problem inside a string.
    pub(super) fn wrong(&mut self, of: &Spanned<String>, title: &str, wrong: Wrong) {
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
            commands: self.commands(file.command),
            environment: Vec::new(),
            max_load: self.max_load(file.environment.max_load.as_ref()),
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
            let place = (raw.select.as_ref()).map_or(raw.metric.span(), |select| select.span());
            let Some(mut budget) = self.budget(raw, &file.defaults, line) else {
                continue;
            };
            self.uses_command(&budget, place, &budgets.commands);
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

    fn max_load(&mut self, given: Option<&Spanned<f64>>) -> Option<f64> {
        let given = given?;
        if !(*given.get_ref() > 0.0 && given.get_ref().is_finite()) {
            let help = "write how many processes may be running on each core, such as 1.0";
            self.problem(given.span(), "impossible load", "not above 0", help);
        }
        Some(*given.get_ref())
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
        let slo = raw
            .slo
            .as_ref()
            .and_then(|raw| self.slo(raw, metric, &limits));
        let is_bounded = raw.regression.is_some() || raw.slo.is_some();
        if raw.limits.is_empty() && raw.tighten.is_empty() && !is_bounded {
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
            slo,
            sustained: raw.sustained.and_then(|raw| self.sustained(&raw, metric)),
            tighten,
            reruns: self.on_breach(raw.on_breach.as_ref(), defaults.on_breach.as_ref(), metric),
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
    pub(super) fn date(&mut self, text: &Spanned<String>) -> Option<Date> {
        let date = Date::parse(text.get_ref());
        if date.is_none() {
            let help = "write year, month and day: \"2027-01-31\"";
            self.problem(text.span(), "not a date", "no such day", help);
        }
        date
    }

    fn min_samples(&mut self, given: Option<&Spanned<u64>>, metric: Metric) -> u64 {
        let Some(given) = given else {
            return metric.spec().min_samples;
        };
        if *given.get_ref() == 0 {
            let help = "without samples there is no data: 1 is the least";
            self.problem(given.span(), "no samples would be enough", "", help);
        }
        *given.get_ref()
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
