//! `budget`: measurements held against budgets.

pub(crate) mod args;
mod check;
mod commands;
mod explain;
mod live;
mod rules;
mod sources;

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use perfwright_budget::{Budgets, Date, Level, Report, Row, Sources, Verdict};

use crate::table::{Cell, Column, Table};
use crate::terminal::Terminal;
use crate::view::output;
use args::{BudgetCommand, CheckArgs, Format, InitArgs};
use check::{Checked, Purpose};

/// A budget file that cannot be used.
const BAD_FILE: u8 = 2;
/// Bytes of a budget file that are read; what is longer is refused by its reader.
const MAX_FILE: u64 = 64 << 20;

/// Runs one of the commands; gives its exit code.
pub(crate) fn run(command: &BudgetCommand, terminal: &mut Terminal) -> Result<u8> {
    match command {
        BudgetCommand::Check(args) => check(args, today(), terminal),
        BudgetCommand::Explain(args) => explain::run(args, today(), terminal),
        BudgetCommand::Rules(args) => rules::write(args, today(), terminal),
        BudgetCommand::Init(args) => init(args, terminal),
        BudgetCommand::Schema(args) => rules::schema(args, terminal),
    }
}

fn today() -> Date {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Date::from_unix(now.map_or(0, |now| now.as_secs()))
}

fn check(args: &CheckArgs, today: Date, terminal: &mut Terminal) -> Result<u8> {
    let purpose = match args.measure {
        true => Purpose::Measure,
        false => Purpose::Judge,
    };
    let Some(checked) = Checked::new(&args.sources, purpose, today, terminal)? else {
        return Ok(BAD_FILE);
    };
    if !args.measure && checked.misses_a_command() {
        terminal.note("--measure runs the commands of the file, and measures them");
    }
    let report = checked.report;
    match args.format {
        Format::Table => show(&report, terminal),
        Format::Json => terminal.print(report.to_json()),
        Format::Markdown => terminal.print(report.to_markdown()),
        Format::Junit => terminal.print(report.to_junit()),
    }
    if args.github {
        terminal.print(report.to_github());
    }
    if let Some(folder) = &args.out {
        write(&report, folder, terminal)?;
    }
    Ok(report.exit_code())
}

fn init(args: &InitArgs, terminal: &mut Terminal) -> Result<u8> {
    if args.file.exists() {
        bail!("write {}: it is there already", args.file.display());
    }
    let mut sources = Sources::new();
    sources::add_run(&mut sources, &args.run, &["cpu"], terminal)?;
    let text = sources.propose();
    output::write(&args.file, terminal, |file| {
        Ok(file.write_all(text.as_bytes())?)
    })?;
    Ok(0)
}

/// The budgets of a file; `None` if it is wrong, which has been said then.
fn read(file: &Path, terminal: &mut Terminal) -> Result<Option<Budgets>> {
    let name = file.display().to_string();
    let bytes = sources::read(file, MAX_FILE).with_context(|| format!("read {name}"))?;
    let text = String::from_utf8(bytes).with_context(|| format!("read {name}"))?;
    match Budgets::parse(&name, &text) {
        Ok(budgets) => Ok(Some(budgets)),
        Err(error) => {
            terminal.excerpt(|colored| error.render(colored));
            Ok(None)
        }
    }
}

fn write(report: &Report, folder: &Path, terminal: &mut Terminal) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let files = [
        ("budget.json", report.to_json()),
        ("budget.md", report.to_markdown()),
        ("budget.xml", report.to_junit()),
    ];
    for (name, text) in files {
        output::write(&folder.join(name), terminal, |file| {
            Ok(file.write_all(text.as_bytes())?)
        })?;
    }
    Ok(())
}

/// The verdicts as a table, what matters most last, where the eye is.
fn show(report: &Report, terminal: &mut Terminal) {
    let mut rows: Vec<&Row> = report.rows.iter().collect();
    rows.sort_by_key(|row| (row.level, row.verdict));
    let mut table = Table::new([
        (Column::Word, "verdict"),
        (Column::Name, "budget"),
        (Column::Word, "limit"),
        (Column::Number, "measured"),
        (Column::Number, "baseline"),
    ]);
    for row in &rows {
        table.row([
            verdict(row),
            row.name().into(),
            row.rule.as_str().into(),
            row.measured.as_deref().unwrap_or("-").into(),
            row.baseline.as_deref().unwrap_or("").into(),
        ]);
    }
    let paint = terminal.paint();
    if !table.is_empty() {
        terminal.print(table.render(terminal.width(), paint));
    }
    let told = |row: &&&Row| row.level != Level::Ok || !row.reason.is_empty();
    let mut last = String::new();
    for row in rows.iter().filter(told) {
        let place = paint.dim(format_args!("{}:{}", report.file, row.line));
        let plain = |text: &str| text.replace(char::is_control, " ");
        let name = paint.heading(plain(&row.name()));
        let reason = match row.reason.as_str() {
            "" => row.verdict.name().to_owned(),
            reason => plain(reason),
        };
        let line = format!("{place}: {name}: {reason}");
        // Of several limits of one budget there may be the same to say.
        if line != last {
            terminal.line(&line);
        }
        last = line;
    }
    let summary = format!("Budgets: {}", report.summary());
    let summary = match report.exit_code() {
        0 => paint.good(summary),
        4 => paint.caution(summary),
        _ => paint.bad(summary),
    };
    terminal.line(summary);
}

fn verdict(row: &Row) -> Cell {
    let name = row.verdict.name();
    match (row.level, row.verdict) {
        (Level::Error, Verdict::CannotTell) | (Level::Warning, _) => {
            Cell::tinted(name, |paint, text| paint.caution(text))
        }
        (Level::Error, _) => Cell::tinted(name, |paint, text| paint.bad(text)),
        (Level::Ok, _) => Cell::tinted(name, |paint, text| paint.good(text)),
    }
}

#[cfg(test)]
mod tests;
