//! Searching products, and one product's page.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Sqlite, SqlitePool};
use tracing::instrument;

use crate::error::ApiError;
use crate::fixes::Fix;
use crate::model::{Product, Related, Review};
use crate::respond;
use crate::routes::AppState;
use crate::search::Search;

const MAX_RESULTS: i64 = 50;

#[derive(Deserialize)]
pub(super) struct SearchParams {
    search: String,
}

pub(super) async fn search(
    State(state): State<AppState>,
    Query(params): Query<SearchParams>,
) -> Result<Response, ApiError> {
    let search = Search::parse(&params.search, state.fixes);
    let products = find(&state.pool, &search).await?;
    respond::list(&products, state.fixes)
}

#[instrument(skip_all)]
async fn find(pool: &SqlitePool, search: &Search) -> sqlx::Result<Vec<Product>> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM products WHERE TRUE");
    if let Some(sku) = &search.sku {
        query.push(" AND sku = ").push_bind(sku);
    }
    if let Some(cents) = search.from_cents {
        query.push(" AND price_cents >= ").push_bind(cents);
    }
    if let Some(cents) = search.to_cents {
        query.push(" AND price_cents <= ").push_bind(cents);
    }
    for word in &search.words {
        query.push(" AND name LIKE ").push_bind(format!("%{word}%"));
    }
    query
        .push(" ORDER BY price_cents, id LIMIT ")
        .push_bind(MAX_RESULTS);
    query.build_query_as().fetch_all(pool).await
}

#[derive(Serialize)]
pub(super) struct ProductPage {
    bought_together: Vec<Related>,
    product: Product,
    rating: Option<f64>,
    reviews: Vec<Review>,
    units_sold: i64,
}

pub(super) async fn page(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<Json<ProductPage>, ApiError> {
    let pool = &state.pool;
    let product = product(pool, id).await?.ok_or(ApiError::NotFound {
        what: "product",
        id,
    })?;
    let (reviews, units_sold, bought_together) = if state.fixes.has(Fix::SequentialAwaits) {
        tokio::try_join!(
            reviews(pool, id),
            units_sold(pool, id),
            bought_together(pool, id)
        )?
    } else {
        let reviews = reviews(pool, id).await?;
        let units_sold = units_sold(pool, id).await?;
        let bought_together = bought_together(pool, id).await?;
        (reviews, units_sold, bought_together)
    };
    let rating = average_rating(&reviews);
    Ok(Json(ProductPage {
        bought_together,
        product,
        rating,
        reviews,
        units_sold,
    }))
}

async fn product(pool: &SqlitePool, id: i64) -> sqlx::Result<Option<Product>> {
    sqlx::query_as("SELECT * FROM products WHERE id = ?")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// The latest reviews. Without `--fix missing-index` this reads the whole table.
#[instrument(skip_all)]
async fn reviews(pool: &SqlitePool, product: i64) -> sqlx::Result<Vec<Review>> {
    sqlx::query_as(
        "SELECT author, body, rating FROM reviews WHERE product_id = ? ORDER BY id DESC LIMIT 20",
    )
    .bind(product)
    .fetch_all(pool)
    .await
}

#[instrument(skip_all)]
async fn units_sold(pool: &SqlitePool, product: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COALESCE(SUM(quantity), 0) FROM order_lines WHERE product_id = ?")
        .bind(product)
        .fetch_one(pool)
        .await
}

#[instrument(skip_all)]
async fn bought_together(pool: &SqlitePool, product: i64) -> sqlx::Result<Vec<Related>> {
    const QUERY: &str = "
        SELECT other.product_id AS id, products.name, COUNT(*) AS orders
        FROM order_lines AS this
        JOIN order_lines AS other ON other.order_id = this.order_id AND other.product_id <> this.product_id
        JOIN products ON products.id = other.product_id
        WHERE this.product_id = ?
        GROUP BY other.product_id ORDER BY orders DESC, other.product_id LIMIT 5";
    sqlx::query_as(QUERY).bind(product).fetch_all(pool).await
}

fn average_rating(reviews: &[Review]) -> Option<f64> {
    let sum: i64 = reviews.iter().map(|review| review.rating).sum();
    (!reviews.is_empty()).then(|| sum as f64 / reviews.len() as f64)
}
