//! How often the gate is wrong: ten benches against themselves, against themselves 3 % slower, and against
//! themselves with an unrelated function, beside criterion's own comparison and tango.
//!
//! ```sh
//! cargo run --release --manifest-path benches/gate/Cargo.toml -- all
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, Subcommand};
use perfwright_gate_benches::subjects;
use serde_json::Value;

/// How often the gate is wrong.
#[derive(Parser)]
struct Args {
    /// Use the programs of the last run as they are
    #[arg(long, global = true)]
    built: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Copy)]
enum What {
    /// Identical programs, by the gate
    Same(Rounds),
    /// Programs that differ by 3 %, by the gate
    Slower(Rounds),
    /// Programs that differ in an unrelated function, by the gate
    Unrelated(Rounds),
    /// Identical programs, by criterion's own comparison
    Criterion(Rounds),
    /// Identical programs, by tango, with and without its filter of outliers
    Tango(Rounds),
    /// All of it, as often as the bars want it
    All,
}

/// How often.
#[derive(clap::Args, Clone, Copy)]
struct Rounds {
    /// Each gives a verdict on each of the ten benches
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let programs = match args.built {
        true => Programs::place()?.0,
        false => Programs::build()?,
    };
    let run = |what: What| match what {
        What::Same(count) => gate(
            &programs,
            "identical",
            &["base", "same", "move"],
            count.rounds,
        ),
        What::Slower(count) => gate(
            &programs,
            "3 % slower",
            &["base", "slow", "move"],
            count.rounds,
        ),
        What::Unrelated(count) => gate(
            &programs,
            "an unrelated function",
            &["base", "else", "move"],
            count.rounds,
        ),
        What::Criterion(count) => criterion(&programs, count.rounds),
        What::Tango(count) => tango(&programs, count.rounds),
        What::All => bail!("this is taken apart before"),
    };
    let rounds = |rounds| Rounds { rounds };
    match args.what {
        What::All => {
            run(What::Same(rounds(30)))?;
            run(What::Slower(rounds(6)))?;
            run(What::Unrelated(rounds(6)))?;
            run(What::Criterion(rounds(3)))?;
            run(What::Tango(rounds(6)))
        }
        what => run(what),
    }
}

/// What is run, in a folder of its own.
struct Programs {
    folder: PathBuf,
    command: PathBuf,
}

impl Programs {
    /// Where they are, and the folder of executables that they are copied from.
    fn place() -> Result<(Programs, PathBuf)> {
        let own = env::current_exe()?;
        let release = own.parent().context("find the folder of executables")?;
        let folder = release.join("gate-bars");
        fs::create_dir_all(&folder)?;
        // A copy, so that the command can be worked on while this runs.
        let command = folder.join("command");
        Ok((
            Programs { folder, command },
            release.with_file_name("aligned"),
        ))
    }

    /// Builds the command and the subjects: as they are, and with each of the unrelated functions.
    fn build() -> Result<Programs> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).context("find the workspace")?;
        cargo(
            root,
            &["build", "--profile", "xtask", "--package", "perfwright-cli"],
        )?;
        let (programs, target) = Programs::place()?;
        let folder = &programs.folder;
        let copy = |from: &str, to: &str| -> Result<()> {
            fs::copy(target.join("release").join(from), folder.join(to))
                .with_context(|| format!("copy {from}"))?;
            Ok(())
        };
        for (feature, name) in [("unrelated-a", "move"), ("unrelated-b", "else")] {
            build(here, &target, &["--features", feature])?;
            copy("suite", &format!("suite-{name}"))?;
        }
        build(here, &target, &[])?;
        for name in ["base", "same", "slow"] {
            copy("suite", &format!("suite-{name}"))?;
        }
        copy("tango", "tango-base")?;
        copy("tango", "tango-same")?;
        copy("criterion", "criterion")?;
        fs::copy(
            root.join("target/xtask/cargo-perfwright"),
            &programs.command,
        )?;
        Ok(programs)
    }

    fn suite(&self, name: &str) -> PathBuf {
        self.folder.join(format!("suite-{name}"))
    }
}

/// Builds as the gate does: with functions aligned, so that one does not move another within its cache lines.
fn build(here: &Path, target: &Path, more: &[&str]) -> Result<()> {
    let target = target.to_string_lossy();
    let bins = ["--bin", "suite", "--bin", "tango", "--bin", "criterion"];
    let fixed = ["build", "--release", "--target-dir", &*target];
    cargo(here, &[&fixed, bins.as_slice(), more].concat())
}

fn cargo(folder: &Path, args: &[&str]) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    if args.contains(&"--target-dir") {
        command.env(
            "RUSTFLAGS",
            "-C force-frame-pointers=yes -C llvm-args=-align-all-functions=6",
        );
    }
    let status = command.current_dir(folder).args(args).status()?;
    ensure!(status.success(), "cargo {} failed", args.join(" "));
    Ok(())
}

/// Verdicts by name, for each bench.
#[derive(Default)]
struct Tally {
    verdicts: BTreeMap<String, BTreeMap<String, usize>>,
    seconds: BTreeMap<String, Vec<f64>>,
    resolution: BTreeMap<String, f64>,
}

impl Tally {
    fn add(&mut self, bench: &str, verdict: &str) {
        let verdicts = self.verdicts.entry(bench.to_owned()).or_default();
        *verdicts.entry(verdict.to_owned()).or_default() += 1;
    }

