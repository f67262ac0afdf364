//! `diff`: two profiles side by side, with what is more than sampling error.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use perfwright_analyze::{Diff, DiffRow, Weight, Whole, by_label, common_sample_type};
use perfwright_flamegraph::{Options, write_diff_svg};
use perfwright_model::{Profile, keys};
use perfwright_stats::{Share, effective_count_of_groups, false_discovery_rates};
use serde::Serialize;

use super::args::{DiffArgs, Group, Sort};
use super::{current_folder, input, output, top};
use crate::report::Places;
use crate::table::{Cell, Column, Table};
use crate::terminal::Terminal;
use crate::units::{Scale, counted, percent, signed_percent};

/// Of the lines that are told as differences, at most this share is expected to be chance.
const FALSE_DISCOVERIES: f64 = 0.05;

pub(super) fn run(args: &DiffArgs, terminal: &mut Terminal) -> Result<()> {
    let baseline = input::select(input::read_file(&args.baseline, terminal)?, &args.select);
    let candidate = input::select(input::read_file(&args.candidate, terminal)?, &args.select);
    if let Some(svg) = &args.svg {
        let mut options = Options::default();
        options.sample_type.clone_from(&args.select.sample_type);
        options.full_names = args.full;
        output::write(svg, terminal, |out| {
            write_diff_svg(&baseline, &candidate, &options, out)?;
            Ok(())
        })?;
        if input::is_stdio(svg) {
            return Ok(());
        }
    }
    let judged = Judged::new(&baseline, &candidate, args)?;
    match args.json {
        true => terminal.line(judged.json(args)?),
        false => judged.print(args, terminal),
    }
    Ok(())
}

/// What can be said of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    More,
    Less,
    /// Within the sampling error.
    Same,
    /// The profiles do not say how many samples they are made of.
    Unknown,
}

struct Judged {
    diff: Diff,
    /// Of each row, in the order of the rows.
    verdicts: Vec<Verdict>,
    /// How many equal samples each profile is worth; `None` when that is not known.
    samples: Option<(f64, f64)>,
}

impl Judged {
    fn new(baseline: &Profile, candidate: &Profile, args: &DiffArgs) -> Result<Judged> {
        let kind = args.select.sample_type.as_deref();
        let (first, second) = common_sample_type(baseline, candidate, kind)?;
        let mut diff = match args.by {
            Group::Thread => by_thread((baseline, first), (candidate, second)),
            by => perfwright_analyze::diff(baseline, candidate, kind, top::grouping(by))?,
        };
        let sides = |row: &DiffRow| sides(row, args.sort);
        let change = |diff: &Diff, row: &DiffRow| {
            let (before, after) = sides(row);
            (diff.candidate.share(after) - diff.baseline.share(before)).abs()
        };
        let mut rows = std::mem::take(&mut diff.rows);
        rows.retain(|row| sides(row) != (0, 0));
        rows.sort_by(|a, b| change(&diff, b).total_cmp(&change(&diff, a)));
        diff.rows = rows;
        let samples = samples_worth(baseline, first).zip(samples_worth(candidate, second));
        let verdicts = verdicts(&diff, samples, args.sort);
        Ok(Judged {
            diff,
            verdicts,
            samples,
        })
    }

    fn print(&self, args: &DiffArgs, terminal: &mut Terminal) {
        let paint = terminal.paint();
        let (before, after) = (&self.diff.baseline, &self.diff.candidate);
        let scale = self.scale();
        terminal.line(paint.heading(format_args!(
            "{}: {} before, {} after",
            self.diff.sample_type.kind,
            self.show_whole(before, &scale),
            self.show_whole(after, &scale)
        )));
        let lines = if args.lines == 0 {
            self.diff.rows.len()
        } else {
            args.lines
        };
        let table = self.table(args, &scale).first(lines);
        terminal.print(table.render(terminal.width(), paint));
        terminal.line(paint.dim(self.legend()));
        if let more @ 1.. = self.diff.rows.len().saturating_sub(lines) {
            terminal.line(paint.dim(format_args!(
                "(and {} with less change: -n 0)",
                counted(more as u64, "line")
            )));
        }
    }

