//! What a run tells of the process as a whole.

use serde_json::Value;

use super::{Data, each, list, needed, number, requests, seconds};
use crate::{measure::Error, metric::Metric};

/// Points of a timeline that a growth needs.
const POINTS: usize = 3;

pub(super) fn value(report: &Value, metric: Metric, stat: &str) -> Result<Data, String> {
    let timeline = |field: &str| timeline(report, field);
    match (metric, stat) {
        (Metric::ProcessCpu, "max") => {
            let cores = cores(report);
            let most = cores.iter().map(|&(_, cores)| cores).max_by(f64::total_cmp);
            let missing = "the run has no timeline of the CPU time".to_owned();
            with_series(most.ok_or(missing), cores)
        }
        (Metric::ProcessCpu, _) => Ok(Data::exact(
            needed(report, "/capture/cpu_nanos")? / 1e9 / seconds(report)?,
        )),
        (Metric::ProcessRss, "slope") => slope(&timeline("resident")),
        (Metric::ProcessRss, "max") => with_series(
            most(report, "/memory/resident_peak", "resident"),
            timeline("resident"),
        ),
        (Metric::ProcessRss, _) => {
            with_series(needed(report, "/memory/resident_end"), timeline("resident"))
        }
        (Metric::ProcessFds, _) => {
            Err("a run does not tell this: give a page of metrics".to_owned())
        }
        (_, "bytes") => Ok(Data::exact(needed(report, "/memory/allocated_bytes")?)),
        (_, "allocs") => Ok(Data::exact(needed(report, "/memory/allocations")?)),
        (_, "bytes/op") => per_request(report, "/memory/allocated_bytes"),
        (_, "allocs/op") => per_request(report, "/memory/allocations"),
        (_, "live") => with_series(needed(report, "/memory/live_end"), timeline("live")),
        (_, "peak") => {
            let live = timeline("live");
            let peak = live.iter().map(|&(_, value)| value).max_by(f64::total_cmp);
            with_series(
                peak.ok_or("the run has no timeline of the heap".to_owned()),
                live,
            )
        }
        _ => Err(format!("the run does not tell {stat}")),
    }
}

fn with_series(value: Result<f64, String>, series: Vec<(f64, f64)>) -> Result<Data, String> {
    Ok(Data {
        series,
        ..Data::exact(value?)
    })
}

/// The most that the system saw, else the most of the timeline.
fn most(report: &Value, path: &str, field: &str) -> Result<f64, String> {
    let seen = timeline(report, field).into_iter().map(|(_, value)| value);
    let values = number(report, path).into_iter().chain(seen);
    values
        .max_by(f64::total_cmp)
        .ok_or_else(|| format!("the run does not tell the {field} memory"))
}

fn timeline(report: &Value, field: &str) -> Vec<(f64, f64)> {
    let moments = list(report, "/memory/timeline").iter();
    let points = moments.filter_map(|moment| {
        let seconds = moment.get("seconds")?.as_f64()?;
        Some((seconds, moment.get(field)?.as_f64()?))
    });
    let mut points: Vec<_> = points.collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// How many cores were busy from each moment to the next.
fn cores(report: &Value) -> Vec<(f64, f64)> {
    let moments = list(report, "/capture/cpu_timeline").iter();
    let points = moments
        .filter_map(|moment| Some((number(moment, "/seconds")?, number(moment, "/cpu_nanos")?)));
    let points: Vec<_> = points.collect();
    let steps = points.windows(2).filter_map(|pair| {
        let (time, cpu) = (pair[1].0 - pair[0].0, (pair[1].1 - pair[0].1) / 1e9);
        (time > 0.0).then(|| (pair[1].0, cpu / time))
    });
    steps.collect()
}

/// The line of least squares through the points, and its standard error.
pub(in crate::measure) fn slope(points: &[(f64, f64)]) -> Result<Data, String> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if points.len() < POINTS || spread <= 0.0 {
        return Err(format!("a growth needs {POINTS} moments of the timeline"));
    }
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / spread;
    let left: f64 = points
        .iter()
        .map(|p| (p.1 - y - slope * (p.0 - x)).powi(2))
        .sum();
    Ok(Data {
        error: Error::Normal((left / (n - 2.0) / spread).sqrt()),
        samples: Some(n),
        ..Data::exact(slope)
    })
}

fn per_request(report: &Value, path: &str) -> Result<Data, String> {
    Ok(each(needed(report, path)?, requests(report)?))
}
