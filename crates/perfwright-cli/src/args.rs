//! The command line as types: the root and its subcommands.

use std::ffi::OsString;

use clap::{Parser, Subcommand, ValueEnum};

use crate::bench::args::BenchArgs;
use crate::budget::args::BudgetCommand;
use crate::profile::args::ProfileArgs;
use crate::view::args::ViewCommand;

const EXAMPLES: &str = "\
Examples:
  Profile this workspace's program and see where its CPU time goes
    cargo perfwright profile
  Look again at the last run
    cargo perfwright top target/perfwright/latest/cpu.pb.gz
  What has changed since an earlier one
    cargo perfwright diff old/cpu.pb.gz target/perfwright/latest/cpu.pb.gz

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// Profile a program, look at profiles, compare and convert them.
#[derive(Debug, Parser)]
#[command(name = "cargo-perfwright", bin_name = "cargo perfwright", version, after_help = EXAMPLES)]
pub struct Cli {
    /// When to colour the output; NO_COLOR in the environment means never.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command of Perfwright; flatten it into an enum of your own to add more.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a program, put it under load, and show where its CPU time goes.
    Profile(ProfileArgs),
    /// Run benches, and compare them with another revision.
    Bench(BenchArgs),
    /// Hold measurements against the budgets of a file.
    #[command(subcommand)]
    Budget(BudgetCommand),
    /// Commands that read profile files.
    #[command(flatten)]
    View(ViewCommand),
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The definition with the examples of its help spelled for another `program` than `cargo perfwright`.
pub fn spelled_for(program: &str, definition: clap::Command) -> clap::Command {
    let spelled = definition.get_after_help().map(|help| help.to_string());
    let definition = definition.mut_subcommands(|command| spelled_for(program, command));
    match spelled {
        Some(help) => definition.after_help(help.replace("cargo perfwright", program)),
        None => definition,
    }
}

/// Drops the subcommand's own name, which cargo passes as the first argument.
pub(crate) fn without_cargo_word(
    args: impl IntoIterator<Item = OsString>,
) -> impl Iterator<Item = OsString> {
    args.into_iter()
        .enumerate()
        .filter(|(position, word)| !(*position == 1 && word == "perfwright"))
        .map(|(_, word)| word)
}
