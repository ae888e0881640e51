//! This module writes the projection's `candles` and the `tickers` computed from them. It must not compute interval boundaries;
//! the core does.

use crate::db::numeric::Numeric;
use exchange_core::{
    market_data::{Candle, Interval, WINDOW, finer},
    money::Time,
    order::MarketId,
};
use sqlx::PgConnection;

/// Consecutive trades of one market within one candle.
pub type CandleRow = (MarketId, Interval, Candle);

#[derive(Default)]
struct Columns {
    open_time: Vec<i64>,
    open: Vec<i64>,
    high: Vec<i64>,
    low: Vec<i64>,
    close: Vec<i64>,
    trades: Vec<i64>,
    first_trade: Vec<i64>,
    last_trade: Vec<i64>,
    market: Vec<i16>,
    interval: Vec<i16>,
    volume: Vec<Numeric>,
    quote_volume: Vec<Numeric>,
    taker_volume: Vec<Numeric>,
    taker_quote_volume: Vec<Numeric>,
}

/// Handles a step back of journal time to `time`: deletes the candles after it and rebuilds those that contain it from earlier
/// trades and candles.
pub async fn set_back(connection: &mut PgConnection, time: Time) -> sqlx::Result<()> {
    // The candle of that minute is needed to find its trades.
    sqlx::query("DELETE FROM candles WHERE open_time > $1").bind(time).execute(&mut *connection).await?;
    for interval in Interval::ALL {
        let source = match finer(*interval) {
            None => {
                "SELECT t.market, min(t.id) AS first_trade, max(t.id) AS last_trade, max(t.price) AS high, min(t.price) AS low,
                     count(*) AS trades, sum(t.quantity) AS volume, sum(t.quote) AS quote_volume,
                     coalesce(sum(t.quantity) FILTER (WHERE NOT t.buyer_is_maker), 0) AS taker_volume,
                     coalesce(sum(t.quote) FILTER (WHERE NOT t.buyer_is_maker), 0) AS taker_quote_volume,
                     (array_agg(t.price ORDER BY t.id))[1] AS open, (array_agg(t.price ORDER BY t.id DESC))[1] AS close
                 FROM candles AS c JOIN trades AS t ON t.market = c.market AND t.id BETWEEN c.first_trade AND c.last_trade
                 WHERE c.interval = $1 AND c.open_time = $2 AND t.time <= $3 AND $4::smallint IS NULL GROUP BY t.market"
            }
            Some(_) => {
                "SELECT market, min(first_trade) AS first_trade, max(last_trade) AS last_trade, max(high) AS high, min(low) AS low,
                     sum(trades)::bigint AS trades, sum(volume) AS volume, sum(quote_volume) AS quote_volume,
                     sum(taker_volume) AS taker_volume, sum(taker_quote_volume) AS taker_quote_volume,
                     (array_agg(open ORDER BY open_time))[1] AS open, (array_agg(close ORDER BY open_time DESC))[1] AS close
                 FROM candles WHERE interval = $4 AND open_time BETWEEN $2 AND $3 AND $1::smallint IS NOT NULL GROUP BY market"
            }
        };
        let finer = finer(*interval).map(|finer| i16::from(finer as u8));
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "WITH rebuilt AS ({source}),
             voided AS (DELETE FROM candles AS c WHERE interval = $1 AND open_time = $2
                        AND NOT EXISTS (SELECT FROM rebuilt WHERE rebuilt.market = c.market))
             INSERT INTO candles AS c (open_time, open, high, low, close, trades, first_trade, last_trade, market, interval, volume,
                 quote_volume, taker_volume, taker_quote_volume)
             SELECT $2, open, high, low, close, trades, first_trade, last_trade, market, $1, volume, quote_volume, taker_volume,
                 taker_quote_volume FROM rebuilt
             ON CONFLICT (market, interval, open_time) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
                 close = excluded.close, trades = excluded.trades, first_trade = excluded.first_trade,
                 last_trade = excluded.last_trade, volume = excluded.volume, quote_volume = excluded.quote_volume,
                 taker_volume = excluded.taker_volume, taker_quote_volume = excluded.taker_quote_volume"
        )))
        .bind(i16::from(*interval as u8))
        .bind(interval.open(time))
        .bind(time)
        .bind(finer)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Adds consecutive trades to their candles. Each addition follows the trades that the candle already contains.
