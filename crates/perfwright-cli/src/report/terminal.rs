//! The report on a terminal.

use std::path::Path;

use super::memory::{Memory, Site, sites_table, suspects_table};
use super::spans::{Spans, paths_table, routes_table, statements_table};
use super::tables::{Places, functions, requests, threads};
use super::{FunctionRow, Report};
use crate::table::Table;
use crate::terminal::Terminal;
use crate::units::{counted, decimal, percent, seconds};

/// Functions in each of the two lists.
const ROWS: usize = 15;
/// Sites in each list of memory.
const HEAP_ROWS: usize = 8;
/// Lines of threads.
const THREADS: usize = 8;

impl Report {
    /// What a person wants to know at the end of a run, the most interesting first.
    pub(crate) fn print_terminal(&self, terminal: &mut Terminal) {
        terminal.line("");
        terminal.line(terminal.paint().heading(self.headline()));
        if let Some(why) = &self.run.ended_early {
            terminal.line(terminal.paint().caution(format_args!("ended early: {why}")));
        }
        self.print_functions(terminal, "Most time in the function itself", &self.top_self);
        let (title, rows) = self.calls();
        self.print_functions(terminal, title, rows);
        print_table(terminal, "Threads", &threads(self).first(THREADS));
        if let Some(spans) = &self.spans {
            self.print_spans(terminal, spans);
        }
        if let Some(load) = &self.load {
            let connections = counted(load.connections, "connection");
            let title = format!("Requests, {connections} with one request each under way");
            print_table(terminal, &title, &requests(load));
        }
        if let Some(memory) = &self.memory {
            self.print_memory(terminal, memory);
        }
        self.print_remarks(terminal);
        self.print_files(terminal);
    }

    fn print_spans(&self, terminal: &mut Terminal, spans: &Spans) {
        let routes = &spans.routes[..spans.routes.len().min(ROWS)];
        let title = format!("Routes, {} of the CPU time", percent(spans.routed_share));
        print_table(terminal, &title, &routes_table(routes));
        let paths = &spans.paths[..spans.paths.len().min(ROWS)];
        let title = "Spans, and what their polls did while they held a thread";
        print_table(terminal, title, &paths_table(paths, None));
        let statements = &spans.statements[..spans.statements.len().min(ROWS)];
        print_table(terminal, "Statements", &statements_table(statements));
    }

    fn print_memory(&self, terminal: &mut Terminal, memory: &Memory) {
        let paint = terminal.paint();
        terminal.line(format_args!("\n{}", paint.heading("Memory")));
        let requests = self.load.as_ref().map(|load| load.all.count);
        let width = terminal.width();
        for sentence in memory.sentences(self.run.duration_s, requests) {
            for (index, line) in wrap(&sentence, width.saturating_sub(4)).iter().enumerate() {
                let indent = if index == 0 { "  " } else { "    " };
                terminal.line(format_args!("{indent}{line}"));
            }
        }
        let places = self.places();
        let first = |sites: &[Site]| sites_table(&sites[..sites.len().min(HEAP_ROWS)], places);
        print_table(
            terminal,
            "Most bytes allocated",
            &first(&memory.top_allocated),
        );
        print_table(
            terminal,
            "In use when most was (the peak)",
            &first(&memory.top_peak),
        );
        let suspects = &memory.suspects[..memory.suspects.len().min(HEAP_ROWS)];
        if suspects.is_empty() {
            terminal.line(format_args!(
                "\n  {} Nothing looks like a leak.",
                paint.good("✓")
            ));
        } else {
            let title = "Looks like a leak: grows steadily, and what it allocates stays";
            print_table(terminal, title, &suspects_table(suspects, places));
        }
    }

    pub(super) fn places(&self) -> Places<'_> {
        Places {
            roots: &self.source_roots,
            full: false,
        }
    }

    /// The functions worth a look for what they call. Everything runs below the runtime's and the
    /// library's functions, so the user's own stand here, if there are any to be told from others.
    fn calls(&self) -> (&'static str, &[FunctionRow]) {
        match self.top_own.as_slice() {
            [] => ("Most time with everything it calls", &self.top_total),
            own => ("Your code, with everything it calls", own),
        }
    }

    /// `shop: 9.83 CPU-seconds in 10.1 s`.
    pub(super) fn headline(&self) -> String {
        let duration = decimal(self.run.duration_s, 1);
        match self.is_wall() {
            true => format!("{}: {duration} s of wall time", self.run.program),
            false => {
                let cpu = seconds(self.capture.cpu_nanos);
                format!("{}: {cpu} CPU-seconds in {duration} s", self.run.program)
            }
        }
    }

    fn print_functions(&self, terminal: &mut Terminal, title: &str, rows: &[FunctionRow]) {
        let rows = &rows[..rows.len().min(ROWS)];
        print_table(
            terminal,
            title,
            &functions("function", rows, &self.sample_type(), self.places()),
        );
    }

    fn print_remarks(&self, terminal: &mut Terminal) {
        let paint = terminal.paint();
        terminal.line(format_args!("\n{}", paint.heading("How far to trust it")));
        let width = terminal.width();
        for remark in self.remarks() {
            let mark = if remark.doubtful {
                paint.caution("!")
            } else {
                paint.good("✓")
            };
            for (index, line) in wrap(&remark.text, width.saturating_sub(4))
                .iter()
                .enumerate()
            {
                let mark = if index == 0 { mark.as_str() } else { " " };
                terminal.line(format_args!("  {mark} {line}"));
            }
        }
    }

    fn print_files(&self, terminal: &mut Terminal) {
        let paint = terminal.paint();
        let longest = self
            .files
            .iter()
            .map(|file| self.path(&file.name).len())
            .max()
            .unwrap_or(0);
        terminal.line(format_args!("\n{}", paint.heading("What to open")));
        for file in &self.files {
            let path = self.path(&file.name);
            let padding = " ".repeat(longest - path.len());
            terminal.line(format_args!(
                "  {}{padding}  {}",
                paint.link(path),
                paint.dim(&file.about)
            ));
        }
    }

    fn path(&self, name: &str) -> String {
        Path::new(&self.folder).join(name).display().to_string()
    }
}

fn print_table(terminal: &mut Terminal, title: &str, table: &Table) {
    if table.is_empty() {
        return;
    }
    terminal.line(format_args!("\n{}", terminal.paint().heading(title)));
    terminal.print(table.render(terminal.width(), terminal.paint()));
}

/// Breaks text at spaces so that lines have at most `width` columns.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn text_is_wrapped_at_spaces() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 4), ["unbreakable"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
