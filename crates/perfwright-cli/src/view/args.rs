//! The arguments of the commands that read profile files.

use clap::Subcommand;

/// Commands that read profile files.
#[derive(Debug, Subcommand)]
pub enum ViewCommand {
    /// Show the functions that use most.
    Top,
}
