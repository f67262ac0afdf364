//! What a run's report tells. It is read defensively: a field that is not there is missing data.

mod heap;
mod operations;
mod process;

use std::collections::BTreeMap;

use perfwright_model::Profile;
use serde_json::Value;

use super::{Data, Reading, all_missing};
use crate::{budgets::Select, metric::Metric};
pub(super) use process::slope;

/// A run: its report, and its profiles by name.
pub(super) struct Run<'a> {
    pub(super) report: &'a Value,
    pub(super) profiles: &'a BTreeMap<String, Profile>,
}

impl Run<'_> {
    /// The readings of statistics, one for each subject of the selection.
    pub(super) fn measure(
        &self,
        metric: Metric,
        select: &Select,
        stats: &[String],
    ) -> Vec<Reading> {
        let of_process = |stat: &String| {
            let data = process::value(self.report, metric, stat);
            Reading::new("", stat, data)
        };
        match metric {
            Metric::Latency | Metric::Throughput | Metric::ErrorRate | Metric::Concurrency => {
                operations::measure(self.report, metric, select, stats)
            }
            Metric::Cpu => operations::cpu(self.report, select, stats),
            Metric::Heap if !select.labels.is_empty() => heap::measure(self, select, stats),
            Metric::Pool => operations::pool(self.report, select, stats),
            Metric::RequestSize => operations::sizes(self.report, "/request_bytes", select, stats),
            Metric::ResponseSize => {
                operations::sizes(self.report, "/response_bytes", select, stats)
            }
            Metric::CacheHitRate => {
                all_missing(stats, "a run does not tell this: give a page of metrics")
            }
            _ => stats.iter().map(of_process).collect(),
        }
    }
}

fn number(value: &Value, path: &str) -> Option<f64> {
    value
        .pointer(path)?
        .as_f64()
        .filter(|number| number.is_finite())
}

fn needed(report: &Value, path: &str) -> Result<f64, String> {
    let field = || path.trim_start_matches('/').replace('/', ".");
    number(report, path).ok_or_else(|| format!("the run does not tell {}", field()))
}

/// The entries of a list; none where there is no list.
fn list<'a>(report: &'a Value, path: &str) -> &'a [Value] {
    let list = report.pointer(path).and_then(Value::as_array);
    list.map_or(&[][..], Vec::as_slice)
}

/// How long the capture lasted, above 0.
fn seconds(report: &Value) -> Result<f64, String> {
    let seconds = needed(report, "/capture/duration_nanos")? / 1e9;
    match seconds > 0.0 {
        true => Ok(seconds),
        false => Err("the run lasted no time".to_owned()),
    }
}

/// How many requests there were in all, above 0.
fn requests(report: &Value) -> Result<f64, String> {
    let of_routes = || {
        let counts = list(report, "/spans/routes").iter();
        counts.filter_map(|route| number(route, "/requests")).sum()
    };
    let count = number(report, "/load/all/count").unwrap_or_else(of_routes);
    match count > 0.0 {
        true => Ok(count),
        false => Err("the run does not tell how many requests there were".to_owned()),
    }
}

/// A value for each of so many.
fn each(value: f64, count: f64) -> Data {
    Data {
        samples: Some(count),
        ..Data::exact(value / count)
    }
}
