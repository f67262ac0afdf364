//! Values of budgets as expressions of PromQL.

use crate::{
    budgets::{Budget, Select},
    metric::{Metric, quantile, threshold},
    names::{self, FAILED, REQUESTS},
    pattern::Pattern,
};

/// The expression of a statistic, over a window where it is a rate; or why no service tells it.
pub(super) fn value(budget: &Budget, stat: &str, window: &str) -> Result<String, String> {
    let asked = Asked {
        matchers: matchers(&budget.select)?,
        by: by(budget),
        window,
    };
    let found = asked.value(budget, stat);
    found.ok_or_else(|| format!("no service tells {} {stat}", budget.metric.name()))
}

/// Without a selection all requests are one; else each route is for itself, as in a check.
fn by(budget: &Budget) -> &'static str {
    match budget.select.route.is_empty() {
        true => "",
        false => "route, method",
    }
}

struct Asked<'a> {
    matchers: Vec<String>,
    /// The labels that tell subjects apart.
    by: &'static str,
    window: &'a str,
}

impl Asked<'_> {
    fn value(&self, budget: &Budget, stat: &str) -> Option<String> {
        if !budget.select.span.is_empty() {
            return None;
        }
        let is_all = budget.select.labels.is_empty();
        match (budget.metric, stat) {
            (Metric::Latency, stat) => self.latency(stat),
            (Metric::Throughput, _) => Some(self.requests(&[])),
            (Metric::ErrorRate, _) => {
                let all = self.requests(&[]);
                let failed = self.requests(&[format!("status=~{}", quoted(FAILED))]);
                // Where nothing failed yet there is nothing to be added up.
                Some(format!("({failed} or 0 * {all}) / {all}"))
            }
            (Metric::Concurrency, "now") => {
                let now = format!("{}{}", names::IN_FLIGHT, braces(&self.matchers));
                Some(self.sum(&now))
            }
            // Little's law: the time that is spent in requests, in that time.
            (Metric::Concurrency, _) => Some(self.rate(&format!("{REQUESTS}_sum"), &[])),
            (Metric::RequestSize, _) => Some(self.per_request(names::REQUEST_BYTES)),
            (Metric::ResponseSize, _) => Some(self.per_request(names::RESPONSE_BYTES)),
            (Metric::Cpu, _) if is_all => Some(self.of_process(names::CPU)),
            (Metric::Heap, "bytes/op") if is_all => Some(self.of_process(names::ALLOCATED)),
            (Metric::Heap, "allocs/op") if is_all => Some(self.of_process(names::ALLOCATIONS)),
            (Metric::Heap, "live" | "peak") if is_all => Some(names::LIVE.to_owned()),
            (Metric::ProcessCpu, _) => Some(format!("rate({}[{}])", names::CPU, self.window)),
            (Metric::ProcessRss, "slope") => Some(format!("deriv({}[1h])", names::RESIDENT)),
            (Metric::ProcessRss, _) => Some(names::RESIDENT.to_owned()),
            (Metric::ProcessFds, _) => Some(names::OPEN_FILES.to_owned()),
            (Metric::Pool, stat) => Some(self.pool(budget, stat)),
            (Metric::CacheHitRate, _) => {
                let of = |name| {
                    let name = by_name(budget, names::CACHE, name);
                    format!("sum by ({}) (rate({name}[{}]))", names::CACHE, self.window)
                };
                let (hits, misses) = (of(names::CACHE_HITS), of(names::CACHE_MISSES));
                Some(format!("{hits} / ({hits} + {misses})"))
            }
            (Metric::Prometheus, _) => self.by_name(budget.select.name.as_deref()?, stat),
            _ => None,
        }
    }

    fn requests(&self, more: &[String]) -> String {
        self.rate(&format!("{REQUESTS}_count"), more)
    }

    fn per_request(&self, name: &str) -> String {
        let (values, requests) = (self.rate(name, &[]), self.rate(names::REQUESTS_TOTAL, &[]));
        format!("{values} / {requests}")
    }

    /// What a counter of the process grows by, for each request.
    fn of_process(&self, name: &str) -> String {
        format!(
            "sum(rate({name}[{}])) / {}",
            self.window,
            self.requests(&[])
        )
    }

    fn pool(&self, budget: &Budget, stat: &str) -> String {
        let by = names::POOL;
        let of = |name| format!("sum by ({by}) ({})", by_name(budget, by, name));
        let open = of(names::POOL_CONNECTIONS);
        let in_use = format!("({open} - {})", of(names::POOL_IDLE));
        let rate = |name| {
            let name = by_name(budget, by, name);
            format!("sum by ({by}) (rate({name}[{}]))", self.window)
        };
        if let Some(quantile) = quantile(stat) {
            let bucket = format!("{}_bucket", names::POOL_WAIT_HISTOGRAM);
            let bucket = by_name(budget, by, &bucket);
            let rate = format!("sum by ({by}, le) (rate({bucket}[{}]))", self.window);
            return format!("histogram_quantile({quantile}, {rate})");
        }
        match stat {
            "connections" => open,
            "in_use" => in_use,
            "wait" => format!(
                "{} / {}",
                rate(names::POOL_WAIT),
                rate(names::POOL_ACQUIRES)
            ),
            // Without a bound nothing can be used up: then it is of those that are open.
            _ => format!("{in_use} / ({} or {open})", of(names::POOL_MAX)),
        }
    }

    fn latency(&self, stat: &str) -> Option<String> {
        if let Some(quantile) = quantile(stat) {
            return Some(self.quantile(REQUESTS, quantile, self.by));
        }
        if stat == "mean" {
            let spent = self.rate(&format!("{REQUESTS}_sum"), &[]);
            return Some(format!("{spent} / {}", self.requests(&[])));
        }
        let bound = threshold(stat)?;
        let all = self.requests(&[]);
        // As a number is written, with and without a fraction.
        let le = match bound.fract() == 0.0 {
            true => format!("{bound}|{bound}\\.0"),
            false => expression(&Pattern::new(bound.to_string())),
        };
        let within = self.rate(
            &format!("{REQUESTS}_bucket"),
            &[format!("le=~{}", quoted(&le))],
        );
        Some(format!("1 - {within} / {all}"))
    }

    fn by_name(&self, name: &str, stat: &str) -> Option<String> {
        if !is_name(name) {
            return None;
        }
        let series = format!("{name}{}", braces(&self.matchers));
        let over_time = |function: &str| format!("{function}({series}[{}])", self.window);
        Some(match (quantile(stat), stat) {
            (Some(quantile), _) => self.quantile(name, quantile, "job, instance"),
            (_, "rate") => over_time("rate"),
            (_, "min" | "max" | "avg") => over_time(&format!("{stat}_over_time")),
            _ => series,
        })
    }

    /// What a counter grows by each second.
    fn rate(&self, name: &str, more: &[String]) -> String {
        let matchers = braces(&[&self.matchers, more].concat());
        let rate = format!("rate({name}{matchers}[{}])", self.window);
        self.sum(&rate)
    }

    fn sum(&self, of: &str) -> String {
        match self.by {
            "" => format!("sum({of})"),
            by => format!("sum by ({by}) ({of})"),
        }
    }

    fn quantile(&self, name: &str, quantile: f64, by: &str) -> String {
        let matchers = braces(&self.matchers);
        let rate = format!("rate({name}_bucket{matchers}[{}])", self.window);
        let labels: Vec<_> = [by, "le"].into_iter().filter(|by| !by.is_empty()).collect();
        format!(
            "histogram_quantile({quantile}, sum by ({}) ({rate}))",
            labels.join(", ")
        )
    }
}

