//! A month's orders as gzipped CSV.

use std::fmt::Write as _;
use std::io::Write as _;

use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqlitePool};
use tracing::instrument;

use crate::error::ApiError;
use crate::fixes::{Fix, Fixes};
use crate::month::Month;
use crate::routes::AppState;

#[derive(Deserialize)]
pub(super) struct ExportParams {
    month: String,
}

pub(super) async fn month(
    State(state): State<AppState>,
    Query(params): Query<ExportParams>,
) -> Result<Response, ApiError> {
    let month = Month::parse(&params.month)?;
    let orders = orders_of(&state.pool, month).await?;
    let fixes = state.fixes;
    let archive = if fixes.has(Fix::BlockingCall) {
        tokio::task::spawn_blocking(move || compressed_csv(&orders, fixes)).await??
    } else {
        compressed_csv(&orders, fixes)?
    };
    let file = format!("attachment; filename=\"orders-{}.csv.gz\"", params.month);
    Ok((
        [
            (CONTENT_TYPE, "application/gzip".to_owned()),
            (CONTENT_DISPOSITION, file),
        ],
        archive,
    )
        .into_response())
}

struct ExportedOrder {
    id: i64,
    placed_on: String,
    status: String,
    total_cents: i64,
    customer: String,
    email: String,
    country: String,
}

impl FromRow<'_, SqliteRow> for ExportedOrder {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(ExportedOrder {
            id: row.try_get("id")?,
            placed_on: row.try_get("placed_on")?,
            status: row.try_get("status")?,
            total_cents: row.try_get("total_cents")?,
            customer: row.try_get("name")?,
            email: row.try_get("email")?,
            country: row.try_get("country")?,
        })
    }
}

#[instrument(skip_all)]
async fn orders_of(pool: &SqlitePool, month: Month) -> sqlx::Result<Vec<ExportedOrder>> {
    const QUERY: &str = "
        SELECT orders.id, placed_on, status, total_cents, name, email, country
        FROM orders JOIN customers ON customers.id = customer_id
        WHERE placed_on >= ? AND placed_on < ? ORDER BY orders.id";
    sqlx::query_as(QUERY)
        .bind(month.first_day())
        .bind(month.end())
        .fetch_all(pool)
        .await
}

#[instrument(skip_all)]
fn compressed_csv(orders: &[ExportedOrder], fixes: Fixes) -> std::io::Result<Vec<u8>> {
    let csv = if fixes.has(Fix::StringPerField) {
        csv(orders)
    } else {
        csv_of_rows(&orders.iter().map(row).collect::<Vec<_>>())
    };
    let mut archive = GzEncoder::new(Vec::new(), Compression::best());
    archive.write_all(csv.as_bytes())?;
    archive.finish()
}

const HEADER: &str = "order,placed_on,status,total_eur,customer,email,country\n";

fn csv(orders: &[ExportedOrder]) -> String {
    let mut csv = HEADER.to_owned();
    for order in orders {
        let (euros, cents) = (order.total_cents / 100, order.total_cents % 100);
        let (placed_on, status) = (&order.placed_on, &order.status);
        // Writing into a string cannot fail.
        let _ = write!(csv, "{},{placed_on},{status},{euros}.{cents:02},", order.id);
        for field in [&order.customer, &order.email] {
            push_quoted(&mut csv, field);
            csv.push(',');
        }
        csv.push_str(&order.country);
        csv.push('\n');
    }
    csv
}

fn push_quoted(csv: &mut String, field: &str) {
    csv.push('"');
    for (index, part) in field.split('"').enumerate() {
        csv.push_str(if index > 0 { "\"\"" } else { "" });
        csv.push_str(part);
    }
    csv.push('"');
}

fn row(order: &ExportedOrder) -> Vec<String> {
    vec![
        order.id.to_string(),
        order.placed_on.clone(),
        order.status.clone(),
        format!("{}.{:02}", order.total_cents / 100, order.total_cents % 100),
        quoted(&order.customer),
        quoted(&order.email),
        order.country.clone(),
    ]
}

fn csv_of_rows(rows: &[Vec<String>]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| row.join(",") + "\n").collect();
    HEADER.to_owned() + &lines.concat()
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_in_both_ways() {
        let order = ExportedOrder {
            id: 7,
            placed_on: "2024-02-29".into(),
            status: "placed".into(),
            total_cents: 120_005,
            customer: "Ann \"the \"\" Hand\"".into(),
            email: "".into(),
            country: "NO".into(),
        };
        let expected = format!(
            "{HEADER}7,2024-02-29,placed,1200.05,\"Ann \"\"the \"\"\"\" Hand\"\"\",\"\",NO\n"
        );
        assert_eq!(csv_of_rows(&[row(&order)]), expected);
        assert_eq!(csv(&[order]), expected);
    }
}
