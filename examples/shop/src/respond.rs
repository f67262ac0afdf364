//! The response that all lists share.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

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
        through_a_tree(items)?
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

fn through_a_tree<T: Serialize>(items: &[T]) -> Result<String, ApiError> {
    let items = items
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<_>, _>>()?;
    let list = json!({ "count": items.len(), "items": items });
    Ok(serde_json::to_string(&list)?)
}
