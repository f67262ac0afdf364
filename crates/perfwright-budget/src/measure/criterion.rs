//! What benches saved: criterion's results, and what was counted beside its timing.

use std::path::Path;

use perfwright_criterion::saved::{self, Bench, Counts, Estimates};

use super::{Data, Error, Reading, all_missing};
use crate::{budgets::Select, pattern};

pub(super) fn measure(folder: Option<&Path>, select: &Select, stats: &[String]) -> Vec<Reading> {
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        return all_missing(stats, "criterion has saved no results");
    };
    let benches = match saved::benches(folder, saved::LAST) {
        Ok(benches) => benches,
        Err(error) => return all_missing(stats, &error.to_string()),
    };
    let selected = |bench: &&Bench| pattern::any(&select.bench, &bench.name);
    let readings: Vec<Reading> = (benches.iter().filter(selected))
        .flat_map(|bench| readings(bench, stats))
        .collect();
    match readings.is_empty() {
        true => all_missing(stats, "criterion has saved no results of this name"),
        false => readings,
    }
}

fn readings(bench: &Bench, stats: &[String]) -> Vec<Reading> {
    // Each file is read once, and only if a statistic is in it.
    let (mut estimates, mut counts) = (None, None);
    let mut readings = Vec::new();
    for stat in stats {
        let data = match stat.as_str() {
            "allocs" | "bytes" => match counts.get_or_insert_with(|| bench.counts()) {
                Ok(counts) => counted(counts.as_ref(), stat),
                Err(error) => Err(reason(error)),
            },
            _ => match estimates.get_or_insert_with(|| bench.estimates()) {
                Ok(estimates) => estimate(estimates, stat),
                Err(error) => Err(reason(error)),
            },
        };
        readings.push(Reading::new(&*bench.name, stat, data));
    }
    readings
}

fn reason(error: &saved::Error) -> String {
    let file = error.path().file_name().unwrap_or_default();
    format!("{}: {}", file.to_string_lossy(), error.reason())
}

fn estimate(estimates: &Estimates, stat: &str) -> Result<Data, String> {
    let found = match stat {
        "median" => Some(estimates.median),
        "mean" => Some(estimates.mean),
        _ => estimates.slope,
    };
    let found = found.ok_or_else(|| format!("criterion has no {stat} of this bench"))?;
    Ok(Data {
        error: Error::Normal(found.standard_error / 1e9),
        ..Data::exact(found.value / 1e9)
    })
}

fn counted(counts: Option<&Counts>, stat: &str) -> Result<Data, String> {
    let counts = counts.ok_or("the bench does not count what it allocates")?;
    let missing = "the bench's allocator does not count: make SampledAlloc the global one";
    let allocations = counts.allocations.ok_or(missing)?;
    Ok(Data::exact(match stat {
        "allocs" => allocations.count,
        _ => allocations.bytes,
    }))
}
