//! The arguments of the commands that read profile files.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use regex::Regex;

/// Commands that read profile files of any program and most profilers, compressed or not.
#[derive(Debug, Clone, Subcommand)]
pub enum ViewCommand {
    /// List the functions that cost most.
    Top(TopArgs),
    /// Look at profiles in the browser.
    View(ViewArgs),
    /// Draw a flamegraph.
    Flamegraph(FlamegraphArgs),
    /// Compare two profiles, function by function.
    Diff(DiffArgs),
    /// Write a profile in another format.
    Convert(ConvertArgs),
    /// Give addresses in a profile their function names and lines.
    Symbolize(SymbolizeArgs),
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
    /// Print the man page.
    Man,
}

const TOP_EXAMPLES: &str = "\
Examples:
  The 20 functions that took most CPU time themselves, in the last run
    cargo perfwright top target/perfwright/latest/cpu.pb.gz
  The crates that took most, with everything they call
    cargo perfwright top --by crate --sort total cpu.pb.gz
  What one route spends its time on
    cargo perfwright top --label route=/orders cpu.pb.gz
  Who calls a function, and what it calls
    cargo perfwright top --around shop::db::load cpu.pb.gz

`self` is time in the function's own code, `total` includes everything it called.";

/// List the functions that cost most.
#[derive(Debug, Clone, Args)]
#[command(after_help = TOP_EXAMPLES)]
pub struct TopArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// What one line of the table is
    #[arg(long, value_enum, default_value_t = Group::Function)]
    pub by: Group,
    /// Group by the values of a label instead: route, span, task, ...
    #[arg(long, value_name = "KEY", conflicts_with_all = ["by", "around"])]
    pub by_label: Option<String>,
    /// Which column the lines are sorted by
    #[arg(long, value_enum, default_value_t = Sort::Own)]
    pub sort: Sort,
    /// How many lines to print; 0 for all
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    pub lines: usize,
    /// Show the callers and the callees of one function
    #[arg(long, value_name = "FUNCTION", conflicts_with_all = ["by", "sort"])]
    pub around: Option<String>,
    /// Print names and paths in full
    #[arg(long)]
    pub full: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const VIEW_EXAMPLES: &str = "\
Examples:
  Look at the last run
    cargo perfwright view target/perfwright/latest/cpu.pb.gz
  Two runs, to be compared in the page, as a file to send around
    cargo perfwright view before/cpu.pb.gz after/cpu.pb.gz -o compare.html
  With the source text beside the costs of its lines
    cargo perfwright view --source cpu.pb.gz

The file holds the viewer and the profiles: it needs neither a network nor this program.";

/// Look at profiles in the browser.
#[derive(Debug, Clone, Args)]
#[command(after_help = VIEW_EXAMPLES)]
pub struct ViewArgs {
    /// Profiles, in any format that is read; none for the viewer alone; - for standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where to write the HTML file [default: in the folder for temporary files]; - for standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Put the text of the hottest source files into the page, where they are on this disk: 2 MB at most
    #[arg(long)]
    pub source: bool,
    /// Write the file, and open no browser
    #[arg(long)]
    pub no_open: bool,
}

const FLAMEGRAPH_EXAMPLES: &str = "\
Examples:
  Draw a profile and look at it
    cargo perfwright flamegraph cpu.pb.gz -o cpu.svg
  Only what runs below one function, per thread
    cargo perfwright flamegraph cpu.pb.gz --show-from serve --group-by thread -o serve.svg
  From another tool
    perf script | inferno-collapse-perf | cargo perfwright flamegraph - -o - > perf.svg";

/// Draw a flamegraph.
#[derive(Debug, Clone, Args)]
#[command(after_help = FLAMEGRAPH_EXAMPLES)]
pub struct FlamegraphArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Where to write the SVG; - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "flamegraph.svg")]
    pub out: PathBuf,
    /// The title of the picture
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Begin at the bottom: callers below what they call, as flames. Otherwise calls hang down from the
    /// top, where one looks first, however deep they go
    #[arg(long)]
    pub upright: bool,
    /// Begin with the functions that ran, and put their callers on them
    #[arg(long)]
    pub from_leaves: bool,
    /// Begin with the values of a label: thread, route, ...
    #[arg(long, value_name = "KEY")]
    pub group_by: Option<String>,
    /// Leave out boxes narrower than this share of the whole, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.01, value_parser = parse_percent)]
    pub min_percent: f64,
    /// Leave out the narrowest boxes until the file is no larger, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 5_000_000)]
    pub max_bytes: usize,
    /// Write names in full
    #[arg(long)]
    pub full: bool,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  What changed between two runs
    cargo perfwright diff before/cpu.pb.gz after/cpu.pb.gz
  By crate, and as a flamegraph of the differences
    cargo perfwright diff --by crate --svg diff.svg before/cpu.pb.gz after/cpu.pb.gz

Shares are compared, so the runs need not be of the same length. Lines marked ~ are within the error
of sampling; of the lines without the mark, one in twenty is expected to be chance. Runs under
another load differ for real: keep the load the same.";

