//! This module reads trades of a market or of an account, and aggregate trades.

use exchange_core::{
    TradeRecord,
    market_data::AggregateTrade,
    order::{AccountId, MarketId, OrderId},
};
use sqlx::{PgPool, Row, postgres::PgRow};

use super::orders::{account_bind, market_bind};
use super::{FIRST, HistoryPart, Projected, amount, narrow, projected, unsigned};

/// Range of a market's trades; ids are trade ids (for [`aggregates`] aggregate ids).
#[derive(Debug, Clone, Copy)]
pub struct TradeQuery {
    pub market: MarketId,
    pub part: HistoryPart,
}

/// Range of an account's trades on a market.
#[derive(Debug, Clone, Copy)]
pub struct AccountTradeQuery {
    pub account: AccountId,
    pub market: MarketId,
    /// Only trades of one order.
    pub order: Option<OrderId>,
    pub part: HistoryPart,
}

macro_rules! columns {
    () => {
        "id, aggregate, price, quantity, time, buyer_order, seller_order, buyer, seller, market, buyer_is_maker, quote::text, \
         buyer_commission::text, seller_commission::text"
    };
}

/// Time bounds of market `$1` become id bounds first: trade ids rise with time, and a one-minute candle stores its first id.
macro_rules! in_time {
    ($market:literal, $from:literal, $start:literal, $end:literal) => {
        concat!(
            " id >= greatest(",
            $from,
            ", trade_id_floor(",
            $market,
            ", ",
            $start,
            ")) AND id < coalesce((SELECT first_trade \
             FROM candles WHERE market = ",
            $market,
            " AND interval = 0 AND open_time > ",
            $end,
            " ORDER BY open_time LIMIT 1), \
             9223372036854775807) AND time >= coalesce(",
            $start,
            ", time) AND time <= coalesce(",
            $end,
            ", time) "
        )
    };
}

macro_rules! market_part {
    ($direction:literal) => {
        concat!(
            "SELECT p.projected_seq, p.journal_time, t.* FROM projection p LEFT JOIN LATERAL (SELECT ",
            columns!(),
            " FROM trades WHERE market = $1 AND",
            in_time!("$1", "$2", "$3", "$4"),
            "ORDER BY id ",
            $direction,
            " LIMIT $5) t ON true ORDER BY t.id"
        )
    };
}

/// The requested trades by rising id.
pub async fn trades(pool: &PgPool, query: &TradeQuery) -> sqlx::Result<Projected<TradeRecord>> {
    let part = &query.part;
    let rows = sqlx::query(if part.is_newest() { market_part!("DESC") } else { market_part!("ASC") })
        .bind(market_bind(query.market))
        .bind(part.bind_from())
        .bind(part.start)
        .bind(part.end)
        .bind(part.bind_limit())
        .fetch_all(pool)
        .await?;
    projected(&rows, read)
}

/// One side of an account's trades. A trade of the account with itself is on both sides, and the union contains it once.
macro_rules! side {
    ($side:literal, $direction:literal) => {
        concat!(
            "(SELECT ",
            columns!(),
            " FROM trades WHERE ",
            $side,
            " = $6 AND market = $1 AND",
            in_time!("$1", "$2", "$3", "$4"),
            "ORDER BY id ",
            $direction,
            " LIMIT $5)"
        )
    };
}

macro_rules! account_part {
    ($direction:literal) => {
        concat!(
            "SELECT p.projected_seq, p.journal_time, t.* FROM projection p LEFT JOIN LATERAL (SELECT * FROM (",
            side!("buyer", $direction),
            " UNION ",
            side!("seller", $direction),
            ") both_sides ORDER BY id ",
            $direction,
            " LIMIT $5) t ON true ORDER BY t.id"
        )
    };
}

macro_rules! of_order {
    ($side:literal, $direction:literal) => {
        concat!(
            "(SELECT ",
            columns!(),
            " FROM trades WHERE ",
            $side,
            "_order = $4 AND ",
            $side,
            " = $5 AND market = $1 AND id >= $2 ORDER BY id ",
            $direction,
            " LIMIT $3)"
        )
    };
}

macro_rules! order_part {
    ($direction:literal) => {
        concat!(
            "SELECT p.projected_seq, p.journal_time, t.* FROM projection p LEFT JOIN LATERAL (SELECT * FROM (",
            of_order!("buyer", $direction),
            " UNION ",
            of_order!("seller", $direction),
            ") both_sides ORDER BY id ",
            $direction,
            " LIMIT $3) t ON true ORDER BY t.id"
        )
    };
}

