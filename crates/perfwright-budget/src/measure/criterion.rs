//! What criterion saved. Its files are internal to it, and read so: what is not as expected is missing data.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Data, Error, Reading, all_missing, read_small};
use crate::{budgets::Select, pattern};

/// Results that are read, at most.
const MAX_BENCHES: usize = 10_000;
/// Folders that are looked into: group, function, parameter, and one to spare.
const MAX_DEPTH: usize = 5;
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn measure(folder: Option<&Path>, select: &Select, stats: &[String]) -> Vec<Reading> {
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        return all_missing(stats, "criterion has saved no results");
    };
    let mut results = Vec::new();
    find(folder, 0, &mut results);
    results.sort();
    let mut readings = Vec::new();
    for result in results {
        let name = name_of(folder, &result);
        if !pattern::any(&select.bench, &name) {
            continue;
        }
        let estimates = read_small(&result.join("estimates.json"), MAX_BYTES).and_then(|text| {
            serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())
        });
        for stat in stats {
            let data = match &estimates {
                Ok(estimates) => estimate(estimates, stat),
                Err(error) => Err(format!("estimates.json: {error}")),
            };
            readings.push(Reading::new(&*name, stat, data));
        }
    }
    match readings.is_empty() {
        true => all_missing(stats, "criterion has saved no results of this name"),
        false => readings,
    }
}

/// The folders `new` that hold the last results.
fn find(folder: &Path, depth: usize, results: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        // Links are not followed: they may lead in a circle.
        if results.len() >= MAX_BENCHES || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if entry.file_name() == "new" && path.join("estimates.json").is_file() {
            results.push(path);
        } else if depth < MAX_DEPTH {
            find(&path, depth + 1, results);
        }
    }
}

/// The bench's full name as criterion prints it, else the folder's.
fn name_of(root: &Path, result: &Path) -> String {
    let told = read_small(&result.join("benchmark.json"), MAX_BYTES).ok();
    let told = told.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let told = told.as_ref().and_then(|told| told.get("full_id")?.as_str());
    told.map(str::to_owned).unwrap_or_else(|| {
        let folder = result.parent().unwrap_or(result);
        let below = folder.strip_prefix(root).unwrap_or(folder);
        below.to_string_lossy().replace('\\', "/")
    })
}

fn estimate(estimates: &Value, stat: &str) -> Result<Data, String> {
    let found = estimates.get(stat).filter(|found| !found.is_null());
    let found = found.ok_or_else(|| format!("criterion has no {stat} of this bench"))?;
    let nanos = |key: &str| found.get(key)?.as_f64().filter(|nanos| nanos.is_finite());
    let value =
        nanos("point_estimate").ok_or("estimates.json is of another version of criterion")?;
    let error = nanos("standard_error").map_or(Error::None, |nanos| Error::Normal(nanos / 1e9));
    Ok(Data {
        error,
        ..Data::exact(value / 1e9)
    })
}
