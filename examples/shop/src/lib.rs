//! A small web shop, the service that `cargo xtask profile` profiles.
//!
//! It is built as services are: axum on tokio's multi-thread runtime, SQLite through sqlx, JSON in and out. It carries
//! ten ordinary mistakes, and for each the right way too: `--fix NAME` turns that on ([`Fix`] names them). Both ways
//! answer the same bytes; what differs is what they cost.
//!
//! | route | answers |
//! |---|---|
//! | `GET /health` | `ok` |
//! | `GET /products?search=oak+chair+under+80` | the matching products |
//! | `GET /products/{id}` | a product with its reviews and related products |
//! | `GET /orders?customer=17` | the customer's latest orders with their lines |
//! | `GET /orders/export?month=2024-03` | a month's orders as gzipped CSV |
//! | `POST /checkout` | writes an order, answers its number and total |
//! | `GET /reports/sales?month=2024-03` | a month's sales by category, region, day and product |

pub mod db;
pub mod server;

mod args;
mod error;
mod fixes;
mod listings;
mod model;
mod month;
mod respond;
mod routes;
mod sales;
mod search;
mod seed;
mod settings;

pub use args::Args;
pub use fixes::{Fix, Fixes};
pub use routes::{AppState, router};
pub use seed::Scale;
