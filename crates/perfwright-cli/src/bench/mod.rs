//! `bench`: benches run, and compared with another revision.

pub(crate) mod args;
mod executables;
mod gate;
mod plain;
mod table;

use anyhow::Result;

use crate::terminal::Terminal;
use args::BenchArgs;

/// Runs the benches; gives the exit code.
pub(crate) fn run(args: &BenchArgs, terminal: &mut Terminal) -> Result<u8> {
    match args.gate.against.is_some() || !args.gate.executables.is_empty() {
        true => gate::run(args, terminal),
        false => plain::run(args, terminal).map(|()| 0),
    }
}