/// Compare two profiles, function by function.
#[derive(Debug, Clone, Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct DiffArgs {
    /// The profile to compare with
    #[arg(value_name = "BASELINE")]
    pub baseline: PathBuf,
    /// The profile to judge; - for standard input
    #[arg(value_name = "CANDIDATE")]
    pub candidate: PathBuf,
    #[command(flatten)]
    pub select: SelectArgs,
    /// What one line of the table is
    #[arg(long, value_enum, default_value_t = Group::Function)]
    pub by: Group,
    /// Which cost is compared
    #[arg(long, value_enum, default_value_t = Sort::Own)]
    pub sort: Sort,
    /// How many lines to print; 0 for all
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20)]
    pub lines: usize,
    /// Also write a flamegraph of the differences; - for standard output, instead of the table
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub svg: Option<PathBuf>,
    /// Print names and paths in full
    #[arg(long)]
    pub full: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const CONVERT_EXAMPLES: &str = "\
Examples:
  pprof to folded stacks
    cargo perfwright convert cpu.pb.gz -o cpu.folded
  Several profiles to one
    cargo perfwright convert monday.pb.gz tuesday.pb.gz -o both.pb.gz
  What perf recorded, for speedscope
    perf script | cargo perfwright convert - -o cpu.speedscope.json
  Folded stacks of one sample type, to a pipe
    cargo perfwright convert cpu.pb.gz --to folded --sample-type samples | grep search
  What one route does in your own code, as a page for a colleague
    cargo perfwright convert cpu.pb.gz --label route=/orders --my-code -o orders.html";

/// Write a profile in another format.
#[derive(Debug, Clone, Args)]
#[command(after_help = CONVERT_EXAMPLES)]
pub struct ConvertArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Where to write: .pb.gz and .pprof are gzipped pprof, .pb is plain pprof, .folded, .collapsed
    /// and .txt are folded stacks, .speedscope.json is for speedscope, .firefox.json and
    /// .firefox.json.gz for the Firefox Profiler, .svg is a flamegraph, .html the viewer
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "-",
        hide_default_value = true
    )]
    pub out: PathBuf,
    /// The format [default: by the name of the file]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: Option<Target>,
}

const SYMBOLIZE_EXAMPLES: &str = "\
Examples:
  A profile of a stripped binary, with its debug file
    cargo perfwright symbolize cpu.pb.gz --debug-file shop.debug -o named.pb.gz
  With a folder of debug files, found by build id
    cargo perfwright symbolize cpu.pb.gz --debug-dir /srv/debug -o named.pb.gz

The files that the profile names are read too where they are, and /usr/lib/debug. A file is used only
if its build id is the profile's.";

/// Give addresses in a profile their function names and lines.
#[derive(Debug, Clone, Args)]
#[command(after_help = SYMBOLIZE_EXAMPLES)]
pub struct SymbolizeArgs {
    /// The profile (pprof); - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where to write the profile: gzipped pprof, or as the name says (see convert); - for standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// A file with debug information
    #[arg(long, value_name = "FILE")]
    pub debug_file: Vec<PathBuf>,
    /// A folder of debug files
    #[arg(long, value_name = "DIR")]
    pub debug_dir: Vec<PathBuf>,
}

/// Print the completions for a shell.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo perfwright completions bash > ~/.local/share/bash-completion/completions/cargo-perfwright")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The profiles to read, and which part of them.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// Profiles (pprof, folded, perf script, speedscope, ...); several are merged; - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub select: SelectArgs,
}

const SELECTION: &str = "Selection (REGEX is found anywhere in a function's name)";

/// Which part of a profile to look at.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectArgs {
    /// Which values to show: cpu, samples, ... [default: the profile's own]
    #[arg(long, help_heading = SELECTION, value_name = "KIND")]
    pub sample_type: Option<String>,
    /// Only samples with a matching function on their stack
    #[arg(long, help_heading = SELECTION, value_name = "REGEX")]
    pub focus: Option<Regex>,
    /// No samples with a matching function on their stack
    #[arg(long, help_heading = SELECTION, value_name = "REGEX")]
    pub ignore: Option<Regex>,
    /// Leave matching functions out; their cost goes to their callers
    #[arg(long, help_heading = SELECTION, value_name = "REGEX")]
    pub hide: Option<Regex>,
    /// Begin stacks at the outermost matching function
    #[arg(long, help_heading = SELECTION, value_name = "REGEX")]
    pub show_from: Option<Regex>,
    /// Leave out what matching functions call; its cost is theirs
    #[arg(long, help_heading = SELECTION, value_name = "REGEX")]
    pub collapse: Option<Regex>,
    /// Leave out the standard library, executors, HTTP stacks and the like; their cost goes to their callers
    #[arg(long, help_heading = SELECTION)]
    pub my_code: bool,
    /// Make one frame of a function that calls itself
    #[arg(long, help_heading = SELECTION)]
    pub merge_recursion: bool,
    /// Only samples with this label: thread=worker; may be given several times
    #[arg(long, help_heading = SELECTION, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub label: Vec<(String, String)>,
}

/// What one line of a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// A function
    Function,
    /// A line of a function
    Line,
    /// A source file
    File,
    /// A crate
    Crate,
    /// A mapped file: the executable, its libraries
    Mapping,
    /// A thread
    Thread,
}

impl Group {
    /// The title of the column that has the names.
    pub(super) fn title(self) -> &'static str {
        match self {
            Group::Function | Group::Line => "function",
            Group::File => "file",
            Group::Crate => "crate",
            Group::Mapping => "mapping",
            Group::Thread => "thread",
        }
    }
}

/// Which of the two costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Its own
    #[value(name = "self")]
    Own,
    /// With everything it called
    Total,
}

/// The formats that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// pprof, gzipped: what every pprof tool expects
    Pprof,
    /// pprof without compression
    PprofPlain,
    /// Folded stacks: one stack and its value a line
    Folded,
    /// speedscope's JSON: every thread and sample type
    Speedscope,
    /// The Firefox Profiler's JSON, of one sample type; gzipped if the file's name ends in .gz
    Firefox,
    /// A flamegraph of one sample type
    Svg,
    /// The viewer with the profile in it: one page that needs nothing else
    Html,
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("give KEY=VALUE, such as thread=worker")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("give a number from 0 to 100".to_owned()),
    }
}
