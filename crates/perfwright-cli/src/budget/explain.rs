//! `budget explain`: what makes up a value, and what of it has changed.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use perfwright_analyze::short_name;
use perfwright_budget::{Budget, Date, Part, Row, Verdict};
use perfwright_flamegraph::{Options, write_diff_svg};

use super::BAD_FILE;
use super::args::ExplainArgs;
use super::check::{Checked, Purpose};
use crate::table::{Column, Table};
use crate::terminal::Terminal;
use crate::units::percent;
use crate::view::output;

/// Characters of a file's name that are a budget's id.
const MAX_NAME: usize = 80;

pub(super) fn run(args: &ExplainArgs, today: Date, terminal: &mut Terminal) -> Result<u8> {
    let Some(checked) = Checked::new(&args.sources, Purpose::Explain, today, terminal)? else {
        return Ok(BAD_FILE);
    };
    for id in &args.ids {
        if !checked.budgets.iter().any(|budget| budget.id == *id) {
            bail!("find the budget {id}: the file has none of this id");
        }
    }
    let mut any = false;
    for (place, budget) in checked.budgets.iter().enumerate() {
        if !checked.is_wanted(budget, &args.ids) {
            continue;
        }
        any = true;
        checked.explain(budget, args, terminal);
        if let Some(folder) = &args.out {
            // Two ids may make one name of a file: the place in the budget file tells them apart.
            let name = format!("{}-{}.svg", place + 1, file_name(&budget.id));
            checked.draw(budget, folder, &name, terminal)?;
        }
    }
    if !any {
        terminal.line("Nothing is beyond its limit.");
    }
    Ok(checked.report.exit_code())
}

impl Checked {
    fn rows<'a>(&'a self, budget: &'a Budget) -> impl Iterator<Item = &'a Row> {
        let rows = self.report.rows.iter();
        rows.filter(|row| row.budget == budget.id)
    }

    /// Whether it was asked for, or does not hold.
    fn is_wanted(&self, budget: &Budget, ids: &[String]) -> bool {
        match ids {
            [] => self.rows(budget).any(is_over),
            ids => ids.contains(&budget.id),
        }
    }

    fn explain(&self, budget: &Budget, args: &ExplainArgs, terminal: &mut Terminal) {
        let paint = terminal.paint();
        let asked = |row: &&Row| !args.ids.is_empty() || is_over(row);
        for row in self.rows(budget).filter(asked) {
            let name = paint.heading(row.name().replace(char::is_control, " "));
            let sentence = row.sentence().replace(char::is_control, " ");
            terminal.line(format_args!("{name}: {} ({sentence})", row.verdict.name()));
        }
        let parts = self.parts(budget);
        if parts.is_empty() {
            terminal.line(paint.dim("  nothing more is known of this"));
        }
        terminal.print(table(&parts, args.lines).render(terminal.width(), paint));
    }

    /// What makes it up; what has changed, if the baseline tells.
    fn parts(&self, budget: &Budget) -> Vec<Part> {
        let now = self.sources.explain(budget);
        let Some(baseline) = &self.baseline else {
            return now;
        };
        let before = match &baseline.sources {
            Some(sources) => sources.explain(budget),
            None => baseline.measurements.parts(budget).to_vec(),
        };
        match before.is_empty() {
            true => now,
            false => Part::changes(now, &before),
        }
    }

    /// Draws the profile that explains a budget over the baseline's.
    fn draw(
        &self,
        budget: &Budget,
        folder: &Path,
        name: &str,
        terminal: &mut Terminal,
    ) -> Result<()> {
        let before = self
            .baseline
            .as_ref()
            .and_then(|baseline| baseline.sources.as_ref());
        let before = before.and_then(|sources| sources.profile_of(budget));
        let (Some((before, _)), Some((now, value))) = (before, self.sources.profile_of(budget))
        else {
            let which = budget.explained_by().map_or_else(
                || "no profile shows what it is about".to_owned(),
                |profile| format!("it takes a {profile} profile now and in the baseline"),
            );
            terminal.note(format_args!("no flamegraph of {}: {which}", budget.id));
            return Ok(());
        };
        let mut options = Options::default();
        options.title = Some(budget.id.clone());
        options.sample_type = value;
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        output::write(&folder.join(name), terminal, |out| {
            write_diff_svg(&before, &now, &options, out)?;
            Ok(())
        })
    }
}

fn is_over(row: &Row) -> bool {
    !matches!(row.verdict, Verdict::Held | Verdict::Missing)
}

/// An id as a file's name: it leads nowhere else.
fn file_name(id: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '-',
    };
    let words: String = id.chars().take(MAX_NAME).map(plain).collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-")
}

/// The first parts of each kind.
fn table(parts: &[Part], lines: usize) -> Table {
    let mut table = Table::new([
        (Column::Number, "%"),
        (Column::Number, "size"),
        (Column::Number, "change"),
        (Column::Word, ""),
        (Column::Name, "part"),
    ]);
    for kind in parts.chunk_by(|a, b| a.what == b.what) {
        let shown = match lines {
            0 => kind.len(),
            lines => kind.len().min(lines),
        };
        for part in &kind[..shown] {
            table.row([
                percent(part.share).into(),
                part.size().unwrap_or_default().into(),
                part.change().unwrap_or_default().into(),
                part.what.as_str().into(),
                short_name(&part.name).into(),
            ]);
        }
    }
    table
}
