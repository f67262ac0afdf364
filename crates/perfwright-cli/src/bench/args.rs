//! The arguments of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use perfwright_criterion::shard::Shard;

const EXAMPLES: &str = "\
Examples:
  Run the benches; time, CPU time and allocations as a table
    cargo perfwright bench
  Where does the time of one go?
    cargo perfwright bench --profile json/parse
  What do they allocate? In seconds, the same on every machine
    cargo perfwright bench --count
  Is what I have here slower than main?
    cargo perfwright bench --against main
  Only some benches of one package, with a larger effect to look for
    cargo perfwright bench -p parser --bench tokens --effect 3 --against HEAD json
  For continuous integration: also against the last release, with annotations and reports
    cargo perfwright bench --against origin/main --also-against release --github --out target/gate

A comparison builds the base and what is here with the bench sources of here, in target/perfwright/gate; the
working tree is not touched, and what is not committed belongs to the candidate. Benches written with
perfwright_criterion::Suite take turns in small batches; those of criterion alone run as pairs of processes.

Exit codes: 0 held, 1 failed, 2 wrong usage, 3 a bench got worse, 4 can't tell.";

/// Run benches, and compare them with another revision.
///
/// Without --against the benches of criterion are run, and what they took is shown as a table.
///
/// With --against each bench is measured in turns with its base until a verdict is sure or the time is over.
/// First the base is measured against itself, and against itself with an unrelated function added: no smaller
/// difference is believed.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Only benches whose name contains this; can be given several times
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// The package whose benches are run [default: all of the workspace]
    #[arg(long, short, value_name = "NAME")]
    pub package: Vec<String>,
    /// The bench target to run, as `cargo bench --bench` names it [default: all]
    #[arg(long, value_name = "NAME")]
    pub bench: Vec<String>,
    /// The Cargo.toml of the package or workspace [default: that of the current folder]
    #[arg(long, value_name = "FILE")]
    pub manifest_path: Option<PathBuf>,
    /// Features to build with, separated by commas or spaces
    #[arg(long, value_name = "FEATURES")]
    pub features: Option<String>,
    /// What to do with benches that are only run.
    #[command(flatten)]
    pub run: RunArgs,
    /// What to compare with, and how.
    #[command(flatten)]
    pub gate: GateArgs,
}

/// What to do with benches that are run without a comparison.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Without a comparison")]
pub struct RunArgs {
    /// Profile each bench for so many seconds instead of measuring it, and tell where the pages are
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "5",
          value_parser = parse_profile_seconds, conflicts_with_all = ["against", "count", "saved"])]
    pub profile: Option<Duration>,
    /// Only count what each bench allocates in so many iterations, without measuring
    #[arg(long, value_name = "ITERATIONS", num_args = 0..=1, require_equals = true, default_missing_value = "3",
          value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["against", "saved"])]
    pub count: Option<u64>,
    /// Run nothing: show what was saved by the last run
    #[arg(long, conflicts_with = "against")]
    pub saved: bool,
    /// Show the change against results that were saved under this name
    #[arg(long, value_name = "NAME", conflicts_with = "against")]
    pub baseline: Option<String>,
    /// Save the results under this name, too
    #[arg(long, value_name = "NAME", conflicts_with_all = ["against", "saved"])]
    pub save_baseline: Option<String>,
    /// Run only one part of several, such as 2/5; the parts take about as long as each other
    #[arg(long, value_name = "N/OF", conflicts_with_all = ["against", "saved"])]
    pub shard: Option<Shard>,
    /// How long each bench takes, for --shard: a file of --store-durations [default: the saved results]
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub durations: Option<PathBuf>,
    /// Write how long each bench took into this file
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    pub store_durations: Option<PathBuf>,
    /// The same as --format json
    #[arg(long, conflicts_with = "against")]
    pub json: bool,
    /// Arguments for criterion
    #[arg(last = true, value_name = "CRITERION", conflicts_with = "against")]
    pub criterion: Vec<String>,
}

impl RunArgs {
    pub(crate) fn format(&self, format: Format) -> Format {
        if self.json { Format::Json } else { format }
    }
}

/// What a comparison is made with, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Comparison")]
pub struct GateArgs {
    /// The base: a revision of this repository, or a folder with a checkout
    #[arg(long, value_name = "REV|DIR")]
    pub against: Option<String>,
    /// A second base, so that small steps cannot creep; `release` means the last tag that looks like a version
    #[arg(long, value_name = "REV|DIR", requires = "against")]
    pub also_against: Option<String>,
    /// Executables that were built before, in place of --against: base, candidate, and any number of builds of the
    /// base with an unrelated function
    #[arg(long, value_name = "FILE", num_args = 2.., conflicts_with_all = ["against", "also_against"])]
    pub executables: Vec<PathBuf>,
    /// The smallest effect that matters, in percent
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_percent)]
    pub effect: f64,
    /// How long a bench may be measured against its base, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "9.5", value_parser = parse_seconds)]
    pub seconds: Duration,
    /// How long one batch of a bench may take before it is given up, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    pub timeout: Duration,
    /// What makes a bench worse
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Judged::Time, Judged::Allocations], value_name = "WHAT")]
    pub judge: Vec<Judged>,
    /// Do not count instructions, though valgrind is there
    #[arg(long)]
    pub no_instructions: bool,
    /// The file that remembers results, one JSON object a line [default: target/perfwright/history.jsonl]
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Neither read nor write the history
    #[arg(long, conflicts_with = "history")]
    pub no_history: bool,
    /// How the verdicts are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Print what is not in order as annotations for GitHub, too
    #[arg(long)]
    pub github: bool,
    /// Write gate.json, gate.md and history.html into this folder
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// The seed of what is drawn by chance: orders and resamples
    #[arg(
        long,
        value_name = "NUMBER",
        hide_short_help = true,
        default_value_t = 1
    )]
    pub seed: u64,
}

/// What a verdict may rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Judged {
    /// Time, by the clocks
    Time,
    /// Allocations and allocated bytes, where the allocator counts
    Allocations,
    /// Instructions, where valgrind is installed
    Instructions,
}

/// How verdicts are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for the terminal
    Table,
    /// JSON of schema version 1
    Json,
    /// A table in Markdown
    Markdown,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim().parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("give a number of percent above 0 and up to 100, such as 1".to_owned()),
    }
}

/// criterion profiles for a second or more.
fn parse_profile_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (1.0..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give a number of seconds from 1 to 86400".to_owned()),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give a number of seconds from 0.1 to 86400".to_owned()),
    }
}
