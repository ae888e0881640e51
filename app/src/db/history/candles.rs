//! Candles with trades; an interval without a trade has no row.

use exchange_core::{
    market_data::{Candle, Interval, Stretch},
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

/// The sums of stretches with trades. Each stretch has the opening time of the candle that it is a part of, which the sum has too.
pub async fn candle_sums(pool: &PgPool, market: MarketId, parts: &[(i64, Stretch)]) -> sqlx::Result<Projected<Candle>> {
    let column = |value: fn(&(i64, Stretch)) -> i64| parts.iter().map(value).collect::<Vec<i64>>();
    let rows = sqlx::query(
        "SELECT p.projected_seq, p.journal_time, s.* FROM projection p LEFT JOIN LATERAL (
             SELECT part.at, (array_agg(c.open ORDER BY c.open_time))[1], max(c.high), min(c.low),
                 (array_agg(c.close ORDER BY c.open_time DESC))[1], sum(c.trades)::bigint, min(c.first_trade), max(c.last_trade),
                 sum(c.volume)::text, sum(c.quote_volume)::text, sum(c.taker_volume)::text, sum(c.taker_quote_volume)::text
             FROM unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS part (interval, opens, ends, at)
             JOIN candles AS c ON c.market = $1 AND c.interval = part.interval AND c.open_time >= part.opens AND c.open_time < part.ends
             GROUP BY part.at, part.opens) AS s ON true",
    )
    .bind(market_bind(market))
    .bind(parts.iter().map(|(_, stretch)| i16::from(stretch.interval as u8)).collect::<Vec<i16>>())
    .bind(column(|(_, stretch)| stretch.from))
    .bind(column(|(_, stretch)| stretch.to))
    .bind(column(|(open_time, _)| *open_time))
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
