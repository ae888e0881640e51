//! This module reads orders of one account and market, open or closed.

use exchange_core::order::{
    AccountId, ClientId, ExpiryReason, MarketId, Order, OrderId, OrderStatus, OrderType, Side, StpMode, TimeInForce,
};
use sqlx::{PgPool, Row, postgres::PgRow};

use super::{FIRST, HistoryPart, Projected, amount, broken, code, narrow, optional_amount, projected, unsigned};

/// Account, market and range of the requested orders.
#[derive(Debug, Clone, Copy)]
pub struct OrderQuery {
    pub account: AccountId,
    pub market: MarketId,
    /// Ids are order ids, times are those of creation.
    pub part: HistoryPart,
}

macro_rules! columns {
    () => {
        "id, price, stop_price, quantity, executed, created, updated, working_since, account, market, side, kind, time_in_force, \
         stp, status, expiry_reason, working, executed_quote::text, hold::text, client_id, quote_order_quantity::text, list, \
         prevented, prevented_match, iceberg_quantity, trailing_delta, tracking_since"
    };
}

/// Both time bounds become id bounds first, which the key contains: order ids rise with time.
macro_rules! part {
    ($direction:literal) => {
        concat!(
            "SELECT p.projected_seq, p.journal_time, o.* FROM projection p LEFT JOIN LATERAL (SELECT ",
            columns!(),
            " FROM orders WHERE account = $1 AND market = $2 AND id >= greatest($3, order_id_floor($4)) \
             AND id < coalesce((SELECT first_order FROM order_minutes WHERE minute > $5 / 60000000 ORDER BY minute LIMIT 1), \
             9223372036854775807) AND created >= coalesce($4, created) AND created <= coalesce($5, created) ORDER BY id ",
            $direction,
            " LIMIT $6) o ON true ORDER BY o.id"
        )
    };
}

/// The requested orders by rising id.
pub async fn orders(pool: &PgPool, query: &OrderQuery) -> sqlx::Result<Projected<Order>> {
    let part = &query.part;
    let rows = sqlx::query(if part.is_newest() { part!("DESC") } else { part!("ASC") })
        .bind(account_bind(query.account))
        .bind(market_bind(query.market))
        .bind(part.bind_from())
        .bind(part.start)
        .bind(part.end)
        .bind(part.bind_limit())
        .fetch_all(pool)
        .await?;
    projected(&rows, read)
}

/// One order by its id, or none.
pub async fn order_by_id(pool: &PgPool, account: AccountId, market: MarketId, id: OrderId) -> sqlx::Result<Projected<Order>> {
    let rows = sqlx::query(concat!(
        "SELECT p.projected_seq, p.journal_time, o.* FROM projection p LEFT JOIN LATERAL (SELECT ",
        columns!(),
        " FROM orders WHERE account = $1 AND market = $2 AND id = $3) o ON true"
    ))
    .bind(account_bind(account))
    .bind(market_bind(market))
    .bind(i64::try_from(id).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    projected(&rows, read)
}

/// The last order of a client id, or none.
pub async fn order_by_client_id(
    pool: &PgPool,
    account: AccountId,
    market: MarketId,
    client_id: &ClientId,
) -> sqlx::Result<Projected<Order>> {
    let rows = sqlx::query(concat!(
        "SELECT p.projected_seq, p.journal_time, o.* FROM projection p LEFT JOIN LATERAL (SELECT ",
        columns!(),
        " FROM orders WHERE account = $1 AND market = $2 AND client_id = $3 ORDER BY id DESC LIMIT 1) o ON true"
    ))
    .bind(account_bind(account))
    .bind(market_bind(market))
    .bind(client_id.as_str())
    .fetch_all(pool)
    .await?;
    projected(&rows, read)
}

/// An account's id in the tables' type.
pub(super) fn account_bind(account: AccountId) -> i32 {
    i32::try_from(account).unwrap_or(i32::MAX)
}

/// A market's id in the tables' type.
pub(super) fn market_bind(market: MarketId) -> i16 {
    i16::try_from(market).unwrap_or(i16::MAX)
}

pub(super) fn client_id(row: &PgRow, index: usize) -> sqlx::Result<ClientId> {
    let text: &str = row.try_get(index)?;
    ClientId::new(text).ok_or_else(|| broken(index, "is not a client order id"))
}

fn read(row: &PgRow) -> sqlx::Result<Order> {
    let at = |column: usize| FIRST + column;
    let optional = |column: usize| row.try_get::<Option<i64>, _>(at(column)).map(|value| value.unwrap_or(0));
    Ok(Order {
        id: unsigned(row, at(0))?,
        price: row.try_get(at(1))?,
        stop_price: row.try_get(at(2))?,
        quantity: row.try_get(at(3))?,
        executed: row.try_get(at(4))?,
        created: row.try_get(at(5))?,
        updated: row.try_get(at(6))?,
        working_since: row.try_get(at(7))?,
        account: narrow::<i32, _>(row, at(8))?,
        market: narrow::<i16, _>(row, at(9))?,
        side: code(row, at(10), Side::from_code)?,
        kind: code(row, at(11), OrderType::from_code)?,
        time_in_force: code(row, at(12), TimeInForce::from_code)?,
        stp: code(row, at(13), StpMode::from_code)?,
        status: code(row, at(14), OrderStatus::from_code)?,
        expiry_reason: code(row, at(15), ExpiryReason::from_code)?,
        working: row.try_get(at(16))?,
        executed_quote: amount(row, at(17))?,
        hold: amount(row, at(18))?,
        client_id: client_id(row, at(19))?,
        quote_order_quantity: optional_amount(row, at(20))?,
        list: optional(21)?.unsigned_abs(),
        prevented: optional(22)?,
        prevented_match: optional(23)?.unsigned_abs(),
        iceberg: optional(24)?,
        // The table has no place for what the book shows at the moment.
        shown: 0,
        trailing_delta: row.try_get::<Option<i32>, _>(at(25))?.unwrap_or(0).unsigned_abs(),
        tracking_since: optional(26)?,
    })
}
