//! The span layer beside its peers: every number about it in the README of `benches/` comes from here.
//!
//! A process has one global subscriber, so each contestant runs in a process of its own; they take turns, and the
//! order changes from round to round. Times are CPU time of the thread; what is printed is the median of the rounds.
//!
//! ```sh
//! cargo run --release --manifest-path benches/spans/Cargo.toml -- [all | cost | memory] [rounds]
//! ```

mod child;

use std::collections::BTreeMap;
use std::env;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::child::{CONTESTANTS, ROLE};

const TASKS: [(&str, &str); 5] = [
    ("span", "create, enter, exit, close: 1 field"),
    ("poll", "enter and exit of a long span"),
    ("polls", "enter and exit, 64 a span"),
    ("child", "a span of a request of 9"),
    ("event", "an INFO event"),
];

/// How much memory a million and five million spans leave resident.
const SPANS: [u64; 2] = [1_000_000, 5_000_000];

type Numbers = BTreeMap<String, f64>;

fn main() -> Result<()> {
    if let Ok(role) = env::var(ROLE) {
        return child::play(&role);
    }
    let mut arguments = env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "all".into());
    let rounds = arguments
        .next()
        .map_or(Ok(7), |n| n.parse())
        .context("rounds")?;
    ensure!(
        ["all", "cost", "memory"].contains(&what.as_str()),
        "all, cost or memory"
    );
    if what != "memory" {
        cost(rounds)?;
    }
    if what != "cost" {
        memory()?;
    }
    Ok(())
}

fn cost(rounds: usize) -> Result<()> {
    let mut seen: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        for turn in 0..CONTESTANTS.len() {
            let at = (round + turn) % CONTESTANTS.len();
            let numbers = run(&format!("cost {}", CONTESTANTS[at]))?;
            for (task, _) in TASKS {
                let number = *numbers
                    .get(task)
                    .with_context(|| format!("{task} was not told"))?;
                seen.entry((at, task)).or_default().push(number);
            }
        }
    }
    print!("| ns of thread CPU time, median of {rounds} |");
    TASKS.iter().for_each(|(_, title)| print!(" {title} |"));
    println!("\n|---|{}", "---|".repeat(TASKS.len()));
    for (at, name) in CONTESTANTS.iter().enumerate() {
        print!("| {name} |");
        for (task, _) in TASKS {
            print!(
                " {:.0} |",
                median(seen.get_mut(&(at, task)).context("measured")?)
            );
        }
        println!();
    }
    Ok(())
}

fn memory() -> Result<()> {
    println!("\n| resident MB more after | 1 M spans | 5 M spans |\n|---|---|---|");
    for name in CONTESTANTS {
        print!("| {name} |");
        for spans in SPANS {
            let numbers = run(&format!("memory {name} {spans}"))?;
            print!(
                " {:.1} |",
                numbers.get("resident").context("resident was not told")?
            );
        }
        println!();
    }
    Ok(())
}

/// Runs a child to its end and returns the numbers that it printed.
fn run(role: &str) -> Result<Numbers> {
    let output = Command::new(env::current_exe()?).env(ROLE, role).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the child `{role}` failed:\n{text}{errors}"
    );
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
