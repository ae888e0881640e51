//! This module serves order lists: place an OCO pair, query and cancel any list. It must not decide which leg ends the other.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::new_order::{self, client_id, iceberg, market, order_prices, refuse_unsupported, time_in_force, trailing_delta};
use super::order_count::Counted;
use super::orders::{of_cancel, unexpected, which};
use super::parameters::Parameters;
use super::reports::{Detail, REPORT_SIZE, ReportFrame};
use crate::engine::history::ListDetails;
use exchange_core::command::{Command, NewOco, OcoLeg, Outcome};
use exchange_core::money::Quantity;
use exchange_core::order::{MarketId, OrderType, Side, TimeInForce};
use exchange_core::refusal::Refusal;

/// Parameters of `POST /api/v3/orderList/oco`, including those that are rejected by name.
pub const OCO: &[&str] = &[
    "symbol",
    "listClientOrderId",
    "side",
    "quantity",
    "aboveType",
    "aboveClientOrderId",
    "aboveIcebergQty",
    "abovePrice",
    "aboveStopPrice",
    "aboveTrailingDelta",
    "aboveTimeInForce",
    "aboveStrategyId",
    "aboveStrategyType",
    "abovePegPriceType",
    "abovePegOffsetType",
    "abovePegOffsetValue",
    "belowType",
    "belowClientOrderId",
    "belowIcebergQty",
    "belowPrice",
    "belowStopPrice",
    "belowTrailingDelta",
    "belowTimeInForce",
    "belowStrategyId",
    "belowStrategyType",
    "belowPegPriceType",
    "belowPegOffsetType",
    "belowPegOffsetValue",
    "newOrderRespType",
    "selfTradePreventionMode",
];
/// Parameters of `DELETE /api/v3/orderList`.
pub const CANCEL: &[&str] = &["symbol", "orderListId", "listClientOrderId", "newClientOrderId"];
/// Parameters of `GET /api/v3/orderList`.
pub const QUERY: &[&str] = &["orderListId", "origClientOrderId"];

/// Orders in a pair.
const ORDERS: u32 = 2;

