//! What a request can fail with, and how the client sees it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A request's failure. The client reads `{"error": "..."}`; only what is its own doing is spelled out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("no {what} has the id {id}")]
    NotFound { what: &'static str, id: i64 },
    #[error("only {left} of product {product} left")]
    OutOfStock { product: i64, left: i64 },
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the response could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the export could not be compressed: {0}")]
    Compress(#[from] std::io::Error),
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            ApiError::BadRequest(_) => StatusCode::BAD_REQUEST,
            ApiError::NotFound { .. } => StatusCode::NOT_FOUND,
            ApiError::OutOfStock { .. } => StatusCode::CONFLICT,
            ApiError::Database(_)
            | ApiError::Encode(_)
            | ApiError::Compress(_)
            | ApiError::Task(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[derive(Serialize)]
struct Body {
    error: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let error = if status.is_server_error() {
            eprintln!("request failed: {self}");
            "internal error".to_owned()
        } else {
            self.to_string()
        };
        (status, Json(Body { error })).into_response()
    }
}
