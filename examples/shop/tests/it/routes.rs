//! What the routes answer, and that they answer the same with and without each fix.

use std::io::Read;

use axum::http::StatusCode;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use shop::{Fix, Fixes};

use crate::shop::{Answer, Shop};

const PATHS: &[&str] = &[
    "/health",
    "/products?search=oak",
    "/products?search=steel+chair+under+300",
    "/products?search=Lamp+over+100",
    "/products?search=cha-00001",
    "/products?search=",
    "/products?search=no+such+thing",
    "/products/1",
    "/products/400",
    "/products/401",
    "/products/seven",
    "/orders?customer=1",
    "/orders?customer=40",
    "/orders?customer=40",
    "/orders?customer=41",
    "/orders/export?month=2024-02",
    "/orders/export?month=2031-02",
    "/orders/export?month=2024-14",
    "/reports/sales?month=2024-02",
    "/reports/sales?month=2024-02",
    "/reports/sales?month=2025-12",
    "/reports/sales?month=2031-02",
    "/reports/sales?month=February",
    "/reports/sales",
];

const CARTS: &[&str] = &[
    r#"{"customer": 1, "lines": [{"product": 1, "quantity": 1}]}"#,
    r#"{"customer": 7, "lines": [{"product": 3, "quantity": 5}, {"product": 9, "quantity": 1}, {"product": 3, "quantity": 2}]}"#,
    r#"{"customer": 41, "lines": [{"product": 1, "quantity": 1}]}"#,
    r#"{"customer": 1, "lines": [{"product": 401, "quantity": 1}]}"#,
    r#"{"customer": 1, "lines": [{"product": 1, "quantity": 0}]}"#,
    r#"{"customer": 1, "lines": []}"#,
    r#"{"customer": 1}"#,
    r#"{"customer": "#,
];

async fn answers(fixes: Fixes) -> Vec<Answer> {
    let shop = Shop::open(fixes).await;
    let mut answers = Vec::new();
    for path in PATHS {
        answers.push(shop.get(path).await);
    }
    for cart in CARTS {
        answers.push(shop.checkout(cart).await);
    }
    answers
}

#[tokio::test]
async fn every_fix_answers_the_same_bytes() {
    let expected = answers(Fixes::none()).await;
    let names = Fix::ALL.map(|fix| (fix.name(), Fixes::from(fix)));
    for (name, fixes) in names.into_iter().chain([("all", Fixes::all())]) {
        let answers = answers(fixes).await;
        for (request, (answer, expected)) in
            PATHS.iter().chain(CARTS).zip(answers.iter().zip(&expected))
        {
            assert_eq!(answer, expected, "--fix {name}: {request}");
        }
    }
}

#[tokio::test]
async fn wrong_requests_are_answered_with_a_reason() {
    let shop = Shop::open(Fixes::none()).await;
    for (path, status, reason) in [
        (
            "/products/401",
            StatusCode::NOT_FOUND,
            "no product has the id 401",
        ),
        (
            "/reports/sales?month=2024-14",
            StatusCode::BAD_REQUEST,
            "write it as 2024-03",
        ),
        ("/products", StatusCode::BAD_REQUEST, "search"),
        ("/carts", StatusCode::NOT_FOUND, ""),
    ] {
        let (answered, body) = shop.get(path).await;
        assert_eq!(answered, status, "{path}");
        assert!(
            String::from_utf8_lossy(&body).contains(reason),
            "{path}: {body:?}"
        );
    }
}

#[tokio::test]
async fn a_search_finds_what_matches_and_nothing_else() {
    let shop = Shop::open(Fixes::none()).await;
    let found = shop
        .get_json("/products?search=Oak+under+300+over+50")
        .await;
    let items = found["items"].as_array().unwrap();
    let expected = shop
        .count("SELECT COUNT(*) FROM products WHERE name LIKE '% oak %' AND price_cents BETWEEN 5000 AND 30000")
        .await;
    assert!(expected > 0 && expected < 50, "{expected}");
    assert_eq!(found["count"], expected);
    assert_eq!(items.len() as i64, expected);
    for item in items {
        assert!(item["name"].as_str().unwrap().contains("oak"), "{item}");
        assert!(
            (5_000..=30_000).contains(&item["price_cents"].as_i64().unwrap()),
            "{item}"
        );
    }
    let sku = items[0]["sku"].as_str().unwrap().to_lowercase();
    let by_number = shop.get_json(&format!("/products?search={sku}")).await;
    assert_eq!(by_number["items"], json!([items[0]]));
}

#[tokio::test]
async fn a_product_page_holds_the_products_own_reviews_and_sales() {
    let shop = Shop::open(Fixes::none()).await;
    let page = shop.get_json("/products/7").await;
    assert_eq!(page["product"]["id"], 7);
    let reviews = shop
        .count("SELECT COUNT(*) FROM reviews WHERE product_id = 7")
        .await;
    assert_eq!(
        page["reviews"].as_array().unwrap().len() as i64,
        reviews.min(20)
    );
    let sold = shop
        .count("SELECT SUM(quantity) FROM order_lines WHERE product_id = 7")
        .await;
    assert_eq!(page["units_sold"], sold);
    let together = page["bought_together"].as_array().unwrap();
    assert_eq!(together.len(), 5);
    assert!(together.iter().all(|product| product["id"] != 7));
}

