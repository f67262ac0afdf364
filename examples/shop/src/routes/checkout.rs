//! Placing an order.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tracing::instrument;

use crate::error::ApiError;
use crate::fixes::Fix;
use crate::routes::AppState;
use crate::settings::Settings;

const MAX_LINES: usize = 50;
const MAX_QUANTITY: i64 = 99;

#[derive(Deserialize)]
pub(super) struct Cart {
    customer: i64,
    lines: Vec<CartLine>,
}

#[derive(Deserialize)]
struct CartLine {
    product: i64,
    quantity: i64,
}

#[derive(Serialize)]
pub(super) struct Placed {
    order: i64,
    shipping_cents: i64,
    tax_cents: i64,
    total_cents: i64,
}

/// A line of the cart with the price that it is sold at.
struct PricedLine {
    product: i64,
    quantity: i64,
    unit_cents: i64,
}

impl PricedLine {
    fn cents(&self) -> i64 {
        self.quantity * self.unit_cents
    }
}

/// What the order costs beside its lines.
#[derive(Default)]
struct Quote {
    goods_cents: i64,
    tax_cents: i64,
    shipping_cents: i64,
}

impl Quote {
    fn add(&mut self, line: &PricedLine, country: &str, settings: &Settings) {
        let cents = line.cents() - settings.discount_cents(line.quantity, line.cents());
        self.goods_cents += cents;
        self.tax_cents += settings.tax_cents(country, cents);
    }

    fn total_cents(&self) -> i64 {
        self.goods_cents + self.tax_cents + self.shipping_cents
    }
}

pub(super) async fn place_order(
    State(state): State<AppState>,
    Json(cart): Json<Cart>,
) -> Result<(StatusCode, Json<Placed>), ApiError> {
    check(&cart)?;
    let pool = &state.pool;
    let country = country_of(pool, cart.customer).await?;
    let lines = priced(pool, &cart.lines).await?;
    let quote = if state.fixes.has(Fix::RepeatedQuery) {
        quote(&lines, &country, &Settings::load(pool).await?)
    } else {
        quote_line_by_line(pool, &lines, &country).await?
    };
    let order = write_order(&state, cart.customer, &lines, quote.total_cents()).await?;
    let placed = Placed {
        order,
        shipping_cents: quote.shipping_cents,
        tax_cents: quote.tax_cents,
        total_cents: quote.total_cents(),
    };
    Ok((StatusCode::CREATED, Json(placed)))
}

fn check(cart: &Cart) -> Result<(), ApiError> {
    if cart.lines.is_empty() || cart.lines.len() > MAX_LINES {
        return Err(ApiError::BadRequest(format!(
            "a cart has 1 to {MAX_LINES} lines"
        )));
    }
    if cart
        .lines
        .iter()
        .any(|line| !(1..=MAX_QUANTITY).contains(&line.quantity))
    {
        return Err(ApiError::BadRequest(format!(
            "a quantity is 1 to {MAX_QUANTITY}"
        )));
    }
    Ok(())
}

async fn country_of(pool: &SqlitePool, customer: i64) -> Result<String, ApiError> {
    let country = sqlx::query_scalar("SELECT country FROM customers WHERE id = ?")
        .bind(customer)
        .fetch_optional(pool)
        .await?;
    country.ok_or(ApiError::NotFound {
        what: "customer",
        id: customer,
    })
}

async fn priced(pool: &SqlitePool, lines: &[CartLine]) -> Result<Vec<PricedLine>, ApiError> {
    const QUERY: &str =
        "SELECT id, price_cents FROM products WHERE id IN (SELECT value FROM json_each(?))";
    let ids: Vec<i64> = lines.iter().map(|line| line.product).collect();
    let rows: Vec<(i64, i64)> = sqlx::query_as(QUERY)
        .bind(serde_json::to_string(&ids)?)
        .fetch_all(pool)
        .await?;
    let prices: HashMap<i64, i64> = rows.into_iter().collect();
    let price = |line: &CartLine| {
        let id = line.product;
        let unit_cents = *prices.get(&id).ok_or(ApiError::NotFound {
            what: "product",
            id,
        })?;
        Ok(PricedLine {
            product: id,
            quantity: line.quantity,
            unit_cents,
        })
    };
    lines.iter().map(price).collect()
}

fn quote(lines: &[PricedLine], country: &str, settings: &Settings) -> Quote {
    let mut quote = Quote::default();
    for line in lines {
        quote.add(line, country, settings);
    }
    quote.shipping_cents = settings.shipping_cents(country, quote.goods_cents);
    quote
}

#[instrument(skip_all)]
async fn quote_line_by_line(
    pool: &SqlitePool,
    lines: &[PricedLine],
    country: &str,
) -> sqlx::Result<Quote> {
    let mut quote = Quote::default();
    for line in lines {
        let settings = Settings::load(pool).await?;
        quote.add(line, country, &settings);
    }
    let settings = Settings::load(pool).await?;
    quote.shipping_cents = settings.shipping_cents(country, quote.goods_cents);
    Ok(quote)
}

#[instrument(skip_all)]
async fn write_order(
    state: &AppState,
    customer: i64,
    lines: &[PricedLine],
    total_cents: i64,
) -> Result<i64, ApiError> {
    let _writing = state.writer.lock().await;
    let mut transaction = state.pool.begin_with("BEGIN IMMEDIATE").await?;
    let order = sqlx::query(
        "INSERT INTO orders (customer_id, placed_on, status, total_cents) VALUES (?, date(), 'placed', ?)",
    )
    .bind(customer)
    .bind(total_cents)
    .execute(&mut *transaction)
    .await?
    .last_insert_rowid();
    for (position, line) in (1_i64..).zip(lines) {
        take_from_stock(&mut transaction, line).await?;
        insert_line(&mut transaction, order, position, line).await?;
    }
    transaction.commit().await?;
    state.listings.outdate();
    Ok(order)
}

async fn take_from_stock(
    transaction: &mut Transaction<'_, Sqlite>,
    line: &PricedLine,
) -> Result<(), ApiError> {
    let left: i64 =
        sqlx::query_scalar("UPDATE products SET stock = stock - ? WHERE id = ? RETURNING stock")
            .bind(line.quantity)
            .bind(line.product)
            .fetch_one(&mut **transaction)
            .await?;
    if left < 0 {
        return Err(ApiError::OutOfStock {
            product: line.product,
            left: left + line.quantity,
        });
    }
    Ok(())
}

async fn insert_line(
    transaction: &mut Transaction<'_, Sqlite>,
    order: i64,
    position: i64,
    line: &PricedLine,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)")
        .bind(order)
        .bind(position)
        .bind(line.product)
        .bind(line.quantity)
        .bind(line.unit_cents)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
