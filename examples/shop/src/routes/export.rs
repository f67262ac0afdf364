//! A month's orders as gzipped CSV.

use std::io::Write;

use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqlitePool};

use crate::error::ApiError;
use crate::fixes::Fix;
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
    let archive = if state.fixes.has(Fix::BlockingCall) {
        tokio::task::spawn_blocking(move || compressed_csv(&orders)).await??
    } else {
        compressed_csv(&orders)?
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

fn compressed_csv(orders: &[ExportedOrder]) -> std::io::Result<Vec<u8>> {
    let mut archive = GzEncoder::new(Vec::new(), Compression::best());
    archive.write_all(csv(orders).as_bytes())?;
    archive.finish()
}

fn csv(orders: &[ExportedOrder]) -> String {
    let mut csv = "order,placed_on,status,total_eur,customer,email,country\n".to_owned();
    for order in orders {
        let total_eur = format!("{}.{:02}", order.total_cents / 100, order.total_cents % 100);
        let (customer, email) = (quoted(&order.customer), quoted(&order.email));
        let fields = [
            &order.placed_on,
            &order.status,
            &total_eur,
            &customer,
            &email,
            &order.country,
        ];
        csv.push_str(&order.id.to_string());
        for field in fields {
            csv.push(',');
            csv.push_str(field);
        }
        csv.push('\n');
    }
    csv
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}
