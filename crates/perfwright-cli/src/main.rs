//! `cargo perfwright ...`: the library's commands as a cargo subcommand.

use std::process::ExitCode;

fn main() -> ExitCode {
    perfwright_cli::main()
}
