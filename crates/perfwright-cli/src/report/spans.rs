//! What the report says of routes and spans.

use std::collections::{BTreeMap, HashMap};

use perfwright::spans::{Account, PathAccount};
use perfwright_analyze::{PollVerdict, Polls, by_label, polls};
use perfwright_model::{Profile, SampleType, keys};
use serde::Serialize;

use super::share;
use super::tables::Places;
use crate::table::{Cell, Column, Table};
use crate::units::{Scale, decimal, milliseconds, percent, whole};

/// Rows of each list in `report.json`.
const ROWS_KEPT: usize = 200;

/// What routes and spans took while the program was captured. Times are in nanoseconds, unless a name says otherwise.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Spans {
    /// The greatest CPU time first.
    pub(crate) routes: Vec<Route>,
    /// The longest busy first.
    pub(crate) paths: Vec<Path>,
    /// Statements and other leaves that events tell of, the longest in all first.
    pub(crate) statements: Vec<Statement>,
    /// CPU time with a route's label, of all CPU time.
    pub(crate) routed_share: f64,
    /// What was not kept: sentences.
    pub(crate) notes: Vec<String>,
}

/// A route, with all that ran for it on whatever thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Route {
    pub(crate) route: String,
    /// Requests that ended; `null` if no span tells.
    pub(crate) requests: Option<u64>,
    pub(crate) errors: Option<u64>,
    pub(crate) cpu_nanos: i64,
    /// Of the program's CPU time.
    pub(crate) cpu_share: f64,
    /// Sampled allocations under the route's label; `null` if the heap was not sampled.
    pub(crate) allocated_bytes: Option<i64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

/// A path of spans: what went by in its innermost span.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Path {
    pub(crate) route: Option<String>,
    pub(crate) path: Vec<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) count: u64,
    pub(crate) errors: u64,
    /// How often it was polled.
    pub(crate) polls: u64,
    /// Inside, its children's time included.
    pub(crate) busy_nanos: u64,
    /// Waiting between its polls.
    pub(crate) idle_nanos: u64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) max_ms: f64,
    /// What its polls did; `null` if it was busy too shortly for the samples to tell.
    pub(crate) polled: Option<Polled>,
}

/// A statement of a database, or whatever else is told of when it has ended, in a path of spans.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Statement {
    pub(crate) route: Option<String>,
    /// The spans that it ran in.
    pub(crate) path: Vec<String>,
    /// Its template: literals are `?`.
    pub(crate) statement: String,
    pub(crate) target: String,
    pub(crate) count: u64,
    /// For each request of the route; `null` if no span tells how many there were.
    pub(crate) count_per_request: Option<f64>,
    pub(crate) nanos: u64,
    /// Returned or changed.
    pub(crate) rows: u64,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

/// What polls did while they held their thread, without those of the spans inside.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Polled {
    /// `computed`, `blocked`, `no cpu` or `unknown`.
    pub(crate) verdict: &'static str,
    pub(crate) busy_nanos: i64,
    pub(crate) cpu_nanos: i64,
    pub(crate) cpu_nanos_error: i64,
    pub(crate) samples: i64,
    pub(crate) waiting_for_cpu_nanos_max: Option<i64>,
    pub(crate) blocked_nanos_min: Option<i64>,
}

impl Spans {
    /// Joins the profiles of one capture. Without an account of spans there still are routes, if samples have
    /// their labels; `None` if nothing knows of either.
    pub(crate) fn new(
        cpu: &Profile,
        heap: Option<&Profile>,
        spans: Option<(&Profile, &Account)>,
    ) -> Option<Spans> {
        let routes = routes(cpu, heap, spans.map(|(_, account)| account));
        if routes.is_empty() && spans.is_none() {
            return None;
        }
        let routed = routes.iter().map(|route| route.cpu_share).sum();
        let mut found = Spans {
            routed_share: routed,
            ..Spans::default()
        };
        if let Some((profile, account)) = spans {
            found.paths = paths(cpu, profile, account);
            found.statements = statements(&routes, account);
            found.notes.clone_from(&account.notes);
        }
        found.routes = routes;
        Some(found)
    }
}

fn routes(cpu: &Profile, heap: Option<&Profile>, account: Option<&Account>) -> Vec<Route> {
    let mut routes: BTreeMap<String, Route> = BTreeMap::new();
    if let Some(at) = cpu.default_sample_type() {
        let whole = cpu.total(at);
        for row in by_label(cpu, at, keys::ROUTE) {
            if let Some(name) = row.value {
                let route = named(&mut routes, name);
                route.cpu_nanos = row.total_value;
                route.cpu_share = share(row.total_value, whole);
            }
        }
    }
    let roots = account.map_or(&[][..], |account| &account.paths);
    for root in roots.iter().filter(|path| path.path.len() == 1) {
        let Some(name) = &root.route else { continue };
        // A span that is no request's, such as a worker's, has its own name in place of a route.
        if routes.contains_key(name) || root.path.first() != Some(name) {
            let route = named(&mut routes, name.clone());
            route.requests = Some(route.requests.unwrap_or(0) + root.count);
            route.errors = Some(route.errors.unwrap_or(0) + root.errors);
            route.p50_ms = root.p50.map(millis);
            route.p95_ms = root.p95.map(millis);
            route.p99_ms = root.p99.map(millis);
        }
    }
    if let Some((heap, at)) =
        heap.and_then(|heap| Some((heap, heap.find_sample_type("alloc_space")?)))
    {
        for row in by_label(heap, at, keys::ROUTE) {
            if let Some(route) = row.value.and_then(|name| routes.get_mut(&name)) {
                route.allocated_bytes = Some(row.total_value);
            }
        }
        for route in routes.values_mut() {
            route.allocated_bytes.get_or_insert(0);
        }
    }
    let mut routes: Vec<Route> = routes.into_values().collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.cpu_nanos));
    routes.truncate(ROWS_KEPT);
    routes
}

