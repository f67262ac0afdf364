//! The rules of one budget.

use super::{
    expression::{quoted, value},
    yaml::{Group, Kind, Rule, duration},
};
use crate::{
    budgets::{Budget, Slo},
    date::Date,
    file::{Burn, Missing, Severity},
    limit::{Limit, Relation},
};

/// For how long a limit has to be broken before anybody is told, if the budget does not say, in seconds.
const FOR: f64 = 300.0;
/// For how long a value has to be missing.
const MISSING_FOR: f64 = 900.0;
/// What rates are taken over.
const WINDOW: &str = "5m";
/// The value of each budget, as it is recorded.
pub(super) const VALUE: &str = "perfwright_budget_value";
/// The share of what is bad, over a window.
const BAD: &str = "perfwright_budget_bad";

/// How many times faster than allowed errors come, over a long and a short window in seconds, and who is told.
/// Source: Google, "The Site Reliability Workbook" (2018), chapter 5: 2 % of 30 days' errors in an hour, 5 % in
/// six, 10 % in one day and in three.
const BURN: [(f64, f64, f64, &str); 4] = [
    (14.4, 3600.0, 300.0, "page"),
    (6.0, 21_600.0, 1800.0, "page"),
    (3.0, 86_400.0, 7200.0, "ticket"),
    (1.0, 259_200.0, 21_600.0, "ticket"),
];
/// The window of an objective that these are for.
const BURN_WINDOW: f64 = 30.0 * 86_400.0;

/// Writes the rules of a budget into its group; what no service tells goes to `left_out`.
pub(super) fn write(budget: &Budget, day: Date, group: &mut Group, left_out: &mut Vec<String>) {
    let mut writer = Writer {
        budget,
        day,
        group,
        left_out,
        recorded: Vec::new(),
    };
    let limits = budget.limits_on(day);
    let later: Vec<_> = budget
        .tighten
        .iter()
        .filter(|(from, _)| *from > day)
        .collect();
    if limits.is_empty() && later.is_empty() && budget.slo.is_none() {
        writer.leave_out("only compares with a baseline, which a service has none of");
    }
    for limit in &limits {
        writer.limit(limit, None);
    }
    for (from, limits) in later {
        for limit in limits {
            writer.limit(limit, Some(*from));
        }
    }
    if let Some(slo) = &budget.slo {
        writer.slo(slo);
    }
}

struct Writer<'a> {
    budget: &'a Budget,
    day: Date,
    group: &'a mut Group,
    left_out: &'a mut Vec<String>,
    /// Statistics that have their recording rule.
    recorded: Vec<String>,
}

