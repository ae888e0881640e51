//! This module loads market data from the tables for a replica that starts.

use exchange_core::{
    market_data::{AggregateTrade, Interval, MarketData, PublicTrade, RECENT_TRADES, Stored, candle_capacity},
    order::MarketId,
};
use sqlx::{Connection, PgPool, Postgres, Row, Transaction};

use super::{HistoryPosition, candles, unsigned};

/// Market data of every market at the projected sequence, and that sequence: the caller folds later events.
pub async fn load_market_data(pool: &PgPool) -> sqlx::Result<(MarketData, u64)> {
    let mut connection = pool.acquire().await?;
    // One snapshot for all statements.
    let mut snapshot = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let row = sqlx::query("SELECT projected_seq, journal_time FROM projection").fetch_one(&mut *snapshot).await?;
    let at = HistoryPosition::read(&row)?;
    let mut data = MarketData::new();
    for row in sqlx::query("SELECT id FROM markets ORDER BY id").fetch_all(&mut *snapshot).await? {
        let id: i16 = row.try_get(0)?;
        let stored = stored(&mut snapshot, id).await?;
        data.restore(id.unsigned_abs() as MarketId, at.time, stored);
    }
    snapshot.commit().await?;
    Ok((data, at.sequence))
}

async fn stored(snapshot: &mut Transaction<'_, Postgres>, market: i16) -> sqlx::Result<Stored> {
    let rows = sqlx::query(
        "SELECT id, aggregate, price, quantity, quote::text, time, buyer_is_maker FROM trades WHERE market = $1 \
         ORDER BY id DESC LIMIT $2",
    )
    .bind(market)
    .bind(RECENT_TRADES as i64)
    .fetch_all(&mut **snapshot)
    .await?;
    let mut trades = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        trades.push(PublicTrade {
            trade: unsigned(row, 0)?,
            aggregate: unsigned(row, 1)?,
            price: row.try_get(2)?,
            quantity: row.try_get(3)?,
            quote: super::amount(row, 4)?,
            time: row.try_get(5)?,
            buyer_is_maker: row.try_get(6)?,
        });
    }
    let rows = sqlx::query(
        "SELECT aggregate, min(price), sum(quantity)::text, min(id), max(id), min(time), bool_and(buyer_is_maker) FROM trades \
         WHERE market = $1 GROUP BY aggregate ORDER BY aggregate DESC LIMIT $2",
    )
    .bind(market)
    .bind(RECENT_TRADES as i64)
    .fetch_all(&mut **snapshot)
    .await?;
    let mut aggregates = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        aggregates.push(AggregateTrade {
            aggregate: unsigned(row, 0)?,
            price: row.try_get(1)?,
            quantity: super::amount(row, 2)?,
            first_trade: unsigned(row, 3)?,
            last_trade: unsigned(row, 4)?,
            time: row.try_get(5)?,
            buyer_is_maker: row.try_get(6)?,
        });
    }
    let mut series = Vec::with_capacity(Interval::ALL.len());
    for interval in Interval::ALL {
        let rows = sqlx::query(concat!(
            "SELECT 0::bigint, 0::bigint, ",
            candles::columns!(),
            " FROM candles WHERE market = $1 AND interval = $2 ORDER BY open_time DESC LIMIT $3"
        ))
        .bind(market)
        .bind(*interval as i16)
        .bind(candle_capacity(*interval) as i64)
        .fetch_all(&mut **snapshot)
        .await?;
        let mut held = rows.iter().map(candles::candle_of_row).collect::<sqlx::Result<Vec<_>>>()?;
        held.reverse();
        series.push((*interval, held));
    }
    Ok(Stored { trades, aggregates, candles: series })
}
