//! This module turns parameters into an order: which parameters each order type requires and rejects. It must not check price,
//! funds or filters.

use super::App;
use super::endpoint::Call;
use super::error::ApiError;
use super::parameters::Parameters;
use super::reports::Detail;
use exchange_core::command::NewOrder;
use exchange_core::event::{DECREMENT_LEVEL, ICEBERG_LEVEL, TRAILING_LEVEL};
use exchange_core::market::Market;
use exchange_core::money::{Price, Quantity};
use exchange_core::order::{ClientId, MarketId, OrderType, Side, StpMode, TimeInForce};
use exchange_core::refusal::{Filter, Refusal};
use rand::RngExt;
use rand::distr::Alphanumeric;

/// Characters of a generated client order id.
const GENERATED_LENGTH: usize = 22;

/// Parameters of a new order (rest-api.md, "New order"), including those that are rejected by name; plus additional ones.
macro_rules! new_order_names {
    ($($more:literal),*) => {
        &[
            "symbol", "side", "type", "timeInForce", "quantity", "quoteOrderQty", "price", "newClientOrderId", "stopPrice",
            "newOrderRespType", "selfTradePreventionMode", "icebergQty", "trailingDelta", "strategyId", "strategyType",
            "pegPriceType", "pegOffsetValue", "pegOffsetType", $($more),*
        ]
    };
}

/// Parameters of `POST /api/v3/order`.
pub const NEW_ORDER: &[&str] = new_order_names!();
/// Parameters of `POST /api/v3/order/test`.
pub const TEST_ORDER: &[&str] = new_order_names!("computeCommissionRates");
/// Parameters of `POST /api/v3/order/cancelReplace`.
pub const REPLACING_ORDER: &[&str] = new_order_names!(
    "cancelReplaceMode",
    "cancelNewClientOrderId",
    "cancelOrigClientOrderId",
    "cancelOrderId",
    "cancelRestrictions",
    "orderRateLimitExceededMode"
);

/// The parts of the market named by `symbol` that an order needs.
///
/// # Errors
///
/// Returns -1102 or -1100 for the parameter, -1121 if the market does not exist.
pub fn market(app: &App, call: &Call<'_>) -> Result<MarketId, ApiError> {
    let symbol = call.parameters.symbol()?;
    app.engine.committed().read().state.market_by_symbol(symbol).map(|market| market.id).ok_or(ApiError::SYMBOL)
}

/// A generated client order id: letters and digits.
pub fn generated_id() -> ClientId {
    let mut random = rand::rng();
    let mut text = [0; GENERATED_LENGTH];
    text.fill_with(|| random.sample(Alphanumeric));
    #[expect(clippy::expect_used, reason = "letters and digits of the right length are always legal")]
    std::str::from_utf8(&text).ok().and_then(ClientId::new).expect("letters and digits")
}

/// The client id sent as `name`, or a new one.
///
/// # Errors
///
/// As [`Parameters::client_id`].
pub fn client_id(parameters: &Parameters<'_>, name: &str) -> Result<ClientId, ApiError> {
    Ok(parameters.client_id(name)?.unwrap_or_else(generated_id))
}

