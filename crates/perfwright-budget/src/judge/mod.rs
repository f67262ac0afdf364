//! From readings to verdicts.

mod again;
mod baseline;
mod sustained;

use crate::{
    budgets::{Budget, Budgets, Regression, Slo},
    date::Date,
    file::{Missing, Severity},
    limit::Limit,
    measure::{Data, Error, Measurements, Reading},
    units::Dimension,
};
use baseline::Baseline;

/// What became of one limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Within the limit.
    Held,
    /// Beyond the limit, and a waiver allows that.
    Waived,
    /// Beyond the limit, as the baseline was, and no worse than it.
    NoWorse,
    /// The data do not decide it.
    CannotTell,
    /// There are no data, or no baseline.
    Missing,
    /// Beyond the limit.
    Breach,
}

impl Verdict {
    /// A word or three for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Waived => "waived",
            Self::NoWorse => "no worse",
            Self::CannotTell => "can't tell",
            Self::Missing => "missing",
            Self::Breach => "breach",
        }
    }
}

/// How much a verdict matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// To be looked at; the check does not fail.
    Warning,
    /// The check fails, with [`Report::exit_code`].
    Error,
}

/// A limit, what was measured, and the verdict.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The budget's id.
    pub budget: String,
    /// Its metric.
    pub metric: &'static str,
    /// The line of the budget in its file, 1-based.
    pub line: usize,
    /// Which route, bench or file, where there are several.
    pub subject: String,
    /// The limit for people: `total < 15.0 %`.
    pub rule: String,
    /// What was measured, for people.
    pub measured: Option<String>,
    /// What the baseline had, for people, where it was asked.
    pub baseline: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// How much that matters.
    pub level: Level,
    /// Why, or what else there is to know; may be empty.
    pub reason: String,
}

/// The verdicts on all limits of a file.
#[derive(Clone, Debug)]
pub struct Report {
    /// The budget file's name.
    pub file: String,
    /// In the order of the file.
    pub rows: Vec<Row>,
    /// How many standard deviations beyond its limit an estimate had to be to be called a breach.
    pub deviations: f64,
    /// What was measured.
    pub measurements: Measurements,
}

impl Report {
    /// What a command should exit with: 0 held, 3 a breach or missing data, 4 can't tell.
    pub fn exit_code(&self) -> u8 {
        let failed = self.rows.iter().filter(|row| row.level == Level::Error);
        let codes = failed.map(|row| match row.verdict {
            // A breach is told before what is not known.
            Verdict::CannotTell => 1,
            _ => 2,
        });
        match codes.max() {
            None => 0,
            Some(1) => 4,
            Some(_) => 3,
        }
    }

    /// How many rows have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.rows
            .iter()
            .filter(|row| row.verdict == verdict)
            .count()
    }
}

/// Holds measurements against budgets.
///
/// `baseline` is what was measured before, for regressions and for what was over its limit already; `today`
/// decides which limits have begun and which waivers have ended.
pub fn judge(
    budgets: &Budgets,
    measurements: Measurements,
    baseline: Option<&Measurements>,
    today: Date,
) -> Report {
    let mut rows = Vec::new();
    for budget in &budgets.list {
        if budget.severity == Severity::Off {
            continue;
        }
        let readings = measurements.of(&budget.id);
        let judge = Judge {
            budget,
            readings,
            baseline: Baseline::new(budgets, budget, &measurements, baseline),
            noisy: noise(budgets, budget, &measurements),
            deviations: budgets.deviations,
            today,
        };
        judge.limits(&mut rows);
        if let Some(slo) = &budget.slo {
            judge.slo(slo, &mut rows);
        }
        if let Some(regression) = &budget.regression {
            judge.regression(regression, &mut rows);
        }
    }
    Report {
        file: budgets.file.clone(),
        rows,
        deviations: budgets.deviations,
        measurements,
    }
}

