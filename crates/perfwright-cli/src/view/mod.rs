//! Commands that read profile files.

pub(crate) mod args;
mod convert;
mod diff;
mod flamegraph;
pub(crate) mod input;
mod losses;
pub(crate) mod output;
mod shell;
pub(crate) mod sources;
mod symbolize;
mod top;
#[expect(clippy::module_inception, reason = "the command is called view")]
pub(crate) mod view;

use anyhow::Result;

use crate::Context;
use crate::terminal::Terminal;
use args::ViewCommand;

/// Runs one of the commands.
pub(crate) fn run(command: &ViewCommand, context: &Context, terminal: &mut Terminal) -> Result<()> {
    match command {
        ViewCommand::Top(args) => top::run(args, terminal),
        ViewCommand::View(args) => view::run(args, terminal),
        ViewCommand::Flamegraph(args) => flamegraph::run(args, terminal),
        ViewCommand::Diff(args) => diff::run(args, terminal),
        ViewCommand::Convert(args) => convert::run(args, terminal),
        ViewCommand::Symbolize(args) => symbolize::run(args, terminal),
        ViewCommand::Completions(args) => {
            shell::completions(args.shell, context, terminal);
            Ok(())
        }
        ViewCommand::Man => shell::man(context, terminal),
    }
}

/// The folder that source paths are shown relative to; none if it cannot be told.
fn current_folder() -> Vec<String> {
    std::env::current_dir()
        .map(|folder| folder.display().to_string())
        .into_iter()
        .collect()
}
