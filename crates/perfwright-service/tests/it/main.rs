//! The layer, the metrics and the routes from outside.

mod layer;
mod listener;
mod load;
mod metrics;
mod routes;
#[cfg(feature = "spans")]
mod spans;
mod support;

#[path = "../../../../xtask/need.rs"]
mod need;