impl Writer<'_> {
    fn leave_out(&mut self, why: &str) {
        self.left_out.push(format!("{}: {why}", self.budget.id));
    }

    fn labels(&self, stat: &str) -> Vec<(&'static str, String)> {
        vec![
            ("budget", self.budget.id.clone()),
            ("stat", stat.to_owned()),
        ]
    }

    /// Records a statistic, once; whether a service tells it.
    fn record(&mut self, stat: &str) -> bool {
        if self.recorded.iter().any(|known| known == stat) {
            return true;
        }
        let expr = match value(self.budget, stat, WINDOW) {
            Ok(expr) => expr,
            Err(why) => {
                self.leave_out(&why);
                return false;
            }
        };
        self.recorded.push(stat.to_owned());
        self.group.push(&Rule {
            kind: Kind::Record(VALUE),
            expr,
            labels: self.labels(stat),
            annotations: Vec::new(),
        });
        self.missing(stat);
        true
    }

    /// An alert on a limit, which holds from a day on.
    fn limit(&mut self, limit: &Limit, from: Option<Date>) {
        if !self.record(&limit.stat) {
            return;
        }
        let sign = match limit.relation {
            Relation::Below => ">=",
            Relation::AtMost => ">",
            Relation::Above => "<=",
            Relation::AtLeast => "<",
        };
        let of_limit = format!("{} {sign} {}", self.recorded_as(&limit.stat), limit.value);
        let text = limit.to_string();
        let sustained = self.budget.sustained;
        let kind = Kind::Alert {
            name: "PerfwrightBudget",
            wait: sustained.map_or(FOR, |sustained| sustained.seconds),
            keep: sustained.and_then(|sustained| sustained.keep_firing),
        };
        let severity = self.severity("page");
        let what = format!("{text} does not hold");
        let expr = of_limit + &self.since(from);
        self.alert(kind, expr, (&limit.stat, &text), severity, &what);
    }

    /// Alerts on how fast an objective is used up.
    fn slo(&mut self, slo: &Slo) {
        let stat = &slo.limit.stat;
        if !self.record(stat) || slo.burn == Burn::None {
            return;
        }
        let scaled = |seconds: f64| duration(seconds * slo.window / BURN_WINDOW);
        let mut windows: Vec<String> = Vec::new();
        for (factor, long, short, severity) in BURN {
            // Without the noise of binary fractions.
            let bound = (factor * slo.limit.value * 1e9).round() / 1e9;
            // Not even all requests failing is so many times too much.
            if bound >= 1.0 {
                continue;
            }
            let (long, short) = (scaled(long), scaled(short));
            for window in [&long, &short] {
                self.record_bad(stat, window, &mut windows);
            }
            let bad = |window: &str| {
                let id = quoted(&self.budget.id);
                format!("{BAD}{{budget={id},window=\"{window}\"}} > {bound}")
            };
            let (both, since) = ([bad(&long), bad(&short)], self.since(None));
            let expr = both.join(" and ignoring (window) ") + &since;
            let kind = Kind::Alert {
                name: "PerfwrightBurnRate",
                wait: 0.0,
                keep: self
                    .budget
                    .sustained
                    .and_then(|sustained| sustained.keep_firing),
            };
            let text = format!("{}, {long}", slo.text);
            let severity = self.severity(severity);
            let what = format!(
                "what {} allows is used up {factor} times too fast, for {long}",
                slo.text
            );
            self.alert(kind, expr, (stat, &text), severity, &what);
        }
    }

    fn record_bad(&mut self, stat: &str, window: &str, known: &mut Vec<String>) {
        if known.iter().any(|known| known == window) {
            return;
        }
        known.push(window.to_owned());
        // It is told of the shorter window of values.
        let Ok(expr) = value(self.budget, stat, window) else {
            return;
        };
        let mut labels = self.labels(stat);
        labels.push(("window", window.to_owned()));
        self.group.push(&Rule {
            kind: Kind::Record(BAD),
            expr,
            labels,
            annotations: Vec::new(),
        });
    }

    /// An alert on a value that is not told.
    fn missing(&mut self, stat: &str) {
        let severity = match self.budget.missing {
            Missing::Skip => return,
            Missing::Warn => "ticket",
            Missing::Fail => self.severity("page"),
        };
        let kind = Kind::Alert {
            name: "PerfwrightBudgetMissing",
            wait: MISSING_FOR,
            keep: None,
        };
        let expr = format!("absent({})", self.recorded_as(stat));
        let what = format!("{stat} is not told");
        self.alert(kind, expr, (stat, ""), severity, &what);
    }

    fn recorded_as(&self, stat: &str) -> String {
        let (id, stat) = (quoted(&self.budget.id), quoted(stat));
        format!("{VALUE}{{budget={id},stat={stat}}}")
    }

    /// Who is told: of what only warns, nobody is woken.
    fn severity(&self, severity: &'static str) -> &'static str {
        match self.budget.severity {
            Severity::Error => severity,
            _ => "ticket",
        }
    }

    fn alert(
        &mut self,
        kind: Kind,
        expr: String,
        (stat, limit): (&str, &str),
        severity: &str,
        what: &str,
    ) {
        let mut labels = self.labels(stat);
        if !limit.is_empty() {
            labels.push(("limit", limit.to_owned()));
        }
        labels.push(("severity", severity.to_owned()));
        let summary = format!("{}: {what}", self.budget.id);
        let mut annotations = vec![("summary", plain(&summary))];
        if let Some(about) = &self.budget.about {
            annotations.push(("description", plain(about)));
        }
        annotations.push(("value", "{{ $value }}".to_owned()));
        self.group.push(&Rule {
            kind,
            expr,
            labels,
            annotations,
        });
    }

    /// What keeps an alert silent until its limit holds, and while a waiver allows what it tells of.
    fn since(&self, from: Option<Date>) -> String {
        let waiver = self.budget.waiver.as_ref();
        let waived = waiver.filter(|waiver| waiver.until >= self.day);
        let ends = waived.map(|waiver| waiver.until.to_unix() + 86_400);
        let begins = from.map(Date::to_unix);
        match ends.max(begins) {
            Some(time) => format!(" and on () (vector(time()) >= {time})"),
            None => String::new(),
        }
    }
}

/// Braces would begin a template.
fn plain(text: &str) -> String {
    text.replace("{{", "{ {")
}
