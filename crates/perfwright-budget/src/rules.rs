//! Budgets as rules of Prometheus: what a running service serves, held against the same file.

use std::fmt::Write as _;

use crate::{
    budgets::{Budget, Budgets},
    date::Date,
    file::Severity,
    limit::{Limit, Relation},
    metric::{Metric, quantile},
    pattern::Pattern,
};

/// For how long a limit has to be broken before anybody is told, if the budget does not say, in seconds.
const FOR: f64 = 300.0;
/// What rates are taken over.
const WINDOW: &str = "5m";
/// The requests that a service with Perfwright's layer serves.
const REQUESTS: &str = "http_server_request_duration_seconds";

/// How many times faster than allowed errors come, over a long and a short window, and who is told.
/// Source: Google, "The Site Reliability Workbook" (2018), chapter 5: 2 % of 30 days' errors in an hour, 5 % in
/// six, 10 % in one day and in three.
const BURN: [(f64, &str, &str, &str); 4] = [
    (14.4, "1h", "5m", "page"),
    (6.0, "6h", "30m", "page"),
    (3.0, "1d", "2h", "ticket"),
    (1.0, "3d", "6h", "ticket"),
];

/// Rules of Prometheus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The rule file, in YAML.
    pub yaml: String,
    /// Budgets and limits of which no service tells, with the reason.
    pub left_out: Vec<String>,
}

impl Budgets {
    /// The limits that apply on a day as recording and alerting rules: `perfwright_budget_value` has each value,
    /// `PerfwrightBudget` fires where one was beyond its limit for `sustained`, or five minutes.
    /// Limits of error rates become `PerfwrightBurnRate`, over four pairs of windows.
    pub fn to_prometheus_rules(&self, day: Date) -> Rules {
        let mut writer = Writer::default();
        for budget in self
            .list
            .iter()
            .filter(|budget| budget.severity != Severity::Off)
        {
            writer.budget(budget, day);
        }
        let mut yaml = String::from("groups:\n  - name: perfwright-budgets\n    rules:");
        match writer.rules.is_empty() {
            true => yaml.push_str(" []\n"),
            false => {
                yaml.push('\n');
                yaml.push_str(&writer.rules);
            }
        }
        Rules {
            yaml,
            left_out: writer.left_out,
        }
    }
}

#[derive(Default)]
struct Writer {
    rules: String,
    left_out: Vec<String>,
}

impl Writer {
    fn budget(&mut self, budget: &Budget, day: Date) {
        let limits = budget.limits_on(day);
        if limits.is_empty() {
            let why = "only compares with a baseline, which a service has none of";
            self.left_out.push(format!("{}: {why}", budget.id));
        }
        let mut recorded: Vec<&str> = Vec::new();
        for limit in &limits {
            let Some(value) = value(budget, &limit.stat, WINDOW) else {
                let why = format!("no service tells {} {}", budget.metric.name(), limit.stat);
                self.left_out.push(format!("{}: {why}", budget.id));
                continue;
            };
            if !recorded.contains(&&*limit.stat) {
                recorded.push(&limit.stat);
                self.record(budget, &limit.stat, &value);
            }
            match budget.metric {
                Metric::ErrorRate if limit.relation.is_upper() => self.burn(budget, limit),
                _ => self.alert(budget, limit),
            }
        }
    }

    fn line(&mut self, indent: usize, key: &str, value: &str) {
        // A string of JSON is one of YAML.
        let quoted = serde_json::Value::from(value).to_string();
        let _ = writeln!(self.rules, "{:indent$}{key}: {quoted}", "");
    }

    /// `alert`: what tells it from the budget's other alerts, and its severity.
    fn labels(&mut self, budget: &Budget, stat: &str, alert: Option<[&str; 2]>) {
        self.rules.push_str("        labels:\n");
        self.line(10, "budget", &budget.id);
        self.line(10, "stat", stat);
        if let Some([limit, severity]) = alert {
            self.line(10, "limit", limit);
            self.line(10, "severity", severity);
        }
    }

    fn record(&mut self, budget: &Budget, stat: &str, value: &str) {
        self.line(6, "- record", "perfwright_budget_value");
        self.line(8, "expr", value);
        self.labels(budget, stat, None);
    }

    fn alert(&mut self, budget: &Budget, limit: &Limit) {
        let sign = match limit.relation {
            Relation::Below => ">=",
            Relation::AtMost => ">",
            Relation::Above => "<=",
            Relation::AtLeast => "<",
        };
        let (id, stat) = (quoted(&budget.id), quoted(&limit.stat));
        let bound = limit.value;
        let expr = format!("perfwright_budget_value{{budget={id},stat={stat}}} {sign} {bound}");
        let severity = match budget.severity {
            Severity::Error => "page",
            _ => "ticket",
        };
        self.line(6, "- alert", "PerfwrightBudget");
        self.line(8, "expr", &expr);
        let seconds = budget.sustained.unwrap_or(FOR).ceil();
        self.line(8, "for", &format!("{seconds}s"));
        let limit_text = limit.to_string();
        self.labels(budget, &limit.stat, Some([&limit_text, severity]));
        self.annotations(budget, &format!("{limit_text} does not hold"));
    }

