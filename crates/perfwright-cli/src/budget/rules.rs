//! What budget files become for other programs: rules for Prometheus, a dashboard for Grafana, a schema for editors.

use std::path::Path;

use anyhow::Result;
use perfwright_budget::Date;

use super::args::{RulesArgs, SchemaArgs};
use super::{BAD_FILE, read};
use crate::terminal::Terminal;
use crate::view::output;

pub(super) fn write(args: &RulesArgs, today: Date, terminal: &mut Terminal) -> Result<u8> {
    let Some(budgets) = read(&args.file, terminal)? else {
        return Ok(BAD_FILE);
    };
    let rules = budgets.to_prometheus_rules(today);
    write_text(&args.output, &rules.yaml, terminal)?;
    if let Some(file) = &args.grafana {
        write_text(file, &budgets.to_grafana_dashboard(today), terminal)?;
    }
    for left_out in &rules.left_out {
        terminal.note(format_args!("left out: {left_out}"));
    }
    Ok(0)
}

pub(super) fn schema(args: &SchemaArgs, terminal: &mut Terminal) -> Result<u8> {
    write_text(&args.output, &perfwright_budget::schema(), terminal)?;
    Ok(0)
}

fn write_text(file: &Path, text: &str, terminal: &mut Terminal) -> Result<()> {
    output::write(file, terminal, |file| Ok(file.write_all(text.as_bytes())?))?;
    Ok(())
}
