//! What a run's report tells. It is read defensively: a field that is not there is missing data.

use serde_json::Value;

use super::{Data, Error, Reading, all_missing};
use crate::{budgets::Select, metric::Metric, pattern};

/// Points of a timeline that a growth needs.
const POINTS: usize = 3;

/// Requests of one route, or of all.
struct Requests<'a> {
    name: &'a str,
    row: &'a Value,
}

pub(super) fn measure(
    report: Option<&Value>,
    metric: Metric,
    select: &Select,
    stats: &[String],
) -> Vec<Reading> {
    let Some(report) = report else {
        return all_missing(stats, "there is no run");
    };
    match metric {
        Metric::Latency | Metric::Throughput | Metric::ErrorRate => {
            let requests = requests(report, select);
            if requests.is_empty() {
                return all_missing(stats, "the run has no requests of this selection");
            }
            let of_stat = |stat: &String| {
                let reading = |requests: &Requests<'_>| {
                    Reading::new(
                        requests.name,
                        stat,
                        of_requests(report, requests, metric, stat),
                    )
                };
                requests.iter().map(reading).collect::<Vec<_>>()
            };
            stats.iter().flat_map(of_stat).collect()
        }
        _ => {
            let reading = |stat: &String| Reading::new("", stat, of_process(report, metric, stat));
            stats.iter().map(reading).collect()
        }
    }
}

fn number(report: &Value, path: &str) -> Option<f64> {
    report
        .pointer(path)?
        .as_f64()
        .filter(|number| number.is_finite())
}

fn needed(report: &Value, path: &str) -> Result<f64, String> {
    let field = || path.trim_start_matches('/').replace('/', ".");
    number(report, path).ok_or_else(|| format!("the run does not tell {}", field()))
}

/// The requests that are selected: by the load's names, else by the routes that spans saw; without a
/// selection all of the load's together.
fn requests<'a>(report: &'a Value, select: &Select) -> Vec<Requests<'a>> {
    if select.route.is_empty()
        && let Some(row) = report.pointer("/load/all").filter(|row| !row.is_null())
    {
        return vec![Requests { name: "", row }];
    }
    let rows = |path: &str, key: &str| {
        let rows = report.pointer(path).and_then(Value::as_array);
        let rows = rows.map_or(&[][..], Vec::as_slice).iter();
        let named = rows.filter_map(|row| {
            let name = row.get(key)?.as_str()?;
            Some(Requests { name, row })
        });
        let wanted = named.filter(|requests| pattern::any(&select.route, requests.name));
        wanted.collect::<Vec<_>>()
    };
    let of_load = rows("/load/requests", "name");
    match of_load.is_empty() {
        true => rows("/spans/routes", "route"),
        false => of_load,
    }
}

fn of_requests(
    report: &Value,
    requests: &Requests<'_>,
    metric: Metric,
    stat: &str,
) -> Result<Data, String> {
    let row = requests.row;
    let count = number(row, "/count").or_else(|| number(row, "/requests"));
    let count = count.ok_or("the run does not tell how many requests there were")?;
    if count <= 0.0 {
        return Err("there were no requests".to_owned());
    }
    match metric {
        Metric::Latency => {
            let field = format!("/{}_ms", stat.replace('.', "_"));
            let ms = number(row, &field).ok_or_else(|| format!("the run does not tell {stat}"))?;
            Ok(Data {
                samples: Some(count),
                ..Data::exact(ms / 1e3)
            })
        }
        Metric::Throughput => {
            let rate = match number(row, "/rps") {
                Some(rate) => rate,
                None => count / seconds(report)?,
            };
            Ok(Data {
                samples: Some(count),
                ..Data::exact(rate)
            })
        }
        _ => {
            let errors = number(row, "/errors").ok_or("the run does not tell of errors")?;
            Ok(Data::share((errors / count).clamp(0.0, 1.0), count))
        }
    }
}

/// How long the capture lasted, above 0.
fn seconds(report: &Value) -> Result<f64, String> {
    let seconds = needed(report, "/capture/duration_nanos")? / 1e9;
    match seconds > 0.0 {
        true => Ok(seconds),
        false => Err("the run lasted no time".to_owned()),
    }
}

fn of_process(report: &Value, metric: Metric, stat: &str) -> Result<Data, String> {
    let timeline = |field: &str| timeline(report, field);
    match (metric, stat) {
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
    let moments = report.pointer("/memory/timeline").and_then(Value::as_array);
    let moments = moments.map_or(&[][..], Vec::as_slice).iter();
    let points = moments.filter_map(|moment| {
        let seconds = moment.get("seconds")?.as_f64()?;
        Some((seconds, moment.get(field)?.as_f64()?))
    });
    let mut points: Vec<_> = points.collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// The line of least squares through the points, and its standard error.
pub(super) fn slope(points: &[(f64, f64)]) -> Result<Data, String> {
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
    let whole = needed(report, path)?;
    let of_routes = || {
        let routes = report.pointer("/spans/routes")?.as_array()?;
        let counts = routes.iter().filter_map(|route| number(route, "/requests"));
        Some(counts.sum())
    };
    let count = number(report, "/load/all/count").or_else(of_routes);
    let count = count.filter(|&count| count > 0.0);
    let count = count.ok_or("the run does not tell how many requests there were")?;
    Ok(Data {
        samples: Some(count),
        ..Data::exact(whole / count)
    })
}
