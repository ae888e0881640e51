//! This module serves public market data from memory: order book, trades, candles, average price. Older data comes from the
//! tables. It must not serve data of an account.

pub mod symbols;
mod tickers;
mod windows;

pub use tickers::{book_tickers, day_tickers, day_tickers_weight, prices, prices_weight};
pub use windows::{rolling, trading_day, windows_weight};

use super::App;
use super::endpoint::{Call, EndpointResult, Reply, TimeUnit};
use super::error::ApiError;
use super::json::Json;
use super::parameters::Parameters;
use crate::db::history::HistoryPart;
use crate::streams::market::aggregate_fields;
use exchange_core::market_data::{Candle, CandleRange, Interval, PublicTrade, ZonedInterval};
use exchange_core::money::{Amount, Price, Time};

/// Order book levels per side.
const DEPTH_DEFAULT: usize = 100;
const DEPTH_MAX: usize = 5_000;
/// Trades, aggregate trades, candles.
pub(super) const ITEMS_DEFAULT: usize = 500;
pub(super) const ITEMS_MAX: usize = 1_000;

/// `GET /api/v3/depth`
pub async fn depth(app: &App, call: &Call<'_>) -> EndpointResult {
    let limit = call.parameters.limit(DEPTH_DEFAULT, DEPTH_MAX)?;
    let (depth, sequence) = {
        let committed = app.engine.committed().read();
        let market = symbols::one(&committed.state, &call.parameters)?;
        (committed.state.depth(market, limit), committed.state.market_sequence(market))
    };
    let side = |json: &mut Json, levels: &[(Price, Amount)]| {
        json.array(levels, |json, (price, quantity)| {
            json.array([Amount::from(*price), *quantity], Json::decimal);
        });
    };
    Ok(Reply::written(64 + 48 * (depth.bids.len() + depth.asks.len()), |json| {
        json.object(|json| {
            json.key("lastUpdateId").integer(sequence);
            side(json.key("bids"), &depth.bids);
            side(json.key("asks"), &depth.asks);
        });
    }))
}

/// By the number of requested levels.
pub fn depth_weight(parameters: &Parameters<'_>) -> u32 {
    match parameters.limit(DEPTH_DEFAULT, DEPTH_MAX) {
        Ok(0..=100) | Err(_) => 5,
        Ok(..=500) => 25,
        Ok(..=1000) => 50,
        Ok(_) => 250,
    }
}

/// `GET /api/v3/trades`
pub async fn trades(app: &App, call: &Call<'_>) -> EndpointResult {
    let limit = call.parameters.limit(ITEMS_DEFAULT, ITEMS_MAX)?;
    let trades: Vec<PublicTrade> = {
        let committed = app.engine.committed().read();
        let market = symbols::one(&committed.state, &call.parameters)?;
        let held = committed.market_data.market(market).map(|history| history.trades());
        held.map_or_else(Vec::new, |held| held.range(held.len().saturating_sub(limit)..).copied().collect())
    };
    Ok(written_trades(&trades, call.time_unit))
}

/// `GET /api/v3/historicalTrades`
pub async fn historical_trades(app: &App, call: &Call<'_>) -> EndpointResult {
    let limit = call.parameters.limit(ITEMS_DEFAULT, ITEMS_MAX)?;
    let from = call.parameters.integer("fromId")?;
    let market = symbols::one(&app.engine.committed().read().state, &call.parameters)?;
    let trades = app.history.trades(market, HistoryPart { from, limit, ..HistoryPart::default() }).await?;
    Ok(written_trades(&trades, call.time_unit))
}

fn written_trades(trades: &[PublicTrade], unit: TimeUnit) -> Reply {
    Reply::written(16 + 160 * trades.len(), |json| {
        json.array(trades, |json, trade| {
            json.object(|json| {
                json.key("id").integer(trade.trade);
                json.key("price").decimal(trade.price);
                json.key("qty").decimal(trade.quantity);
                json.key("quoteQty").decimal(trade.quote);
                json.key("time").integer(unit.show(trade.time));
                json.key("isBuyerMaker").boolean(trade.buyer_is_maker);
                json.key("isBestMatch").boolean(true);
            });
        });
    })
}

