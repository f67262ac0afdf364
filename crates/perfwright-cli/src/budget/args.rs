//! The arguments of `budget`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  Hold what the last run, the benches and the files say against perfwright.toml
    cargo perfwright budget check
  Compare with what was measured before, and leave reports for continuous integration
    cargo perfwright budget check --baseline main/budget.json --out target/budget --github
  Check one profile, of whatever profiler
    cargo perfwright budget check --profile cpu=service.pb.gz
  Watch a service for five minutes
    cargo perfwright budget check --metrics http://127.0.0.1:6060/metrics --for 5m
  Run the file's commands, such as builds, and measure them
    cargo perfwright budget check --measure

Exit codes: 0 held, 1 failed, 2 wrong budget file or usage, 3 breach or missing data, 4 can't tell.";

/// Hold measurements against budgets.
#[derive(Debug, Clone, Subcommand)]
pub enum BudgetCommand {
    /// Check every budget of a file and give a verdict on each of its limits.
    Check(CheckArgs),
    /// Show what makes up what is beyond its limit: functions, crates, routes, sections.
    Explain(ExplainArgs),
    /// Write the budgets that a running service tells of as rules for Prometheus.
    Rules(RulesArgs),
    /// Propose a budget file from what a run measured.
    Init(InitArgs),
    /// Print the JSON schema of budget files, for editors that check and complete TOML.
    Schema(SchemaArgs),
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  Make editors check and complete perfwright.toml, whose first line then is `#:schema ./perfwright.schema.json`
    cargo perfwright budget schema -o perfwright.schema.json";

/// Print the JSON schema of budget files, for editors that check and complete TOML.
#[derive(Debug, Clone, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// The file to write; - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

const RULES_EXAMPLES: &str = "\
Examples:
  Rules for Prometheus, and a dashboard for Grafana that shows what they record
    cargo perfwright budget rules -o rules.yml --grafana dashboard.json";

/// Propose a budget file from what a run measured.
///
/// The budgets hold what was measured, with half as much again as room. They are a beginning: keep those that mean
/// something to you, and set them to what you promise.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// A run's folder
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "target/perfwright/latest"
    )]
    pub run: PathBuf,
    /// The file to write, which must not be there yet; - for standard output
    #[arg(long, value_name = "FILE", default_value = "perfwright.toml")]
    pub file: PathBuf,
}

/// Write the budgets that a running service tells of as rules for Prometheus.
///
/// Limits become recording and alerting rules, objectives alerts on how fast errors use up what is allowed, over
/// four pairs of windows. A value that is not told is an alert, too. Limits that tighten later and waivers that end do
/// so in the rules by themselves. `promtool check rules` reads the file.
#[derive(Debug, Clone, Args)]
#[command(after_help = RULES_EXAMPLES)]
pub struct RulesArgs {
    /// The budget file
    #[arg(long, value_name = "FILE", default_value = "perfwright.toml")]
    pub file: PathBuf,
    /// The file to write; - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Write a dashboard for Grafana, too, as JSON to import
    #[arg(long, value_name = "FILE")]
    pub grafana: Option<PathBuf>,
}

/// Where the numbers come from.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// The budget file
    #[arg(long, value_name = "FILE", default_value = "perfwright.toml")]
    pub file: PathBuf,
    /// The folder that artifacts are looked for in, and the default of other sources [default: the file's]
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// A run's folder [default: target/perfwright/latest, if there is one]
    #[arg(long, value_name = "FOLDER")]
    pub run: Option<PathBuf>,
    /// A profile in place of the run's, such as cpu=service.pb.gz; can be given several times
    #[arg(long, value_name = "NAME=FILE", value_parser = named_file)]
    pub profile: Vec<(String, PathBuf)>,
    /// A page of metrics in Prometheus's text format: a file, or the URL of a service to scrape
    #[arg(long, value_name = "FILE|URL")]
    pub metrics: Option<String>,
    /// Scrape the URL for so long, such as 5m, and one step more: rates and percentiles are then of that time, and
    /// limits can be sustained for all of it
    #[arg(long = "for", value_name = "TIME", value_parser = time, requires = "metrics")]
    pub duration: Option<Duration>,
    /// How often the URL is scraped meanwhile
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "15s")]
    pub every: Duration,
    /// The token that the service asks for
    #[arg(
        long,
        value_name = "TOKEN",
        env = "PERFWRIGHT_TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
    /// What a load driver reported: a run's report.json, JSON of oha, a summary of k6, the text of wrk
    #[arg(long, value_name = "FILE")]
    pub load: Option<PathBuf>,
    /// The folder of criterion's results [default: target/criterion, if there is one]
    #[arg(long, value_name = "FOLDER")]
    pub criterion: Option<PathBuf>,
    /// What to compare with: budget.json of an earlier check, a run's folder, or a CPU profile
    #[arg(long, value_name = "PATH")]
    pub baseline: Option<PathBuf>,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  Why a budget does not hold: where its share is spent, and on which routes
    cargo perfwright budget explain
  The same of one budget, whether it holds or not
    cargo perfwright budget explain json-share
  What has grown since an earlier run, with flamegraphs of the difference
    cargo perfwright budget explain --baseline old-run --out target/budget";

/// Show what makes up what is beyond its limit: functions, crates, routes, sections.
///
/// Times and memory are explained by the profiles of the run, files by their sections and symbols. With a baseline,
/// what grew most comes first.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub sources: SourceArgs,
    /// The ids of the budgets [default: those that do not hold]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Write a flamegraph of the difference to the baseline's profile into this folder, for each of them
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// How many lines of each kind; 0 for all
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10)]
    pub lines: usize,
}

/// Check every budget of a file and give a verdict on each of its limits.
///
/// The numbers come from the last run of `profile`, from criterion's saved results, and from files. Nothing is run but
/// cargo, to count dependencies; the commands of the file run only with --measure, and a service is asked only with
/// a URL. What `on_breach` says is measured again is what this check measured itself.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Run the commands of the file and measure them; without it what was measured last counts
    #[arg(long)]
    pub measure: bool,
    /// How the verdicts are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Print what is not in order as annotations for GitHub, too
    #[arg(long)]
    pub github: bool,
    /// Write budget.json, budget.md and budget.xml (JUnit) into this folder
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
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
    /// JUnit XML
    Junit,
}

/// `15s`, `5m`, `1h`, `500ms`.
fn time(text: &str) -> Result<Duration, String> {
    let help = || "write a time such as 15s or 5m".to_owned();
    let at = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(help)?;
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(help()),
    };
    let seconds = number.trim().parse::<f64>().map_err(|_| help())? * factor;
    match (0.1..=86_400.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("must be between 100ms and 24h".to_owned()),
    }
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), file.into()))
        }
        _ => Err("give a name and a file, such as cpu=service.pb.gz".to_owned()),
    }
}
