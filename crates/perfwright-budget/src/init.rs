//! Budgets proposed from what was measured.

use std::fmt::Write as _;

use perfwright_analyze::{By, is_pseudo, top};
use serde_json::Value;

use crate::{budgets::FILE_VERSION, measure::Sources};

/// What makes editors check and complete the file.
const HINT: &str = "# `budget schema -o perfwright.schema.json` makes editors that know TOML check and complete this file.\n\
                    #:schema ./perfwright.schema.json";
/// Crates and routes that are proposed, at most.
const MOST: usize = 10;
/// What is measured may grow by half before it is a breach: a budget is to catch what is wrong, not what is noise.
const ROOM: f64 = 1.5;
/// Crates below this share are not worth a budget.
const LEAST_SHARE: f64 = 0.05;

impl Sources {
    /// A budget file that what was measured holds, with half as much again as room: latencies of routes, memory,
    /// allocations, the crates that use most CPU time. Where nothing was measured it has no budgets.
    pub fn propose(&self) -> String {
        let mut file = format!("{HINT}\nversion = {FILE_VERSION}\n");
        if let Some(report) = self.report() {
            requests(report, &mut file);
            process(report, &mut file);
        }
        self.crates(&mut file);
        file
    }

    fn crates(&self, file: &mut String) {
        let Some(profile) = self.named_profile("cpu") else {
            return;
        };
        let Some(column) = profile.default_sample_type() else {
            return;
        };
        let whole = profile.total(column) as f64;
        let mut rows = top(profile, column, By::Crate);
        rows.sort_by_key(|row| std::cmp::Reverse(row.self_value));
        for row in rows.iter().take(MOST).filter(|row| !is_pseudo(&row.name)) {
            let share = row.self_value as f64 / whole;
            let limit = round_up(share * ROOM * 100.0);
            if share >= LEAST_SHARE && limit < 100.0 && !row.name.contains('*') {
                let select = format!("{{ crate = {} }}", quoted(&row.name));
                budget(file, "profile.share", &select, &format!("self < {limit}%"));
            }
        }
    }
}

fn requests(report: &Value, file: &mut String) {
    let routes = report.pointer("/spans/routes").and_then(Value::as_array);
    let routes = routes.map_or(&[][..], Vec::as_slice).iter();
    // The load's own names come before routes where both are there: only one of them can be asked for.
    let has_load = report
        .pointer("/load/requests")
        .is_some_and(Value::is_array);
    for route in routes.take(MOST).filter(|_| !has_load) {
        let name = route.get("route").and_then(Value::as_str);
        let p95 = route.get("p95_ms").and_then(Value::as_f64);
        if let (Some(name), Some(p95)) = (name.filter(|name| !name.contains('*')), p95) {
            latency(file, &format!("{{ route = {} }}", quoted(name)), p95);
        }
    }
    if let Some(p95) = report.pointer("/load/all/p95_ms").and_then(Value::as_f64) {
        latency(file, "", p95);
    }
}

fn latency(file: &mut String, select: &str, p95_ms: f64) {
    if p95_ms > 0.0 {
        let limit = round_up(p95_ms * ROOM);
        budget(file, "latency", select, &format!("p95 < {limit}ms"));
    }
}

fn process(report: &Value, file: &mut String) {
    let number = |path: &str| {
        report
            .pointer(path)?
            .as_f64()
            .filter(|number| *number > 0.0)
    };
    if let Some(peak) = number("/memory/resident_peak") {
        let limit = round_up(peak * ROOM / 1e6);
        budget(file, "process.rss", "", &format!("max < {limit}MB"));
    }
    let allocations = number("/memory/allocations").zip(number("/load/all/count"));
    if let Some((allocations, requests)) = allocations {
        let limit = round_up(allocations / requests * ROOM);
        budget(file, "heap", "", &format!("allocs/op < {limit}"));
    }
}

fn budget(file: &mut String, metric: &str, select: &str, limit: &str) {
    let _ = writeln!(file, "\n[[budget]]\nmetric = \"{metric}\"");
    if !select.is_empty() {
        let _ = writeln!(file, "select = {select}");
    }
    let _ = writeln!(file, "limits = [\"{limit}\"]");
}

/// Up to two digits.
fn round_up(value: f64) -> f64 {
    let digits = value.abs().max(1e-9).log10().floor() as i32 - 1;
    match digits {
        0.. => (value / 10_f64.powi(digits)).ceil() * 10_f64.powi(digits),
        _ => (value * 10_f64.powi(-digits)).ceil() / 10_f64.powi(-digits),
    }
}

/// A basic string of TOML; JSON's escapes are TOML's, too, for what names hold.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