    fn show_whole(&self, whole: &Whole, scale: &Scale) -> String {
        let value = scale.show(whole.total_value);
        match whole.duration_seconds {
            Some(seconds) => format!("{value} (in {seconds:.1} s)"),
            None => value,
        }
    }

    fn table(&self, args: &DiffArgs, scale: &Scale) -> Table {
        let roots = current_folder();
        let places = Places {
            roots: &roots,
            full: args.full,
        };
        let mut table = Table::new([
            (Column::Number, "before"),
            (Column::Number, "%"),
            (Column::Number, "after"),
            (Column::Number, "%"),
            (Column::Number, "change"),
            (Column::Word, ""),
            (Column::Name, args.by.title()),
            (Column::Path, "where"),
        ]);
        for (row, verdict) in self.diff.rows.iter().zip(&self.verdicts) {
            let (before, after) = sides(row, args.sort);
            let shares = (
                self.diff.baseline.share(before),
                self.diff.candidate.share(after),
            );
            table.row([
                scale.show(before).into(),
                percent(shares.0).into(),
                scale.show(after).into(),
                percent(shares.1).into(),
                verdict.cell(signed_percent(shares.1 - shares.0)),
                verdict.cell(mark(row, *verdict)),
                verdict.name_cell(places.name(&row.name)),
                Cell::dim(places.place(row.file.as_deref(), row.line)),
            ]);
        }
        table
    }

    fn legend(&self) -> String {
        match self.samples {
            Some((before, after)) => format!(
                "change: in points of the share. ~: within the sampling error ({before:.0} and {after:.0} samples)."
            ),
            None => {
                "change: in points of the share. The profiles do not say how many samples they are \
                     made of, so chance is not judged."
                    .to_owned()
            }
        }
    }

    fn scale(&self) -> Scale {
        let largest = self
            .diff
            .baseline
            .total_value
            .max(self.diff.candidate.total_value);
        Scale::of(&self.diff.sample_type, largest)
    }

    fn json(&self, args: &DiffArgs) -> Result<String> {
        let lines = if args.lines == 0 {
            usize::MAX
        } else {
            args.lines
        };
        let rows = self.diff.rows.iter().zip(&self.verdicts).take(lines);
        let json = Json {
            schema_version: 1,
            sample_type: &self.diff.sample_type.kind,
            unit: &self.diff.sample_type.unit,
            baseline: Side::new(&self.diff.baseline, self.samples.map(|samples| samples.0)),
            candidate: Side::new(&self.diff.candidate, self.samples.map(|samples| samples.1)),
            rows: rows
                .map(|(row, verdict)| self.json_row(row, *verdict))
                .collect(),
        };
        serde_json::to_string_pretty(&json).context("write JSON")
    }

    fn json_row<'a>(&self, row: &'a DiffRow, verdict: Verdict) -> JsonRow<'a> {
        JsonRow {
            name: &row.name,
            file: row.file.as_deref(),
            line: row.line,
            baseline_self_value: row.baseline.self_value,
            baseline_total_value: row.baseline.total_value,
            candidate_self_value: row.candidate.self_value,
            candidate_total_value: row.candidate.total_value,
            self_share_change: self.diff.self_share_change(row),
            total_share_change: self.diff.total_share_change(row),
            verdict,
        }
    }
}

/// What `--json` prints. `verdict` is about the values that `--sort` names.
#[derive(Serialize)]
struct Json<'a> {
    schema_version: u32,
    sample_type: &'a str,
    unit: &'a str,
    baseline: Side,
    candidate: Side,
    rows: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct Side {
    total_value: i64,
    duration_s: Option<f64>,
    /// How many equal samples the profile is worth.
    effective_samples: Option<f64>,
}

impl Side {
    fn new(whole: &Whole, effective_samples: Option<f64>) -> Side {
        Side {
            total_value: whole.total_value,
            duration_s: whole.duration_seconds,
            effective_samples,
        }
    }
}

#[derive(Serialize)]
struct JsonRow<'a> {
    name: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    baseline_self_value: i64,
    baseline_total_value: i64,
    candidate_self_value: i64,
    candidate_total_value: i64,
    self_share_change: f64,
    total_share_change: f64,
    verdict: Verdict,
}

