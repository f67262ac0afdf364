//! `top`: the functions that cost most.

use anyhow::{Result, bail};
use perfwright_analyze::{
    Butterfly, By, CallTree, Edge, butterfly, by_label, by_thread, short_name, top,
};
use perfwright_model::{Profile, SampleType};
use serde::Serialize;

use super::args::{Group, Sort, TopArgs};
use super::{current_folder, input};
use crate::report::{FunctionRow, Places, functions, share};
use crate::table::{Cell, Column, Table};
use crate::terminal::Terminal;
use crate::units::{Scale, percent};

/// Names that are told when a function is not found.
const SUGGESTIONS: usize = 5;

pub(super) fn run(args: &TopArgs, terminal: &mut Terminal) -> Result<()> {
    let profile = input::read(&args.input, terminal)?;
    let sample_type = input::sample_type(&profile, args.input.select.sample_type.as_deref())?;
    if profile.sample_count() == 0 {
        terminal.note("the profile has no samples, or none is left by the selection");
    }
    let view = View {
        args,
        profile: &profile,
        sample_type,
        total: profile.total(sample_type),
    };
    match (&args.around, &args.by_label, args.by) {
        (Some(function), ..) => view.around(function, terminal),
        (None, Some(key), _) => {
            let rows = by_label(&profile, sample_type, key);
            let rows = rows.into_iter().map(|row| (row.value, row.total_value));
            view.groups(key, rows.collect(), terminal)
        }
        (None, None, Group::Thread) => {
            let rows = by_thread(&profile, sample_type);
            let rows = rows
                .into_iter()
                .map(|row| (thread_name(row.name, row.tid), row.total_value));
            view.groups("thread", rows.collect(), terminal)
        }
        (None, None, by) => view.functions(by, terminal),
    }
}

/// How rows are grouped; threads are no property of frames, and are grouped elsewhere.
pub(super) fn grouping(group: Group) -> By {
    match group {
        Group::Function | Group::Thread => By::Function,
        Group::Line => By::FunctionLine,
        Group::File => By::File,
        Group::Crate => By::Crate,
        Group::Mapping => By::Mapping,
    }
}

fn thread_name(name: Option<String>, tid: Option<i64>) -> Option<String> {
    match (name, tid) {
        (Some(name), Some(tid)) => Some(format!("{name} ({tid})")),
        (name, tid) => name.or_else(|| tid.map(|tid| tid.to_string())),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'a, T: Serialize> {
    schema_version: u32,
    sample_type: &'a str,
    unit: &'a str,
    total_value: i64,
    rows: T,
}

#[derive(Serialize)]
struct GroupRow {
    /// `null`: samples without the label.
    value: Option<String>,
    total_value: i64,
    total_share: f64,
}

#[derive(Serialize)]
struct Around {
    function: String,
    self_value: i64,
    total_value: i64,
    callers: Vec<EdgeRow>,
    callees: Vec<EdgeRow>,
}

#[derive(Serialize)]
struct EdgeRow {
    function: String,
    value: i64,
}

struct View<'a> {
    args: &'a TopArgs,
    profile: &'a Profile,
    sample_type: usize,
    total: i64,
}