/// Reads a new order, and the type of its reply.
///
/// # Errors
///
/// Returns -1102 for a missing parameter, -1106 for one that the type does not take, and the errors of each parameter.
pub fn read_new_order(app: &App, call: &Call<'_>) -> Result<(NewOrder, Detail), ApiError> {
    let parameters = &call.parameters;
    let market = market(app, call)?;
    let side = side(parameters)?;
    let kind = order_type(parameters, "type")?;
    refuse_unsupported(parameters, ["strategyId", "strategyType"], "peg")?;
    let detail = detail(parameters)?;
    let by_default = if matches!(kind, OrderType::Limit | OrderType::Market) { Detail::Full } else { Detail::Ack };
    let time_in_force = time_in_force(parameters, kind, "timeInForce")?;
    let quantity = parameters.decimal("quantity")?;
    let quote_order_quantity = parameters.amount("quoteOrderQty")?;
    match (kind, quantity, quote_order_quantity) {
        (OrderType::Market, None, None) => return Err(ApiError::either("quantity", "quoteOrderQty")),
        (OrderType::Market, Some(_), Some(_)) => return Err(ApiError::not_required("quoteOrderQty")),
        (OrderType::Market, ..) => {}
        (_, _, Some(_)) => return Err(ApiError::not_required("quoteOrderQty")),
        (_, None, None) => return Err(ApiError::mandatory("quantity")),
        (_, Some(_), None) => {}
    }
    let trailing_delta = trailing_delta(app, parameters, kind, "trailingDelta")?;
    let (price, stop_price) = order_prices(parameters, kind, "price", ["stopPrice", "trailingDelta"])?;
    let order = NewOrder {
        account: call.account()?,
        market,
        side,
        kind,
        time_in_force,
        stp: stp(app, parameters)?,
        price,
        stop_price,
        quantity: quantity.unwrap_or_default(),
        quote_order_quantity: quote_order_quantity.unwrap_or_default(),
        iceberg: iceberg(app, parameters, kind, "icebergQty")?,
        trailing_delta,
        client_id: client_id(parameters, "newClientOrderId")?,
    };
    Ok((order, detail.unwrap_or(by_default)))
}

/// # Errors
///
/// Returns -1102 if missing, -1117 if neither BUY nor SELL.
pub fn side(parameters: &Parameters<'_>) -> Result<Side, ApiError> {
    side_of(parameters, "side")
}

/// # Errors
///
/// Returns -1102 if missing, -1117 if neither BUY nor SELL.
pub fn side_of(parameters: &Parameters<'_>, name: &str) -> Result<Side, ApiError> {
    Side::from_text(parameters.mandatory(name)?).ok_or(ApiError::SIDE)
}

/// # Errors
///
/// Returns -1102 if missing, -1116 if it is not a type.
pub fn order_type(parameters: &Parameters<'_>, name: &str) -> Result<OrderType, ApiError> {
    OrderType::from_text(parameters.mandatory(name)?).ok_or(ApiError::ORDER_TYPE)
}

/// # Errors
///
/// Returns -1130 if it is not ACK, RESULT or FULL.
pub fn detail(parameters: &Parameters<'_>) -> Result<Option<Detail>, ApiError> {
    parameters.choice("newOrderRespType", Detail::from_text, ApiError::invalid("newOrderRespType"))
}

/// # Errors
///
/// Returns -1013 for a mode that no market allows, -1130 for an unknown mode.
pub fn stp(app: &App, parameters: &Parameters<'_>) -> Result<StpMode, ApiError> {
    const NAME: &str = "selfTradePreventionMode";
    let fault = match parameters.raw(NAME) {
        Some("TRANSFER") => ApiError::STP_NOT_ALLOWED,
        _ => ApiError::invalid(NAME),
    };
    let mode = parameters.choice(NAME, StpMode::from_text, fault)?.unwrap_or(Market::DEFAULT_STP);
    // A leader of an earlier release cannot read the mode.
    if mode == StpMode::Decrement && app.engine.committed().read().state.feature_level() < DECREMENT_LEVEL {
        return Err(ApiError::STP_NOT_ALLOWED);
    }
    Ok(mode)
}

/// Parameters of Binance that this exchange does not support: rejected by name, never ignored.
///
/// # Errors
///
/// Returns Binance's text for a symbol without the feature, or -1106.
pub fn refuse_unsupported(parameters: &Parameters<'_>, names: [&str; 2], peg_prefix: &str) -> Result<(), ApiError> {
    for name in names {
        if parameters.has(name) {
            return Err(ApiError::not_required(name));
        }
    }
    if parameters.has_prefix(peg_prefix) { Err(ApiError::PEGGED) } else { Ok(()) }
}

