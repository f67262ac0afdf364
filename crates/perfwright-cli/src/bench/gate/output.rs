//! Verdicts as a table, JSON, Markdown and annotations.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::row::{Counts, Outcome, Row, Time};
use crate::bench::args::{Format, GateArgs};
use crate::table::{Cell, Column, Table};
use crate::terminal::Terminal;

/// The version of the JSON.
const SCHEMA: u32 = 1;

/// All that a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    schema: u32,
    /// The smallest effect that matters, as a share.
    effect: f64,
    /// What this machine can resolve: the largest effect of identical code in any of the benches, as a share.
    resolution: Option<f64>,
    exit_code: u8,
    benches: &'a [Row],
}

impl Report<'_> {
    pub(crate) fn new<'a>(rows: &'a [Row], args: &GateArgs, exit_code: u8) -> Report<'a> {
        let resolutions = rows.iter().filter_map(|row| row.time.as_ref());
        Report {
            schema: SCHEMA,
            effect: args.effect / 100.0,
            resolution: resolutions
                .filter_map(|time| time.resolution)
                .reduce(f64::max),
            exit_code,
            benches: rows,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        // Nothing in it fails to be JSON; an error would be a bug that an empty answer shows as well.
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        json + "\n"
    }

    /// A table for a comment or a job's summary.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("{}\n", table(self.benches).markdown());
        for row in self.benches.iter().filter(|row| !row.reason.is_empty()) {
            let name = crate::table::code(&row.name());
            text.push_str(&format!("- {name}: {}\n", row.reason));
        }
        text + "\n" + &self.summary() + "\n"
    }

    /// One line for each bench that is not in order.
    pub(crate) fn to_github(&self) -> String {
        let mut text = String::new();
        for row in self.benches {
            let level = match row.verdict {
                Outcome::Failed | Outcome::Worse => "error",
                Outcome::Gone | Outcome::CannotTell => "warning",
                Outcome::Better | Outcome::Same | Outcome::New => continue,
            };
            let message = escaped(&sentence(row));
            let title = escaped(&format!("{} is {}", row.name(), row.verdict.name()));
            let title = title.replace(':', "%3A").replace(',', "%2C");
            text.push_str(&format!("::{level} title={title}::{message}\n"));
        }
        text
    }

    /// The verdicts on the terminal, those that matter most last, where the eye is.
    pub(crate) fn show(&self, terminal: &mut Terminal) {
        let paint = terminal.paint();
        let mut rows = self.benches.to_vec();
        rows.sort_by_key(|row| row.verdict);
        let table = table(&rows);
        if !table.is_empty() {
            terminal.print(table.render(terminal.width(), paint));
        }
        for row in rows.iter().filter(|row| !row.reason.is_empty()) {
            let name = paint.heading(plain(&row.name()));
            terminal.line(format_args!("{name}: {}", plain(&row.reason)));
        }
        if let Some(resolution) = self.resolution {
            terminal.line(paint.dim(format_args!(
                "Identical code differed by up to {} here; no bench is judged by less than its own such effect.",
                share(resolution, 2)
            )));
        }
        let summary = self.summary();
        terminal.line(match self.exit_code {
            0 => paint.good(summary),
            4 => paint.caution(summary),
            _ => paint.bad(summary),
        });
    }

    /// `Benches against main (1234567): 1 worse, 3 same`.
    fn summary(&self) -> String {
        let outcomes = [
            Outcome::Failed,
            Outcome::Worse,
            Outcome::Gone,
            Outcome::CannotTell,
            Outcome::New,
            Outcome::Better,
            Outcome::Same,
        ];
        let counts = outcomes.iter().filter_map(|&outcome| {
            let count = self
                .benches
                .iter()
                .filter(|row| row.verdict == outcome)
                .count();
            (count > 0).then(|| format!("{count} {}", outcome.name()))
        });
        let counts = counts.collect::<Vec<_>>().join(", ");
        let mut bases: Vec<&str> = self
            .benches
            .iter()
            .map(|row| row.against.as_str())
            .collect();
        bases.dedup();
        let against = bases.join(" and ");
        match counts.as_str() {
            "" => "Benches: none".to_owned(),
            counts => format!("Benches against {against}: {counts}"),
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let is_one_base = rows.iter().all(|row| row.against == rows[0].against);
    let mut table = Table::new([
        (Column::Word, "verdict"),
        (Column::Name, "bench"),
        (Column::Word, "against"),
        (Column::Number, "base"),
        (Column::Number, "now"),
        (Column::Number, "CPU"),
        (Column::Word, "interval"),
        (Column::Number, "wall"),
        (Column::Number, "resolves"),
        (Column::Number, "allocations"),
        (Column::Number, "instructions"),
    ]);
    let is_one_target = rows
        .iter()
        .all(|row| row.target == rows[0].target && !row.bench.is_empty());
    for row in rows {
        let name = match is_one_target {
            true => row.bench.clone(),
            false => row.name(),
        };
        let time = row.time.as_ref();
        let of = |show: fn(&Time) -> String| time.map_or_else(String::new, show);
        table.row([
            verdict(row.verdict),
            name.into(),
            if is_one_base { "" } else { &row.against }.into(),
            of(|time| nanos(time.shown().base_nanos)).into(),
            of(|time| nanos(time.shown().candidate_nanos)).into(),
            of(|time| change(time.cpu.ratio)).into(),
            // It stands beside the CPU's, unless it says that it is not.
            Cell::dim(of(|time| match time.judged_by {
                "wall" => format!("wall {}", interval(time)),
                _ => interval(time),
            })),
            of(|time| change(time.wall.ratio)).into(),
            Cell::dim(of(|time| {
                let known = |effect| share(effect, 1);
                time.resolution.map_or_else(|| "?".to_owned(), known)
            })),
            counted(row.allocations.as_ref()).into(),
            counted(row.instructions.as_ref()).into(),
        ]);
    }
    table
}

fn verdict(outcome: Outcome) -> Cell {
    let name = outcome.name();
    match outcome {
        Outcome::Better | Outcome::Same => Cell::tinted(name, |paint, text| paint.good(text)),
        Outcome::New | Outcome::CannotTell | Outcome::Gone => {
            Cell::tinted(name, |paint, text| paint.caution(text))
        }
        Outcome::Worse | Outcome::Failed => Cell::tinted(name, |paint, text| paint.bad(text)),
    }
}

fn interval(time: &Time) -> String {
    let end = |end: Option<f64>| end.map_or_else(|| "?".to_owned(), change);
    let shown = time.shown();
    format!("{} to {}", end(shown.low), end(shown.high))
}

/// A row as a sentence, for an annotation.
fn sentence(row: &Row) -> String {
    let mut parts = Vec::new();
    if let Some(time) = &row.time {
        let interval = format!(" ({})", interval(time));
        let (of_cpu, of_wall) = match time.judged_by {
            "wall" => ("", interval.as_str()),
            _ => (interval.as_str(), ""),
        };
        parts.push(format!(
            "CPU time {}{of_cpu}, wall time {}{of_wall}, from {} to {}",
            change(time.cpu.ratio),
            change(time.wall.ratio),
            nanos(time.shown().base_nanos),
            nanos(time.shown().candidate_nanos)
        ));
    }
    if let Some(counts) = &row.allocations {
        parts.push(format!("allocations {}", counted(Some(counts))));
    }
    if !row.reason.is_empty() {
        parts.push(row.reason.clone());
    }
    format!("against {}: {}", row.against, parts.join("; "))
}

/// A ratio as `+3.1 %`.
fn change(ratio: f64) -> String {
    match ratio - 1.0 {
        share if !share.is_finite() => "?".to_owned(),
        share => {
            let text = format!("{:+.1} %", share * 100.0);
            text.replace("-0.0 %", "0.0 %").replace("+0.0 %", "0.0 %")
        }
    }
}

fn share(share: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", share * 100.0)
}

/// Nanoseconds with three digits.
pub(crate) fn nanos(nanos: f64) -> String {
    let (value, unit) = match nanos {
        nanos if nanos < 1e3 => (nanos, "ns"),
        nanos if nanos < 1e6 => (nanos / 1e3, "µs"),
        nanos if nanos < 1e9 => (nanos / 1e6, "ms"),
        nanos => (nanos / 1e9, "s"),
    };
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// `12`, or `12 -> 15` where it changed.
fn counted(counts: Option<&Counts>) -> String {
    let count = |value: f64| match value {
        value if value.fract() == 0.0 || value >= 1_000.0 => crate::units::decimal(value, 0),
        value => crate::units::decimal(value, 2),
    };
    match counts {
        None => String::new(),
        Some(counts) if count(counts.base) == count(counts.candidate) => count(counts.base),
        Some(counts) => format!("{} -> {}", count(counts.base), count(counts.candidate)),
    }
}

fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// As GitHub's workflow commands want it.
fn escaped(text: &str) -> String {
    let text = text.replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

/// What goes where the arguments say.
pub(crate) fn print(report: &Report<'_>, args: &GateArgs, terminal: &mut Terminal) {
    match args.format {
        Format::Table => report.show(terminal),
        Format::Json => terminal.print(report.to_json()),
        Format::Markdown => terminal.print(report.to_markdown()),
    }
    if args.github {
        terminal.print(report.to_github());
    }
}

/// The reports as files.
pub(crate) fn write(report: &Report<'_>, folder: &Path, terminal: &mut Terminal) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let files = [
        ("gate.json", report.to_json()),
        ("gate.md", report.to_markdown()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        crate::view::output::write(&path, terminal, |file| Ok(file.write_all(text.as_bytes())?))?;
    }
    Ok(())
}