impl Verdict {
    fn cell(self, text: String) -> Cell {
        match self {
            Verdict::More => Cell::tinted(text, |paint, text| paint.bad(text)),
            Verdict::Less => Cell::tinted(text, |paint, text| paint.good(text)),
            Verdict::Same => Cell::dim(text),
            Verdict::Unknown => text.into(),
        }
    }

    fn name_cell(self, name: String) -> Cell {
        if self == Verdict::Same {
            Cell::dim(name)
        } else {
            name.into()
        }
    }
}

fn mark(row: &DiffRow, verdict: Verdict) -> String {
    let mark = match verdict {
        Verdict::Same => "~",
        _ if row.appeared() => "new",
        _ if row.disappeared() => "gone",
        _ => "",
    };
    mark.to_owned()
}

/// What is compared of a row: before and after.
fn sides(row: &DiffRow, sort: Sort) -> (i64, i64) {
    match sort {
        Sort::Own => (row.baseline.self_value, row.candidate.self_value),
        Sort::Total => (row.baseline.total_value, row.candidate.total_value),
    }
}

/// One of the two sides of a row.
type SideOf = fn(&mut DiffRow) -> &mut Weight;

/// Threads by name: their ids are others in every run.
fn by_thread(baseline: (&Profile, usize), candidate: (&Profile, usize)) -> Diff {
    let mut rows: BTreeMap<String, DiffRow> = BTreeMap::new();
    let sides: [(_, SideOf); 2] = [
        (baseline, |row| &mut row.baseline),
        (candidate, |row| &mut row.candidate),
    ];
    for ((profile, sample_type), side) in sides {
        for thread in by_label(profile, sample_type, keys::THREAD) {
            let name = thread.value.unwrap_or_else(|| "(no thread)".to_owned());
            let row = rows.entry(name.clone()).or_insert_with(|| DiffRow {
                name,
                file: None,
                line: None,
                baseline: Weight::default(),
                candidate: Weight::default(),
            });
            let weight = side(row);
            weight.self_value += thread.total_value;
            weight.total_value += thread.total_value;
        }
    }
    let whole = |(profile, sample_type): (&Profile, usize)| Whole {
        total_value: profile.total(sample_type),
        total_samples: 0,
        duration_seconds: profile.meta.duration_nanos.map(|nanos| nanos as f64 / 1e9),
    };
    Diff {
        sample_type: baseline.0.sample_types()[baseline.1].clone(),
        baseline: whole(baseline),
        candidate: whole(candidate),
        rows: rows.into_values().collect(),
    }
}

/// How many equal samples a profile's values are worth. Where they are counts, each is taken for a sample;
/// where they are not and the samples were not counted, nobody knows.
fn samples_worth(profile: &Profile, sample_type: usize) -> Option<f64> {
    let types = profile.sample_types();
    let counts = types
        .iter()
        .position(|other| other.kind == "samples" && other.unit == "count");
    let counts = counts.or_else(|| (types[sample_type].unit == "count").then_some(sample_type))?;
    let groups = profile.samples().map(|sample| {
        (
            sample.values[sample_type] as f64,
            sample.values[counts] as f64,
        )
    });
    Some(effective_count_of_groups(groups))
}

fn verdicts(diff: &Diff, samples: Option<(f64, f64)>, sort: Sort) -> Vec<Verdict> {
    let Some((before_samples, after_samples)) = samples else {
        return vec![Verdict::Unknown; diff.rows.len()];
    };
    let share = |part: i64, whole: &Whole, samples| {
        Share::new(part as f64, whole.total_value as f64, samples)
    };
    let comparisons = diff.rows.iter().map(|row| {
        let (before, after) = sides(row, sort);
        share(before, &diff.baseline, before_samples).compare(share(
            after,
            &diff.candidate,
            after_samples,
        ))
    });
    let comparisons: Vec<_> = comparisons.collect();
    let p_values: Vec<f64> = comparisons
        .iter()
        .map(|comparison| comparison.p_value)
        .collect();
    let rates = false_discovery_rates(&p_values);
    let verdict = |(comparison, rate): (&perfwright_stats::Comparison, &f64)| match rate {
        rate if *rate > FALSE_DISCOVERIES => Verdict::Same,
        _ if comparison.difference > 0.0 => Verdict::More,
        _ => Verdict::Less,
    };
    comparisons.iter().zip(&rates).map(verdict).collect()
}