/// Parameter names of one order of a list.
pub(super) struct LegNames {
    pub kind: &'static str,
    pub client_id: &'static str,
    pub price: &'static str,
    /// The stop price, and the parameter that Binance accepts instead.
    pub stop: [&'static str; 2],
    pub time_in_force: &'static str,
    pub iceberg: &'static str,
    pub unsupported: [&'static str; 2],
    pub peg_prefix: &'static str,
}

/// The names of the order whose parameters start with `prefix`.
macro_rules! leg_names {
    ($prefix:literal) => {
        LegNames {
            kind: concat!($prefix, "Type"),
            client_id: concat!($prefix, "ClientOrderId"),
            price: concat!($prefix, "Price"),
            stop: [concat!($prefix, "StopPrice"), concat!($prefix, "TrailingDelta")],
            time_in_force: concat!($prefix, "TimeInForce"),
            iceberg: concat!($prefix, "IcebergQty"),
            unsupported: [concat!($prefix, "StrategyId"), concat!($prefix, "StrategyType")],
            peg_prefix: concat!($prefix, "Peg"),
        }
    };
}
pub(super) use leg_names;

const ABOVE: LegNames = leg_names!("above");
const BELOW: LegNames = leg_names!("below");

/// `POST /api/v3/orderList/oco`
pub async fn place_oco(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let market = market(app, call)?;
    let side = new_order::side(parameters)?;
    parameters.mandatory("quantity")?;
    let quantity = parameters.decimal("quantity")?.unwrap_or_default();
    let kinds = [new_order::order_type(parameters, ABOVE.kind)?, new_order::order_type(parameters, BELOW.kind)?];
    check_types(side, kinds)?;
    let above = leg(app, parameters, kinds[0], &ABOVE)?;
    let below = leg(app, parameters, kinds[1], &BELOW)?;
    submit(app, call, OrderPair { market, side, quantity, above, below }).await
}

/// Sides of a pair, as both forms of the request describe them.
pub(super) struct OrderPair {
    pub market: MarketId,
    pub side: Side,
    pub quantity: Quantity,
    pub above: OcoLeg,
    pub below: OcoLeg,
}

/// Places the pair and answers with its list.
pub(super) async fn submit(app: &App, call: &Call<'_>, pair: OrderPair) -> EndpointResult {
    let parameters = &call.parameters;
    let detail = new_order::detail(parameters)?.unwrap_or(Detail::Result);
    let OrderPair { market, side, quantity, above, below } = pair;
    let oco = NewOco {
        account: call.account()?,
        market,
        side,
        quantity,
        stp: new_order::stp(app, parameters)?,
        list_client_id: client_id(parameters, "listClientOrderId")?,
        above,
        below,
    };
    let counted = Counted::take(app, call, ORDERS)?;
    let reply = app.engine.submit(Command::PlaceOco(oco), call.valid_until).await;
    let reply = counted.settle(reply)?;
    let unfilled = reply.unfilled;
    let Outcome::List(list) = reply.outcome else { return Err(unexpected()) };
    let frame = ReportFrame { symbol: parameters.symbol()?, unit: call.time_unit, time: reply.time };
    let written = Reply::written(3 * REPORT_SIZE, |json| {
        frame.list(json, &list, |json, placed| frame.placed(json, placed, detail, app.engine.committed()));
    });
    Ok(counted.show(written, unfilled))
}

/// `DELETE /api/v3/orderList`
pub async fn cancel(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let (list, client) = which(call, "orderListId", "listClientOrderId")?;
    let command = Command::CancelList { account: call.account()?, market: market(app, call)?, list, client_id: client };
    let cancel_id = client_id(parameters, "newClientOrderId")?;
    let reply = app.engine.submit(command, call.valid_until).await.map_err(of_cancel)?;
    let Outcome::List(list) = reply.outcome else { return Err(unexpected()) };
    let frame = ReportFrame { symbol: parameters.symbol()?, unit: call.time_unit, time: reply.time };
    Ok(Reply::written(3 * REPORT_SIZE, |json| {
        frame.list(json, &list, |json, placed| frame.canceled(json, &placed.order, &cancel_id));
    }))
}

/// `GET /api/v3/orderList`
pub async fn query(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let (list, original) = which(call, "orderListId", "origClientOrderId")?;
    let found = match (list, original) {
        (Some(id), _) => app.history.list(account, id).await?,
        (None, Some(client_id)) => app.history.list_by_client_id(account, client_id).await?,
        (None, None) => None,
    };
    let details = found.ok_or(ApiError::NO_SUCH_LIST)?;
    // Find by id first, then compare the list's client id with the one sent.
    if original.is_some_and(|client_id| client_id != details.list.client_id) {
        return Err(Refusal::ClientOrderIdMismatch.into());
    }
    Ok(Reply::written(REPORT_SIZE, |json| statuses(app, call, json, std::slice::from_ref(&details), false)))
}

/// `GET /api/v3/openOrderList`
pub async fn open(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let open: Vec<u64> = app.engine.committed().read().state.open_lists(account).iter().map(|list| list.id).collect();
    let mut details = Vec::with_capacity(open.len());
    for id in open {
        // Omit a list that ended in between.
        details.extend(app.history.list(account, id).await?.filter(|details| !details.list.done));
    }
    Ok(Reply::written(REPORT_SIZE * details.len(), |json| statuses(app, call, json, &details, true)))
}

/// Lists of any markets, as an array or as the single list.
pub fn statuses(app: &App, call: &Call<'_>, json: &mut super::json::Json, lists: &[ListDetails], as_array: bool) {
    let committed = app.engine.committed().read();
    let write = |json: &mut super::json::Json, details: &ListDetails| {
        let symbol = committed.state.market(details.list.market).map_or("", |market| &market.symbol);
        ReportFrame { symbol, unit: call.time_unit, time: details.list.updated }.list_status(json, details);
    };
    if as_array {
        json.array(lists, write);
    } else {
        lists.iter().for_each(|details| write(json, details));
    }
}

pub(super) fn leg(app: &App, parameters: &Parameters<'_>, kind: OrderType, names: &LegNames) -> Result<OcoLeg, ApiError> {
    refuse_unsupported(parameters, names.unsupported, names.peg_prefix)?;
    let time_in_force = time_in_force(parameters, kind, names.time_in_force)?;
    let trailing_delta = trailing_delta(app, parameters, kind, names.stop[1])?;
    let (price, stop_price) = order_prices(parameters, kind, names.price, names.stop)?;
    let iceberg = iceberg(app, parameters, kind, names.iceberg)?;
    if iceberg > 0 && time_in_force != TimeInForce::Gtc {
        return Err(ApiError::iceberg_time_in_force(names.iceberg, names.time_in_force));
    }
    Ok(OcoLeg {
        kind,
        price,
        stop_price,
        time_in_force,
        iceberg,
        trailing_delta,
        client_id: client_id(parameters, names.client_id)?,
    })
}

/// Types allowed above and below.
pub(super) fn check_types(side: Side, [above, below]: [OrderType; 2]) -> Result<(), ApiError> {
    use OrderType::{Limit, LimitMaker, Market, StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit};
    let stop_loss = |kind| matches!(kind, StopLoss | StopLossLimit);
    let take_profit = |kind| matches!(kind, TakeProfit | TakeProfitLimit);
    if [above, below].iter().any(|kind| matches!(kind, Limit | Market)) {
        return Err(ApiError::OCO_TYPE);
    }
    if (above, below) == (LimitMaker, LimitMaker) {
        return Err(ApiError::OCO_BOTH_LIMIT);
    }
    match side {
        Side::Buy if above == LimitMaker => Err(ApiError::OCO_BUY_LIMIT),
        Side::Buy if stop_loss(below) => Err(ApiError::OCO_BUY_STOP_LOSS),
        Side::Buy if take_profit(above) => Err(ApiError::OCO_BUY_TAKE_PROFIT),
        Side::Sell if below == LimitMaker => Err(ApiError::OCO_SELL_LIMIT),
        Side::Sell if stop_loss(above) => Err(ApiError::OCO_SELL_STOP_LOSS),
        Side::Sell if take_profit(below) => Err(ApiError::OCO_SELL_TAKE_PROFIT),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OrderType::{Limit, LimitMaker, Market, StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit};

    #[test]
    fn types_of_a_pair() {
        let rows = [
            (Side::Sell, LimitMaker, StopLoss, 0),
            (Side::Sell, TakeProfit, StopLossLimit, 0),
            (Side::Sell, TakeProfitLimit, StopLoss, 0),
            (Side::Buy, StopLoss, LimitMaker, 0),
            (Side::Buy, StopLossLimit, TakeProfit, 0),
            (Side::Buy, Limit, LimitMaker, -1158),
            (Side::Sell, LimitMaker, Market, -1158),
            (Side::Buy, LimitMaker, StopLoss, -1165),
            (Side::Sell, StopLoss, LimitMaker, -1166),
            (Side::Buy, LimitMaker, LimitMaker, -1168),
            (Side::Buy, StopLoss, StopLossLimit, -1196),
            (Side::Sell, StopLossLimit, StopLoss, -1197),
            (Side::Buy, TakeProfit, LimitMaker, -1198),
            (Side::Sell, LimitMaker, TakeProfitLimit, -1199),
        ];
        for (side, above, below, code) in rows {
            let found = check_types(side, [above, below]).map_or_else(|error| error.code, |()| 0);
            assert_eq!(found, code, "{side} above {above} below {below}");
        }
    }
}
