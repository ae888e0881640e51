//! This module reads the amendments of one order.

use exchange_core::{
    AmendmentRecord,
    order::{AccountId, MarketId, OrderId},
};
use sqlx::{PgPool, Row, postgres::PgRow};

use super::orders::{account_bind, client_id, market_bind};
use super::{FIRST, HistoryPart, Projected, narrow, projected, unsigned};

/// The order, and the range of requested amendments by execution id.
#[derive(Debug, Clone, Copy)]
pub struct AmendmentQuery {
    pub account: AccountId,
    pub market: MarketId,
    pub order: OrderId,
    pub part: HistoryPart,
}

/// The requested amendments, oldest first.
pub async fn amendments(pool: &PgPool, query: &AmendmentQuery) -> sqlx::Result<Projected<AmendmentRecord>> {
    let rows = sqlx::query(
        "SELECT p.projected_seq, p.journal_time, a.* FROM projection p LEFT JOIN LATERAL (SELECT execution, order_id, account, market, \
         original_client_id, client_id, original_quantity, quantity, time FROM order_amendments WHERE order_id = $1 AND account = $2 \
         AND market = $3 AND execution >= $4 ORDER BY execution LIMIT $5) a ON true ORDER BY a.execution",
    )
    .bind(i64::try_from(query.order).unwrap_or(i64::MAX))
    .bind(account_bind(query.account))
    .bind(market_bind(query.market))
    .bind(query.part.bind_from())
    .bind(query.part.bind_limit())
    .fetch_all(pool)
    .await?;
    projected(&rows, read)
}

fn read(row: &PgRow) -> sqlx::Result<AmendmentRecord> {
    let at = |column: usize| FIRST + column;
    Ok(AmendmentRecord {
        execution: unsigned(row, at(0))?,
        order: unsigned(row, at(1))?,
        account: narrow::<i32, _>(row, at(2))?,
        market: narrow::<i16, _>(row, at(3))?,
        original_client_id: client_id(row, at(4))?,
        client_id: client_id(row, at(5))?,
        original_quantity: row.try_get(at(6))?,
        quantity: row.try_get(at(7))?,
        time: row.try_get(at(8))?,
    })
}
