//! Candles with trades; an interval without a trade has no row.

use exchange_core::{
    market_data::{Candle, Interval},
    order::MarketId,
};
use sqlx::{PgPool, Row, postgres::PgRow};

use super::orders::market_bind;
use super::{FIRST, Projected, amount, projected, unsigned};

macro_rules! columns {
    () => {
        "open_time, open, high, low, close, trades, first_trade, last_trade, volume::text, quote_volume::text, taker_volume::text, \
         taker_quote_volume::text"
    };
}
pub(super) use columns;

/// The oldest `limit` candles with an open time from `from` to `to`, and the last one before them, by rising time. Empty
/// intervals repeat the close of that last one.
pub async fn candles(
    pool: &PgPool,
    market: MarketId,
    interval: Interval,
    (from, to): (i64, i64),
    limit: usize,
) -> sqlx::Result<Projected<Candle>> {
    let rows = sqlx::query(concat!(
        "SELECT p.projected_seq, p.journal_time, c.* FROM projection p LEFT JOIN LATERAL ((SELECT ",
        columns!(),
        " FROM candles WHERE market = $1 AND interval = $2 AND open_time < $3 ORDER BY open_time DESC LIMIT 1) UNION ALL (SELECT ",
        columns!(),
        " FROM candles WHERE market = $1 AND interval = $2 AND open_time >= $3 AND open_time <= $4 ORDER BY open_time LIMIT $5)) \
         c ON true ORDER BY c.open_time"
    ))
    .bind(market_bind(market))
    .bind(interval as i16)
    .bind(from)
    .bind(to)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    projected(&rows, candle_of_row)
}

pub(super) fn candle_of_row(row: &PgRow) -> sqlx::Result<Candle> {
    let at = |column: usize| FIRST + column;
    Ok(Candle {
        open_time: row.try_get(at(0))?,
        open: row.try_get(at(1))?,
        high: row.try_get(at(2))?,
        low: row.try_get(at(3))?,
        close: row.try_get(at(4))?,
        trades: unsigned(row, at(5))?,
        first_trade: unsigned(row, at(6))?,
        last_trade: unsigned(row, at(7))?,
        volume: amount(row, at(8))?,
        quote_volume: amount(row, at(9))?,
        taker_volume: amount(row, at(10))?,
        taker_quote_volume: amount(row, at(11))?,
    })
}
