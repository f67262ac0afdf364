//! Budget files in, verdicts out.

mod binaries;
#[path = "../../../../xtask/need.rs"]
mod need;

mod commands;
mod errors;
mod fuzz;
mod loads;
mod operations;
mod output;
mod pages;
mod profiles;
mod promtool;
mod rules;
mod schema;
mod simulations;
mod sources;
mod verdicts;

use perfwright_budget::{Budgets, Date, Measurements, Report, Sources, judge};

/// The budgets of a file of version 1.
fn budgets(text: &str) -> Budgets {
    Budgets::parse("perfwright.toml", &format!("version = 1\n{text}"))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// One budget.
fn budget(metric: &str, lines: &str) -> Budgets {
    budgets(&format!("[[budget]]\nmetric = \"{metric}\"\n{lines}\n"))
}

/// The day that tests run on.
fn today() -> Date {
    Date::parse("2026-11-21").unwrap()
}

fn check(budgets: &Budgets, sources: &Sources, baseline: Option<&Measurements>) -> Report {
    judge(budgets, sources.measure(budgets), baseline, today())
}

/// The verdicts, one line each: `held size a.js: raw < 10 B; measured 3 B`.
fn lines(report: &Report) -> String {
    let rows = report.rows.iter();
    let lines: Vec<_> = rows
        .map(|row| format!("{} {}: {}", row.verdict.name(), row.name(), row.sentence()))
        .collect();
    lines.join("\n")
}