fn named(routes: &mut BTreeMap<String, Route>, name: String) -> &mut Route {
    routes.entry(name).or_insert_with_key(|name| Route {
        route: name.clone(),
        ..Route::default()
    })
}

fn paths(cpu: &Profile, spans: &Profile, account: &Account) -> Vec<Path> {
    let delays: HashMap<i64, i64> = account.run_delay.iter().copied().collect();
    let mut judged: HashMap<(Option<String>, Vec<String>), Polls> = polls(cpu, spans, &delays)
        .into_iter()
        .map(|polls| ((polls.route.clone(), polls.path.clone()), polls))
        .collect();
    let mut paths: Vec<Path> = account
        .paths
        .iter()
        .filter(|path| path.polls > 0)
        .map(|path| {
            let key = (path.route.clone(), path.path.clone());
            Path::new(path, judged.remove(&key).as_ref())
        })
        .collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.busy_nanos));
    paths.truncate(ROWS_KEPT);
    paths
}

fn statements(routes: &[Route], account: &Account) -> Vec<Statement> {
    let requests = |route: &Option<String>| {
        let route = routes
            .iter()
            .find(|known| Some(&known.route) == route.as_ref());
        route?.requests.filter(|&requests| requests > 0)
    };
    let leaves = account
        .paths
        .iter()
        .filter(|path| path.polls == 0 && path.count > 0);
    let mut statements: Vec<Statement> = leaves
        .filter_map(|path| {
            let (statement, spans) = path.path.split_last()?;
            Some(Statement {
                route: path.route.clone(),
                path: spans.to_vec(),
                statement: statement.clone(),
                target: path.target.clone(),
                count: path.count,
                count_per_request: requests(&path.route)
                    .map(|requests| path.count as f64 / requests as f64),
                nanos: path.idle,
                rows: path.rows,
                p50_ms: path.p50.map(millis),
                p99_ms: path.p99.map(millis),
            })
        })
        .collect();
    statements.sort_by_key(|statement| std::cmp::Reverse(statement.nanos));
    statements.truncate(ROWS_KEPT);
    statements
}

impl Path {
    fn new(path: &PathAccount, polls: Option<&Polls>) -> Path {
        Path {
            route: path.route.clone(),
            path: path.path.clone(),
            file: path.file.clone(),
            line: path.line,
            count: path.count,
            errors: path.errors,
            polls: path.polls,
            busy_nanos: path.busy,
            idle_nanos: path.idle,
            p50_ms: path.p50.map(millis),
            p95_ms: path.p95.map(millis),
            p99_ms: path.p99.map(millis),
            max_ms: millis(path.max),
            polled: polls.map(Polled::from),
        }
    }
}

impl From<&Polls> for Polled {
    fn from(polls: &Polls) -> Polled {
        Polled {
            verdict: match polls.verdict {
                PollVerdict::Computed => "computed",
                PollVerdict::Blocked => "blocked",
                PollVerdict::NoCpu => "no cpu",
                _ => "unknown",
            },
            busy_nanos: polls.busy_nanos,
            cpu_nanos: polls.cpu_nanos,
            cpu_nanos_error: polls.cpu_nanos_error,
            samples: polls.samples,
            waiting_for_cpu_nanos_max: polls.waiting_nanos_max,
            blocked_nanos_min: polls.blocked_nanos_min(),
        }
    }
}

