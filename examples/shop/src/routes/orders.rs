//! A customer's latest orders.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqlitePool};
use tracing::instrument;

use crate::error::ApiError;
use crate::fixes::Fix;
use crate::model::{Order, OrderLine};
use crate::respond;
use crate::routes::AppState;

const LISTED: i64 = 20;

#[derive(Deserialize)]
pub(super) struct ListParams {
    customer: i64,
}

pub(super) async fn list(
    State(state): State<AppState>,
    Query(params): Query<ListParams>,
) -> Result<Response, ApiError> {
    let key = state.listings.key(params.customer);
    if let Some(listing) = state.listings.get(key) {
        return Ok(respond::json(listing));
    }
    let mut orders = latest_orders(&state.pool, params.customer).await?;
    if state.fixes.has(Fix::NPlusOne) {
        load_all_lines(&state.pool, params.customer, &mut orders).await?;
    } else {
        load_lines_of_each(&state.pool, &mut orders).await?;
    }
    let listing = Bytes::from(respond::list_text(&orders, state.fixes)?);
    state.listings.keep(key, listing.clone(), state.fixes);
    Ok(respond::json(listing))
}

#[instrument(skip_all)]
async fn latest_orders(pool: &SqlitePool, customer: i64) -> sqlx::Result<Vec<Order>> {
    const QUERY: &str = "
        SELECT id, placed_on, status, total_cents FROM orders
        WHERE customer_id = ? ORDER BY id DESC LIMIT ?";
    sqlx::query_as(QUERY)
        .bind(customer)
        .bind(LISTED)
        .fetch_all(pool)
        .await
}

#[instrument(skip_all)]
async fn load_lines_of_each(pool: &SqlitePool, orders: &mut [Order]) -> sqlx::Result<()> {
    for order in orders {
        order.lines = lines(pool, order.id).await?;
    }
    Ok(())
}

async fn lines(pool: &SqlitePool, order: i64) -> sqlx::Result<Vec<OrderLine>> {
    const QUERY: &str = "
        SELECT product_id, quantity, unit_cents, name, sku
        FROM order_lines JOIN products ON products.id = product_id
        WHERE order_id = ? ORDER BY position";
    sqlx::query_as(QUERY).bind(order).fetch_all(pool).await
}

#[instrument(skip_all)]
async fn load_all_lines(
    pool: &SqlitePool,
    customer: i64,
    orders: &mut [Order],
) -> sqlx::Result<()> {
    const QUERY: &str = "
        SELECT order_id, product_id, quantity, unit_cents, name, sku
        FROM order_lines JOIN products ON products.id = product_id
        WHERE order_id IN (SELECT id FROM orders WHERE customer_id = ? ORDER BY id DESC LIMIT ?)
        ORDER BY order_id, position";
    let rows: Vec<LineOfOrder> = sqlx::query_as(QUERY)
        .bind(customer)
        .bind(LISTED)
        .fetch_all(pool)
        .await?;
    let mut lines: HashMap<i64, Vec<OrderLine>> = HashMap::with_capacity(orders.len());
    for LineOfOrder { order, line } in rows {
        lines.entry(order).or_default().push(line);
    }
    for order in orders {
        order.lines = lines.remove(&order.id).unwrap_or_default();
    }
    Ok(())
}

struct LineOfOrder {
    order: i64,
    line: OrderLine,
}

impl FromRow<'_, SqliteRow> for LineOfOrder {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(LineOfOrder {
            order: row.try_get("order_id")?,
            line: OrderLine::from_row(row)?,
        })
    }
}
