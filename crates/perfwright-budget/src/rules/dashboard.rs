//! A dashboard of Grafana on what the rules record: a panel for each value, with its limits as lines.

use serde_json::{Value, json};

use super::{
    alerts::VALUE,
    expression::{quoted, value},
    yaml::duration,
};
use crate::{
    budgets::{Budget, Budgets, Slo},
    date::Date,
    file::Severity,
    limit::Limit,
    units::Dimension,
};

/// The version of dashboards that Grafana 10.4 writes; newer ones read it.
const SCHEMA_VERSION: u32 = 39;
/// Columns of a dashboard, and of each panel.
const COLUMNS: usize = 24;
const WIDTH: usize = 12;
const HEIGHT: usize = 8;

impl Budgets {
    /// The budgets as a dashboard of Grafana, in JSON: what fires, what is left of objectives, and the values that
    /// [`Budgets::to_prometheus_rules`] records, with the limits of a day.
    pub fn to_grafana_dashboard(&self, day: Date) -> String {
        let mut panels = vec![firing()];
        let live = self.list.iter();
        for budget in live.filter(|budget| budget.severity != Severity::Off) {
            panels.extend(of_budget(budget, day));
        }
        place(&mut panels);
        let dashboard = json!({
            "title": "Budgets",
            "uid": "perfwright-budgets",
            "description": format!("Budgets of {}, made by perfwright.", self.file),
            "tags": ["perfwright"],
            "schemaVersion": SCHEMA_VERSION,
            "refresh": "30s",
            "time": { "from": "now-6h", "to": "now" },
            "templating": { "list": [{
                "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus",
            }] },
            "panels": panels,
        });
        // It is made of texts and numbers: writing to memory cannot fail.
        serde_json::to_string_pretty(&dashboard).unwrap_or_default() + "\n"
    }
}

/// The panels of one budget: its objective, and each statistic that a service tells.
fn of_budget(budget: &Budget, day: Date) -> Vec<Value> {
    let mut panels: Vec<Value> = budget
        .slo
        .iter()
        .filter_map(|slo| left(budget, slo))
        .collect();
    let limits = budget.limits_on(day);
    let mut stats: Vec<&Limit> = Vec::new();
    let bad = budget.slo.iter().map(|slo| &slo.limit);
    for limit in limits.iter().chain(bad) {
        if !stats.iter().any(|known| known.stat == limit.stat) {
            stats.push(limit);
        }
    }
    let known = stats
        .into_iter()
        .filter(|limit| value(budget, &limit.stat, "5m").is_ok());
    panels.extend(known.map(|limit| over_time(budget, limit, &limits)));
    panels
}

/// What fires.
fn firing() -> Value {
    panel(
        "table",
        "Alerts",
        "Budgets that do not hold, that are used up too fast, or that are not told.",
        json!({
            "refId": "A", "instant": true, "format": "table",
            "expr": "ALERTS{alertname=~\"PerfwrightB.*\"}",
        }),
        json!({}),
    )
}

/// What is left of an objective over its window.
fn left(budget: &Budget, slo: &Slo) -> Option<Value> {
    let bad = value(budget, &slo.limit.stat, &duration(slo.window)).ok()?;
    let title = format!("{}: left of {}", budget.id, slo.text);
    let about = budget.about.as_deref().unwrap_or_default();
    let target = json!({
        "refId": "A", "instant": true, "legendFormat": LEGEND,
        "expr": format!("1 - ({bad}) / {}", slo.limit.value),
    });
    let field = json!({
        "unit": "percentunit", "max": 1,
        "thresholds": steps(&[(None, "red"), (Some(0.0), "orange"), (Some(0.25), "green")]),
    });
    Some(panel("stat", &title, about, target, field))
}

/// The labels that tell series apart, where they have them.
const LEGEND: &str = "{{method}} {{route}} {{pool}} {{cache}} {{instance}}";

fn over_time(budget: &Budget, limit: &Limit, limits: &[Limit]) -> Value {
    let stat = &limit.stat;
    let of_stat: Vec<&Limit> = limits.iter().filter(|limit| limit.stat == *stat).collect();
    let shown: Vec<_> = of_stat.iter().map(ToString::to_string).collect();
    let what = match shown.is_empty() {
        true => stat.clone(),
        false => shown.join(", "),
    };
    let title = format!("{}: {what}", budget.id);
    let target = json!({
        "refId": "A", "legendFormat": LEGEND,
        "expr": format!("{VALUE}{{budget={},stat={}}}", quoted(&budget.id), quoted(stat)),
    });
    let field = json!({
        "unit": unit(limit.dimension),
        "custom": { "thresholdsStyle": { "mode": "line" } },
        "thresholds": thresholds(&of_stat),
    });
    let about = budget.about.as_deref().unwrap_or_default();
    panel("timeseries", &title, about, target, field)
}

/// Lines at limits: green is what holds.
fn thresholds(limits: &[&Limit]) -> Value {
    let bound = |is_upper: bool| {
        let of_side = limits
            .iter()
            .find(|limit| limit.relation.is_upper() == is_upper);
        of_side.map(|limit| limit.value)
    };
    match (bound(false), bound(true)) {
        (Some(low), high) => {
            let mut all = vec![(None, "red"), (Some(low), "green")];
            all.extend(high.map(|high| (Some(high), "red")));
            steps(&all)
        }
        (None, Some(high)) => steps(&[(None, "green"), (Some(high), "red")]),
        (None, None) => steps(&[(None, "green")]),
    }
}

fn steps(steps: &[(Option<f64>, &str)]) -> Value {
    let steps = steps.iter();
    let steps = steps.map(|(value, color)| json!({ "value": value, "color": color }));
    json!({ "mode": "absolute", "steps": steps.collect::<Vec<_>>() })
}

fn unit(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Share { .. } => "percentunit",
        Dimension::Time => "s",
        Dimension::Bytes => "bytes",
        Dimension::PerSecond => "reqps",
        Dimension::BytesPerSecond => "binBps",
        Dimension::Count | Dimension::Any => "short",
    }
}

fn panel(kind: &str, title: &str, about: &str, mut target: Value, field: Value) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    target["datasource"] = source.clone();
    json!({
        "type": kind,
        "title": title,
        "description": about,
        "datasource": source,
        "targets": [target],
        "fieldConfig": { "defaults": field, "overrides": [] },
    })
}

/// Puts panels side by side, row by row; the first takes a row for itself.
fn place(panels: &mut [Value]) {
    let (mut x, mut y) = (0, 0);
    for (at, panel) in panels.iter_mut().enumerate() {
        let width = if at == 0 { COLUMNS } else { WIDTH };
        panel["id"] = json!(at + 1);
        panel["gridPos"] = json!({ "x": x, "y": y, "w": width, "h": HEIGHT });
        x += width;
        if x >= COLUMNS {
            (x, y) = (0, y + HEIGHT);
        }
    }
}
