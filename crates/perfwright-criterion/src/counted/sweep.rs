//! Benches over sizes.

use criterion::{BenchmarkId, Throughput};
use perfwright_stats::complexity::{self, Fit};

use super::{CountedBencher, CountedGroup, place};
use crate::files::write_whole;
use crate::measurement::Timer;

/// What is drawn by chance is the same every time.
const SEED: u64 = 1;
/// The version of `sweep.json`.
const VERSION: u32 = 1;

pub(super) fn run<M: Timer + 'static>(
    mut group: CountedGroup<'_, M>,
    sizes: impl IntoIterator<Item = u64>,
    mut bench: impl FnMut(&mut CountedBencher<'_, '_, M>, u64),
) -> Option<Fit> {
    let mut costs: Vec<(f64, f64)> = Vec::new();
    for size in sizes {
        group.throughput(Throughput::Elements(size));
        let text = size.to_string();
        let calls = group.run(BenchmarkId::from_parameter(size), &[&text], |bencher| {
            bench(bencher, size);
        });
        if calls.is_measured() {
            costs.extend(calls.values().into_iter().map(|cost| (size as f64, cost)));
        }
    }
    let fit = complexity::fit(&costs, SEED)?;
    println!("{}", line(&group.name, &fit));
    if let Err(error) = save(&group.name, &fit) {
        eprintln!(
            "warning: failed to save the growth of {}: {error}",
            group.name
        );
    }
    Some(fit)
}

fn line(name: &str, fit: &Fit) -> String {
    let wins = fit
        .wins
        .iter()
        .take(3)
        .enumerate()
        .map(|(place, (class, share))| {
            let share = 100.0 * share;
            match place {
                0 => format!("{class} in {share:.0} % of resamples"),
                _ => format!("{class} in {share:.0} %"),
            }
        });
    let wins: Vec<String> = wins.collect();
    let power = fit.exponent;
    format!(
        "{name:23} growth: {}; as n^{:.2} [{:.2}, {:.2}]; {:.1} % off the fit",
        wins.join(", "),
        power.value,
        power.low,
        power.high,
        100.0 * fit.relative_rms
    )
}

fn save(name: &str, fit: &Fit) -> std::io::Result<()> {
    let wins: Vec<_> = (fit.wins.iter())
        .map(|(class, share)| serde_json::json!({ "class": class.to_string(), "share": share }))
        .collect();
    let json = serde_json::json!({
        "version": VERSION,
        "name": name,
        "class": fit.class.to_string(),
        "overhead": fit.overhead,
        "coefficient": fit.coefficient,
        "relative_rms": fit.relative_rms,
        "wins": wins,
        "exponent": { "value": fit.exponent.value, "low": fit.exponent.low, "high": fit.exponent.high },
    });
    let folder = place::group_folder(name);
    std::fs::create_dir_all(&folder)?;
    write_whole(&folder.join("sweep.json"), |file| {
        serde_json::to_writer_pretty(file, &json).map_err(std::io::Error::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_class_confidence_and_power() {
        let costs: Vec<_> = (1..=8)
            .map(|n| (f64::from(100 * n), f64::from(300 * n)))
            .collect();
        let fit = complexity::fit(&costs, SEED).unwrap();
        assert_eq!(
            line("sum", &fit),
            "sum                     growth: O(n) in 100 % of resamples; as n^1.00 [1.00, 1.00]; 0.0 % off the fit"
        );
    }
}
