//! `symbolize`: names and lines for addresses.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use perfwright_symbolize::{Options, Symbolizer};

use super::args::{SymbolizeArgs, Target};
use super::{convert, input};
use crate::terminal::Terminal;
use crate::units::whole;

pub(super) fn run(args: &SymbolizeArgs, terminal: &mut Terminal) -> Result<()> {
    for path in args.debug_file.iter().chain(&args.debug_dir) {
        path.metadata()
            .with_context(|| format!("read {}", path.display()))?;
    }
    let mut profile = input::read_file(&args.file, terminal)?;
    let report = symbolizer(&args.debug_file, &args.debug_dir).symbolize(&mut profile);
    convert::write(&profile, target(&args.out), None, &args.out, terminal)?;
    if report.resolved + report.unresolved == 0 {
        terminal.note("there was nothing to do: every location has a name, or no address");
        return Ok(());
    }
    for mapping in &report.mappings {
        for problem in &mapping.problems {
            let place = if mapping.file.is_empty() {
                "no file"
            } else {
                &mapping.file
            };
            terminal.warn(format_args!("{place}: {problem}"));
        }
    }
    let (resolved, all) = (
        report.resolved as u64,
        (report.resolved + report.unresolved) as u64,
    );
    terminal.status(
        "Resolved",
        format_args!("{} of {} addresses", whole(resolved), whole(all)),
    );
    Ok(())
}

fn symbolizer(files: &[PathBuf], folders: &[PathBuf]) -> Symbolizer {
    let mut symbolizer = Symbolizer::new(Options::default());
    for file in files {
        symbolizer = symbolizer.debug_file(file);
    }
    for folder in folders {
        symbolizer = symbolizer.debug_dir(folder);
    }
    symbolizer
}

/// Gzipped pprof, unless the file's name says otherwise.
fn target(out: &Path) -> Target {
    convert::target(out, None).unwrap_or(Target::Pprof)
}