impl View<'_> {
    fn functions(&self, by: Group, terminal: &mut Terminal) -> Result<()> {
        let mut rows = top(self.profile, self.sample_type, grouping(by));
        if self.args.sort == Sort::Total {
            rows.sort_by_key(|row| std::cmp::Reverse(row.total_value));
        }
        let shown = &rows[..self.lines(rows.len())];
        let shown: Vec<_> = shown
            .iter()
            .map(|row| FunctionRow::new(row, self.total))
            .collect();
        if self.args.json {
            return self.json(terminal, shown);
        }
        let roots = current_folder();
        let places = Places {
            roots: &roots,
            full: self.args.full,
        };
        let table = functions(by.title(), &shown, self.type_of_values(), places);
        self.print(&table, &rest(rows.len() - shown.len()), terminal);
        Ok(())
    }

    fn groups(
        &self,
        title: &str,
        rows: Vec<(Option<String>, i64)>,
        terminal: &mut Terminal,
    ) -> Result<()> {
        let lines = self.lines(rows.len());
        let left = rows.len() - lines;
        let rows = rows
            .into_iter()
            .take(lines)
            .map(|(value, total_value)| GroupRow {
                value,
                total_value,
                total_share: share(total_value, self.total),
            });
        if self.args.json {
            return self.json(terminal, rows.collect::<Vec<_>>());
        }
        let scale = self.scale();
        let mut table = Table::new([
            (Column::Number, "total"),
            (Column::Number, "%"),
            (Column::Name, title),
        ]);
        for row in rows {
            let name = row
                .value
                .map_or_else(|| Cell::dim(format!("(no {title})")), Cell::from);
            table.row([
                scale.show(row.total_value).into(),
                percent(row.total_share).into(),
                name,
            ]);
        }
        self.print(&table, &rest(left), terminal);
        Ok(())
    }

    fn around(&self, wanted: &str, terminal: &mut Terminal) -> Result<()> {
        let tree = CallTree::new(self.profile, self.sample_type);
        let function = self.find(&tree, wanted)?;
        let Some(found) = butterfly(&tree, &function) else {
            bail!("find the function {function}");
        };
        if self.args.json {
            return self.json(terminal, around_json(function, &found));
        }
        let (scale, paint) = (self.scale(), terminal.paint());
        let share_of = |value| percent(share(value, self.total));
        terminal.line(paint.heading(self.name(&function)));
        terminal.line(format_args!(
            "  self {} ({}), total {} ({})",
            scale.show(found.self_value),
            share_of(found.self_value),
            scale.show(found.total_value),
            share_of(found.total_value)
        ));
        for (title, edges) in [("Called by", &found.callers), ("Calls", &found.callees)] {
            terminal.line(format_args!("\n{}", paint.heading(title)));
            let table = self.edges(edges, found.total_value, &scale);
            match edges.is_empty() {
                true => terminal.line(paint.dim("  nothing")),
                false => terminal.print(table.render(terminal.width(), paint)),
            }
        }
        Ok(())
    }

    fn edges(&self, edges: &[Edge], whole: i64, scale: &Scale) -> Table {
        let mut table = Table::new([
            (Column::Number, "through it"),
            (Column::Number, "of its total"),
            (Column::Name, "function"),
        ]);
        for edge in &edges[..self.lines(edges.len())] {
            table.row([
                scale.show(edge.value).into(),
                percent(share(edge.value, whole)).into(),
                self.name(&edge.name).into(),
            ]);
        }
        table
    }

    /// The function's full name: as given, or the only one whose short name ends with it.
    fn find(&self, tree: &CallTree, wanted: &str) -> Result<String> {
        if tree.find_symbol(wanted).is_some() {
            return Ok(wanted.to_owned());
        }
        let names = tree.symbols().iter().skip(1).map(|symbol| &*symbol.name);
        let found: Vec<&str> = names.filter(|name| ends_with_path(name, wanted)).collect();
        match found.as_slice() {
            [name] => Ok((*name).to_owned()),
            [] => bail!(
                "find the function {wanted}: the profile has none of this name; `top` lists them"
            ),
            many => {
                let some = many[..many.len().min(SUGGESTIONS)].join("\n  ");
                bail!(
                    "choose a function: {} are called {wanted}, such as\n  {some}",
                    many.len()
                )
            }
        }
    }

    fn name(&self, name: &str) -> String {
        if self.args.full {
            name.to_owned()
        } else {
            short_name(name)
        }
    }

    fn print(&self, table: &Table, remark: &str, terminal: &mut Terminal) {
        let paint = terminal.paint();
        let kind = &self.type_of_values().kind;
        let total = self.scale().show(self.total);
        let heading = paint.heading(format_args!("{kind}: {total}"));
        match remark {
            "" => terminal.line(heading),
            _ => terminal.line(format_args!("{heading} {}", paint.dim(remark))),
        }
        terminal.print(table.render(terminal.width(), paint));
    }

    fn json(&self, terminal: &mut Terminal, rows: impl Serialize) -> Result<()> {
        let SampleType { kind, unit } = self.type_of_values();
        let json = Json {
            schema_version: 1,
            sample_type: kind,
            unit,
            total_value: self.total,
            rows,
        };
        terminal.line(serde_json::to_string_pretty(&json)?);
        Ok(())
    }

    fn lines(&self, rows: usize) -> usize {
        if self.args.lines == 0 {
            rows
        } else {
            rows.min(self.args.lines)
        }
    }

    fn type_of_values(&self) -> &SampleType {
        &self.profile.sample_types()[self.sample_type]
    }

    fn scale(&self) -> Scale {
        Scale::of(self.type_of_values(), self.total)
    }
}

fn rest(rows: usize) -> String {
    if rows == 0 {
        String::new()
    } else {
        format!("(and {rows} more lines: -n 0)")
    }
}

/// Whether a path ends with the same segments: `db::load` of `shop::db::load`.
fn ends_with_path(name: &str, wanted: &str) -> bool {
    let short = short_name(name);
    [name, short.as_str()].iter().any(|name| {
        name.strip_suffix(wanted)
            .is_some_and(|head| head.is_empty() || head.ends_with("::"))
    })
}

fn around_json(function: String, found: &Butterfly) -> Around {
    let rows = |edges: &[Edge]| {
        let row = |edge: &Edge| EdgeRow {
            function: edge.name.clone(),
            value: edge.value,
        };
        edges.iter().map(row).collect()
    };
    Around {
        function,
        self_value: found.self_value,
        total_value: found.total_value,
        callers: rows(&found.callers),
        callees: rows(&found.callees),
    }
}
