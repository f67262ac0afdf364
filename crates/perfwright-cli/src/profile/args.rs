//! The arguments of `profile`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use perfwright_cpu::MAX_FREQUENCY_HZ;

const EXAMPLES: &str = "\
Examples:
  Profile the workspace's default program under its own load for 10 seconds
    cargo perfwright profile
  Profile an example with arguments of its own, for 30 seconds
    cargo perfwright profile --example server --seconds 30 -- --threads 4
  Profile a program that is no HTTP service, until it ends or two minutes are over
    cargo perfwright profile --bin import --seconds 120 -- data.csv
  See where the program waits rather than computes
    cargo perfwright profile --mode wall --frequency 99

The program has to link perfwright and call `perfwright::start()` at the top of `main`.
Its load is declared in its Cargo.toml, under [package.metadata.perfwright].";

/// Build a program, put it under load, and show where its CPU time goes.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProfileArgs {
    /// The package to profile [default: the workspace's `default` in
    /// [workspace.metadata.perfwright], else its only program]
    #[arg(long, short, value_name = "NAME")]
    pub package: Option<String>,
    /// The binary to profile, where the package has several
    #[arg(long, value_name = "NAME", conflicts_with = "example")]
    pub bin: Option<String>,
    /// The example to profile
    #[arg(long, value_name = "NAME")]
    pub example: Option<String>,
    /// Features to build with, separated by commas or spaces
    #[arg(long, value_name = "FEATURES")]
    pub features: Option<String>,

    /// How long to capture, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub seconds: Duration,
    /// Samples per second of CPU time, for each thread [default: 999; 99 in wall mode]
    #[arg(long, value_name = "HERTZ", value_parser = parse_frequency)]
    pub frequency: Option<u32>,
    /// What interrupts the program to take samples
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,
    /// What to measure: CPU time, or wall time with waiting included
    #[arg(long, value_enum, default_value_t = ModeChoice::Cpu)]
    pub mode: ModeChoice,

    /// Profile the heap too, or fail. By default it is profiled if the program's global allocator
    /// is perfwright's `SampledAlloc`
    #[arg(long, overrides_with = "no_heap")]
    pub heap: bool,
    /// Do not profile the heap
    #[arg(long)]
    pub no_heap: bool,
    /// Bytes between heap samples, on average; fewer see more and cost more
    #[arg(long, value_name = "BYTES", default_value = "64k", value_parser = parse_bytes)]
    pub heap_rate: u64,

    /// Start no load: capture what the program does by itself
    #[arg(long)]
    pub no_load: bool,
    /// Connections of the load, each with one request under way
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub connections: u16,
    /// How long the service may take until it answers its first request, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    pub ready_timeout: Duration,

    /// Where to write the run [default: target/perfwright/<time>-<program>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How many runs to keep in target/perfwright
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub keep: u16,
    /// Print report.json on stdout instead of the tables
    #[arg(long)]
    pub json: bool,
    /// Open the flamegraph when it is written
    #[arg(long)]
    pub open: bool,

    /// Arguments of the program
    #[arg(last = true, value_name = "ARGS")]
    pub program_args: Vec<String>,
}

/// The engines, as the user names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// perf where the kernel permits it, else timer
    Auto,
    /// perf task-clock events: the most exact attribution
    Perf,
    /// Per-thread CPU timers: cheapest, works everywhere on Linux
    Timer,
    /// The pprof crate (setitimer), for other Unix
    Pprof,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeChoice {
    /// Time on a CPU
    Cpu,
    /// Elapsed time, waiting included
    Wall,
}

impl ProfileArgs {
    /// The frequency asked for, or the mode's default.
    pub(crate) fn frequency_hz(&self) -> u32 {
        self.frequency.unwrap_or(match self.mode {
            ModeChoice::Cpu => 999,
            ModeChoice::Wall => 99,
        })
    }
}

impl ProfileArgs {
    /// The unit of age of blocks on the heap: a sixteenth of the capture, as growth is judged from so many, but
    /// not below a tenth of a second nor above a whole one.
    pub(crate) fn heap_epoch(&self) -> Duration {
        (self.seconds / 16).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }
}

impl EngineChoice {
    /// As the sampler calls it.
    pub(crate) fn wire_name(self) -> &'static str {
        match self {
            EngineChoice::Auto => "auto",
            EngineChoice::Perf => "perf",
            EngineChoice::Timer => "timer",
            EngineChoice::Pprof => "pprof-rs",
        }
    }
}

impl ModeChoice {
    /// As the sampler calls it.
    pub(crate) fn wire_name(self) -> &'static str {
        match self {
            ModeChoice::Cpu => "cpu",
            ModeChoice::Wall => "wall",
        }
    }
}

fn parse_frequency(text: &str) -> Result<u32, String> {
    let hertz: u32 = text
        .parse()
        .map_err(|_| "not a whole number of hertz".to_owned())?;
    match hertz {
        0 => {
            Err("0 Hz samples nothing: 999 is good for a short look, 99 for a long one".to_owned())
        }
        too_high if too_high > MAX_FREQUENCY_HZ => {
            Err(format!("more than can be had: at most {MAX_FREQUENCY_HZ}"))
        }
        hertz => Ok(hertz),
    }
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        _ => return Err("not a number of bytes: write it as 65536, 64k or 1m".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a number of bytes: write it as 65536, 64k or 1m".to_owned())?;
    match number.checked_mul(unit) {
        Some(bytes @ 1..=0x1_0000_0000_0000) => Ok(bytes),
        Some(0) => Err("0 bytes between samples would sample without end".to_owned()),
        _ => Err("more than can be had: at most 2^48 bytes".to_owned()),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err("must be between 0.1 and 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_and_modes_have_the_samplers_names() {
        for engine in EngineChoice::value_variants() {
            assert!(
                engine.wire_name().parse::<perfwright_cpu::Engine>().is_ok(),
                "{engine:?}"
            );
        }
        for mode in ModeChoice::value_variants() {
            assert!(
                mode.wire_name().parse::<perfwright_cpu::Mode>().is_ok(),
                "{mode:?}"
            );
        }
    }

    #[test]
    fn numbers_without_sense_are_refused_with_a_reason() {
        assert_eq!(parse_frequency("999"), Ok(999));
        for (text, reason) in [
            ("0", "samples nothing"),
            ("10001", "at most 10000"),
            ("x", "whole"),
        ] {
            assert!(
                parse_frequency(text).unwrap_err().contains(reason),
                "{text}"
            );
        }
        assert_eq!(parse_seconds("2.5"), Ok(Duration::from_millis(2_500)));
        for text in ["0", "-1", "nan", "inf", "1e9", "ten"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
        assert_eq!(parse_bytes("65536"), Ok(65_536));
        assert_eq!(parse_bytes("64k"), Ok(65_536));
        assert_eq!(parse_bytes("1MiB"), Ok(1 << 20));
        for text in ["", "k", "0", "-1", "1.5m", "64q", "18446744073709551615k"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
