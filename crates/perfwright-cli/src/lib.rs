//! The command line of Perfwright: profile a program, look at profiles, compare and convert them.
//!
//! The binary `cargo-perfwright` is three lines over [`main`]; a workspace that has an `xtask` of
//! its own flattens [`Command`] into its commands and calls [`run`], as this repository does.
//!
//! Exit codes: 0 done, 1 failed (one message on stderr says what and what to do), 2 wrong usage; `budget check`
//! and `bench` add 3 and 4, which their help explains.

mod args;
mod bench;
mod browser;
mod budget;
mod child;
mod machine;
mod profile;
mod report;
mod table;
mod terminal;
mod units;
mod view;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory, FromArgMatches};

pub use args::{Cli, ColorChoice, Command, spelled_for};

/// What a command knows about the program it runs in.
#[derive(Debug, Clone)]
pub struct Context {
    /// How the user starts the program, for messages and help: `cargo perfwright`.
    pub program: &'static str,
    /// The whole command line with its help texts, from which completions and the man page are made.
    pub definition: clap::Command,
    /// When to colour the output.
    pub color: ColorChoice,
}

/// Parses the process's arguments, runs the command, and returns the exit code.
pub fn main() -> ExitCode {
    let definition = Cli::command();
    let cli = match definition
        .clone()
        .try_get_matches_from(args::without_cargo_word(std::env::args_os()))
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let context = Context {
        program: "cargo perfwright",
        definition,
        color: cli.color,
    };
    run(cli.command, &context)
}

/// Runs one command; failures are printed on stderr.
pub fn run(command: Command, context: &Context) -> ExitCode {
    let mut terminal = terminal::Terminal::from_process(context.color);
    let result = match command {
        Command::Profile(args) => profile::run(&args, context, &mut terminal).map(|()| 0),
        Command::Bench(args) => bench::run(&args, &mut terminal),
        Command::Budget(command) => budget::run(&command, &mut terminal),
        Command::View(command) => view::run(&command, context, &mut terminal).map(|()| 0),
    };
    let finished = |code| {
        terminal
            .finish()
            .context("write to standard output")
            .map(|()| code)
    };
    match result.and_then(finished) {
        Ok(code) => ExitCode::from(code),
        Err(error) => terminal.fail(&error),
    }
}