/// Why the times that were measured say little, if they do.
fn noise(budgets: &Budgets, budget: &Budget, measured: &Measurements) -> Option<String> {
    let most = budgets
        .max_load
        .filter(|_| budget.metric.spec().is_timing)?;
    match measured.load {
        None => Some("the load of the machine is not known".to_owned()),
        Some(load) if load > most => Some(format!(
            "{load:.1} processes ran on each core, more than {most}"
        )),
        Some(_) => None,
    }
}

impl Measurements {
    fn of(&self, budget: &str) -> &[Reading] {
        self.by_budget.get(budget).map_or(&[], Vec::as_slice)
    }
}

/// A verdict with its reason.
type Ruling = (Verdict, String);

struct Judge<'a> {
    budget: &'a Budget,
    readings: &'a [Reading],
    baseline: Baseline<'a>,
    /// Why times say little, if they do.
    noisy: Option<String>,
    deviations: f64,
    today: Date,
}

impl Judge<'_> {
    fn limits(&self, rows: &mut Vec<Row>) {
        for limit in self.budget.limits_on(self.today) {
            self.each(
                &limit.stat,
                limit.dimension,
                &limit.to_string(),
                rows,
                |reading, data| self.limit(&limit, reading, data),
            );
        }
    }

    fn regression(&self, regression: &Regression, rows: &mut Vec<Row>) {
        let from = rows.len();
        let (stat, dimension) = (&regression.stat, regression.dimension);
        self.each(stat, dimension, &regression.text, rows, |reading, data| {
            self.change(regression, reading, data)
        });
        let of_stat = self.readings.iter().filter(|reading| reading.stat == *stat);
        for (row, reading) in rows[from..].iter_mut().zip(of_stat) {
            let before = self.baseline.of(reading);
            row.baseline = before.map(|data| self.shown(data, dimension));
        }
    }

    /// Rules on every reading of a statistic.
    fn each(
        &self,
        stat: &str,
        dimension: Dimension,
        rule: &str,
        rows: &mut Vec<Row>,
        rule_on: impl Fn(&Reading, &Data) -> Ruling,
    ) {
        let mut any = false;
        for reading in self.readings.iter().filter(|reading| reading.stat == stat) {
            any = true;
            let (measured, ruling) = match &reading.data {
                Ok(data) => (
                    Some(self.shown(data, dimension)),
                    self.enough(reading, data, dimension, &rule_on),
                ),
                Err(why) => (None, (Verdict::Missing, why.clone())),
            };
            rows.push(self.row(&reading.subject, rule, measured, self.waived(ruling)));
        }
        if !any {
            let ruling = (Verdict::Missing, "nothing was measured".to_owned());
            rows.push(self.row("", rule, None, ruling));
        }
    }

    fn enough(
        &self,
        reading: &Reading,
        data: &Data,
        dimension: Dimension,
        rule_on: impl Fn(&Reading, &Data) -> Ruling,
    ) -> Ruling {
        let wanted = self.budget.min_samples as f64;
        match data.samples {
            // Sums of weights are exact only to rounding.
            Some(samples) if samples < wanted - 1e-6 => (
                Verdict::Missing,
                format!("{samples:.0} samples, of at least {wanted} that are needed"),
            ),
            _ if dimension.is_of_a_clock() => self.despite_noise(rule_on(reading, data)),
            _ => rule_on(reading, data),
        }
    }

    /// On a busy machine times are longer than they are: what holds all the same does hold.
    fn despite_noise(&self, (verdict, reason): Ruling) -> Ruling {
        match &self.noisy {
            Some(noisy) if verdict == Verdict::Breach => {
                let reason = Some(reason).filter(|reason| !reason.is_empty());
                let reasons: Vec<_> = reason.into_iter().chain([noisy.clone()]).collect();
                (Verdict::CannotTell, reasons.join("; "))
            }
            _ => (verdict, reason),
        }
    }

    fn row(
        &self,
        subject: &str,
        rule: &str,
        measured: Option<String>,
        (verdict, reason): Ruling,
    ) -> Row {
        Row {
            budget: self.budget.id.clone(),
            metric: self.budget.metric.name(),
            line: self.budget.line,
            subject: subject.to_owned(),
            rule: rule.to_owned(),
            measured,
            baseline: None,
            verdict,
            level: self.level(verdict),
            reason,
        }
    }

    fn level(&self, verdict: Verdict) -> Level {
        let level = match (verdict, self.budget.missing) {
            (Verdict::Held, _) | (Verdict::Missing, Missing::Skip) => Level::Ok,
            (Verdict::Waived | Verdict::NoWorse, _) => Level::Warning,
            (Verdict::Missing, Missing::Warn) => Level::Warning,
            _ => Level::Error,
        };
        match self.budget.severity {
            Severity::Error => level,
            _ => level.min(Level::Warning),
        }
    }

    /// The value with what is known of its error.
    fn shown(&self, data: &Data, dimension: Dimension) -> String {
        let value = dimension.show(data.value);
        let (low, high) = data.interval(self.deviations);
        match data.error {
            Error::None => value,
            _ if low == high => value,
            _ if high == f64::INFINITY => format!("above {}", dimension.show(low)),
            _ => format!(
                "{value} ({} to {})",
                dimension.show(low),
                dimension.show(high)
            ),
        }
    }

    /// An objective: what is bad, and how much of what may be bad that is.
    fn slo(&self, slo: &Slo, rows: &mut Vec<Row>) {
        let limit = &slo.limit;
        let from = rows.len();
        self.each(
            &limit.stat,
            limit.dimension,
            &slo.text,
            rows,
            |reading, data| {
                let (verdict, reason) = self.plain(limit, reading, data);
                let used = Dimension::Share { exceeds: true }.show(data.value / limit.value);
                let used = format!("at this rate uses {used} of what may fail");
                let reason = Some(reason).filter(|reason| !reason.is_empty());
                let reasons: Vec<_> = [used].into_iter().chain(reason).collect();
                (verdict, reasons.join("; "))
            },
        );
        // The limit says what is good, and the value what is not.
        for measured in rows[from..]
            .iter_mut()
            .filter_map(|row| row.measured.as_mut())
        {
            measured.push_str(" bad");
        }
    }

    fn limit(&self, limit: &Limit, reading: &Reading, data: &Data) -> Ruling {
        match sustained::asked(self.budget, limit, data) {
            Some(asked) => sustained::judge(limit, data, asked),
            None => self.plain(limit, reading, data),
        }
    }

    fn plain(&self, limit: &Limit, reading: &Reading, data: &Data) -> Ruling {
        let note = data.note.clone().unwrap_or_default();
        let (low, high) = data.interval(self.deviations);
        let ends = (limit.holds(low), limit.holds(high));
        match (ends, data.error) {
            ((true, true), _) => (Verdict::Held, note),
            ((false, false), _) => self.was_over(limit, reading, data),
            (_, Error::Between(..)) => {
                let why = "a histogram's bucket holds both the value and the limit: give it a bound there";
                (Verdict::CannotTell, why.to_owned())
            }
            _ if limit.holds(data.value) => (Verdict::Held, note),
            (_, Error::Repeated { .. }) => {
                let why =
                    "the runs vary by more than it is beyond the limit: `repeat` it more often";
                (Verdict::CannotTell, why.to_owned())
            }
            _ => {
                let k = self.deviations;
                let why =
                    format!("beyond the limit by less than {k} standard deviations of sampling");
                (Verdict::CannotTell, why)
            }
        }
    }

    /// What a waiver makes of a breach.
    fn waived(&self, (verdict, reason): Ruling) -> Ruling {
        let Some(waiver) = self
            .budget
            .waiver
            .as_ref()
            .filter(|_| verdict == Verdict::Breach)
        else {
            return (verdict, reason);
        };
        match self.today <= waiver.until {
            true => (
                Verdict::Waived,
                format!("until {}: {}", waiver.until, waiver.reason),
            ),
            false => {
                let ended = format!("the waiver ended on {}: {}", waiver.until, waiver.reason);
                (verdict, ended)
            }
        }
    }
}