/// `GET /api/v3/aggTrades`
pub async fn aggregate_trades(app: &App, call: &Call<'_>) -> EndpointResult {
    let limit = call.parameters.limit(ITEMS_DEFAULT, ITEMS_MAX)?;
    let from = call.parameters.integer("fromId")?;
    let (start, end) = period(&call.parameters)?;
    if from.is_some() && (start.is_some() || end.is_some()) {
        return Err(symbols::BAD_COMBINATION);
    }
    let market = symbols::one(&app.engine.committed().read().state, &call.parameters)?;
    let aggregates = app.history.aggregates(market, HistoryPart { from, start, end, limit }).await?;
    Ok(Reply::written(16 + 128 * aggregates.len(), |json| {
        json.array(&aggregates, |json, aggregate| json.object(|json| aggregate_fields(json, call.time_unit, aggregate)));
    }))
}

/// `GET /api/v3/klines`
pub async fn klines(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let text = parameters.mandatory("interval")?;
    let interval = Interval::from_text(text).ok_or(ApiError::INTERVAL)?;
    let offset = match parameters.text("timeZone")? {
        None => 0,
        Some(text) => windows::time_zone(text).ok_or_else(|| ApiError::invalid("timeZone"))?,
    };
    let interval = ZonedInterval::new(interval, offset);
    let limit = parameters.limit(ITEMS_DEFAULT, ITEMS_MAX)?;
    let (start, end) = period(parameters)?;
    let market = symbols::one(&app.engine.committed().read().state, parameters)?;
    let candles = app.history.zoned_candles(market, interval, CandleRange { start, end, limit }).await?;
    Ok(Reply::written(16 + 192 * candles.len(), |json| {
        json.array(&candles, |json, candle| written_candle(json, interval, candle, call.time_unit));
    }))
}

fn written_candle(json: &mut Json, interval: ZonedInterval, candle: &Candle, unit: TimeUnit) {
    json.array([()], |json, ()| {
        json.integer(unit.show(candle.open_time));
        for price in [candle.open, candle.high, candle.low, candle.close] {
            json.decimal(price);
        }
        json.decimal(candle.volume);
        json.integer(unit.show(interval.close(candle.open_time)));
        json.decimal(candle.quote_volume);
        json.integer(candle.trades);
        json.decimal(candle.taker_volume);
        json.decimal(candle.taker_quote_volume);
        json.text("0");
    });
}

/// `GET /api/v3/avgPrice`
pub async fn average_price(app: &App, call: &Call<'_>) -> EndpointResult {
    let (minutes, price, close_time) = {
        let committed = app.engine.committed().read();
        let market = symbols::one(&committed.state, &call.parameters)?;
        let minutes = committed.state.market(market).map_or(0, |market| market.filters.average_minutes);
        let price = committed.state.average_price(market).unwrap_or(0);
        let last = committed.market_data.market(market).and_then(|history| history.trades().back());
        (minutes, price, last.map_or(0, |trade| trade.time))
    };
    Ok(Reply::written(96, |json| {
        json.object(|json| {
            json.key("mins").integer(minutes);
            json.key("price").decimal(price);
            json.key("closeTime").integer(call.time_unit.show(close_time));
        });
    }))
}

/// `startTime` and `endTime`, both inclusive.
///
/// # Errors
///
/// Returns -1130 if the end is before the start.
pub(super) fn period(parameters: &Parameters<'_>) -> Result<(Option<Time>, Option<Time>), ApiError> {
    let (start, end) = (parameters.time("startTime")?, parameters.time("endTime")?);
    // A time in milliseconds means the whole millisecond.
    let end = end.map(|end| if end % 1000 == 0 { end + 999 } else { end });
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(ApiError::invalid("endTime"));
    }
    Ok((start, end))
}
