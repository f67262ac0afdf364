//! The heap profiler beside its peers: every number about it in the README of `benches/` comes from here.
//!
//! A program has one global allocator, so each is a binary. They take turns, each run in a process of its own;
//! the order changes from round to round. Times are CPU time.
//!
//! ```sh
//! cargo run --release --manifest-path benches/heap/Cargo.toml -- [all | pair | churn | json | memory | peak] [rounds]
//! ```

mod against_dhat;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// A profiler, and what it is compared with.
struct Side {
    name: &'static str,
    binary: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// The position of its allocator without a profiler.
    base: usize,
    /// It takes a hundred times as long: fewer rounds, and less to do.
    is_slow: bool,
}

const SYSTEM: usize = 0;
const JEMALLOC: usize = 1;

const fn side(name: &'static str, binary: &'static str) -> Side {
    Side {
        name,
        binary,
        variables: &[],
        base: SYSTEM,
        is_slow: false,
    }
}

const SIDES: [Side; 7] = [
    side("System", "heap_system"),
    Side {
        base: JEMALLOC,
        ..side("jemalloc", "heap_jemalloc")
    },
    side("perfwright", "heap_perfwright"),
    side("dial9 0.5.7, liveset", "heap_dial9"),
    side("pprof-alloc 0.6.0", "heap_pprof_alloc"),
    Side {
        variables: &[(
            "_RJEM_MALLOC_CONF",
            "prof:true,prof_active:true,lg_prof_sample:19",
        )],
        base: JEMALLOC,
        ..side("jemalloc, prof lg 19", "heap_jemalloc")
    },
    Side {
        variables: &[("SLOW", "1")],
        is_slow: true,
        ..side("dhat 0.3.3", "heap_dhat")
    },
];

/// What is measured, and how it is said.
struct Task {
    group: &'static str,
    title: &'static str,
    words: &'static [&'static str],
    unit: &'static str,
    /// What we want to keep to.
    bar: &'static str,
}

const TASKS: [Task; 7] = [
    Task {
        group: "pair",
        title: "64 B allocated and freed",
        words: &["pair"],
        unit: "ns",
        bar: "at most +1.5 ns",
    },
    Task {
        group: "churn",
        title: "churn of 16-512 B, 1 thread",
        words: &["churn", "1"],
        unit: "ns",
        bar: "at most x1.10",
    },
    Task {
        group: "churn",
        title: "churn of 16-512 B, 2 threads",
        words: &["churn", "2"],
        unit: "ns",
        bar: "at most x1.10",
    },
    Task {
        group: "json",
        title: "JSON parsed, 1 thread",
        words: &["json", "1"],
        unit: "ms",
        bar: "at most x1.05, peak at most +1.5 MB",
    },
    Task {
        group: "json",
        title: "JSON parsed, 2 threads",
        words: &["json", "2"],
        unit: "ms",
        bar: "at most x1.05, peak at most +1.5 MB",
    },
    Task {
        group: "memory",
        title: "a program with 1 M live boxes of 64 B, resident",
        words: &["boxes"],
        unit: "MB",
        bar: "at most +2 MB",
    },
    Task {
        group: "memory",
        title: "vec![0; 256 MB], resident",
        words: &["zeroed"],
        unit: "MB",
        bar: "as without",
    },
];

const ROUNDS: usize = 7;
const SLOW_ROUNDS: usize = 2;

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let group = words.first().map_or("all", String::as_str);
    let rounds = words.get(1).map_or(Ok(ROUNDS), |word| word.parse())?;
    let groups = ["all", "pair", "churn", "json", "memory", "peak"];
    ensure!(groups.contains(&group), "the benches are {groups:?}");
    let folder = build()?;
    for task in &TASKS {
        if group == "all" || group == task.group {
            run(task, rounds, &folder)?;
        }
    }
    if group == "all" || group == "peak" {
        against_dhat::run(&folder)?;
    }
    Ok(())
}

/// Builds the children beside this program.
fn build() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "--bins"]);
    command.args(["--manifest-path", manifest]);
    ensure!(command.status()?.success(), "the children did not build");
    let own = env::current_exe()?;
    Ok(own.parent().context("a folder")?.to_owned())
}

type Numbers = BTreeMap<String, f64>;

fn run(task: &Task, rounds: usize, folder: &Path) -> Result<()> {
    println!("{} (perfwright: {})", task.title, task.bar);
    let mut runs: Vec<Vec<Numbers>> = SIDES.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..SIDES.len() {
            // Every second round backwards: nobody always comes after the same one.
            let turn = if round % 2 == 0 {
                turn
            } else {
                SIDES.len() - 1 - turn
            };
            if !SIDES[turn].is_slow || round < SLOW_ROUNDS {
                runs[turn].push(spawn(&SIDES[turn], task.words, folder)?);
            }
        }
    }
    println!(
        "  {:<22} {:>10} {:>10} {:>8} {:>8}  {:>9}",
        "", "min", "median", "x min", "x median", "+ min"
    );
    for (side, own) in SIDES.iter().zip(&runs) {
        let base = &runs[side.base];
        let value = |runs: &[Numbers]| column(runs, "value");
        let (min, middle) = extremes(value(own));
        let (base_min, base_middle) = extremes(value(base));
        print!(
            "  {:<22} {min:>7.2} {unit} {middle:>7.2} {unit} {:>8.2} {:>8.2}  {:>+6.2} {unit}",
            side.name,
            min / base_min,
            middle / base_middle,
            min - base_min,
            unit = task.unit,
        );
        if own.iter().all(|run| run.contains_key("peak_mb")) {
            let (_, peak) = extremes(column(own, "peak_mb"));
            let (_, base_peak) = extremes(column(base, "peak_mb"));
            print!("  peak {peak:.2} MB {:+.2}", peak - base_peak);
        }
        println!();
    }
    println!();
    Ok(())
}

fn column(runs: &[Numbers], key: &str) -> Vec<f64> {
    runs.iter()
        .filter_map(|run| run.get(key).copied())
        .collect()
}

/// The least and the middle.
fn extremes(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2))
}

fn spawn(side: &Side, words: &[&str], folder: &Path) -> Result<Numbers> {
    let text = output(side.binary, side.variables, words, folder)?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let numbers: Numbers = pairs
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect();
    ensure!(numbers.contains_key("value"), "{} said {text:?}", side.name);
    Ok(numbers)
}

/// What a child prints.
fn output(
    binary: &str,
    variables: &[(&str, &str)],
    words: &[&str],
    folder: &Path,
) -> Result<String> {
    let mut command = Command::new(folder.join(binary));
    command.args(words).envs(variables.iter().copied());
    let output = command.output().with_context(|| format!("run {binary}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{binary} {words:?} failed ({}): {errors}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
