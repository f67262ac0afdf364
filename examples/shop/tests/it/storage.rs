//! The database: what it holds, and when it is used again.

use shop::db::Storage;
use shop::{Fix, Fixes, Scale};
use sqlx::SqlitePool;

use crate::shop::{SMALL, Shop};

async fn reviews_plan(pool: &SqlitePool) -> String {
    let mut connection = pool.acquire().await.unwrap();
    // Running a query makes the connection notice an index that another one created; explaining alone does not.
    sqlx::query("SELECT COUNT(*) FROM reviews")
        .execute(&mut *connection)
        .await
        .unwrap();
    let (_, _, _, plan): (i64, i64, i64, String) =
        sqlx::query_as("EXPLAIN QUERY PLAN SELECT * FROM reviews WHERE product_id = 1")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    plan
}

#[tokio::test]
async fn the_full_data_set_has_its_size() {
    let storage = Storage::open(None, Scale::FULL, Fixes::none())
        .await
        .unwrap();
    let count = "SELECT (SELECT COUNT(*) FROM products), (SELECT COUNT(*) FROM customers),
        (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM order_lines)";
    let counts: (i64, i64, i64, i64) = sqlx::query_as(count)
        .fetch_one(&storage.pool)
        .await
        .unwrap();
    assert_eq!((counts.0, counts.1, counts.2), (10_000, 2_000, 100_000));
    // One to four lines, all as likely: 2.5 on average, with a standard deviation of 354 for the sum.
    assert!((counts.3 - 250_000).abs() < 5 * 354, "{counts:?}");
    let totals = "SELECT COUNT(*) FROM orders WHERE total_cents <>
        (SELECT SUM(quantity * unit_cents) FROM order_lines WHERE order_id = orders.id)";
    let wrong: i64 = sqlx::query_scalar(totals)
        .fetch_one(&storage.pool)
        .await
        .unwrap();
    assert_eq!(wrong, 0);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn the_index_is_there_only_when_fixed() {
    let slow = reviews_plan(Shop::open(Fixes::none()).await.pool()).await;
    assert!(slow.starts_with("SCAN"), "{slow}");
    let fast = reviews_plan(Shop::open(Fix::MissingIndex.into()).await.pool()).await;
    assert!(fast.contains("USING INDEX reviews_by_product"), "{fast}");
}

#[tokio::test]
async fn a_data_folder_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let storage = Storage::open(Some(&data), SMALL, Fixes::all())
        .await
        .unwrap();
    sqlx::query("DELETE FROM reviews WHERE id = 1")
        .execute(&storage.pool)
        .await
        .unwrap();
    storage.close().await.unwrap();
    let again = Storage::open(Some(&data), SMALL, Fixes::none())
        .await
        .unwrap();
    let reviews: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM reviews")
        .fetch_one(&again.pool)
        .await
        .unwrap();
    assert_eq!(reviews, 2 * SMALL.products - 1);
    assert!(reviews_plan(&again.pool).await.starts_with("SCAN"));
    again.close().await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(Some(dir.path()), SMALL, Fixes::none())
        .await
        .unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99")
        .execute(&storage.pool)
        .await
        .unwrap();
    storage.close().await.unwrap();
    let error = Storage::open(Some(dir.path()), SMALL, Fixes::none())
        .await
        .unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("version 99") && error.contains("remove it"),
        "{error}"
    );
}