    fn burn(&mut self, budget: &Budget, limit: &Limit) {
        for (factor, long, short, severity) in BURN {
            // Without the noise of binary fractions.
            let bound = (factor * limit.value * 1e9).round() / 1e9;
            let rates = [long, short].map(|window| value(budget, &limit.stat, window));
            let [Some(long_rate), Some(short_rate)] = rates else {
                continue;
            };
            // Not even all requests failing is so many times too much.
            if bound >= 1.0 {
                continue;
            }
            self.line(6, "- alert", "PerfwrightBurnRate");
            let expr = format!("({long_rate}) > {bound} and ({short_rate}) > {bound}");
            self.line(8, "expr", &expr);
            let limit_text = format!("{limit}, {long}");
            self.labels(budget, &limit.stat, Some([&limit_text, severity]));
            let what = format!("errors come {factor} times faster than {limit} allows, for {long}");
            self.annotations(budget, &what);
        }
    }

    fn annotations(&mut self, budget: &Budget, what: &str) {
        // Braces would begin a template.
        let plain = |text: &str| text.replace("{{", "{ {");
        self.rules.push_str("        annotations:\n");
        self.line(10, "summary", &plain(&format!("{}: {what}", budget.id)));
        if let Some(about) = &budget.about {
            self.line(10, "description", &plain(about));
        }
        self.line(10, "value", "{{ $value }}");
    }
}

/// The expression of a statistic, over a window where it is a rate; `None` if no service tells it.
fn value(budget: &Budget, stat: &str, window: &str) -> Option<String> {
    let select = &budget.select;
    let matchers = matchers(&select.labels);
    let histogram = |name: &str, quantile: f64, by: &str| {
        let rate = format!("rate({name}_bucket{}[{window}])", braces(&matchers));
        format!("histogram_quantile({quantile}, sum by ({by}) ({rate}))")
    };
    let requests = |more: &str| {
        let mut all = matchers.clone();
        all.extend(Some(more.to_owned()).filter(|more| !more.is_empty()));
        format!(
            "sum by (route) (rate({REQUESTS}_count{}[{window}]))",
            braces(&all)
        )
    };
    match (budget.metric, quantile(stat)) {
        (Metric::Latency, Some(quantile)) => Some(histogram(REQUESTS, quantile, "route, le")),
        (Metric::Throughput, _) => Some(requests("")),
        (Metric::ErrorRate, _) => {
            let (errors, all) = (requests("status=~\"5.*\""), requests(""));
            Some(format!("{errors} / {all}"))
        }
        (Metric::ProcessCpu, _) => Some(format!("rate(process_cpu_seconds_total[{window}])")),
        (Metric::ProcessRss, _) if stat == "slope" => {
            Some("deriv(process_resident_memory_bytes[1h])".to_owned())
        }
        (Metric::ProcessRss, _) => Some("process_resident_memory_bytes".to_owned()),
        (Metric::Prometheus, quantile) => {
            let name = select.name.as_deref().filter(|name| is_name(name))?;
            Some(match quantile {
                Some(quantile) => histogram(name, quantile, "job, instance, le"),
                None => format!("{name}{}", braces(&matchers)),
            })
        }
        _ => None,
    }
}

/// Whether Prometheus takes it for a metric's or label's name.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
}

fn matchers(labels: &[(String, Vec<Pattern>)]) -> Vec<String> {
    let known = labels.iter().filter(|(key, _)| is_name(key));
    let matcher = |(key, patterns): &(String, Vec<Pattern>)| match patterns.as_slice() {
        [only] if only.is_exact() => format!("{key}={}", quoted(only.as_str())),
        patterns => {
            let expressions: Vec<_> = patterns.iter().map(expression).collect();
            format!("{key}=~{}", quoted(&expressions.join("|")))
        }
    };
    known.map(matcher).collect()
}

fn braces(matchers: &[String]) -> String {
    match matchers {
        [] => String::new(),
        _ => format!("{{{}}}", matchers.join(",")),
    }
}

/// A pattern as a regular expression.
fn expression(pattern: &Pattern) -> String {
    let mut out = String::new();
    for c in pattern.as_str().chars() {
        match c {
            '*' => out.push_str(".*"),
            '\\' | '.' | '+' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A string of PromQL.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
