//! This module serves tickers of a chosen window (`ticker`) and of the trading day (`ticker/tradingDay`). It must not compute a
//! statistic.

use super::symbols::{self, SymbolSelection};
use super::tickers::{Form, form, totals};
use crate::http::App;
use crate::http::endpoint::{Call, EndpointResult, Reply, TimeUnit};
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::json::Json;
use crate::streams::market::thousandths;
use exchange_core::market_data::{DAY, MINUTE, Statistics};
use exchange_core::money::{Price, Time};
use exchange_core::order::MarketId;

/// Markets of one request.
const SYMBOLS_MAX: usize = 100;
const WEIGHT: u32 = 4;
const WEIGHT_MAX: u32 = 200;
/// Offsets of `timeZone`, in minutes.
const ZONES: std::ops::RangeInclusive<i64> = -12 * 60..=14 * 60;

/// One market and its window.
struct SymbolWindow {
    symbol: Box<str>,
    statistics: Statistics,
}

/// `GET /api/v3/ticker`
pub async fn rolling(app: &App, call: &Call<'_>) -> EndpointResult {
    let length = match call.parameters.text("windowSize")? {
        None => DAY,
        Some(text) => window_size(text).ok_or_else(|| ApiError::invalid("windowSize"))?,
    };
    answer(app, call, |now| ((now - length).div_euclid(MINUTE) * MINUTE, now)).await
}

/// `GET /api/v3/ticker/tradingDay`
pub async fn trading_day(app: &App, call: &Call<'_>) -> EndpointResult {
    let offset = match call.parameters.text("timeZone")? {
        None => 0,
        Some(text) => time_zone(text).ok_or_else(|| ApiError::invalid("timeZone"))?,
    };
    answer(app, call, |now| {
        let start = (now + offset).div_euclid(DAY) * DAY - offset;
        (start, start + DAY - 1)
    })
    .await
}

/// By the number of requested markets.
pub fn windows_weight(parameters: &Parameters<'_>) -> u32 {
    symbols::symbols_weight(parameters, WEIGHT, |count| (count as u32).saturating_mul(WEIGHT).min(WEIGHT_MAX), WEIGHT)
}

/// Reads the requested markets' windows: `bounds` are opening and closing time at the journal's time.
async fn answer(app: &App, call: &Call<'_>, bounds: impl Fn(Time) -> (Time, Time)) -> EndpointResult {
    let parameters = &call.parameters;
    let form = form(parameters)?;
    if !parameters.has("symbol") && !parameters.has("symbols") {
        return Err(ApiError::either("symbol", "symbols"));
    }
    let (one, markets, now) = {
        let committed = app.engine.committed().read();
        let state = &committed.state;
        let (one, markets) = match symbols::asked(state, parameters)? {
            SymbolSelection::One(market) => (true, vec![market]),
            SymbolSelection::Many(markets) => (false, markets),
        };
        let named = |market: MarketId| {
            let symbol = state.market(market).map_or_else(Box::default, |market| market.symbol.clone());
            (market, symbol, state.last_price(market).unwrap_or_default())
        };
        (one, markets.into_iter().map(named).collect::<Vec<(MarketId, Box<str>, Price)>>(), committed.market_data.now())
    };
    if markets.len() > SYMBOLS_MAX {
        return Err(ApiError::invalid("symbols"));
    }
    let (open, close) = bounds(now);
    let mut windows = Vec::with_capacity(markets.len());
    for (market, symbol, last) in markets {
        let sum = app.history.window(market, open).await?;
        windows.push(SymbolWindow { symbol, statistics: Statistics::of_window(open, close, sum.as_ref(), last) });
    }
    let write = |json: &mut Json, window: &SymbolWindow| json.object(|json| fields(json, window, form, call.time_unit));
    Ok(Reply::written(16 + 480 * windows.len(), |json| match windows.as_slice() {
        [window] if one => write(json, window),
        windows => json.array(windows, write),
    }))
}

fn fields(json: &mut Json, window: &SymbolWindow, form: Form, unit: TimeUnit) {
    let statistics = &window.statistics;
    json.key("symbol").text(&window.symbol);
    if form == Form::Full {
        json.key("priceChange").decimal(statistics.change());
        json.key("priceChangePercent").text(&thousandths(statistics.change_thousandths_of_percent()));
        json.key("weightedAvgPrice").decimal(statistics.weighted_average());
    }
    json.key("openPrice").decimal(statistics.open);
    json.key("highPrice").decimal(statistics.high);
    json.key("lowPrice").decimal(statistics.low);
    json.key("lastPrice").decimal(statistics.last);
    totals(json, statistics, unit);
}

/// `1m` to `59m`, `1h` to `23h`, `1d` to `7d`.
fn window_size(text: &str) -> Option<Time> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let (unit, most) = match unit {
        "m" => (MINUTE, 59),
        "h" => (60 * MINUTE, 23),
        "d" => (DAY, 7),
        _ => return None,
    };
    let digits = !number.starts_with('0') && number.len() <= 2 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = if digits { number.parse().ok()? } else { return None };
    (1..=most).contains(&number).then_some(number * unit)
}

/// Offset of a time zone such as `0`, `8`, `-1:00` or `05:45`.
pub(super) fn time_zone(text: &str) -> Option<Time> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let number = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        let digits = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse::<i64>().ok() } else { None }
    };
    let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2).filter(|minutes| *minutes < 60)?);
    let offset = (hours * 60 + minutes) * if negative { -1 } else { 1 };
    ZONES.contains(&offset).then_some(offset * MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_windows() {
        let hour = 60 * MINUTE;
        let rows = [("1m", MINUTE), ("59m", 59 * MINUTE), ("1h", hour), ("23h", 23 * hour), ("1d", DAY), ("7d", 7 * DAY)];
        for (text, length) in rows {
            assert_eq!(window_size(text), Some(length), "{text}");
        }
        for text in ["", "m", "0m", "60m", "24h", "8d", "01h", "1d2h", "1M", "1", "-1m", "+1m", "1é"] {
            assert_eq!(window_size(text), None, "{text}");
        }
    }

    #[test]
    fn offsets_of_time_zones() {
        let rows = [("0", 0), ("8", 480), ("-1:00", -60), ("05:45", 345), ("+14:00", 840), ("-12", -720), ("-0:30", -30)];
        for (text, minutes) in rows {
            assert_eq!(time_zone(text), Some(minutes * MINUTE), "{text}");
        }
        for text in ["", "-", "14:01", "-12:01", "15", "1:5", "1:60", "1:000", "UTC", "1:", ":30", "--1", "001"] {
            assert_eq!(time_zone(text), None, "{text}");
        }
    }
}
