//! The response that all lists share.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::fixes::{Fix, Fixes};

/// `{"count": ..., "items": [...]}`.
#[derive(Serialize)]
struct List<'a, T> {
    count: usize,
    items: &'a [T],
}

pub(crate) fn list<T: Serialize>(items: &[T], fixes: Fixes) -> Result<Response, ApiError> {
    Ok(json(list_text(items, fixes)?))
}

/// The text of a list, for who keeps it.
pub(crate) fn list_text<T: Serialize>(items: &[T], fixes: Fixes) -> Result<String, ApiError> {
    if fixes.has(Fix::DoubleJson) {
        let count = items.len();
        Ok(serde_json::to_string(&List { count, items })?)
    } else {
        envelope(items.len(), &serde_json::to_string(items)?)
    }
}

/// An answer that is JSON text already.
pub(crate) fn json(text: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, "application/json")], text.into()).into_response()
}

/// The same list from items that are JSON text already.
fn envelope(count: usize, items: &str) -> Result<String, ApiError> {
    let items: Value = serde_json::from_str(items)?;
    let list = serde_json::json!({ "count": count, "items": items });
    Ok(serde_json::to_string(&list)?)
}
