//! What a run tells of its requests and spans.

use serde_json::Value;

use super::{Data, Reading, all_missing, each, list, needed, number, requests, seconds};
use crate::{
    budgets::Select,
    measure::Error,
    metric::{Metric, threshold},
    pattern,
};

/// Requests of one name, or a path of spans.
pub(super) struct Operation<'a> {
    pub(super) name: String,
    pub(super) row: &'a Value,
}

/// Readings of requests: by the load's names, else by the routes that spans saw; without a selection all of the
/// load's together.
pub(super) fn measure(
    report: &Value,
    metric: Metric,
    select: &Select,
    stats: &[String],
) -> Vec<Reading> {
    let is_all = select.route.is_empty() && select.span.is_empty();
    let mut of_load = of_load(report, select);
    if metric == Metric::Concurrency {
        // Without means a load does not tell it; spans may.
        of_load.retain(|operation| operation.ms("mean").is_some());
    }
    if metric == Metric::Concurrency && is_all && of_load.is_empty() {
        let reading = |stat: &String| Reading::new("", stat, all_in_flight(report, stat));
        return stats.iter().map(reading).collect();
    }
    let operations = match of_load.is_empty() {
        true => of_spans(report, select),
        false => of_load,
    };
    readings(report, &operations, stats, |operation, stat| {
        let count = operation.count()?;
        match metric {
            Metric::Latency => operation.latency(stat, count),
            Metric::Throughput => operation.throughput(report, count),
            Metric::Concurrency => operation.in_flight(report, stat),
            _ => operation.error_rate(count),
        }
    })
}

/// Bytes of each request of the load, or of its answer.
pub(super) fn sizes(
    report: &Value,
    field: &str,
    select: &Select,
    stats: &[String],
) -> Vec<Reading> {
    readings(report, &of_load(report, select), stats, |operation, _| {
        let bytes = number(operation.row, field);
        let bytes = bytes.ok_or("the run does not tell sizes: give a page of metrics")?;
        Ok(each(bytes, operation.count()?))
    })
}

/// CPU time for each request, or each time a span was entered, without those inside.
pub(super) fn cpu(report: &Value, select: &Select, stats: &[String]) -> Vec<Reading> {
    if select.labels.is_empty() {
        let data = needed(report, "/capture/cpu_nanos")
            .and_then(|cpu| Ok(each(cpu / 1e9, requests(report)?)));
        return readings_of("", stats, &data);
    }
    readings(report, &of_spans(report, select), stats, |operation, _| {
        let count = operation.count()?;
        let row = operation.row;
        if row.get("path").is_some() {
            let polled = |field: &str| number(row, &format!("/polled/{field}"));
            let cpu = polled("cpu_nanos").ok_or("it was too short for the samples to tell")?;
            let error = polled("cpu_nanos_error").unwrap_or(0.0);
            return Ok(sampled(cpu / 1e9, error / 1e9, count));
        }
        let cpu = number(row, "/cpu_nanos").ok_or("the run does not tell its CPU time")? / 1e9;
        let share = number(row, "/cpu_share").unwrap_or(0.0);
        let samples = needed(report, "/capture/samples_effective")? * share;
        if samples <= 0.0 {
            return Err("it has no samples".to_owned());
        }
        // Of so many samples' number the error is its root, but for what no other share could have had.
        Ok(sampled(cpu, cpu * ((1.0 - share) / samples).sqrt(), count))
    })
}

/// How long connections were waited for, by sqlx's events.
pub(super) fn pool(report: &Value, select: &Select, stats: &[String]) -> Vec<Reading> {
    if select.name.is_some() {
        return all_missing(
            stats,
            "a run does not tell pools apart: give a page of metrics",
        );
    }
    let rows = list(report, "/spans/statements").iter();
    let waits = rows.filter(|row| row.get("target").and_then(Value::as_str) == Some(ACQUIRE));
    let operations: Vec<_> = waits
        .map(|row| Operation {
            name: text(row, "route").unwrap_or_default().to_owned(),
            row,
        })
        .collect();
    readings(report, &operations, stats, |operation, stat| {
        let count = operation.count()?;
        match stat {
            "wait" => match number(operation.row, "/nanos") {
                Some(nanos) => Ok(each(nanos / 1e9, count)),
                None => Err("the run does not tell how long was waited".to_owned()),
            },
            "usage" | "connections" | "in_use" => {
                Err("a run does not tell this: give a page of metrics".to_owned())
            }
            _ => operation.latency(stat, count),
        }
    })
}

