//! A shop in process, with a small data set.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::Value;
use shop::db::Storage;
use shop::{AppState, Fixes, Scale, router};
use sqlx::SqlitePool;
use tower::ServiceExt;

pub(crate) const SMALL: Scale = Scale {
    products: 400,
    customers: 40,
    orders: 3_000,
};

pub(crate) struct Shop {
    router: Router,
    storage: Storage,
}

/// A status and a body.
pub(crate) type Answer = (StatusCode, Vec<u8>);

impl Shop {
    pub(crate) async fn open(fixes: Fixes) -> Self {
        let storage = Storage::open(None, SMALL, fixes).await.unwrap();
        Shop {
            router: router(AppState::new(storage.pool.clone(), fixes)),
            storage,
        }
    }

    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.storage.pool
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    /// The JSON of a successful answer.
    pub(crate) async fn get_json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(
            status,
            StatusCode::OK,
            "{path}: {}",
            String::from_utf8_lossy(&body)
        );
        serde_json::from_slice(&body).unwrap()
    }

    pub(crate) async fn checkout(&self, cart: &str) -> Answer {
        let request = Request::post("/checkout").header(CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(cart.to_owned())).unwrap())
            .await
    }

    /// A number that the database answers.
    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(self.pool())
            .await
            .unwrap()
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (
            status,
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .to_vec(),
        )
    }
}
