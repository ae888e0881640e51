//! This module serves an account's history: all orders, trades and order lists. It must not change an open order or serve a
//! market's public trades.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply, TimeUnit};
use super::error::ApiError;
use super::json::Json;
use super::market_data::symbols::{self, BAD_COMBINATION};
use super::market_data::{ITEMS_DEFAULT, ITEMS_MAX, period};
use super::parameters::Parameters;
use super::reports::{REPORT_SIZE, ReportFrame, queried};
use crate::db::history::{AccountTradeQuery, HistoryPart};
use exchange_core::TradeRecord;
use exchange_core::market_data::DAY;
use exchange_core::order::{AccountId, OrderId, OrderListId};
use std::collections::BTreeMap;

/// Parameters of `GET /api/v3/allOrders`.
pub const ORDERS: &[&str] = &["symbol", "orderId", "startTime", "endTime", "limit"];
/// Parameters of `GET /api/v3/myTrades`.
pub const TRADES: &[&str] = &["symbol", "orderId", "startTime", "endTime", "fromId", "limit"];
/// Parameters of `GET /api/v3/allOrderList`.
pub const LISTS: &[&str] = &["fromId", "startTime", "endTime", "limit"];

const TRADE_SIZE: usize = 288;
const LIST_SIZE: usize = 448;
const TOO_LONG: ApiError = ApiError::bad(-1127, "More than 24 hours between startTime and endTime.");

/// `GET /api/v3/allOrders`
pub async fn orders(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let part = part(&call.parameters, "orderId")?;
    let (market, symbol) = named(app, &call.parameters)?;
    let orders = app.history.orders(account, market, part).await?;
    Ok(Reply::written(16 + REPORT_SIZE * orders.len(), |json| {
        json.array(&orders, |json, order| queried(json, order, &symbol, call.time_unit));
    }))
}

/// `GET /api/v3/myTrades`
pub async fn trades(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let order = call.parameters.integer("orderId")?;
    let part = part(&call.parameters, "fromId")?;
    let timed = part.start.is_some() || part.end.is_some();
    if timed && (order.is_some() || part.from.is_some()) {
        return Err(BAD_COMBINATION);
    }
    let (market, symbol) = named(app, &call.parameters)?;
    let trades = app.history.account_trades(AccountTradeQuery { account, market, order, part }).await?;
    let own: Vec<Own<'_>> = trades.iter().flat_map(|trade| Own::sides(trade, account, order)).collect();
    // A trade with itself gives the account two rows, and the limit counts rows.
    let kept = if part.is_newest() { &own[own.len().saturating_sub(part.limit)..] } else { &own[..own.len().min(part.limit)] };
    let orders: Vec<OrderId> = kept.iter().map(Own::order).collect();
    let lists = app.history.lists_of(account, market, &orders).await?;
    let assets = {
        let committed = app.engine.committed().read();
        let code = |asset| committed.state.asset(asset).map_or_else(Box::default, |asset| asset.code.clone());
        committed.state.market(market).map(|market| (code(market.base), code(market.quote))).unwrap_or_default()
    };
    let row = RowContext { symbol: &symbol, base: &assets.0, quote: &assets.1, lists: &lists, unit: call.time_unit };
    Ok(Reply::written(16 + TRADE_SIZE * kept.len(), |json| json.array(kept, |json, own| row.write(json, own))))
}

/// A request with `orderId` reads a tenth of the rows.
pub fn trades_weight(parameters: &Parameters<'_>) -> u32 {
    if parameters.has("orderId") { 5 } else { 20 }
}

/// `GET /api/v3/allOrderList`
pub async fn lists(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let part = part(&call.parameters, "fromId")?;
    if part.from.is_some() && (part.start.is_some() || part.end.is_some()) {
        return Err(BAD_COMBINATION);
    }
    let lists = app.history.lists(account, part).await?;
    let symbols: Vec<Box<str>> = app.engine.committed().read().state.markets().map(|market| market.symbol.clone()).collect();
    Ok(Reply::written(16 + LIST_SIZE * lists.len(), |json| {
        json.array(&lists, |json, details| {
            let symbol = symbols.get(usize::from(details.list.market)).map_or("", |symbol| symbol);
            ReportFrame { symbol, unit: call.time_unit, time: details.list.updated }.list_status(json, details);
        });
    }))
}

/// `limit`, `startTime`, `endTime` and the first id.
fn part(parameters: &Parameters<'_>, id: &str) -> Result<HistoryPart, ApiError> {
    let (start, end) = period(parameters)?;
    // The end is the last microsecond of its millisecond.
    if start.zip(end).is_some_and(|(start, end)| end - start > DAY + 999) {
        return Err(TOO_LONG);
    }
    Ok(HistoryPart { from: parameters.integer(id)?, start, end, limit: parameters.limit(ITEMS_DEFAULT, ITEMS_MAX)? })
}

fn named(app: &App, parameters: &Parameters<'_>) -> Result<(exchange_core::order::MarketId, Box<str>), ApiError> {
    let market = symbols::one(&app.engine.committed().read().state, parameters)?;
    Ok((market, parameters.symbol()?.into()))
}

/// One side of a trade.
struct Own<'a> {
    trade: &'a TradeRecord,
    buyer: bool,
}

impl<'a> Own<'a> {
    /// The account's sides of the trade, or the side of the named order.
    fn sides(trade: &'a TradeRecord, account: AccountId, order: Option<OrderId>) -> impl Iterator<Item = Self> {
        [true, false]
            .into_iter()
            .map(move |buyer| Self { trade, buyer })
            .filter(move |own| own.account() == account && order.is_none_or(|order| own.order() == order))
    }

    const fn account(&self) -> AccountId {
        if self.buyer { self.trade.buyer } else { self.trade.seller }
    }

    const fn order(&self) -> OrderId {
        if self.buyer { self.trade.buyer_order } else { self.trade.seller_order }
    }
}

/// Values that all rows of one reply share.
struct RowContext<'a> {
    symbol: &'a str,
    base: &'a str,
    quote: &'a str,
    lists: &'a BTreeMap<OrderId, OrderListId>,
    unit: TimeUnit,
}

impl RowContext<'_> {
    fn write(&self, json: &mut Json, own: &Own<'_>) {
        let trade = own.trade;
        json.object(|json| {
            json.key("symbol").text(self.symbol);
            json.key("id").integer(trade.trade);
            json.key("orderId").integer(own.order());
            json.key("orderListId").integer(self.lists.get(&own.order()).map_or(-1, |list| i128::from(*list)));
            json.key("price").decimal(trade.price);
            json.key("qty").decimal(trade.quantity);
            json.key("quoteQty").decimal(trade.quote);
            // Commission is deducted from the received asset.
            let (commission, asset) =
                if own.buyer { (trade.buyer_commission, self.base) } else { (trade.seller_commission, self.quote) };
            json.key("commission").decimal(commission);
            json.key("commissionAsset").text(asset);
            json.key("time").integer(self.unit.show(trade.time));
            json.key("isBuyer").boolean(own.buyer);
            json.key("isMaker").boolean(own.buyer == trade.buyer_is_maker);
            json.key("isBestMatch").boolean(true);
        });
    }
}
