//! Commands that read profile files.

pub(crate) mod args;

use anyhow::Result;

use crate::Context;
use crate::terminal::Terminal;
use args::ViewCommand;

/// Runs one of the commands.
pub(crate) fn run(
    command: &ViewCommand,
    _context: &Context,
    _terminal: &mut Terminal,
) -> Result<()> {
    anyhow::bail!("{command:?} is being written")
}