/// What sqlx tells of a connection that was waited for.
const ACQUIRE: &str = "sqlx::pool::acquire";

fn readings(
    report: &Value,
    operations: &[Operation<'_>],
    stats: &[String],
    data: impl Fn(&Operation<'_>, &str) -> Result<Data, String>,
) -> Vec<Reading> {
    if operations.is_empty() {
        return all_missing(stats, &nothing_selected(report));
    }
    let of_stat = |stat: &String| {
        let reading =
            |operation: &Operation<'_>| Reading::new(&operation.name, stat, data(operation, stat));
        operations.iter().map(reading).collect::<Vec<_>>()
    };
    stats.iter().flat_map(of_stat).collect()
}

fn readings_of(subject: &str, stats: &[String], data: &Result<Data, String>) -> Vec<Reading> {
    let reading = |stat: &String| Reading::new(subject, stat, data.clone());
    stats.iter().map(reading).collect()
}

/// Says what could have been selected.
fn nothing_selected(report: &Value) -> String {
    const SHOWN: usize = 5;
    let loads = list(report, "/load/requests").iter();
    let routes = list(report, "/spans/routes").iter();
    let names = loads
        .filter_map(|row| text(row, "name"))
        .chain(routes.filter_map(|row| text(row, "route")));
    let names: Vec<_> = names.collect();
    let missing = "the run has no requests of this selection".to_owned();
    match names.len() {
        0 => missing,
        count if count > SHOWN => {
            format!(
                "{missing}; it has {} and {} more",
                names[..SHOWN].join(", "),
                count - SHOWN
            )
        }
        _ => format!("{missing}; it has {}", names.join(", ")),
    }
}

fn text<'a>(row: &'a Value, key: &str) -> Option<&'a str> {
    row.get(key)?.as_str()
}

fn of_load<'a>(report: &'a Value, select: &Select) -> Vec<Operation<'a>> {
    if !select.span.is_empty() {
        return Vec::new();
    }
    if select.route.is_empty() {
        let all = report.pointer("/load/all").filter(|row| !row.is_null());
        let named = |row| Operation {
            name: String::new(),
            row,
        };
        return all.map(named).into_iter().collect();
    }
    named(list(report, "/load/requests"), "name", select)
}

/// The routes or paths of spans that are selected.
pub(super) fn of_spans<'a>(report: &'a Value, select: &Select) -> Vec<Operation<'a>> {
    if select.span.is_empty() {
        return named(list(report, "/spans/routes"), "route", select);
    }
    let paths = list(report, "/spans/paths").iter();
    let selected = paths.filter_map(|row| {
        let path = path_of(row);
        let route = text(row, "route");
        let of_route = route.is_some_and(|route| pattern::any(&select.route, route));
        let of_span = pattern::any(&select.span, path.rsplit(" > ").next().unwrap_or(""))
            || pattern::any(&select.span, &path);
        let is_wanted = of_span && (select.route.is_empty() || of_route);
        let name = match route {
            Some(route) => format!("{route}: {path}"),
            None => path,
        };
        is_wanted.then_some(Operation { name, row })
    });
    selected.collect()
}

/// `request > load`.
pub(super) fn path_of(row: &Value) -> String {
    let names = list(row, "/path").iter().filter_map(Value::as_str);
    names.collect::<Vec<_>>().join(" > ")
}

fn named<'a>(rows: &'a [Value], key: &str, select: &Select) -> Vec<Operation<'a>> {
    let named = rows.iter().filter_map(|row| {
        let name = text(row, key)?.to_owned();
        Some(Operation { name, row })
    });
    named
        .filter(|operation| pattern::any(&select.route, &operation.name))
        .collect()
}

