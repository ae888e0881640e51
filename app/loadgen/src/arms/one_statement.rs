//! This arm does the naive arm's work in a single statement: one round trip and one commit per order.

use super::request::{ArmOrder, ArmRefusal, ArmState, acknowledge};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use sqlx::PgPool;
use std::sync::Arc;

const PLACE: &str = "
    WITH locked AS (
        SELECT account, asset, free FROM balances WHERE account = $1 AND asset IN ($2, $3) ORDER BY asset FOR UPDATE
    ), held AS (
        UPDATE balances b SET free = b.free - $5, locked = b.locked + $5 FROM locked
        WHERE b.account = locked.account AND b.asset = locked.asset AND b.asset = $4 AND locked.free >= $5 RETURNING 1
    ), placed AS (
        INSERT INTO orders (account, symbol, side, price, quantity, client_id) SELECT $1, $6, $7, $8, $9, $10 FROM held RETURNING id
    ), posted AS (
        INSERT INTO ledger (order_id, account, asset, bucket, amount)
        SELECT id, $1, $4, bucket, amount FROM placed, (VALUES (0, -$5::bigint), (1, $5)) AS line (bucket, amount)
    )
    SELECT id FROM placed";

pub(super) async fn place(
    State(app): State<Arc<ArmState<PgPool>>>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, ArmRefusal> {
    let order = app.keys.check(&headers, &body)?;
    let (asset, hold) = order.hold();
    let id: Option<i64> = sqlx::query_scalar(PLACE)
        .bind(order.account)
        .bind(order.base)
        .bind(ArmOrder::QUOTE_ASSET)
        .bind(asset)
        .bind(hold)
        .bind(order.symbol)
        .bind(i16::from(!order.buys))
        .bind(order.price)
        .bind(order.quantity)
        .bind(order.client_id)
        .fetch_optional(&app.store)
        .await?;
    let text = "Account has insufficient balance for requested action.";
    let id = id.ok_or_else(|| ArmRefusal(StatusCode::BAD_REQUEST, -2010, text.to_owned()))?;
    Ok(acknowledge(&order, id))
}