#[tokio::test]
async fn a_checkout_appears_in_the_order_listing() {
    for fixes in [Fixes::none(), Fixes::all()] {
        let shop = Shop::open(fixes).await;
        let stock = shop.count("SELECT stock FROM products WHERE id = 3").await;
        let (status, body) = shop.checkout(CARTS[1]).await;
        assert_eq!(status, StatusCode::CREATED);
        let placed: Value = serde_json::from_slice(&body).unwrap();
        let listed = shop.get_json("/orders?customer=7").await;
        let latest = &listed["items"][0];
        assert_eq!(latest["id"], placed["order"]);
        assert_eq!(latest["total_cents"], placed["total_cents"]);
        let lines = latest["lines"].as_array().unwrap();
        let pairs: Vec<_> = lines
            .iter()
            .map(|line| (&line["product_id"], &line["quantity"]))
            .collect();
        let expected = [(3, 5), (9, 1), (3, 2)].map(|(id, quantity)| (json!(id), json!(quantity)));
        assert!(
            pairs
                .iter()
                .zip(&expected)
                .all(|(line, (id, quantity))| *line == (id, quantity)),
            "{lines:?}"
        );
        assert_eq!(
            shop.count("SELECT stock FROM products WHERE id = 3").await,
            stock - 7
        );
    }
}

#[tokio::test]
async fn a_checkout_adds_tax_discount_and_shipping() {
    let shop = Shop::open(Fixes::none()).await;
    sqlx::raw_sql(
        "UPDATE customers SET country = 'DE' WHERE id = 1;
         UPDATE products SET price_cents = 1000 WHERE id = 1;
         UPDATE settings SET value = 500 WHERE name = 'shipping.cents.DE';
         UPDATE settings SET value = 4000 WHERE name = 'shipping.free_from.DE';",
    )
    .execute(shop.pool())
    .await
    .unwrap();
    // 19 % tax on all, 5 % off from three pieces on, shipping below 40 euros.
    for (quantity, tax, shipping, total) in [
        (2, 380, 500, 2_880),
        (3, 541, 500, 3_891),
        (10, 1_805, 0, 11_305),
    ] {
        let cart = json!({ "customer": 1, "lines": [{ "product": 1, "quantity": quantity }] });
        let (_, body) = shop.checkout(&cart.to_string()).await;
        let placed: Value = serde_json::from_slice(&body).unwrap();
        let amounts =
            ["tax_cents", "shipping_cents", "total_cents"].map(|name| placed[name].clone());
        assert_eq!(
            amounts,
            [json!(tax), json!(shipping), json!(total)],
            "{quantity} pieces"
        );
    }
}

#[tokio::test]
async fn an_order_beyond_the_stock_writes_nothing() {
    let shop = Shop::open(Fixes::none()).await;
    sqlx::query("UPDATE products SET stock = 4 WHERE id = 9")
        .execute(shop.pool())
        .await
        .unwrap();
    let (status, body) = shop
        .checkout(r#"{"customer": 7, "lines": [{"product": 3, "quantity": 1}, {"product": 9, "quantity": 5}]}"#)
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body, br#"{"error":"only 4 of product 9 left"}"#);
    assert_eq!(
        shop.count("SELECT COUNT(*) FROM orders").await,
        crate::shop::SMALL.orders
    );
    assert_eq!(
        shop.count("SELECT stock FROM products WHERE id = 9").await,
        4
    );
}

#[tokio::test]
async fn the_sales_report_adds_up() {
    let shop = Shop::open(Fixes::none()).await;
    let report = shop.get_json("/reports/sales?month=2024-02").await;
    let revenue = shop
        .count(
            "SELECT SUM(quantity * unit_cents) FROM orders JOIN order_lines ON order_id = orders.id
             WHERE placed_on LIKE '2024-02-%'",
        )
        .await;
    assert_eq!(report["revenue_cents"], revenue);
    for breakdown in ["by_category", "by_region", "by_day"] {
        let rows = report[breakdown].as_array().unwrap();
        let sum: i64 = rows
            .iter()
            .map(|row| row["revenue_cents"].as_i64().unwrap())
            .sum();
        assert_eq!(sum, revenue, "{breakdown}");
    }
    assert_eq!(report["by_day"].as_array().unwrap().len(), 29);
    let best: Vec<_> = report["best_sellers"].as_array().unwrap().iter().collect();
    assert!(best.is_sorted_by_key(|row| -row["revenue_cents"].as_i64().unwrap()));
}

#[tokio::test]
async fn a_report_of_the_open_month_is_up_to_date() {
    let shop = Shop::open(Fixes::none()).await;
    let month: String = sqlx::query_scalar("SELECT strftime('%Y-%m')")
        .fetch_one(shop.pool())
        .await
        .unwrap();
    let units = async || {
        let report = shop
            .get_json(&format!("/reports/sales?month={month}"))
            .await;
        let rows = report["by_region"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["units"].as_i64().unwrap())
            .sum::<i64>()
    };
    let before = units().await;
    let (status, _) = shop.checkout(CARTS[1]).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(units().await, before + 8);
}

#[tokio::test]
async fn the_export_holds_every_order_of_the_month() {
    let shop = Shop::open(Fixes::none()).await;
    let (_, body) = shop.get("/orders/export?month=2024-02").await;
    let mut csv = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut csv).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    let orders = shop
        .count("SELECT COUNT(*) FROM orders WHERE placed_on LIKE '2024-02-%'")
        .await;
    assert_eq!(lines.len() as i64, 1 + orders);
    assert_eq!(
        lines[0],
        "order,placed_on,status,total_eur,customer,email,country"
    );
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.split(',').count() == 7 && line.contains(",2024-02-"))
    );
}
