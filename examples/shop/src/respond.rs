//! The response that all lists share.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::fixes::{Fix, Fixes};

/// `{"count": ..., "items": [...]}`.
#[derive(Serialize)]
struct List<'a, T> {
    count: usize,
    items: &'a [T],
}

pub(crate) fn list<T: Serialize>(items: &[T], fixes: Fixes) -> Result<Response, ApiError> {
    let body = if fixes.has(Fix::DoubleJson) {
        serde_json::to_string(&List {
            count: items.len(),
            items,
        })?
    } else {
        envelope(items.len(), &serde_json::to_string(items)?)?
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// The same list from items that are JSON text already.
fn envelope(count: usize, items: &str) -> Result<String, ApiError> {
    let items: Value = serde_json::from_str(items)?;
    let list = json!({ "count": count, "items": items });
    Ok(serde_json::to_string(&list)?)
}
