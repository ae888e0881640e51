//! This module describes each parameter in every endpoint that reads it: kind, values, one line. The table of routes lists the
//! parameters of an endpoint.

use exchange_core::market_data::Interval;
use exchange_core::order::{OrderType, Side, StpMode, TimeInForce};

/// Format of a parameter's value.
#[derive(Debug, Clone, Copy)]
pub enum ParameterKind {
    Text,
    Integer,
    Decimal,
    Boolean,
    /// Milliseconds or microseconds since the Unix epoch.
    Time,
    /// A JSON array of strings.
    Texts,
    /// One of a closed set.
    One(fn() -> Vec<&'static str>),
}

/// Read by name so that a client gets a clear refusal; omitted from the reference.
pub const REFUSED: &[&str] = &[
    "strategyId",
    "strategyType",
    "pegPriceType",
    "pegOffsetValue",
    "pegOffsetType",
    "aboveStrategyId",
    "aboveStrategyType",
    "abovePegPriceType",
    "abovePegOffsetType",
    "abovePegOffsetValue",
    "belowStrategyId",
    "belowStrategyType",
    "belowPegPriceType",
    "belowPegOffsetType",
    "belowPegOffsetValue",
    "workingStrategyId",
    "workingStrategyType",
    "workingPegPriceType",
    "workingPegOffsetType",
    "workingPegOffsetValue",
    "pendingStrategyId",
    "pendingStrategyType",
    "pendingPegPriceType",
    "pendingPegOffsetType",
    "pendingPegOffsetValue",
    "pendingAboveStrategyId",
    "pendingAboveStrategyType",
    "pendingAbovePegPriceType",
    "pendingAbovePegOffsetType",
    "pendingAbovePegOffsetValue",
    "pendingBelowStrategyId",
    "pendingBelowStrategyType",
    "pendingBelowPegPriceType",
    "pendingBelowPegOffsetType",
    "pendingBelowPegOffsetValue",
    "limitStrategyId",
    "limitStrategyType",
    "stopStrategyId",
    "stopStrategyType",
];

fn legs() -> Vec<&'static str> {
    vec!["LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
}

fn time_in_force() -> Vec<&'static str> {
    TimeInForce::ALL.iter().map(|value| value.text()).collect()
}