/// A metric of the pool or cache that is selected.
fn by_name(budget: &Budget, label: &str, metric: &str) -> String {
    let name = budget.select.name.as_deref().map(Pattern::new);
    let matcher = name.map(|name| matcher(label, &[name]));
    format!("{metric}{}", braces(matcher.as_slice()))
}

/// The labels that are asked for. A route may be written with its method: `GET /orders`.
fn matchers(select: &Select) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for (key, patterns) in select.labels.iter().filter(|(key, _)| is_name(key)) {
        if key != perfwright_model::keys::ROUTE {
            found.push(matcher(key, patterns));
            continue;
        }
        let split: Vec<_> = patterns.iter().map(Pattern::method_and_path).collect();
        let method = split.first().and_then(|(method, _)| *method);
        if split.iter().any(|(other, _)| *other != method) {
            return Err("its routes are of several methods: make it a budget for each".to_owned());
        }
        if let Some(method) = method {
            found.push(format!("method={}", quoted(method)));
        }
        let paths: Vec<_> = split.into_iter().map(|(_, path)| path).collect();
        found.push(matcher(key, &paths));
    }
    Ok(found)
}

fn matcher(key: &str, patterns: &[Pattern]) -> String {
    match patterns {
        [only] if only.is_exact() => format!("{key}={}", quoted(only.as_str())),
        patterns => {
            let expressions: Vec<_> = patterns.iter().map(expression).collect();
            format!("{key}=~{}", quoted(&expressions.join("|")))
        }
    }
}

/// Whether Prometheus takes it for a metric's or label's name.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
}

fn braces(matchers: &[String]) -> String {
    match matchers {
        [] => String::new(),
        _ => format!("{{{}}}", matchers.join(",")),
    }
}

/// A pattern as a regular expression.
fn expression(pattern: &Pattern) -> String {
    let mut out = String::new();
    for c in pattern.as_str().chars() {
        match c {
            '*' => out.push_str(".*"),
            '\\' | '.' | '+' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A string of PromQL.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