/// The time in all requests of routes, in the capture's time.
fn all_in_flight(report: &Value, stat: &str) -> Result<Data, String> {
    let routes = named(list(report, "/spans/routes"), "route", &Select::default());
    if routes.is_empty() {
        return Err("the run has no spans of requests".to_owned());
    }
    let requests = |route: &&Operation<'_>| number(route.row, "/requests").is_some();
    let each = routes.iter().filter(requests);
    let each = each.map(|route| Ok(route.in_flight(report, stat)?.value));
    Ok(Data::exact(each.sum::<Result<f64, String>>()?))
}

/// A value of samples with its standard deviation, for each of so many.
fn sampled(value: f64, deviation: f64, count: f64) -> Data {
    Data {
        error: Error::Normal(deviation / count),
        ..each(value, count)
    }
}

impl Operation<'_> {
    /// How many there were, above 0.
    pub(super) fn count(&self) -> Result<f64, String> {
        let count = number(self.row, "/count").or_else(|| number(self.row, "/requests"));
        let count = count.ok_or("the run does not tell how many requests there were")?;
        match count > 0.0 {
            true => Ok(count),
            false => Err("there were no requests".to_owned()),
        }
    }

    fn latency(&self, stat: &str, count: f64) -> Result<Data, String> {
        if let Some(bound) = threshold(stat) {
            return self.above(bound, count);
        }
        let ms = match (stat, self.nanos()) {
            ("mean", Some(nanos)) => Some(nanos / 1e6 / count),
            _ => self.ms(stat),
        };
        let ms = ms.ok_or_else(|| format!("the run does not tell {stat}"))?;
        Ok(Data {
            samples: Some(count),
            ..Data::exact(ms / 1e3)
        })
    }

    fn ms(&self, stat: &str) -> Option<f64> {
        number(self.row, &format!("/{}_ms", stat.replace('.', "_")))
    }

    /// In its spans, busy and idle.
    fn nanos(&self) -> Option<f64> {
        Some(number(self.row, "/busy_nanos")? + number(self.row, "/idle_nanos")?)
    }

    /// What percentiles tell of the share above a bound: that it lies between two of them.
    fn above(&self, bound: f64, count: f64) -> Result<Data, String> {
        const KNOWN: [(&str, f64); 5] = [
            ("p50", 0.5),
            ("p95", 0.05),
            ("p99", 0.01),
            ("p99.9", 0.001),
            ("max", 0.0),
        ];
        let known = KNOWN.iter();
        let known = known.filter_map(|(stat, above)| Some((self.ms(stat)? / 1e3, *above)));
        let known: Vec<_> = known.collect();
        if known.is_empty() {
            return Err("the run does not tell percentiles".to_owned());
        }
        let (mut low, mut high) = (0.0, 1.0);
        for (value, above) in known {
            match value <= bound {
                true => high = above,
                false => low = f64::max(low, above),
            }
        }
        Ok(Data {
            error: Error::Between(low, high),
            samples: Some(count),
            ..Data::exact((low + high) / 2.0)
        })
    }

    fn throughput(&self, report: &Value, count: f64) -> Result<Data, String> {
        let rate = match number(self.row, "/rps") {
            Some(rate) => rate,
            None => count / seconds(report)?,
        };
        Ok(Data {
            samples: Some(count),
            ..Data::exact(rate)
        })
    }

    fn error_rate(&self, count: f64) -> Result<Data, String> {
        let errors = number(self.row, "/errors").ok_or("the run does not tell of errors")?;
        Ok(Data::share((errors / count).clamp(0.0, 1.0), count))
    }

    /// Little's law: the time spent in requests, in the capture's time.
    fn in_flight(&self, report: &Value, stat: &str) -> Result<Data, String> {
        if stat == "now" {
            return Err("a run tells the average: ask for avg".to_owned());
        }
        let root = |row: &&Value| {
            let is_root = list(row, "/path").len() == 1;
            is_root && text(row, "route") == Some(&self.name)
        };
        let of_root = || {
            let root = list(report, "/spans/paths").iter().find(root)?;
            let name = String::new();
            Operation { name, row: root }.nanos()
        };
        if let Some((rate, mean)) = number(self.row, "/rps").zip(self.ms("mean")) {
            return Ok(Data::exact(rate * mean / 1e3));
        }
        let spent = self.nanos().or_else(of_root);
        let spent = spent.ok_or("the run has no spans of these requests")?;
        Ok(Data::exact(spent / 1e9 / seconds(report)?))
    }
}
