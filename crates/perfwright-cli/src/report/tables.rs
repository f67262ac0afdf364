//! The tables that the terminal and `report.md` share.

use perfwright_analyze::{Origin, short_name, short_path};
use perfwright_model::SampleType;

use super::{FunctionRow, Report, RequestStats, ThreadInfo};
use crate::table::{Cell, Column, Table};
use crate::units::{Scale, counted, decimal, milliseconds, percent, whole};

/// How names and paths are written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places<'a> {
    /// Folders that paths are shown relative to.
    pub(crate) roots: &'a [String],
    /// Names and paths in full.
    pub(crate) full: bool,
}

impl Places<'_> {
    pub(crate) fn name(&self, name: &str) -> String {
        if self.full {
            name.to_owned()
        } else {
            short_name(name)
        }
    }

    /// `src/main.rs:12`; empty when the file is not known.
    pub(crate) fn place(&self, file: Option<&str>, line: Option<u32>) -> String {
        let Some(file) = file else {
            return String::new();
        };
        let roots: Vec<&str> = self.roots.iter().map(String::as_str).collect();
        let file = if self.full {
            file
        } else {
            short_path(file, &roots)
        };
        line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
    }
}

/// Functions, or whatever `title` says, with self and total. The user's own code stands out.
pub(crate) fn functions(
    title: &'static str,
    rows: &[FunctionRow],
    sample_type: &SampleType,
    places: Places<'_>,
) -> Table {
    let largest = rows
        .iter()
        .map(|row| row.total_value.max(row.self_value))
        .max();
    let scale = Scale::of(sample_type, largest.unwrap_or(0));
    let mut table = Table::new([
        (Column::Number, "self"),
        (Column::Number, "%"),
        (Column::Number, "total"),
        (Column::Number, "%"),
        (Column::Name, title),
        (Column::Path, "where"),
    ]);
    for row in rows {
        table.row([
            scale.show(row.self_value).into(),
            percent(row.self_share).into(),
            scale.show(row.total_value).into(),
            percent(row.total_share).into(),
            name_cell(row, places),
            Cell::dim(places.place(row.file.as_deref(), row.line)),
        ]);
    }
    table
}

fn name_cell(row: &FunctionRow, places: Places<'_>) -> Cell {
    let name = places.name(&row.function);
    match Origin::of(&row.function, row.file.as_deref()) {
        Origin::Own => Cell::tinted(name, |paint, text| paint.heading(text)),
        Origin::Pseudo => Cell::tinted(name, |paint, text| paint.caution(text)),
        Origin::Dependency | Origin::Std | Origin::Native => name.into(),
    }
}

/// Threads of one name are one line.
pub(super) fn threads(report: &Report) -> Table {
    let scale = Scale::of(&report.sample_type(), report.total_value);
    let mut table = Table::new([
        (Column::Number, report.time_word()),
        (Column::Number, "%"),
        (Column::Word, "thread"),
        (Column::Word, ""),
    ]);
    for (name, group) in groups(&report.threads) {
        let remark = match group.as_slice() {
            [thread] => thread
                .tid
                .map_or_else(String::new, |tid| format!("id {tid}")),
            many => counted(many.len() as u64, "thread"),
        };
        table.row([
            scale
                .show(group.iter().map(|thread| thread.total_value).sum())
                .into(),
            percent(group.iter().map(|thread| thread.total_share).sum()).into(),
            name.into(),
            Cell::dim(remark),
        ]);
    }
    table
}

fn groups(threads: &[ThreadInfo]) -> Vec<(&str, Vec<&ThreadInfo>)> {
    let mut groups: Vec<(&str, Vec<&ThreadInfo>)> = Vec::new();
    for thread in threads {
        let name = thread.name.as_deref().unwrap_or("(no thread)");
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(thread),
            None => groups.push((name, vec![thread])),
        }
    }
    let sum = |group: &[&ThreadInfo]| group.iter().map(|thread| thread.total_value).sum::<i64>();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(sum(group)));
    groups
}

/// Requests by name, and all of them.
pub(super) fn requests(load: &super::Load) -> Table {
    let mut table = Table::new([
        (Column::Word, "request"),
        (Column::Number, "count"),
        (Column::Number, "errors"),
        (Column::Number, "per second"),
        (Column::Number, "p50"),
        (Column::Number, "p95"),
        (Column::Number, "p99"),
        (Column::Number, "max"),
    ]);
    let all = (load.requests.len() > 1).then_some(&load.all);
    for stats in load.requests.iter().chain(all) {
        table.row(request_cells(stats));
    }
    table
}

fn request_cells(stats: &RequestStats) -> [Cell; 8] {
    let errors = match stats.errors {
        0 => Cell::dim("0"),
        errors => Cell::tinted(whole(errors), |paint, text| paint.bad(text)),
    };
    // Without an answer there is no latency to tell.
    let latency = |ms: f64| {
        if stats.count == 0 {
            "-".to_owned()
        } else {
            milliseconds(ms)
        }
    };
    [
        stats.name.as_str().into(),
        whole(stats.count).into(),
        errors,
        decimal(stats.rps, 1).into(),
        latency(stats.p50_ms).into(),
        latency(stats.p95_ms).into(),
        latency(stats.p99_ms).into(),
        latency(stats.max_ms).into(),
    ]
}
