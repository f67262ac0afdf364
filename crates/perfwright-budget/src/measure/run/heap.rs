//! What requests and spans allocate, by the labels of the sampled heap profile.

use perfwright_model::{Profile, keys};

use super::{
    Data, Reading, Run, all_missing, number,
    operations::{Operation, of_spans, path_of},
};
use crate::{budgets::Select, measure::Error};

pub(super) fn measure(run: &Run<'_>, select: &Select, stats: &[String]) -> Vec<Reading> {
    let Some(profile) = run.profiles.get("heap") else {
        return all_missing(stats, "there is no heap profile");
    };
    let operations = of_spans(run.report, select);
    if operations.is_empty() {
        return all_missing(stats, "the run has no spans of this selection");
    }
    let rate = number(run.report, "/memory/rate_bytes");
    let of_stat = |stat: &String| {
        let reading = |operation: &Operation<'_>| {
            let data = allocated(profile, operation, stat, rate);
            Reading::new(&operation.name, stat, data)
        };
        operations.iter().map(reading).collect::<Vec<_>>()
    };
    stats.iter().flat_map(of_stat).collect()
}

/// Allocated for each operation, with the error of its sampling.
fn allocated(
    profile: &Profile,
    operation: &Operation<'_>,
    stat: &str,
    rate: Option<f64>,
) -> Result<Data, String> {
    let per = match stat {
        "bytes" | "allocs" => 1.0,
        "bytes/op" | "allocs/op" => operation.count()?,
        _ => return Err(format!("{stat} is of the process: leave the selection out")),
    };
    let column = |kind: &str| {
        let missing = || format!("the heap profile has no {kind}");
        profile.find_sample_type(kind).ok_or_else(missing)
    };
    let (space, objects) = (column("alloc_space")?, column("alloc_objects")?);
    let is_bytes = stat.starts_with("bytes");
    let path = operation.row.get("path").map(|_| path_of(operation.row));
    let route = operation.row.get("route").and_then(|route| route.as_str());
    let (mut value, mut variance) = (0.0, 0.0);
    for sample in profile.samples() {
        let has = |key: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| profile.label_str(sample.labels, key) == Some(wanted))
        };
        if !has(keys::ROUTE, route) || !has(keys::SPAN_PATH, path.as_deref()) {
            continue;
        }
        let (bytes, blocks) = (sample.values[space] as f64, sample.values[objects] as f64);
        if bytes <= 0.0 || blocks <= 0.0 {
            continue;
        }
        let size = bytes / blocks;
        // A block of this size is sampled with this probability, and counted as one in so many then.
        let chance = rate.map_or(1.0, |rate| 1.0 - (-size / rate).exp());
        let each = if is_bytes { size } else { 1.0 };
        value += blocks * each;
        variance += blocks * (1.0 - chance) / chance * each * each;
    }
    Ok(Data {
        error: match rate {
            Some(_) => Error::Normal(variance.sqrt() / per),
            None => Error::None,
        },
        samples: Some(per),
        ..Data::exact(value / per)
    })
}