pub async fn append_candles(connection: &mut PgConnection, candles: impl Iterator<Item = CandleRow>) -> sqlx::Result<()> {
    let mut columns = Columns::default();
    for (market, interval, candle) in candles {
        columns.open_time.push(candle.open_time);
        columns.open.push(candle.open);
        columns.high.push(candle.high);
        columns.low.push(candle.low);
        columns.close.push(candle.close);
        columns.trades.push(candle.trades as i64);
        columns.first_trade.push(candle.first_trade as i64);
        columns.last_trade.push(candle.last_trade as i64);
        columns.market.push(market as i16);
        columns.interval.push(i16::from(interval as u8));
        columns.volume.push(Numeric(candle.volume));
        columns.quote_volume.push(Numeric(candle.quote_volume));
        columns.taker_volume.push(Numeric(candle.taker_volume));
        columns.taker_quote_volume.push(Numeric(candle.taker_quote_volume));
    }
    if columns.open_time.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO candles AS c (open_time, open, high, low, close, trades, first_trade, last_trade, market, interval, volume,
                quote_volume, taker_volume, taker_quote_volume)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::smallint[], $10::smallint[], $11::numeric[], $12::numeric[], $13::numeric[], $14::numeric[])
         ON CONFLICT (market, interval, open_time) DO UPDATE SET
                high = greatest(c.high, excluded.high), low = least(c.low, excluded.low), close = excluded.close,
                trades = c.trades + excluded.trades, last_trade = excluded.last_trade, volume = c.volume + excluded.volume,
                quote_volume = c.quote_volume + excluded.quote_volume, taker_volume = c.taker_volume + excluded.taker_volume,
                taker_quote_volume = c.taker_quote_volume + excluded.taker_quote_volume",
    )
    .bind(columns.open_time)
    .bind(columns.open)
    .bind(columns.high)
    .bind(columns.low)
    .bind(columns.close)
    .bind(columns.trades)
    .bind(columns.first_trade)
    .bind(columns.last_trade)
    .bind(columns.market)
    .bind(columns.interval)
    .bind(columns.volume)
    .bind(columns.quote_volume)
    .bind(columns.taker_volume)
    .bind(columns.taker_quote_volume)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the one-second candles that open before `time`. Returns their number.
pub async fn forget_seconds(connection: &mut PgConnection, time: Time) -> sqlx::Result<u64> {
    let forgotten =
        sqlx::query("DELETE FROM candles WHERE market IN (SELECT id FROM markets) AND interval = $1 AND open_time < $2")
            .bind(i16::from(Interval::Seconds1 as u8))
            .bind(time)
            .execute(connection)
            .await?;
    Ok(forgotten.rows_affected())
}

/// Sums every market's last 24 hours from its one-minute candles, as of the projected journal time `now`. Deletes the ticker of a
/// market without a trade in that window. Returns the number of tickers written.
pub async fn refresh_tickers(connection: &mut PgConnection, now: Time) -> sqlx::Result<u64> {
    let from = Interval::Minutes1.open(now - WINDOW);
    let mut transaction = sqlx::Connection::begin(connection).await?;
    sqlx::query("DELETE FROM tickers WHERE NOT EXISTS (SELECT FROM candles AS c WHERE c.market = tickers.market AND c.interval = 0 AND c.open_time >= $1)")
    .bind(from)
    .execute(&mut *transaction)
    .await?;
    let done = sqlx::query(
        "INSERT INTO tickers AS t (market, time, open, high, low, last, trades, first_trade, last_trade, volume, quote_volume)
         SELECT market, $2, (array_agg(open ORDER BY open_time))[1], max(high), min(low), (array_agg(close ORDER BY open_time DESC))[1],
                sum(trades), min(first_trade), max(last_trade), sum(volume), sum(quote_volume)
         FROM candles WHERE market IN (SELECT id FROM markets) AND interval = 0 AND open_time >= $1 GROUP BY market
         ON CONFLICT (market) DO UPDATE SET time = excluded.time, open = excluded.open, high = excluded.high, low = excluded.low,
                last = excluded.last, trades = excluded.trades, first_trade = excluded.first_trade, last_trade = excluded.last_trade,
                volume = excluded.volume, quote_volume = excluded.quote_volume",
    )
    .bind(from)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected())
}
