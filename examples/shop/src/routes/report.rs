//! The sales report: a month's sales by category, region, day and product.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use tracing::instrument;

use crate::error::ApiError;
use crate::fixes::Fix;
use crate::month::Month;
use crate::routes::AppState;
use crate::sales::Sale;

const BEST_SELLERS: usize = 20;

#[derive(Deserialize)]
pub(super) struct ReportParams {
    month: String,
}

#[derive(Serialize)]
pub(super) struct SalesReport {
    month: String,
    revenue_cents: i64,
    by_category: Vec<Row>,
    by_region: Vec<Row>,
    by_day: Vec<Row>,
    best_sellers: Vec<Row>,
}

/// The sales that share a name: a category's, a day's.
#[derive(Serialize)]
struct Row {
    name: String,
    units: i64,
    revenue_cents: i64,
}

pub(super) async fn sales(
    State(state): State<AppState>,
    Query(params): Query<ReportParams>,
) -> Result<Json<SalesReport>, ApiError> {
    let month = Month::parse(&params.month)?;
    let sales = state.sales.of(month, &state.pool).await?;
    let report = if state.fixes.has(Fix::Clones) {
        summarize(params.month, &sales)
    } else {
        summarize_owned(params.month, sales.to_vec())
    };
    Ok(Json(report))
}

#[instrument(skip_all)]
fn summarize(month: String, sales: &[Sale]) -> SalesReport {
    SalesReport {
        month,
        revenue_cents: sales
            .iter()
            .map(|sale| sale.quantity * sale.unit_cents)
            .sum(),
        by_category: by_name(totals(sales, |sale| &sale.category)),
        by_region: by_name(totals(sales, |sale| &sale.region)),
        by_day: by_name(totals(sales, |sale| &sale.placed_on)),
        best_sellers: best_sellers(totals(sales, |sale| &sale.product)),
    }
}

fn totals(sales: &[Sale], name: impl Fn(&Sale) -> &str) -> Vec<Row> {
    let mut totals: HashMap<&str, (i64, i64)> = HashMap::new();
    for sale in sales {
        let (units, revenue_cents) = totals.entry(name(sale)).or_default();
        *units += sale.quantity;
        *revenue_cents += sale.quantity * sale.unit_cents;
    }
    let rows = totals.into_iter();
    rows.map(|(name, (units, revenue_cents))| Row {
        name: name.to_owned(),
        units,
        revenue_cents,
    })
    .collect()
}

#[instrument(skip_all)]
fn summarize_owned(month: String, sales: Vec<Sale>) -> SalesReport {
    SalesReport {
        month,
        revenue_cents: sales
            .iter()
            .map(|sale| sale.quantity * sale.unit_cents)
            .sum(),
        by_category: by_name(owned_totals(sales.clone(), |sale| sale.category.clone())),
        by_region: by_name(owned_totals(sales.clone(), |sale| sale.region.clone())),
        by_day: by_name(owned_totals(sales.clone(), |sale| sale.placed_on.clone())),
        best_sellers: best_sellers(owned_totals(sales, |sale| sale.product.clone())),
    }
}

fn owned_totals(sales: Vec<Sale>, name: impl Fn(&Sale) -> String) -> Vec<Row> {
    let mut totals: HashMap<String, Row> = HashMap::new();
    for sale in sales {
        let name = name(&sale);
        let row = totals.entry(name.clone()).or_insert(Row {
            name,
            units: 0,
            revenue_cents: 0,
        });
        row.units += sale.quantity;
        row.revenue_cents += sale.quantity * sale.unit_cents;
    }
    totals.into_values().collect()
}

fn by_name(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn best_sellers(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| {
        b.revenue_cents
            .cmp(&a.revenue_cents)
            .then_with(|| a.name.cmp(&b.name))
    });
    rows.truncate(BEST_SELLERS);
    rows
}
