//! `report.md`.

use super::memory::{Memory, Site, sites_table, suspects_table};
use super::spans::{paths_table, routes_table, statements_table};
use super::tables::{functions, requests, threads};
use super::{FunctionRow, Report};
use crate::table::{Table, code};
use crate::units::counted;

/// Functions in each of the two lists.
const ROWS: usize = 30;

impl Report {
    /// The report as a page: the same numbers as on the terminal, more rows, names in full length.
    pub(crate) fn markdown(&self) -> String {
        let mut page = format!("# {}\n\n", self.headline());
        page += &format!("Command: {}\n", code(&self.run.command));
        if !self.run.args.is_empty() {
            page += &format!(
                "\nArguments of the program: {}\n",
                code(&self.run.args.join(" "))
            );
        }
        if let Some(why) = &self.run.ended_early {
            page += &format!("\n**Ended early:** {why}\n");
        }
        self.add_functions(
            &mut page,
            "Most time in the function itself",
            &self.top_self,
        );
        self.add_functions(
            &mut page,
            "Your code, with everything it calls",
            &self.top_own,
        );
        self.add_functions(
            &mut page,
            "Most time with everything it calls",
            &self.top_total,
        );
        add_table(&mut page, "Threads", &threads(self));
        if let Some(load) = &self.load {
            let connections = counted(load.connections, "connection");
            add_table(
                &mut page,
                &format!("Requests over {connections}"),
                &requests(load),
            );
        }
        if let Some(spans) = &self.spans {
            let routes = &spans.routes[..spans.routes.len().min(ROWS)];
            add_table(&mut page, "Routes", &routes_table(routes));
            let paths = &spans.paths[..spans.paths.len().min(ROWS)];
            let title = "Spans, and what their polls did while they held a thread";
            add_table(&mut page, title, &paths_table(paths, Some(self.places())));
            let statements = &spans.statements[..spans.statements.len().min(ROWS)];
            add_table(&mut page, "Statements", &statements_table(statements));
        }
        if let Some(memory) = &self.memory {
            self.add_memory(&mut page, memory);
        }
        self.add_remarks(&mut page);
        self.add_files(&mut page);
        page
    }

    fn add_functions(&self, page: &mut String, title: &str, rows: &[FunctionRow]) {
        let rows = &rows[..rows.len().min(ROWS)];
        add_table(
            page,
            title,
            &functions("function", rows, &self.sample_type(), self.places()),
        );
    }

    fn add_memory(&self, page: &mut String, memory: &Memory) {
        page.push_str("\n## Memory\n\n");
        let requests = self.load.as_ref().map(|load| load.all.count);
        for sentence in memory.sentences(self.run.duration_s, requests) {
            *page += &format!("- {sentence}\n");
        }
        if memory.suspects.is_empty() {
            page.push_str("- Nothing looks like a leak.\n");
        }
        let places = self.places();
        let first = |sites: &[Site]| sites_table(&sites[..sites.len().min(ROWS)], places);
        let suspects = &memory.suspects[..memory.suspects.len().min(ROWS)];
        add_table(page, "Looks like a leak", &suspects_table(suspects, places));
        add_table(page, "Most bytes allocated", &first(&memory.top_allocated));
        add_table(page, "In use when most was", &first(&memory.top_peak));
        add_table(page, "In use at the end", &first(&memory.top_in_use));
    }

    fn add_remarks(&self, page: &mut String) {
        page.push_str("\n## How far to trust it\n\n");
        for remark in self.remarks() {
            let mark = if remark.doubtful { "**Note:** " } else { "" };
            *page += &format!("- {mark}{}\n", remark.text);
        }
    }

    fn add_files(&self, page: &mut String) {
        page.push_str("\n## Files\n\n");
        for file in &self.files {
            *page += &format!("- [{0}]({0}): {1}\n", file.name, file.about);
        }
    }
}

fn add_table(page: &mut String, title: &str, table: &Table) {
    if !table.is_empty() {
        *page += &format!("\n## {title}\n\n{}", table.markdown());
    }
}
