//! This module serves lists of a working order and the orders that wait for it: OTO and OTOCO. It must not decide when a pending order
//! is placed.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::new_order::{self, client_id, market};
use super::order_count::Counted;
use super::order_lists::{LegNames, check_types, leg, leg_names};
use super::orders::unexpected;
use super::parameters::Parameters;
use super::reports::{Detail, REPORT_SIZE, ReportFrame};
use exchange_core::command::{Command, NewOrder, NewOto, OcoLeg, Outcome, PendingOrders};
use exchange_core::event::OTO_LEVEL;
use exchange_core::money::Quantity;
use exchange_core::order::{AccountId, MarketId, OrderType, Side, StpMode};
use exchange_core::refusal::Refusal;

/// Parameters of the list and its working order, including those that are rejected by name; plus those of the pending orders.
macro_rules! list_names {
    ($($more:literal),* $(,)?) => {
        &[
            "symbol", "listClientOrderId", "newOrderRespType", "selfTradePreventionMode", "workingType", "workingSide",
            "workingClientOrderId", "workingPrice", "workingQuantity", "workingIcebergQty", "workingTimeInForce", "workingStrategyId",
            "workingStrategyType", "workingPegPriceType", "workingPegOffsetType", "workingPegOffsetValue", "pendingSide",
            "pendingQuantity", $($more),*
        ]
    };
}

/// Parameters of `POST /api/v3/orderList/oto`.
pub const OTO: &[&str] = list_names!(
    "pendingType",
    "pendingClientOrderId",
    "pendingPrice",
    "pendingStopPrice",
    "pendingTrailingDelta",
    "pendingIcebergQty",
    "pendingTimeInForce",
    "pendingStrategyId",
    "pendingStrategyType",
    "pendingPegPriceType",
    "pendingPegOffsetType",
    "pendingPegOffsetValue",
);
/// Parameters of `POST /api/v3/orderList/otoco`.
pub const OTOCO: &[&str] = list_names!(
    "pendingAboveType",
    "pendingAboveClientOrderId",
    "pendingAbovePrice",
    "pendingAboveStopPrice",
    "pendingAboveTrailingDelta",
    "pendingAboveIcebergQty",
    "pendingAboveTimeInForce",
    "pendingAboveStrategyId",
    "pendingAboveStrategyType",
    "pendingAbovePegPriceType",
    "pendingAbovePegOffsetType",
    "pendingAbovePegOffsetValue",
    "pendingBelowType",
    "pendingBelowClientOrderId",
    "pendingBelowPrice",
    "pendingBelowStopPrice",
    "pendingBelowTrailingDelta",
    "pendingBelowIcebergQty",
    "pendingBelowTimeInForce",
    "pendingBelowStrategyId",
    "pendingBelowStrategyType",
    "pendingBelowPegPriceType",
    "pendingBelowPegOffsetType",
    "pendingBelowPegOffsetValue",
);

/// The stop names belong to no parameter: a working order has a limit price only.
const WORKING: LegNames = leg_names!("working");
const PENDING: LegNames = leg_names!("pending");
const PENDING_ABOVE: LegNames = leg_names!("pendingAbove");
const PENDING_BELOW: LegNames = leg_names!("pendingBelow");

/// `POST /api/v3/orderList/oto`
pub async fn place_oto(app: &App, call: &Call<'_>) -> EndpointResult {
    let list = ListRequest::read(app, call)?;
    let (side, quantity) = pending_terms(&call.parameters)?;
    let kind = new_order::order_type(&call.parameters, PENDING.kind)?;
    let pending = list.order(side, quantity, leg(app, &call.parameters, kind, &PENDING)?);
    submit(app, call, list, PendingOrders::One(pending)).await
}

/// `POST /api/v3/orderList/otoco`
pub async fn place_otoco(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let list = ListRequest::read(app, call)?;
    let (side, quantity) = pending_terms(parameters)?;
    let kinds = [new_order::order_type(parameters, PENDING_ABOVE.kind)?, new_order::order_type(parameters, PENDING_BELOW.kind)?];
    check_types(side, kinds)?;
    let above = list.order(side, quantity, leg(app, parameters, kinds[0], &PENDING_ABOVE)?);
    let below = list.order(side, quantity, leg(app, parameters, kinds[1], &PENDING_BELOW)?);
    submit(app, call, list, PendingOrders::Pair { above, below }).await
}

/// The values that all orders of the list share, and its working order.
struct ListRequest {
    account: AccountId,
    market: MarketId,
    stp: StpMode,
    working: (Side, Quantity, OcoLeg),
}

impl ListRequest {
    fn read(app: &App, call: &Call<'_>) -> Result<Self, ApiError> {
        let parameters = &call.parameters;
        let market = market(app, call)?;
        let kind = new_order::order_type(parameters, WORKING.kind)?;
        if !matches!(kind, OrderType::Limit | OrderType::LimitMaker) {
            return Err(Refusal::UnsupportedCombination.into());
        }
        let side = new_order::side_of(parameters, "workingSide")?;
        let quantity = mandatory_decimal(parameters, "workingQuantity")?;
        let working = (side, quantity, leg(app, parameters, kind, &WORKING)?);
        Ok(Self { account: call.account()?, market, stp: new_order::stp(app, parameters)?, working })
    }

    fn order(&self, side: Side, quantity: Quantity, leg: OcoLeg) -> NewOrder {
        NewOrder {
            account: self.account,
            market: self.market,
            side,
            kind: leg.kind,
            time_in_force: leg.time_in_force,
            stp: self.stp,
            price: leg.price,
            stop_price: leg.stop_price,
            quantity,
            quote_order_quantity: 0,
            iceberg: leg.iceberg,
            trailing_delta: leg.trailing_delta,
            client_id: leg.client_id,
        }
    }
}

fn pending_terms(parameters: &Parameters<'_>) -> Result<(Side, Quantity), ApiError> {
    Ok((new_order::side_of(parameters, "pendingSide")?, mandatory_decimal(parameters, "pendingQuantity")?))
}

fn mandatory_decimal(parameters: &Parameters<'_>, name: &str) -> Result<Quantity, ApiError> {
    parameters.mandatory(name)?;
    Ok(parameters.decimal(name)?.unwrap_or_default())
}

async fn submit(app: &App, call: &Call<'_>, list: ListRequest, pending: PendingOrders) -> EndpointResult {
    let parameters = &call.parameters;
    let detail = new_order::detail(parameters)?.unwrap_or(Detail::Result);
    let (side, quantity, ref leg) = list.working;
    let working = list.order(side, quantity, leg.clone());
    let new = NewOto { list_client_id: client_id(parameters, "listClientOrderId")?, working, pending };
    // A leader of an earlier release cannot read the command.
    if app.engine.committed().read().state.feature_level() < OTO_LEVEL {
        return Err(Refusal::OtoNotSupported.into());
    }
    let command = Command::PlaceOto(Box::new(new));
    let orders = command.places().map_or(0, |(_, orders)| orders);
    let counted = Counted::take(app, call, orders)?;
    let reply = counted.settle(app.engine.submit(command, call.valid_until).await)?;
    let unfilled = reply.unfilled;
    let Outcome::List(placed) = reply.outcome else { return Err(unexpected()) };
    let frame = ReportFrame { symbol: parameters.symbol()?, unit: call.time_unit, time: reply.time };
    let written = Reply::written(4 * REPORT_SIZE, |json| {
        frame.list(json, &placed, |json, order| frame.placed(json, order, detail, app.engine.committed()));
    });
    Ok(counted.show(written, unfilled))
}