/// Kind and meaning of the parameter `name` of `path`; `None`: not documented.
pub fn describe(path: &str, name: &str) -> Option<(ParameterKind, &'static str)> {
    let wallet = path.starts_with("/sapi/");
    Some(match name {
        "type" if path.contains("ticker") => (ParameterKind::One(|| vec!["FULL", "MINI"]), "Default: FULL."),
        "limit" if path.ends_with("/depth") => (ParameterKind::Integer, "Levels per side. Default 100, at most 5000."),
        "limit" if path.ends_with("/statement") => (ParameterKind::Integer, "Default 20, at most 100."),
        "startTime" if path.ends_with("/statement") => (ParameterKind::Time, "Inclusive. At most 366 days before endTime."),
        "endTime" if path.ends_with("/statement") => (ParameterKind::Time, "Exclusive, and not in the future."),
        "statementId" => (ParameterKind::Text, "Id from the request or the list."),
        "limit" => (ParameterKind::Integer, "Default 500, at most 1000."),
        "fromId" if path.ends_with("allOrderList") => {
            (ParameterKind::Integer, "First order list id of the answer. Not together with times.")
        }
        "fromId" if path.ends_with("aggTrades") => {
            (ParameterKind::Integer, "First aggregate trade id of the answer. Not together with times.")
        }
        "fromId" => (ParameterKind::Integer, "First trade id of the answer. Without it: the latest trades."),
        "orderId" if path.ends_with("allOrders") => {
            (ParameterKind::Integer, "First order id of the answer. Without it: the latest orders.")
        }
        "quantity" => (ParameterKind::Decimal, "Quantity in the base asset."),
        "amount" => (ParameterKind::Decimal, "Amount in units of the coin."),
        "symbol" if path.ends_with("openOrders") => (ParameterKind::Text, "E.g. BTCUSDT. Without it: every symbol."),
        "symbol" => (ParameterKind::Text, "E.g. BTCUSDT."),
        "symbols" => (ParameterKind::Texts, "E.g. [\"BTCUSDT\",\"ETHUSDT\"]. Not together with symbol."),
        "symbolStatus" => (
            ParameterKind::One(|| vec!["TRADING", "HALT", "BREAK", "CANCEL_ONLY"]),
            "Only symbols with this status. Others are omitted; a single one is answered -1220.",
        ),
        "permissions" => {
            (ParameterKind::Text, "SPOT, or an array such as [\"SPOT\",\"MARGIN\"]. Not together with symbol or symbols.")
        }
        "showPermissionSets" => (ParameterKind::Boolean, "Whether permissionSets is filled in. Default: true."),
        "interval" => (
            ParameterKind::One(|| Interval::ALL.iter().map(|interval| interval.text()).collect()),
            "Length of a candle; 1s is a second, 1m a minute, 1M a month. Weeks start on Monday, 3d candles count from 1970-01-01.",
        ),
        "windowSize" => (ParameterKind::Text, "1m to 59m, 1h to 23h, 1d to 7d. Default: 1d."),
        "timeZone" if path.ends_with("tradingDay") => {
            (ParameterKind::Text, "Offset of the day from UTC: -12:00 to +14:00, e.g. 8 or 05:45. Default: 0.")
        }
        "timeZone" => (ParameterKind::Text, "Offset of the intervals from UTC: -12:00 to +14:00, e.g. 8 or 05:45. Default: 0."),
        "startTime" => (ParameterKind::Time, "Inclusive. With it the answer starts with the oldest match, up to the limit."),
        "endTime" => (ParameterKind::Time, "Inclusive."),
        "side" => (ParameterKind::One(|| Side::ALL.iter().map(|value| value.text()).collect()), "Of the order."),
        "type" => (ParameterKind::One(|| OrderType::ALL.iter().map(|value| value.text()).collect()), "Of the order."),
        "workingType" => (ParameterKind::One(|| vec!["LIMIT", "LIMIT_MAKER"]), "Type of the order that is placed at once."),
        "pendingType" => (
            ParameterKind::One(|| OrderType::ALL.iter().map(|value| value.text()).collect()),
            "Type of the order that is placed when the working order is filled.",
        ),
        "workingSide" | "pendingSide" => {
            (ParameterKind::One(|| Side::ALL.iter().map(|value| value.text()).collect()), "Of the order.")
        }
        "workingQuantity" | "pendingQuantity" => (ParameterKind::Decimal, "Quantity in the base asset."),
        "workingPrice" => (ParameterKind::Decimal, "Price in the quote asset."),
        "workingTimeInForce" => (ParameterKind::One(time_in_force), "Required for LIMIT."),
        "aboveType" | "belowType" | "pendingAboveType" | "pendingBelowType" => {
            (ParameterKind::One(legs), "Type of the leg above or below the market.")
        }
        "timeInForce" => (ParameterKind::One(time_in_force), "For LIMIT, STOP_LOSS_LIMIT and TAKE_PROFIT_LIMIT."),
        "pendingTimeInForce" => (ParameterKind::One(time_in_force), "For LIMIT, STOP_LOSS_LIMIT and TAKE_PROFIT_LIMIT."),
        "aboveTimeInForce" | "belowTimeInForce" | "pendingAboveTimeInForce" | "pendingBelowTimeInForce" => {
            (ParameterKind::One(time_in_force), "For STOP_LOSS_LIMIT and TAKE_PROFIT_LIMIT.")
        }
        "quoteOrderQty" => (ParameterKind::Decimal, "MARKET only: how much of the quote asset to spend or receive."),
        "price" if path.ends_with("order/oco") => (ParameterKind::Decimal, "Price of the limit leg."),
        "stopPrice" if path.ends_with("order/oco") => {
            (ParameterKind::Decimal, "Last price at which the stop leg becomes active.")
        }
        "price" | "abovePrice" | "belowPrice" | "pendingPrice" | "pendingAbovePrice" | "pendingBelowPrice" => {
            (ParameterKind::Decimal, "Price in the quote asset, for types that have a limit price.")
        }
        "stopPrice"
        | "aboveStopPrice"
        | "belowStopPrice"
        | "pendingStopPrice"
        | "pendingAboveStopPrice"
        | "pendingBelowStopPrice" => (ParameterKind::Decimal, "Last price at which the order becomes active."),
        "newClientOrderId" if path.ends_with("keepPriority") => {
            (ParameterKind::Text, "Client id of the order after the amendment; it may be the current one. Generated if not sent.")
        }
        "newQty" => (ParameterKind::Decimal, "Quantity after the amendment: below the order's, above its executed quantity."),
        "trailingDelta"
        | "aboveTrailingDelta"
        | "belowTrailingDelta"
        | "pendingTrailingDelta"
        | "pendingAboveTrailingDelta"
        | "pendingBelowTrailingDelta" => (
            ParameterKind::Integer,
            "Makes an order that waits for a price a trailing stop order: the fall or rise from the best price that triggers it, in basis points.",
        ),
        "icebergQty"
        | "aboveIcebergQty"
        | "belowIcebergQty"
        | "workingIcebergQty"
        | "pendingIcebergQty"
        | "pendingAboveIcebergQty"
        | "pendingBelowIcebergQty"
        | "limitIcebergQty"
        | "stopIcebergQty" => {
            (ParameterKind::Decimal, "The part of the quantity that the book shows at a time; only with a limit price and GTC.")
        }
        "preventedMatchId" => (ParameterKind::Integer, "Id of one match. Not together with other ids or limit."),
        "fromPreventedMatchId" => (ParameterKind::Integer, "First match id of the answer, with orderId."),
        "fromExecutionId" => (ParameterKind::Integer, "First execution id of the answer."),
        "newClientOrderId" if path.ends_with("/order") || path.contains("order/") => {
            (ParameterKind::Text, "1 to 36 of a-z A-Z 0-9 - _; unique among open orders. Generated if not sent.")
        }
        "newClientOrderId" | "cancelNewClientOrderId" => (ParameterKind::Text, "Id of the cancel itself. Generated if not sent."),
        "listClientOrderId" => (ParameterKind::Text, "Client id of the list."),
        "stopLimitPrice" => {
            (ParameterKind::Decimal, "Makes the stop leg a STOP_LOSS_LIMIT with this price; else it is a STOP_LOSS.")
        }
        "stopLimitTimeInForce" => (ParameterKind::One(time_in_force), "Required with stopLimitPrice."),
        "limitClientOrderId" | "stopClientOrderId" => (ParameterKind::Text, "Client id of the leg."),
        "workingClientOrderId" | "pendingClientOrderId" | "pendingAboveClientOrderId" | "pendingBelowClientOrderId" => {
            (ParameterKind::Text, "Client id of the order. Generated if not sent.")
        }
        "aboveClientOrderId" | "belowClientOrderId" => (ParameterKind::Text, "Client id of the leg."),
        "newOrderRespType" => (
            ParameterKind::One(|| vec!["ACK", "RESULT", "FULL"]),
            "Detail of the reply. Default: FULL for MARKET and LIMIT, ACK for other orders, RESULT for order lists.",
        ),
        "selfTradePreventionMode" => {
            (ParameterKind::One(|| StpMode::ALL.iter().map(|value| value.text()).collect()), "Default: that of the symbol.")
        }
        "computeCommissionRates" => (ParameterKind::Boolean, "Include the commission rates. Default: false."),
        "orderId" => (ParameterKind::Integer, "Id of the order."),
        "origClientOrderId" if path.ends_with("orderList") => (ParameterKind::Text, "Client id of the list."),
        "origClientOrderId" => (ParameterKind::Text, "Client id of the order."),
        "cancelOrderId" => (ParameterKind::Integer, "Id of the order to cancel."),
        "cancelOrigClientOrderId" => (ParameterKind::Text, "Client id of the order to cancel."),
        "cancelReplaceMode" => (
            ParameterKind::One(|| vec!["STOP_ON_FAILURE", "ALLOW_FAILURE"]),
            "Whether to place the new order if the cancel fails.",
        ),
        "cancelRestrictions" => {
            (ParameterKind::One(|| vec!["ONLY_NEW", "ONLY_PARTIALLY_FILLED"]), "Cancel the order only if it has this status.")
        }
        "orderRateLimitExceededMode" => (
            ParameterKind::One(|| vec!["DO_NOTHING", "CANCEL_ONLY"]),
            "Action if the account has no room for another order. Default: DO_NOTHING.",
        ),
        "listenKey" => (ParameterKind::Text, "As returned by POST."),
        "orderListId" => (ParameterKind::Integer, "Id of the list."),
        "omitZeroBalances" => (ParameterKind::Boolean, "Omit assets with a zero balance. Default: false."),
        "coin" if wallet => (ParameterKind::Text, "E.g. BTC."),
        "network" | "address" | "addressTag" | "name" | "txId" | "idList" | "withdrawOrderId" | "questionnaire" if wallet => {
            (ParameterKind::Text, "As at Binance.")
        }
        "status" | "offset" | "walletType" if wallet => (ParameterKind::Integer, "As at Binance."),
        "transactionFeeFlag" | "includeSource" if wallet => (ParameterKind::Boolean, "As at Binance."),
        _ => return None,
    })
}
