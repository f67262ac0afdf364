//! What the shop stores and answers.
//!
//! The fields of what is answered stand in alphabetical order, as the keys of a JSON tree do: a value then encodes to
//! the same text straight and through a tree.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

/// A product as it is listed. Money is in euro cents throughout.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Product {
    pub(crate) category: String,
    pub(crate) description: String,
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) price_cents: i64,
    pub(crate) sku: String,
    pub(crate) stock: i64,
}

impl FromRow<'_, SqliteRow> for Product {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Product {
            category: row.try_get("category")?,
            description: row.try_get("description")?,
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            price_cents: row.try_get("price_cents")?,
            sku: row.try_get("sku")?,
            stock: row.try_get("stock")?,
        })
    }
}

/// What a customer thinks of a product.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Review {
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) rating: i64,
}

impl FromRow<'_, SqliteRow> for Review {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Review {
            author: row.try_get("author")?,
            body: row.try_get("body")?,
            rating: row.try_get("rating")?,
        })
    }
}

/// A product that was bought in the same orders.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Related {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) orders: i64,
}

impl FromRow<'_, SqliteRow> for Related {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Related {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            orders: row.try_get("orders")?,
        })
    }
}

/// An order; its lines are loaded by a query of their own.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) lines: Vec<OrderLine>,
    pub(crate) placed_on: String,
    pub(crate) status: String,
    pub(crate) total_cents: i64,
}

impl FromRow<'_, SqliteRow> for Order {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Order {
            id: row.try_get("id")?,
            lines: Vec::new(),
            placed_on: row.try_get("placed_on")?,
            status: row.try_get("status")?,
            total_cents: row.try_get("total_cents")?,
        })
    }
}

/// One position of an order.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OrderLine {
    pub(crate) name: String,
    pub(crate) product_id: i64,
    pub(crate) quantity: i64,
    pub(crate) sku: String,
    pub(crate) unit_cents: i64,
}

impl FromRow<'_, SqliteRow> for OrderLine {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(OrderLine {
            name: row.try_get("name")?,
            product_id: row.try_get("product_id")?,
            quantity: row.try_get("quantity")?,
            sku: row.try_get("sku")?,
            unit_cents: row.try_get("unit_cents")?,
        })
    }
}