/// The requested trades by rising id. Time bounds are ignored if an order is named.
pub async fn account_trades(pool: &PgPool, query: &AccountTradeQuery) -> sqlx::Result<Projected<TradeRecord>> {
    let part = &query.part;
    let rows = match query.order {
        Some(order) => {
            sqlx::query(if part.is_newest() { order_part!("DESC") } else { order_part!("ASC") })
                .bind(market_bind(query.market))
                .bind(part.bind_from())
                .bind(part.bind_limit())
                .bind(i64::try_from(order).unwrap_or(i64::MAX))
                .bind(account_bind(query.account))
                .fetch_all(pool)
                .await?
        }
        None => {
            sqlx::query(if part.is_newest() { account_part!("DESC") } else { account_part!("ASC") })
                .bind(market_bind(query.market))
                .bind(part.bind_from())
                .bind(part.start)
                .bind(part.end)
                .bind(part.bind_limit())
                .bind(account_bind(query.account))
                .fetch_all(pool)
                .await?
        }
    };
    projected(&rows, read)
}

/// As [`in_time`], with aggregate bounds: the first trade in the start's minute and the first after the end's minute. The trades
/// of an aggregate have one time, so a bound never splits one.
macro_rules! aggregate_part {
    ($direction:literal) => {
        concat!(
            "SELECT p.projected_seq, p.journal_time, t.* FROM projection p LEFT JOIN LATERAL (SELECT aggregate, min(price), \
             sum(quantity)::text, min(id), max(id), min(time), bool_and(buyer_is_maker) FROM trades WHERE market = $1 \
             AND aggregate >= greatest($2, (SELECT aggregate FROM trades WHERE market = $1 AND id >= trade_id_floor($1, $3) \
             ORDER BY id LIMIT 1)) AND aggregate < coalesce((SELECT aggregate FROM trades WHERE market = $1 AND id >= (SELECT \
             first_trade FROM candles WHERE market = $1 AND interval = 0 AND open_time > $4 ORDER BY open_time LIMIT 1) \
             ORDER BY id LIMIT 1), 9223372036854775807) AND time >= coalesce($3, time) AND time <= coalesce($4, time) \
             GROUP BY aggregate ORDER BY aggregate ",
            $direction,
            " LIMIT $5) t ON true ORDER BY t.aggregate"
        )
    };
}

/// The requested aggregate trades by rising id.
pub async fn aggregates(pool: &PgPool, query: &TradeQuery) -> sqlx::Result<Projected<AggregateTrade>> {
    let part = &query.part;
    let rows = sqlx::query(if part.is_newest() { aggregate_part!("DESC") } else { aggregate_part!("ASC") })
        .bind(market_bind(query.market))
        .bind(part.bind_from())
        .bind(part.start)
        .bind(part.end)
        .bind(part.bind_limit())
        .fetch_all(pool)
        .await?;
    projected(&rows, |row| {
        let at = |column: usize| FIRST + column;
        Ok(AggregateTrade {
            aggregate: unsigned(row, at(0))?,
            price: row.try_get(at(1))?,
            quantity: amount(row, at(2))?,
            first_trade: unsigned(row, at(3))?,
            last_trade: unsigned(row, at(4))?,
            time: row.try_get(at(5))?,
            buyer_is_maker: row.try_get(at(6))?,
        })
    })
}

fn read(row: &PgRow) -> sqlx::Result<TradeRecord> {
    let at = |column: usize| FIRST + column;
    Ok(TradeRecord {
        trade: unsigned(row, at(0))?,
        aggregate: unsigned(row, at(1))?,
        price: row.try_get(at(2))?,
        quantity: row.try_get(at(3))?,
        time: row.try_get(at(4))?,
        buyer_order: unsigned(row, at(5))?,
        seller_order: unsigned(row, at(6))?,
        buyer: narrow::<i32, _>(row, at(7))?,
        seller: narrow::<i32, _>(row, at(8))?,
        market: narrow::<i16, _>(row, at(9))?,
        buyer_is_maker: row.try_get(at(10))?,
        quote: amount(row, at(11))?,
        buyer_commission: amount(row, at(12))?,
        seller_commission: amount(row, at(13))?,
    })
}
