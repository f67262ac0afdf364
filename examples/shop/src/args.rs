//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::fixes::{FixArg, Fixes};

/// A small web shop with ordinary performance mistakes, each with a switch that turns the right way on.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Args {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Keep the database in this folder, and use it again next time [default: a temporary folder, removed at exit].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Do it the right way where the shop makes the mistake NAME; can be repeated; `all` turns all of them on.
    #[arg(long = "fix", value_name = "NAME", value_parser = FixArg::parse)]
    fixes: Vec<FixArg>,

    /// Print the mistakes that --fix knows, and exit.
    #[arg(long)]
    pub list_fixes: bool,
}

impl Args {
    /// The mistakes that `--fix` asked to do right.
    pub fn fixes(&self) -> Fixes {
        self.fixes
            .iter()
            .fold(Fixes::none(), |fixes, arg| fixes | arg.fixes())
    }
}

const EXAMPLES: &str = "Examples:
  shop --listen 127.0.0.1:0 --fix n-plus-one --fix missing-index
  shop --list-fixes
  curl 'http://127.0.0.1:8080/products?search=oak+chair+under+80'";
