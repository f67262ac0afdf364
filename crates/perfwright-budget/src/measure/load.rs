//! What load drivers report: Perfwright's own, oha, k6 and wrk, told apart by their content.
//!
//! All become the `load` of a run's report: times in milliseconds, errors as requests without a good answer.

use serde_json::{Map, Value, json};

use super::SourceError;

/// Bytes of a result that are read.
const MAX_BYTES: usize = 64 << 20;
/// Kinds of requests of one result, at most.
const MAX_REQUESTS: usize = 10_000;
/// What oha counts as an error, and is none: requests that were under way when the time was over.
const DEADLINE: &str = "aborted due to deadline";

/// The `load` of a report.
pub(super) fn parse(text: &str) -> Result<Value, SourceError> {
    if text.len() > MAX_BYTES {
        let what = format!("a result of more than {MAX_BYTES} bytes is not read");
        return Err(SourceError::new(what));
    }
    if !text.trim_start().starts_with('{') {
        return wrk(text).ok_or_else(unknown);
    }
    let result: Value = serde_json::from_str(text)
        .map_err(|error| SourceError::new(format!("the load's result is broken: {error}")))?;
    let load = result.get("load").filter(|load| load.is_object());
    let load = load
        .cloned()
        .or_else(|| oha(&result))
        .or_else(|| k6(&result));
    load.ok_or_else(unknown)
}

fn unknown() -> SourceError {
    let what = "the load's result is of no known kind: give a run's report.json, oha's `--output-format json`, \
                k6's `--summary-export`, or what wrk prints";
    SourceError::new(what)
}

fn number(value: &Value, key: &str) -> Option<f64> {
    value.get(key)?.as_f64().filter(|number| number.is_finite())
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// A percentile's field: `p99.9` is `p99_9_ms`.
fn field(percentile: &str) -> String {
    format!("p{}_ms", percentile.replace('.', "_"))
}

/// oha: seconds.
fn oha(result: &Value) -> Option<Value> {
    let (summary, percentiles) = (result.get("summary")?, result.get("latencyPercentiles")?);
    let statuses = result.get("statusCodeDistribution")?;
    let count = |(_, count): (&String, &Value)| count.as_f64().unwrap_or(0.0);
    let answers: f64 = object(statuses).map(count).sum();
    let is_bad = |(status, _): &(&String, &Value)| !status.starts_with(['1', '2', '3']);
    let bad: f64 = object(statuses).filter(is_bad).map(count).sum();
    let errors = result.get("errorDistribution").map_or(0.0, |errors| {
        let real = object(errors).filter(|(name, _)| *name != DEADLINE);
        real.map(count).sum()
    });
    let mut row = json!({
        "name": "all",
        "count": answers + errors,
        "errors": bad + errors,
        "rps": number(summary, "requestsPerSec"),
        "max_ms": number(summary, "slowest").map(|seconds| seconds * 1e3),
        "mean_ms": number(summary, "average").map(|seconds| seconds * 1e3),
    });
    for (name, seconds) in object(percentiles) {
        if let (Some(percentile), Some(seconds)) = (name.strip_prefix('p'), seconds.as_f64()) {
            row[field(percentile)] = json!(seconds * 1e3);
        }
    }
    Some(json!({ "all": row }))
}

/// k6: milliseconds, as `--summary-export` writes them and as `handleSummary` gets them. Its metrics of parts, such as
/// `http_req_duration{name:orders}`, are requests by name.
fn k6(result: &Value) -> Option<Value> {
    let metrics = result.get("metrics")?.as_object()?;
    let all = k6_row(metrics, "all", "")?;
    let parts = metrics.keys().filter_map(|key| {
        let part = key.strip_prefix("http_req_duration")?;
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        let name = name.split_once(':').map_or(name, |(_, value)| value);
        k6_row(metrics, name, part)
    });
    let requests: Vec<Value> = parts.take(MAX_REQUESTS).collect();
    Some(json!({ "all": all, "requests": requests }))
}

fn k6_row(metrics: &Map<String, Value>, name: &str, part: &str) -> Option<Value> {
    let metric = |name: &str| {
        let metric = metrics.get(&format!("{name}{part}"))?;
        Some(metric.get("values").unwrap_or(metric))
    };
    let durations = metric("http_req_duration")?;
    let count = metric("http_reqs").and_then(|reqs| number(reqs, "count"));
    let failed = metric("http_req_failed");
    let failed = failed.and_then(|failed| number(failed, "value").or(number(failed, "rate")));
    let mut row = json!({
        "name": name,
        "count": count,
        "errors": count.zip(failed).map(|(count, failed)| (count * failed).round()),
        "rps": metric("http_reqs").and_then(|reqs| number(reqs, "rate")),
        "max_ms": number(durations, "max"),
        "mean_ms": number(durations, "avg"),
    });
    for (key, value) in object(durations) {
        let percentile = match key.as_str() {
            "med" => Some("50"),
            key => key.strip_prefix("p(").and_then(|key| key.strip_suffix(')')),
        };
        if let Some(percentile) = percentile {
            row[field(percentile)] = value.clone();
        }
    }
    Some(row)
}

/// wrk: a text, with percentiles if it was asked for them.
fn wrk(text: &str) -> Option<Value> {
    let mut row = Map::new();
    let mut errors = 0.0;
    for line in text.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [count, "requests", "in", ..] => {
                row.insert("count".to_owned(), json!(count.parse::<f64>().ok()?));
            }
            ["Requests/sec:", rate] => {
                row.insert("rps".to_owned(), json!(rate.parse::<f64>().ok()?));
            }
            ["Latency", mean, _, most, _] => {
                row.insert("mean_ms".to_owned(), json!(wrk_millis(mean)));
                row.insert("max_ms".to_owned(), json!(wrk_millis(most)));
            }
            ["Non-2xx", "or", "3xx", "responses:", count] => errors += count.parse().unwrap_or(0.0),
            ["Socket", "errors:", counts @ ..] => {
                let numbers = counts
                    .iter()
                    .map(|word| word.trim_end_matches(',').parse::<f64>());
                errors += numbers.flatten().sum::<f64>();
            }
            [percent, time] if percent.ends_with('%') => {
                let percent: Option<f64> = percent.trim_end_matches('%').parse().ok();
                if let (Some(percent), Some(millis)) = (percent, wrk_millis(time)) {
                    row.insert(field(&percent.to_string()), json!(millis));
                }
            }
            _ => {}
        }
    }
    row.insert("name".to_owned(), json!("all"));
    row.insert("errors".to_owned(), json!(errors));
    let is_whole = row.contains_key("count") && row.contains_key("rps");
    is_whole.then(|| json!({ "all": row }))
}

/// `1.25ms`, in milliseconds.
fn wrk_millis(text: &str) -> Option<f64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3_600e3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
