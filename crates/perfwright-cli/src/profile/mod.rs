//! `profile`: build, start, load, capture, write.

pub(crate) mod args;
mod build;
mod cargo_config;
mod interrupts;
mod load;
mod process;
mod runs;
mod session;
mod target;

use anyhow::Result;

use crate::Context;
use crate::terminal::Terminal;
use args::ProfileArgs;

/// Runs the whole command.
pub(crate) fn run(_args: &ProfileArgs, _context: &Context, _terminal: &mut Terminal) -> Result<()> {
    anyhow::bail!("profile is being written")
}
