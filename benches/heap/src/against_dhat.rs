//! The peak snapshot against dhat's `t-gmax` of the same program.
//!
//! dhat sees every allocation, so it knows. What is compared are the functions of [`peak`] that allocate.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use perfwright_heap_benches::peak;
use serde_json::Value;

use crate::output;

const RUNS: usize = 5;
/// Sites above this share of the peak have to be found.
const LEAST_SHARE: f64 = 0.02;
/// How far off a site may be, in standard deviations: some 40 comparisons are made.
const LIMIT: f64 = 4.0;

pub(crate) fn run(folder: &Path) -> Result<()> {
    let truth = dhat(folder)?;
    let total: f64 = truth.values().sum();
    println!(
        "the peak, {:.1} MB by dhat (t-gmax); perfwright in {RUNS} runs",
        total / 1e6
    );
    println!(
        "  {:<8} {:>9}  estimates in MB, and how far off in standard deviations",
        "", "dhat"
    );
    let runs: Vec<_> = (0..RUNS).map(|_| ours(folder)).collect::<Result<_>>()?;
    let mut worst: f64 = 0.0;
    let mut missing = 0;
    for (name, &bytes) in truth.iter().filter(|(_, bytes)| **bytes > 0.0) {
        print!("  {name:<8} {:>6.2} MB ", bytes / 1e6);
        for run in &runs {
            match run.get(name) {
                Some(&(estimate, deviation)) => {
                    // What the deviation would be of an estimate that is right: that of a low one is low. Blocks
                    // far larger than the rate are always sampled, and have none.
                    let deviation = deviation * (bytes / estimate.max(1.0)).sqrt();
                    let off = (estimate - bytes) / deviation.max(0.001 * bytes);
                    print!(" {:>6.2} ({off:+.1})", estimate / 1e6);
                    if bytes > LEAST_SHARE * total {
                        worst = worst.max(off.abs());
                    }
                }
                None => {
                    print!("      - (    )");
                    missing += usize::from(bytes > LEAST_SHARE * total);
                }
            }
        }
        println!();
    }
    for name in runs.iter().flat_map(|run| run.keys()) {
        ensure!(
            truth.get(name).is_some_and(|bytes| *bytes > 0.0) || name == "(other)",
            "{name} is not at dhat's peak"
        );
    }
    println!(
        "  above 2 % of the peak: {missing} missing, the worst {worst:.1} standard deviations off"
    );
    ensure!(missing == 0 && worst <= LIMIT, "the peak is not dhat's");
    Ok(())
}

/// Bytes of each function at the peak.
fn dhat(folder: &Path) -> Result<BTreeMap<String, f64>> {
    let file = env::temp_dir().join(format!("perfwright-dhat-{}.json", std::process::id()));
    let path = file.to_str().context("a path in UTF-8")?;
    output("heap_dhat", &[], &["peak", path], folder)?;
    let text = fs::read_to_string(&file)?;
    fs::remove_file(&file)?;
    let profile: Value = serde_json::from_str(&text)?;
    let frames = profile["ftbl"].as_array().context("frames")?;
    let name = |index: &Value| frames[index.as_u64().unwrap_or(0) as usize].as_str();
    let mut functions = BTreeMap::new();
    for point in profile["pps"].as_array().context("program points")? {
        let stack = point["fs"].as_array().context("a stack")?;
        let function = peak::function(stack.iter().filter_map(name)).unwrap_or("(other)");
        let bytes = point["gb"].as_f64().context("bytes at t-gmax")?;
        *functions.entry(function.to_owned()).or_default() += bytes;
    }
    Ok(functions)
}

/// Bytes of each function at the peak, and one standard deviation.
fn ours(folder: &Path) -> Result<BTreeMap<String, (f64, f64)>> {
    let text = output("heap_perfwright", &[], &["peak"], folder)?;
    let line = |line: &str| {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        Some((
            name,
            (words.next()?.parse().ok()?, words.next()?.parse().ok()?),
        ))
    };
    Ok(text.lines().filter_map(line).collect())
}
