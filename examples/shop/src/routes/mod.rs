//! The routes, a module for each concern.

mod checkout;
mod export;
mod orders;
mod products;
mod report;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use sqlx::SqlitePool;
use tokio::sync::Mutex;

use crate::fixes::Fixes;
use crate::listings::Listings;
use crate::sales::SalesByMonth;

/// What every request sees.
#[derive(Debug, Clone)]
pub struct AppState {
    pool: SqlitePool,
    fixes: Fixes,
    sales: SalesByMonth,
    listings: Listings,
    /// SQLite has one writer at a time; who waits here does not hold a connection meanwhile.
    writer: Arc<Mutex<()>>,
}

impl AppState {
    /// The shop on the database behind `pool`, with the mistakes of `fixes` done right.
    pub fn new(pool: SqlitePool, fixes: Fixes) -> Self {
        AppState {
            pool,
            fixes,
            sales: SalesByMonth::default(),
            listings: Listings::default(),
            writer: Arc::default(),
        }
    }
}

/// The shop's routes over `state`.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/health", get(async || "ok"))
        .route("/products", get(products::search))
        .route("/products/{id}", get(products::page))
        .route("/orders", get(orders::list))
        .route("/orders/export", get(export::month))
        .route("/checkout", post(checkout::place_order))
        .route("/reports/sales", get(report::sales))
        .with_state(state)
}
