//! This module serves tickers (24 hours, last price, best prices) of one market, several or all. It must not compute a statistic.

use super::symbols::{self, SymbolSelection};
use crate::engine::committed::Committed;
use crate::http::App;
use crate::http::endpoint::{Call, EndpointResult, Reply, TimeUnit};
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::json::Json;
use crate::streams::market::thousandths;
use exchange_core::market_data::Statistics;
use exchange_core::money::{Amount, Price};
use exchange_core::order::{MarketId, Side};

const TYPE: ApiError = ApiError::bad(-1139, "Invalid ticker type.");

/// `type` of a 24-hour ticker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Full,
    Mini,
}

/// One market's 24-hour ticker before serialization.
struct DayTicker {
    symbol: Box<str>,
    statistics: Statistics,
    bid: (Price, Amount),
    ask: (Price, Amount),
}

/// `GET /api/v3/ticker/24hr`
pub async fn day_tickers(app: &App, call: &Call<'_>) -> EndpointResult {
    let form = form(&call.parameters)?;
    let read = |committed: &Committed, market| DayTicker {
        symbol: symbol(committed, market),
        statistics: committed.market_data.statistics(market),
        bid: best(committed, market, Side::Buy),
        ask: best(committed, market, Side::Sell),
    };
    answer(app, call, 640, read, |json, ticker| match form {
        Form::Full => full(json, ticker, call.time_unit),
        Form::Mini => mini(json, ticker, call.time_unit),
    })
}

/// # Errors
///
/// Returns -1139 for an unknown type.
pub(super) fn form(parameters: &Parameters<'_>) -> Result<Form, ApiError> {
    let from_text = |text: &str| match text {
        "FULL" => Some(Form::Full),
        "MINI" => Some(Form::Mini),
        _ => None,
    };
    Ok(parameters.choice("type", from_text, TYPE)?.unwrap_or(Form::Full))
}

pub fn day_tickers_weight(parameters: &Parameters<'_>) -> u32 {
    symbols::symbols_weight(
        parameters,
        2,
        |count| match count {
            0..=20 => 2,
            21..=100 => 40,
            _ => 80,
        },
        80,
    )
}

/// `GET /api/v3/ticker/price`
pub async fn prices(app: &App, call: &Call<'_>) -> EndpointResult {
    let read =
        |committed: &Committed, market| (symbol(committed, market), committed.state.last_price(market).unwrap_or_default());
    answer(app, call, 64, read, |json, (symbol, price)| {
        json.key("symbol").text(symbol);
        json.key("price").decimal(*price);
    })
}

/// `GET /api/v3/ticker/bookTicker`
pub async fn book_tickers(app: &App, call: &Call<'_>) -> EndpointResult {
    let read = |committed: &Committed, market| {
        (symbol(committed, market), best(committed, market, Side::Buy), best(committed, market, Side::Sell))
    };
    answer(app, call, 160, read, |json, (symbol, bid, ask)| {
        json.key("symbol").text(symbol);
        best_prices(json, *bid, *ask);
    })
}

pub fn prices_weight(parameters: &Parameters<'_>) -> u32 {
    symbols::symbols_weight(parameters, 2, |_| 4, 4)
}

/// Reads the requested markets under one lock, then writes an object for one or an array for several.
fn answer<T>(
    app: &App,
    call: &Call<'_>,
    capacity: usize,
    read: impl Fn(&Committed, MarketId) -> T,
    write: impl Fn(&mut Json, &T),
) -> EndpointResult {
    let (one, tickers) = {
        let committed = app.engine.committed().read();
        match symbols::asked(&committed.state, &call.parameters)? {
            SymbolSelection::One(market) => (true, vec![read(&committed, market)]),
            SymbolSelection::Many(markets) => (false, markets.into_iter().map(|market| read(&committed, market)).collect()),
        }
    };
    Ok(Reply::written(16 + capacity * tickers.len(), |json| match tickers.as_slice() {
        [ticker] if one => json.object(|json| write(json, ticker)),
        tickers => json.array(tickers, |json, ticker| json.object(|json| write(json, ticker))),
    }))
}

fn symbol(committed: &Committed, market: MarketId) -> Box<str> {
    committed.state.market(market).map_or_else(Box::default, |market| market.symbol.clone())
}

/// Zeros if the side is empty.
fn best(committed: &Committed, market: MarketId, side: Side) -> (Price, Amount) {
    committed.state.best(market, side).unwrap_or_default()
}

fn best_prices(json: &mut Json, bid: (Price, Amount), ask: (Price, Amount)) {
    json.key("bidPrice").decimal(bid.0);
    json.key("bidQty").decimal(bid.1);
    json.key("askPrice").decimal(ask.0);
    json.key("askQty").decimal(ask.1);
}

fn full(json: &mut Json, ticker: &DayTicker, unit: TimeUnit) {
    let statistics = &ticker.statistics;
    json.key("symbol").text(&ticker.symbol);
    json.key("priceChange").decimal(statistics.change());
    json.key("priceChangePercent").text(&thousandths(statistics.change_thousandths_of_percent()));
    json.key("weightedAvgPrice").decimal(statistics.weighted_average());
    json.key("prevClosePrice").decimal(statistics.previous_close);
    json.key("lastPrice").decimal(statistics.last);
    json.key("lastQty").decimal(statistics.last_quantity);
    best_prices(json, ticker.bid, ticker.ask);
    json.key("openPrice").decimal(statistics.open);
    json.key("highPrice").decimal(statistics.high);
    json.key("lowPrice").decimal(statistics.low);
    totals(json, statistics, unit);
}

fn mini(json: &mut Json, ticker: &DayTicker, unit: TimeUnit) {
    let statistics = &ticker.statistics;
    json.key("symbol").text(&ticker.symbol);
    json.key("openPrice").decimal(statistics.open);
    json.key("highPrice").decimal(statistics.high);
    json.key("lowPrice").decimal(statistics.low);
    json.key("lastPrice").decimal(statistics.last);
    totals(json, statistics, unit);
}

pub(super) fn totals(json: &mut Json, statistics: &Statistics, unit: TimeUnit) {
    json.key("volume").decimal(statistics.volume);
    json.key("quoteVolume").decimal(statistics.quote_volume);
    json.key("openTime").integer(unit.show(statistics.open_time));
    json.key("closeTime").integer(unit.show(statistics.close_time));
    // -1: no trade in the window.
    let id = |id: Option<u64>| id.map_or(-1, i128::from);
    json.key("firstId").integer(id(statistics.trade_ids.map(|ids| ids.0)));
    json.key("lastId").integer(id(statistics.trade_ids.map(|ids| ids.1)));
    json.key("count").integer(statistics.trades);
}
