//! `bench`: benches run, and compared with another revision.

pub(crate) mod args;
mod executables;
mod plain;
mod table;

use anyhow::{Result, bail};

use crate::terminal::Terminal;
use args::BenchArgs;

/// Runs the benches; gives the exit code.
pub(crate) fn run(args: &BenchArgs, terminal: &mut Terminal) -> Result<u8> {
    match &args.gate.against {
        Some(base) => bail!("compare with {base}: this is not built yet"),
        None => plain::run(args, terminal).map(|()| 0),
    }
}