    fn print(&self, title: &str) {
        let mut total: BTreeMap<&str, usize> = BTreeMap::new();
        println!("{title}");
        for subject in subjects() {
            let Some(verdicts) = self.verdicts.get(subject.name) else {
                continue;
            };
            let mut words = Vec::new();
            for (verdict, count) in verdicts {
                *total.entry(verdict).or_default() += count;
                words.push(format!("{count} {verdict}"));
            }
            let mut line = format!("  {:<18} {}", subject.name, words.join(", "));
            if let Some(seconds) = self.seconds.get(subject.name) {
                let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
                let most = seconds.iter().copied().fold(0.0, f64::max);
                line += &format!("; {mean:.1} s, at most {most:.1}");
            }
            if let Some(resolution) = self.resolution.get(subject.name) {
                line += &format!("; resolves {:.1} % at worst", resolution * 100.0);
            }
            println!("{line}");
        }
        let all: usize = total.values().sum();
        let words: Vec<String> = total
            .iter()
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        println!("  of {all}: {}; load {}\n", words.join(", "), load());
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The gate on a base, a candidate and a build of the base with an unrelated function.
fn gate(programs: &Programs, what: &str, names: &[&str], rounds: usize) -> Result<()> {
    let mut tally = Tally::default();
    for round in 0..rounds {
        let start = Instant::now();
        let output = Command::new(&programs.command)
            .args([
                "bench",
                "--format",
                "json",
                "--no-history",
                "--no-instructions",
                "--judge",
                "time",
                "--seed",
            ])
            .arg((round + 1).to_string())
            .arg("--executables")
            .args(names.iter().map(|name| programs.suite(name)))
            .stderr(Stdio::inherit())
            .output()?;
        let report: Value =
            serde_json::from_slice(&output.stdout).context("read the gate's report")?;
        let rows = report["benches"]
            .as_array()
            .context("read the gate's report")?;
        for row in rows {
            let name = row["bench"].as_str().unwrap_or_default();
            let verdict = row["verdict"].as_str().unwrap_or_default();
            let time = &row["time"];
            let seconds = time["seconds"].as_f64().unwrap_or_default();
            let resolution = time["resolution"].as_f64().unwrap_or_default();
            tally.add(name, verdict);
            tally
                .seconds
                .entry(name.to_owned())
                .or_default()
                .push(seconds);
            let worst = tally.resolution.entry(name.to_owned()).or_default();
            *worst = worst.max(resolution);
            if verdict != "same" {
                let cpu = &time["cpu"];
                eprintln!(
                    "  round {round}: {name} {verdict}: {:.4} [{:.4}, {:.4}], wall {:.4}, judged by {}, resolution {resolution:.4}, {seconds:.1} s; {}",
                    cpu["ratio"].as_f64().unwrap_or(f64::NAN),
                    cpu["low"].as_f64().unwrap_or(f64::NAN),
                    cpu["high"].as_f64().unwrap_or(f64::NAN),
                    time["wall"]["ratio"].as_f64().unwrap_or(f64::NAN),
                    time["judged_by"].as_str().unwrap_or_default(),
                    row["reason"].as_str().unwrap_or_default(),
                );
            }
        }
        eprintln!(
            "{what}: round {} of {rounds}, {:.0} s, load {}",
            round + 1,
            start.elapsed().as_secs_f64(),
            load()
        );
    }
    tally.print(&format!("the gate, {what}"));
    Ok(())
}

/// criterion's own comparison of a program with the baseline that the same program saved.
fn criterion(programs: &Programs, rounds: usize) -> Result<()> {
    let mut tally = Tally::default();
    let home = programs.folder.join("criterion-home");
    for round in 0..rounds {
        for subject in subjects() {
            let run = |more: &[&str]| -> Result<String> {
                let output = Command::new(programs.folder.join("criterion"))
                    .args(["--bench", "--noplot", "--exact", subject.name])
                    .args(more)
                    .env("CRITERION_HOME", &home)
                    .output()?;
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            };
            run(&["--save-baseline", "base"])?;
            let text = run(&["--baseline", "base"])?;
            let verdicts = [
                ("has regressed", "worse"),
                ("has improved", "better"),
                ("No change in performance", "same"),
                ("within noise threshold", "same"),
            ];
            let verdict = verdicts.iter().find(|(words, _)| text.contains(words));
            tally.add(
                subject.name,
                verdict.map_or("no verdict", |(_, verdict)| verdict),
            );
        }
        eprintln!(
            "criterion: round {} of {rounds}, load {}",
            round + 1,
            load()
        );
    }
    fs::remove_dir_all(&home)?;
    tally.print("criterion 0.8.2, identical");
    Ok(())
}

/// tango of a program with a copy of it.
fn tango(programs: &Programs, rounds: usize) -> Result<()> {
    for options in [&["-t", "5"][..], &["-t", "5", "-o"]] {
        let mut tally = Tally::default();
        for round in 0..rounds {
            for subject in subjects() {
                let output = Command::new(programs.folder.join("tango-same"))
                    .arg("compare")
                    .arg(programs.folder.join("tango-base"))
                    .args(["-f", subject.name])
                    .args(options)
                    .output()?;
                let text = String::from_utf8_lossy(&output.stdout);
                let line = text.lines().find(|line| line.contains(subject.name));
                // `name [ 375.5 ns ... 369.0 ns ] -1.58%*`: the star means that it is significant.
                let change = line.and_then(|line| line.split_whitespace().last());
                let verdict = match change {
                    None => "no verdict",
                    Some(change) if !change.ends_with('*') => "same",
                    Some(change) if change.starts_with('-') => "better",
                    Some(_) => "worse",
                };
                tally.add(subject.name, verdict);
            }
            eprintln!("tango: round {} of {rounds}, load {}", round + 1, load());
        }
        tally.print(&format!("tango 0.9.0 {}, identical", options.join(" ")));
    }
    Ok(())
}
