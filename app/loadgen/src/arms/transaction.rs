//! This is the naive arm: one transaction per order and one statement per step, the usual design of a service without an engine.

use super::request::{ArmOrder, ArmRefusal, ArmState, acknowledge};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use sqlx::PgPool;
use std::sync::Arc;

pub(super) async fn place(
    State(app): State<Arc<ArmState<PgPool>>>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, ArmRefusal> {
    let order = app.keys.check(&headers, &body)?;
    let (asset, hold) = order.hold();
    let mut transaction = app.store.begin().await?;
    let balances: Vec<(i16, i64)> =
        sqlx::query_as("SELECT asset, free FROM balances WHERE account = $1 AND asset IN ($2, $3) ORDER BY asset FOR UPDATE")
            .bind(order.account)
            .bind(order.base)
            .bind(ArmOrder::QUOTE_ASSET)
            .fetch_all(&mut *transaction)
            .await?;
    if balances.iter().all(|(of, free)| *of != asset || *free < hold) {
        let text = "Account has insufficient balance for requested action.";
        return Err(ArmRefusal(StatusCode::BAD_REQUEST, -2010, text.to_owned()));
    }
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO orders (account, symbol, side, price, quantity, client_id) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
    )
    .bind(order.account)
    .bind(order.symbol)
    .bind(i16::from(!order.buys))
    .bind(order.price)
    .bind(order.quantity)
    .bind(order.client_id)
    .fetch_one(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO ledger (order_id, account, asset, bucket, amount) VALUES ($1, $2, $3, 0, -$4::bigint), ($1, $2, $3, 1, $4)",
    )
    .bind(id)
    .bind(order.account)
    .bind(asset)
    .bind(hold)
    .execute(&mut *transaction)
    .await?;
    sqlx::query("UPDATE balances SET free = free - $3, locked = locked + $3 WHERE account = $1 AND asset = $2")
        .bind(order.account)
        .bind(asset)
        .bind(hold)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(acknowledge(&order, id))
}
