//! This module serves the deprecated form of an OCO order: a limit leg and a stop leg. It must not check prices:
//! it finds the legs above and below the market, and `order_lists` places them.

use super::App;
use super::endpoint::{Call, EndpointResult};
use super::error::ApiError;
use super::new_order::{self, client_id, iceberg, market, refuse_unsupported, time_in_force, trailing_delta};
use super::order_lists::{OrderPair, submit};
use exchange_core::command::OcoLeg;
use exchange_core::order::{OrderType, Side, TimeInForce};

/// Parameters of `POST /api/v3/order/oco`, including those that are rejected by name.
pub const OCO: &[&str] = &[
    "symbol",
    "listClientOrderId",
    "side",
    "quantity",
    "limitClientOrderId",
    "price",
    "limitStrategyId",
    "limitStrategyType",
    "limitIcebergQty",
    "trailingDelta",
    "stopClientOrderId",
    "stopPrice",
    "stopStrategyId",
    "stopStrategyType",
    "stopLimitPrice",
    "stopIcebergQty",
    "stopLimitTimeInForce",
    "newOrderRespType",
    "selfTradePreventionMode",
];

const LIMIT_UNSUPPORTED: [&str; 2] = ["limitStrategyId", "limitStrategyType"];
const STOP_UNSUPPORTED: [&str; 2] = ["stopStrategyId", "stopStrategyType"];

/// `POST /api/v3/order/oco`
pub async fn place(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let market = market(app, call)?;
    let side = new_order::side(parameters)?;
    let decimal = |name: &str| {
        parameters.mandatory(name)?;
        Ok::<_, ApiError>(parameters.decimal(name)?.unwrap_or_default())
    };
    let (quantity, price) = (decimal("quantity")?, decimal("price")?);
    for unsupported in [LIMIT_UNSUPPORTED, STOP_UNSUPPORTED] {
        refuse_unsupported(parameters, unsupported, "peg")?;
    }
    let limit = OcoLeg {
        kind: OrderType::LimitMaker,
        price,
        stop_price: 0,
        time_in_force: TimeInForce::Gtc,
        iceberg: iceberg(app, parameters, OrderType::LimitMaker, "limitIcebergQty")?,
        trailing_delta: 0,
        client_id: client_id(parameters, "limitClientOrderId")?,
    };
    let trailing_delta = trailing_delta(app, parameters, OrderType::StopLoss, "trailingDelta")?;
    let stop_price = if trailing_delta > 0 && !parameters.has("stopPrice") { 0 } else { decimal("stopPrice")? };
    let stop_limit = parameters.decimal("stopLimitPrice")?;
    let kind = if stop_limit.is_some() { OrderType::StopLossLimit } else { OrderType::StopLoss };
    let stop_time_in_force = time_in_force(parameters, kind, "stopLimitTimeInForce")?;
    let stop_iceberg = iceberg(app, parameters, kind, "stopIcebergQty")?;
    if stop_iceberg > 0 && stop_time_in_force != TimeInForce::Gtc {
        return Err(ApiError::iceberg_time_in_force("stopIcebergQty", "stopLimitTimeInForce"));
    }
    let stop = OcoLeg {
        kind,
        price: stop_limit.unwrap_or_default(),
        stop_price,
        time_in_force: stop_time_in_force,
        iceberg: stop_iceberg,
        trailing_delta,
        client_id: client_id(parameters, "stopClientOrderId")?,
    };
    let (above, below) = match side {
        Side::Sell => (limit, stop),
        Side::Buy => (stop, limit),
    };
    submit(app, call, OrderPair { market, side, quantity, above, below }).await
}