/// Routes, with what one request takes.
pub(super) fn routes_table(routes: &[Route]) -> Table {
    let nanos = |largest: i64| Scale::of(&SampleType::new("cpu", "nanoseconds"), largest);
    let bytes = |largest: i64| Scale::of(&SampleType::new("space", "bytes"), largest);
    let each = |value: i64, route: &Route| match route.requests {
        Some(requests @ 1..) => Some(value / requests as i64),
        _ => None,
    };
    let largest = routes.iter().map(|route| route.cpu_nanos).max();
    let total = nanos(largest.unwrap_or(0));
    let mut table = Table::new([
        (Column::Number, "CPU"),
        (Column::Number, "%"),
        (Column::Number, "CPU each"),
        (Column::Number, "allocated each"),
        (Column::Number, "requests"),
        (Column::Number, "errors"),
        (Column::Number, "p50"),
        (Column::Number, "p95"),
        (Column::Number, "p99"),
        (Column::Name, "route"),
    ]);
    for route in routes {
        let cpu = each(route.cpu_nanos, route);
        let allocated = route.allocated_bytes.and_then(|sum| each(sum, route));
        table.row([
            total.show(route.cpu_nanos).into(),
            percent(route.cpu_share).into(),
            cpu.map_or_else(dash, |cpu| nanos(cpu).show(cpu)).into(),
            allocated
                .map_or_else(dash, |allocated| bytes(allocated).show(allocated))
                .into(),
            route.requests.map_or_else(dash, whole).into(),
            errors(route.errors.unwrap_or(0)),
            latency(route.p50_ms).into(),
            latency(route.p95_ms).into(),
            latency(route.p99_ms).into(),
            route.route.as_str().into(),
        ]);
    }
    table
}

/// Paths of spans. What polls did stands where it is known. Without `places` the source's places are left out.
pub(super) fn paths_table(paths: &[Path], places: Option<Places<'_>>) -> Table {
    let busy = nanos_scale(paths.iter().map(|path| path.busy_nanos));
    let idle = nanos_scale(paths.iter().map(|path| path.idle_nanos));
    let mut columns = vec![
        (Column::Number, "busy"),
        (Column::Number, "idle"),
        (Column::Number, "count"),
        (Column::Number, "errors"),
        (Column::Number, "p50"),
        (Column::Number, "p99"),
        (Column::Word, "polls"),
        (Column::Name, "span"),
    ];
    columns.extend(places.map(|_| (Column::Path, "where")));
    let mut table = Table::new(columns);
    for path in paths {
        let mut cells = vec![
            busy.show(signed(path.busy_nanos)).into(),
            idle.show(signed(path.idle_nanos)).into(),
            whole(path.count).into(),
            errors(path.errors),
            latency(path.p50_ms).into(),
            latency(path.p99_ms).into(),
            verdict(path.polled.as_ref()),
            path.name().into(),
        ];
        let place = |places: Places<'_>| places.place(path.file.as_deref(), path.line);
        cells.extend(places.map(|places| Cell::dim(place(places))));
        table.row(cells);
    }
    table
}

/// Statements, and how many of them a request takes.
pub(super) fn statements_table(statements: &[Statement]) -> Table {
    let time = nanos_scale(statements.iter().map(|statement| statement.nanos));
    let mut table = Table::new([
        (Column::Number, "time"),
        (Column::Number, "count"),
        (Column::Number, "a request"),
        (Column::Number, "rows"),
        (Column::Number, "p50"),
        (Column::Number, "p99"),
        (Column::Word, "route"),
        (Column::Name, "statement"),
    ]);
    for statement in statements {
        let each = statement.count_per_request;
        table.row([
            time.show(signed(statement.nanos)).into(),
            whole(statement.count).into(),
            each.map_or_else(dash, |each| decimal(each, 1)).into(),
            whole(statement.rows).into(),
            latency(statement.p50_ms).into(),
            latency(statement.p99_ms).into(),
            statement.route.clone().unwrap_or_default().into(),
            statement.statement.as_str().into(),
        ]);
    }
    table
}

fn nanos_scale(values: impl Iterator<Item = u64>) -> Scale {
    let largest = values.max().unwrap_or(0);
    Scale::of(&SampleType::new("time", "nanoseconds"), signed(largest))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Path {
    /// `/orders: request > load`.
    fn name(&self) -> String {
        let path = self.path.join(" > ");
        match &self.route {
            Some(route) if Some(route) != self.path.first() => format!("{route}: {path}"),
            _ => path,
        }
    }
}

/// `computed 97 %`, or what else polls did.
fn verdict(polled: Option<&Polled>) -> Cell {
    let Some(polled) = polled else {
        return Cell::dim("");
    };
    let of = |nanos: i64| percent(share(nanos, polled.busy_nanos).clamp(0.0, 1.0));
    match polled.verdict {
        "computed" => Cell::dim(format!("computed {}", of(polled.cpu_nanos))),
        "blocked" => {
            let blocked = of(polled.blocked_nanos_min.unwrap_or(0));
            Cell::tinted(format!("blocked {blocked}"), |paint, text| paint.bad(text))
        }
        "no cpu" => Cell::tinted(
            // That it lacked a CPU is what the scheduler's number allows, not what was seen.
            format!("off CPU {}", of(polled.busy_nanos - polled.cpu_nanos)),
            |paint, text| paint.caution(text),
        ),
        _ => format!("computed {}", of(polled.cpu_nanos)).into(),
    }
}

fn errors(count: u64) -> Cell {
    match count {
        0 => Cell::dim("0"),
        errors => Cell::tinted(whole(errors), |paint, text| paint.bad(text)),
    }
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

fn latency(ms: Option<f64>) -> String {
    ms.map_or_else(dash, milliseconds)
}

fn dash() -> String {
    "-".to_owned()
}
