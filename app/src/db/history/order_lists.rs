//! This module reads order lists of one account, open or ended, and the client ids of their orders.

use exchange_core::{
    OrderList,
    order::{AccountId, ClientId, MarketId, OrderId, OrderListId},
};
use sqlx::{PgPool, Row, postgres::PgRow};

use super::orders::{account_bind, client_id, market_bind};
use super::{FIRST, HistoryPart, Projected, narrow, projected, unsigned};

/// Account and range of the requested lists.
#[derive(Debug, Clone, Copy)]
pub struct ListQuery {
    pub account: AccountId,
    /// Ids are list ids, times are those of creation.
    pub part: HistoryPart,
}

macro_rules! columns {
    () => {
        "id, created, updated, account, market, done, client_id, orders"
    };
}

macro_rules! part {
    ($direction:literal) => {
        concat!(
            "SELECT p.projected_seq, p.journal_time, l.* FROM projection p LEFT JOIN LATERAL (SELECT ",
            columns!(),
            " FROM order_lists WHERE account = $1 AND id >= $2 AND created >= coalesce($3, created) \
             AND created <= coalesce($4, created) ORDER BY id ",
            $direction,
            " LIMIT $5) l ON true ORDER BY l.id"
        )
    };
}

/// The requested lists by rising id.
pub async fn lists(pool: &PgPool, query: &ListQuery) -> sqlx::Result<Projected<OrderList>> {
    let part = &query.part;
    let rows = sqlx::query(if part.is_newest() { part!("DESC") } else { part!("ASC") })
        .bind(account_bind(query.account))
        .bind(part.bind_from())
        .bind(part.start)
        .bind(part.end)
        .bind(part.bind_limit())
        .fetch_all(pool)
        .await?;
    projected(&rows, read)
}

/// One list by its id, or none.
pub async fn list_by_id(pool: &PgPool, account: AccountId, id: OrderListId) -> sqlx::Result<Projected<OrderList>> {
    let rows = sqlx::query(concat!(
        "SELECT p.projected_seq, p.journal_time, l.* FROM projection p LEFT JOIN LATERAL (SELECT ",
        columns!(),
        " FROM order_lists WHERE account = $1 AND id = $2) l ON true"
    ))
    .bind(account_bind(account))
    .bind(i64::try_from(id).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    projected(&rows, read)
}

/// The last list of a client id, or none.
pub async fn list_by_client_id(pool: &PgPool, account: AccountId, client_id: &ClientId) -> sqlx::Result<Projected<OrderList>> {
    let rows = sqlx::query(concat!(
        "SELECT p.projected_seq, p.journal_time, l.* FROM projection p LEFT JOIN LATERAL (SELECT ",
        columns!(),
        " FROM order_lists WHERE account = $1 AND client_id = $2 ORDER BY id DESC LIMIT 1) l ON true"
    ))
    .bind(account_bind(account))
    .bind(client_id.as_str())
    .fetch_all(pool)
    .await?;
    projected(&rows, read)
}

/// Client ids of orders; orders missing from the tables are omitted.
pub async fn client_ids(
    pool: &PgPool,
    account: AccountId,
    orders: &[(MarketId, OrderId)],
) -> sqlx::Result<Vec<(OrderId, ClientId)>> {
    let (markets, ids): (Vec<i16>, Vec<i64>) =
        orders.iter().map(|(market, id)| (market_bind(*market), i64::try_from(*id).unwrap_or(i64::MAX))).unzip();
    let rows = sqlx::query(
        "SELECT o.id, o.client_id FROM unnest($2::smallint[], $3::bigint[]) AS asked (market, id) \
         JOIN orders o ON o.account = $1 AND o.market = asked.market AND o.id = asked.id",
    )
    .bind(account_bind(account))
    .bind(markets)
    .bind(ids)
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| Ok((unsigned(row, 0)?, client_id(row, 1)?))).collect()
}

/// The lists that contain orders of one market.
pub async fn lists_of(
    pool: &PgPool,
    account: AccountId,
    market: MarketId,
    orders: &[OrderId],
) -> sqlx::Result<Vec<(OrderId, OrderListId)>> {
    let ids: Vec<i64> = orders.iter().map(|id| i64::try_from(*id).unwrap_or(i64::MAX)).collect();
    let rows = sqlx::query(
        "SELECT id, list FROM orders WHERE account = $1 AND market = $2 AND id = ANY($3::bigint[]) AND list IS NOT NULL",
    )
    .bind(account_bind(account))
    .bind(market_bind(market))
    .bind(ids)
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| Ok((unsigned(row, 0)?, unsigned(row, 1)?))).collect()
}

fn read(row: &PgRow) -> sqlx::Result<OrderList> {
    let at = |column: usize| FIRST + column;
    let orders: Vec<i64> = row.try_get(at(7))?;
    Ok(OrderList {
        id: unsigned(row, at(0))?,
        created: row.try_get(at(1))?,
        updated: row.try_get(at(2))?,
        account: narrow::<i32, _>(row, at(3))?,
        market: narrow::<i16, _>(row, at(4))?,
        done: row.try_get(at(5))?,
        client_id: client_id(row, at(6))?,
        orders: orders.into_iter().map(i64::unsigned_abs).collect(),
    })
}
