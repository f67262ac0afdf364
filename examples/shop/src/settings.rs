//! The shop's settings, kept in a table: tax and shipping by country, the discount.

use std::collections::HashMap;

use sqlx::SqlitePool;

/// Settings by name. Rates are in hundredths of a percent, amounts in cents.
#[derive(Debug)]
pub(crate) struct Settings(HashMap<String, i64>);

impl Settings {
    pub(crate) async fn load(pool: &SqlitePool) -> sqlx::Result<Self> {
        let rows: Vec<(String, i64)> = sqlx::query_as("SELECT name, value FROM settings")
            .fetch_all(pool)
            .await?;
        Ok(Settings(rows.into_iter().collect()))
    }

    /// The tax on `cents` in `country`.
    pub(crate) fn tax_cents(&self, country: &str, cents: i64) -> i64 {
        cents * self.get(&format!("tax.{country}")) / 10_000
    }

    /// What the shop takes off a line of `quantity` pieces.
    pub(crate) fn discount_cents(&self, quantity: i64, cents: i64) -> i64 {
        if quantity < self.get("discount.from_quantity") {
            return 0;
        }
        cents * self.get("discount.rate") / 10_000
    }

    /// What shipping an order worth `cents` to `country` costs.
    pub(crate) fn shipping_cents(&self, country: &str, cents: i64) -> i64 {
        if cents >= self.get(&format!("shipping.free_from.{country}")) {
            0
        } else {
            self.get(&format!("shipping.cents.{country}"))
        }
    }

    fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}
