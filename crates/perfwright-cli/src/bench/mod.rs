//! `bench`: benches run, and compared with another revision.

pub(crate) mod args;

use anyhow::{Result, bail};

use crate::terminal::Terminal;
use args::BenchArgs;

/// Runs the benches; gives the exit code.
pub(crate) fn run(args: &BenchArgs, _terminal: &mut Terminal) -> Result<u8> {
    match &args.gate.against {
        Some(base) => bail!("compare with {base}: this is not built yet"),
        None => bail!("run benches: give a base to compare with, as --against main"),
    }
}
