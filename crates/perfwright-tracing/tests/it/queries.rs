//! Queries and requests that libraries report: events of sqlx, spans of sea-orm and reqwest.

use std::time::Duration;

use tracing::{debug, info_span, warn};

use crate::Rig;

/// As sqlx 0.9 does it: the statement is empty where the summary is all of it.
fn sqlx_event(statement: &str, elapsed: u64, rows: u64) {
    let summary = statement
        .split_whitespace()
        .take(4)
        .collect::<Vec<_>>()
        .join(" ");
    let (summary, sql) = match summary == statement {
        true => (summary, String::new()),
        false => (format!("{summary} …"), format!("\n\n{statement}\n")),
    };
    let elapsed = Duration::from_nanos(elapsed);
    debug!(
        target: "sqlx::query",
        summary,
        db.statement = sql,
        rows_affected = 3_u64,
        rows_returned = rows,
        ?elapsed,
        elapsed_secs = elapsed.as_secs_f64(),
    );
}

#[test]
fn queries_are_leaves_by_template() {
    let rig = Rig::new();
    rig.run(|| {
        let span = info_span!("load");
        for id in 0..10 {
            span.in_scope(|| rig.pass(1));
            rig.pass(100);
            span.in_scope(|| sqlx_event(&format!("SELECT name FROM users WHERE id = {id}"), 90, 2));
        }
        span.in_scope(|| {
            sqlx_event("BEGIN", 0, 0);
            sqlx_event("DELETE FROM carts", 5, 0);
        });
    });
    let query = "load;SELECT name FROM users WHERE id = ?";
    assert_eq!(
        rig.times(query),
        "10x: total 900 = busy 0 (self 0) + idle 900 (self 900), held 0, 0 polls"
    );
    let stats = rig.stats(query);
    assert_eq!(
        (stats.rows, stats.path[1].target.as_str()),
        (20, "sqlx::query")
    );
    assert_eq!(stats.histogram.quantile(0.99), Some(91));
    assert_eq!(
        (
            rig.stats("load;BEGIN").count,
            rig.stats("load;DELETE FROM carts").count
        ),
        (1, 1)
    );
    assert_eq!(rig.stats("load;DELETE FROM carts").rows, 3);
    // Idle for 1,000, of which the queries explain 905.
    let load = rig.stats("load");
    assert_eq!(
        (load.idle_ns, load.self_idle_ns, load.self_busy_ns),
        (1_000, 95, 10)
    );
    let request = &rig.spans.slowest()[0];
    let first = request
        .spans
        .iter()
        .find(|span| span.name.target == "sqlx::query")
        .expect("kept");
    assert_eq!((first.start_ns, first.end_ns), (11, 101));
}

#[test]
fn a_query_explains_no_more_than_its_span_was_idle() {
    let rig = Rig::new();
    rig.run(|| {
        // It blocked: the time is the span's busy time.
        info_span!("blocking").in_scope(|| {
            rig.pass(50);
            sqlx_event("SELECT a, b, c, d FROM t", 50, 1);
        });
        sqlx_event("SELECT no, span, around, it FROM t", 7, 1);
    });
    let query = rig.stats("blocking;SELECT a, b, c, d FROM t");
    assert_eq!((query.total_ns, query.idle_ns), (50, 0));
    let alone = rig.stats("SELECT no, span, around, it FROM t");
    assert_eq!((alone.total_ns, alone.idle_ns, alone.count), (7, 0, 1));
}

#[test]
fn slow_queries_and_waits_for_a_connection_too() {
    let rig = Rig::new();
    rig.pass(100);
    rig.run(|| {
        info_span!("load").in_scope(|| {
            warn!(
                target: "sqlx::query",
                summary = "SELECT 1",
                db.statement = "",
                rows_affected = 0_u64,
                rows_returned = 1_u64,
                elapsed_secs = 2e-9,
                "slow statement: execution time exceeded alert threshold"
            );
            debug!(target: "sqlx::pool::acquire", acquired_after_secs = 3e-9, "acquired connection");
        });
    });
    assert_eq!(rig.stats("load;SELECT ?").total_ns, 2);
    assert_eq!(rig.stats("load;acquire connection").total_ns, 3);
}

/// As sea-orm 2.0: the statement is recorded after the span was made, before it is entered.
#[test]
fn spans_of_statements_are_named_by_template() {
    let rig = Rig::new();
    rig.run(|| {
        info_span!("load").in_scope(|| {
            for id in 0..3 {
                let span = info_span!(
                    "sea_orm.query_one",
                    otel.kind = "client",
                    db.system = "postgresql",
                    db.operation = "SELECT",
                    db.statement = tracing::field::Empty,
                    otel.status_code = tracing::field::Empty,
                );
                span.record(
                    "db.statement",
                    format!("SELECT \"a\" FROM \"t\" WHERE id = {id}"),
                );
                span.in_scope(|| {
                    rig.pass(1);
                    let labels = perfwright_context::labels(perfwright_context::current().node());
                    assert_eq!(labels[1].1, "SELECT \"a\" FROM \"t\" WHERE id = ?");
                });
                span.record("otel.status_code", if id == 0 { "ERROR" } else { "OK" });
                // Too late to be somebody else.
                span.record("db.statement", "SELECT 'late'");
            }
            info_span!("at once", db.query.text = "SELECT 'x'").in_scope(|| rig.pass(1));
        });
    });
    let stats = rig.stats("load;SELECT \"a\" FROM \"t\" WHERE id = ?");
    assert_eq!((stats.count, stats.busy_ns, stats.errors), (3, 3, 1));
    assert!(stats.path[1].file.ends_with("queries.rs"));
    assert_eq!(rig.stats("load;SELECT ?").count, 1);
}

/// As reqwest-tracing 0.7, beside a server's span that has the same fields.
#[test]
fn requests_that_are_sent_are_named_by_method_and_host() {
    let rig = Rig::new();
    rig.run(|| {
        let span = |kind: &'static str| {
            info_span!(
                "HTTP request",
                http.request.method = %"GET",
                server.address = %"api.example.com",
                server.port = 443,
                otel.kind = kind,
                otel.name = "HTTP request",
            )
        };
        span("server").in_scope(|| span("client").in_scope(|| rig.pass(1)));
    });
    assert_eq!(rig.stats("HTTP request;GET api.example.com").busy_ns, 1);
}

#[test]
fn nothing_hints_that_debug_events_are_not_wanted() {
    let rig = Rig::new();
    rig.run(|| {
        assert_eq!(
            tracing::level_filters::LevelFilter::current(),
            tracing::level_filters::LevelFilter::TRACE
        );
        assert!(tracing::enabled!(target: "sqlx::query", tracing::Level::DEBUG));
    });
}
