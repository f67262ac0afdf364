//! The sales of closed months. Nothing changes them any more, so they are kept once they were asked for.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqlitePool};

use crate::month::Month;

/// Two years; one month of the full data set takes about 1 MB.
const MONTHS_KEPT: usize = 24;

/// An order line with what the sales report groups it by.
#[derive(Debug, Clone)]
pub(crate) struct Sale {
    pub(crate) category: String,
    pub(crate) placed_on: String,
    pub(crate) product: String,
    pub(crate) region: String,
    pub(crate) quantity: i64,
    pub(crate) unit_cents: i64,
}

impl FromRow<'_, SqliteRow> for Sale {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Sale {
            category: row.try_get("category")?,
            placed_on: row.try_get("placed_on")?,
            product: row.try_get("product")?,
            region: row.try_get("region")?,
            quantity: row.try_get("quantity")?,
            unit_cents: row.try_get("unit_cents")?,
        })
    }
}

/// The sales of the months that were asked for last.
#[derive(Debug, Clone, Default)]
pub(crate) struct SalesByMonth(Arc<RwLock<HashMap<Month, Arc<Vec<Sale>>>>>);

impl SalesByMonth {
    pub(crate) async fn of(&self, month: Month, pool: &SqlitePool) -> sqlx::Result<Arc<Vec<Sale>>> {
        if let Some(sales) = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&month)
        {
            return Ok(Arc::clone(sales));
        }
        let is_open: bool = sqlx::query_scalar("SELECT date() < ?")
            .bind(month.end())
            .fetch_one(pool)
            .await?;
        let sales = Arc::new(load(pool, month).await?);
        if !is_open {
            self.keep(month, &sales);
        }
        Ok(sales)
    }

    fn keep(&self, month: Month, sales: &Arc<Vec<Sale>>) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MONTHS_KEPT {
            kept.clear();
        }
        kept.insert(month, Arc::clone(sales));
    }
}

async fn load(pool: &SqlitePool, month: Month) -> sqlx::Result<Vec<Sale>> {
    const QUERY: &str = "
        SELECT category, placed_on, products.name AS product, region, quantity, unit_cents
        FROM orders
        JOIN customers ON customers.id = customer_id
        JOIN order_lines ON order_id = orders.id
        JOIN products ON products.id = product_id
        WHERE placed_on >= ? AND placed_on < ?";
    sqlx::query_as(QUERY)
        .bind(month.first_day())
        .bind(month.end())
        .fetch_all(pool)
        .await
}
