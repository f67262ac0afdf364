//! What is read from the fields of spans and events.

use std::fmt;

use tracing_core::Metadata;
use tracing_core::field::{Field, Visit};

use crate::tree::{Fields, cut};

/// A statement of which more is not looked at.
const MAX_STATEMENT: usize = 64 * 1024;
const MAX_SHORT: usize = 128;

/// What the fields of a callsite may tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Interest {
    /// There is something to look at when a span is created or an event happens.
    pub(crate) visit: bool,
    /// The event reports a query that ended.
    pub(crate) is_query: bool,
}

impl Interest {
    pub(crate) fn in_span(metadata: &Metadata<'_>, wanted: &[String]) -> Interest {
        let mut names = metadata.fields().iter().map(|field| field.name());
        Interest {
            visit: names.any(|name| is_known(name) || wanted.iter().any(|other| other == name)),
            is_query: false,
        }
    }

    pub(crate) fn in_event(metadata: &Metadata<'_>, wanted: &[String]) -> Interest {
        let is_query = metadata.target() == "sqlx::query"
            || (metadata.target() == "sqlx::pool::acquire"
                && metadata.fields().field("acquired_after_secs").is_some());
        let mut names = metadata.fields().iter().map(|field| field.name());
        Interest {
            visit: is_query || names.any(|name| wanted.iter().any(|other| other == name)),
            is_query,
        }
    }
}

fn is_known(name: &str) -> bool {
    matches!(
        name,
        "trace_id"
            | "error"
            | "otel.status_code"
            | "db.statement"
            | "db.query.text"
            | "http.request.method"
            | "http.method"
    )
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Seen<'a> {
    wanted: &'a [String],
    pub(crate) fields: Fields,
    pub(crate) error: bool,
    pub(crate) statement: Option<String>,
    summary: Option<String>,
    pub(crate) elapsed_ns: Option<u64>,
    affected: u64,
    returned: u64,
    method: Option<String>,
    host: Option<String>,
    is_client: bool,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(wanted: &'a [String]) -> Seen<'a> {
        Seen {
            wanted,
            ..Seen::default()
        }
    }

    /// The statement of a query event: sqlx leaves it out where its summary (the first four words) is all of
    /// it.
    pub(crate) fn query(&self) -> Option<&str> {
        let statement = self
            .statement
            .as_deref()
            .filter(|sql| !sql.trim().is_empty());
        statement.or(self.summary.as_deref())
    }

    /// Rows returned, else affected: SQLite says of a query how many the statement before it affected.
    pub(crate) fn rows(&self) -> u64 {
        match self.returned {
            0 => self.affected,
            returned => returned,
        }
    }

    /// `GET example.com`, of a request that was sent.
    pub(crate) fn request(&self) -> Option<String> {
        let (method, host) = (self.method.as_deref()?, self.host.as_deref()?);
        self.is_client.then(|| format!("{method} {host}"))
    }

    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        match field.name() {
            "trace_id" => self.fields.trace_id = Some(cut(value, MAX_SHORT)),
            "error" => self.error = true,
            "otel.status_code" => self.error |= cut(value, 8).eq_ignore_ascii_case("error"),
            "otel.kind" => self.is_client = cut(value, 8).eq_ignore_ascii_case("client"),
            "db.statement" | "db.query.text" => self.statement = Some(cut(value, MAX_STATEMENT)),
            "summary" => self.summary = Some(cut(value, MAX_STATEMENT)),
            "http.request.method" | "http.method" => self.method = Some(cut(value, 16)),
            "server.address" | "http.host" | "net.peer.name" => {
                self.host = Some(cut(value, MAX_SHORT));
            }
            _ => {}
        }
        if self.wanted.iter().any(|name| name == field.name()) {
            self.fields.push(field.name(), value);
        }
    }

    fn number(&mut self, field: &Field, value: u64) {
        match field.name() {
            "rows_affected" => self.affected = value,
            "rows_returned" => self.returned = value,
            _ => {}
        }
    }
}

impl Visit for Seen<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        // `error = false` is none.
        if field.name() != "error" || value {
            self.text(field, format_args!("{value}"));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
        self.text(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value.max(0) as u64);
        self.text(field, format_args!("{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if matches!(field.name(), "elapsed_secs" | "acquired_after_secs") {
            self.elapsed_ns = Some((value.max(0.0) * 1e9).round() as u64);
        }
        self.text(field, format_args!("{value}"));
    }
}