/// The quantity that the book shows of an order; 0 if it shows the whole order.
///
/// # Errors
///
/// Returns -1106 if the type never rests on the book, -2010 below feature level 6, and the errors of a decimal.
pub fn iceberg(app: &App, parameters: &Parameters<'_>, kind: OrderType, name: &str) -> Result<Quantity, ApiError> {
    let quantity = match (kind.has_price(), parameters.decimal(name)?) {
        (false, Some(_)) => return Err(ApiError::not_required(name)),
        (_, quantity) => quantity.unwrap_or_default(),
    };
    // A leader of an earlier release cannot read the command.
    if quantity > 0 && app.engine.committed().read().state.feature_level() < ICEBERG_LEVEL {
        return Err(Refusal::IcebergNotSupported.into());
    }
    Ok(quantity)
}

/// The price change that triggers a trailing stop order, in basis points; 0 if it was not sent.
///
/// # Errors
///
/// Returns -1106 if the type does not wait for a price, -2010 below feature level 7, -1013 if it is 0 or above every filter, and the
/// errors of an integer.
pub fn trailing_delta(app: &App, parameters: &Parameters<'_>, kind: OrderType, name: &str) -> Result<u32, ApiError> {
    let delta = match (kind.is_algo(), parameters.integer(name)?) {
        (_, None) => return Ok(0),
        (false, Some(_)) => return Err(ApiError::not_required(name)),
        (true, Some(delta)) => delta,
    };
    // A leader of an earlier release cannot read the command.
    if app.engine.committed().read().state.feature_level() < TRAILING_LEVEL {
        return Err(Refusal::TrailingNotSupported.into());
    }
    u32::try_from(delta).ok().filter(|delta| *delta > 0).ok_or_else(|| Refusal::Filter(Filter::TrailingDelta).into())
}

/// GTC for a type without a time in force.
///
/// # Errors
///
/// Returns -1102 if missing, -1106 if the type does not take it, -1115 for an unknown value.
pub fn time_in_force(parameters: &Parameters<'_>, kind: OrderType, name: &str) -> Result<TimeInForce, ApiError> {
    let wanted = matches!(kind, OrderType::Limit | OrderType::StopLossLimit | OrderType::TakeProfitLimit);
    match (wanted, parameters.choice(name, TimeInForce::from_text, ApiError::TIME_IN_FORCE)?) {
        (true, Some(time_in_force)) => Ok(time_in_force),
        (true, None) => Err(ApiError::mandatory(name)),
        (false, Some(_)) => Err(ApiError::not_required(name)),
        (false, None) => Ok(TimeInForce::Gtc),
    }
}

/// Limit price and stop price, 0 if the type does not have one. `stop` names the stop price and the parameter that Binance
/// accepts instead.
///
/// # Errors
///
/// Returns -1102 if missing, -1106 if the type does not take it.
pub fn order_prices(
    parameters: &Parameters<'_>,
    kind: OrderType,
    price: &str,
    stop: [&str; 2],
) -> Result<(Price, Price), ApiError> {
    let limit = match (kind.has_price(), parameters.decimal(price)?) {
        (true, None) => return Err(ApiError::mandatory(price)),
        (false, Some(_)) => return Err(ApiError::not_required(price)),
        (_, limit) => limit.unwrap_or_default(),
    };
    match (kind.is_algo(), parameters.decimal(stop[0])?) {
        // A trailing stop order follows the price from the start.
        (true, None) if parameters.has(stop[1]) => Ok((limit, 0)),
        // 0 would mean that none was sent.
        (true, Some(0)) => Err(Refusal::Filter(Filter::Price).into()),
        (true, None) => Err(ApiError::either(stop[0], stop[1])),
        (false, Some(_)) => Err(ApiError::not_required(stop[0])),
        (_, stop) => Ok((limit, stop.unwrap_or_default())),
    }
}
