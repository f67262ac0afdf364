//! The repository's own commands: those of `cargo perfwright`, and the chores.

mod chores;
mod install;
#[path = "../need.rs"]
mod need;
mod viewer;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use perfwright_cli::{ColorChoice, Context};

/// The repository's commands: profile a program, look at profiles, check the repository.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Xtask {
    /// When to colour the output; NO_COLOR in the environment means never.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, for the program's life"
)]
enum Command {
    #[command(flatten)]
    Perfwright(perfwright_cli::Command),
    #[command(flatten)]
    Chore(chores::Chore),
}

fn main() -> ExitCode {
    let definition = perfwright_cli::spelled_for("cargo xtask", Xtask::command());
    let matches = definition.clone().get_matches();
    let xtask = Xtask::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match xtask.command {
        Command::Perfwright(command) => {
            let context = Context {
                program: "cargo xtask",
                definition,
                color: xtask.color,
            };
            perfwright_cli::run(command, &context)
        }
        Command::Chore(chore) => match chore.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}
