//! This module documents the requirements and replies of each endpoint. It must not contain an endpoint outside the table of
//! routes (a test compares both).

/// The shape of a reply's body: names of schemas.
#[derive(Debug, Clone, Copy)]
pub enum AnswerShape {
    One(&'static str),
    Many(&'static str),
    /// An object for `symbol`, an array for `symbols` or no symbol; any of the named shapes.
    OneOrMany(&'static [&'static str]),
    AnyOf(&'static [&'static str]),
    /// Rows of candles.
    Candles,
    /// Never 200, only errors.
    Refused,
}

/// The documentation of one endpoint, next to its row in the table of routes.
#[derive(Debug)]
pub struct Documented {
    pub method: &'static str,
    pub path: &'static str,
    /// Required parameters.
    pub required: &'static [&'static str],
    pub shape: AnswerShape,
}

const fn row(method: &'static str, path: &'static str, required: &'static [&'static str], shape: AnswerShape) -> Documented {
    Documented { method, path, required, shape }
}

use AnswerShape::{AnyOf, Candles, Many, One, OneOrMany, Refused};

const SYMBOL: &[&str] = &["symbol"];

/// By method and path.
pub const DOCUMENTED: &[Documented] = &[
    row("GET", "/api/v3/ping", &[], One("Empty")),
    row("GET", "/api/v3/time", &[], One("ServerTime")),
    row("GET", "/api/v3/exchangeInfo", &[], One("ExchangeInfo")),
    row("GET", "/api/v3/executionRules", &[], One("ExecutionRules")),
    row("GET", "/api/v3/referencePrice", SYMBOL, One("ReferencePrice")),
    row("GET", "/api/v3/depth", SYMBOL, One("Depth")),
    row("GET", "/api/v3/trades", SYMBOL, Many("Trade")),
    row("GET", "/api/v3/historicalTrades", SYMBOL, Many("Trade")),
    row("GET", "/api/v3/aggTrades", SYMBOL, Many("AggregateTrade")),
    row("GET", "/api/v3/klines", &["symbol", "interval"], Candles),
    row("GET", "/api/v3/uiKlines", &["symbol", "interval"], Candles),
    row("GET", "/api/v3/avgPrice", SYMBOL, One("AveragePrice")),
    row("GET", "/api/v3/ticker/24hr", &[], OneOrMany(&["DayTicker", "MiniDayTicker"])),
    row("GET", "/api/v3/ticker", &[], OneOrMany(&["WindowTicker", "MiniDayTicker"])),
    row("GET", "/api/v3/ticker/tradingDay", &[], OneOrMany(&["WindowTicker", "MiniDayTicker"])),
    row("GET", "/api/v3/ticker/price", &[], OneOrMany(&["PriceTicker"])),
    row("GET", "/api/v3/ticker/bookTicker", &[], OneOrMany(&["BookTicker"])),
    row("POST", "/api/v3/order", &["symbol", "side", "type"], One("NewOrder")),
    row("POST", "/api/v3/order/test", &["symbol", "side", "type"], AnyOf(&["OrderCommission", "Empty"])),
    row("GET", "/api/v3/order", SYMBOL, One("Order")),
    row("DELETE", "/api/v3/order", SYMBOL, One("Canceled")),
    row("GET", "/api/v3/openOrders", &[], Many("Order")),
    row("DELETE", "/api/v3/openOrders", SYMBOL, Many("Canceled")),
    row("POST", "/api/v3/order/cancelReplace", &["symbol", "side", "type", "cancelReplaceMode"], One("CancelReplace")),
    row("PUT", "/api/v3/order/amend/keepPriority", &["symbol", "newQty"], One("AmendedOrder")),
    row("GET", "/api/v3/order/amendments", &["symbol", "orderId"], Many("Amendment")),
    row("POST", "/api/v3/orderList/oco", &["symbol", "side", "quantity", "aboveType", "belowType"], One("PlacedOrderList")),
    row(
        "POST",
        "/api/v3/orderList/oto",
        &[
            "symbol",
            "workingType",
            "workingSide",
            "workingPrice",
            "workingQuantity",
            "pendingType",
            "pendingSide",
            "pendingQuantity",
        ],
        One("PlacedOrderList"),
    ),
    row(
        "POST",
        "/api/v3/orderList/otoco",
        &[
            "symbol",
            "workingType",
            "workingSide",
            "workingPrice",
            "workingQuantity",
            "pendingSide",
            "pendingQuantity",
            "pendingAboveType",
            "pendingBelowType",
        ],
        One("PlacedOrderList"),
    ),
    row("POST", "/api/v3/order/oco", &["symbol", "side", "quantity", "price"], One("PlacedOrderList")),
    row("GET", "/api/v3/orderList", &[], One("OrderList")),
    row("DELETE", "/api/v3/orderList", SYMBOL, One("CanceledOrderList")),
    row("GET", "/api/v3/openOrderList", &[], Many("OrderList")),
    row("GET", "/api/v3/allOrders", SYMBOL, Many("Order")),
    row("GET", "/api/v3/myTrades", SYMBOL, Many("AccountTrade")),
    row("GET", "/api/v3/myPreventedMatches", SYMBOL, Many("PreventedMatch")),
    row("GET", "/api/v3/allOrderList", &[], Many("OrderList")),
    row("POST", "/sapi/v1/account/statement", &["startTime", "endTime"], One("RequestedStatement")),
    row("GET", "/sapi/v1/account/statement", &[], Many("Statement")),
    row("GET", "/sapi/v1/account/statement/link", &["statementId"], One("StatementLink")),
    row("GET", "/api/v3/account", &[], One("Account")),
    row("GET", "/api/v3/account/commission", SYMBOL, One("AccountCommission")),
    row("GET", "/api/v3/myFilters", SYMBOL, One("AccountFilters")),
    row("GET", "/api/v3/rateLimit/order", &[], Many("OrderCount")),
    row("POST", "/api/v3/userDataStream", &[], One("ListenKey")),
    row("PUT", "/api/v3/userDataStream", &["listenKey"], One("Empty")),
    row("DELETE", "/api/v3/userDataStream", &["listenKey"], One("Empty")),
    row("GET", "/sapi/v1/system/status", &[], One("SystemStatus")),
    row("GET", "/sapi/v1/capital/config/getall", &[], Many("Coin")),
    row("GET", "/sapi/v1/capital/deposit/hisrec", &[], Many("Empty")),
    row("GET", "/sapi/v1/capital/deposit/address", &["coin"], Refused),
    row("POST", "/sapi/v1/capital/withdraw/apply", &["coin", "address", "amount"], Refused),
    row("GET", "/sapi/v1/capital/withdraw/history", &[], Many("Empty")),
    row("GET", "/sapi/v1/asset/tradeFee", &[], Many("TradeFee")),
    row("GET", "/sapi/v1/margin/allPairs", &[], Many("Empty")),
    row("GET", "/sapi/v1/margin/isolated/allPairs", &[], Many("Empty")),
    row("GET", "/fapi/v1/exchangeInfo", &[], One("NoSymbols")),
    row("GET", "/dapi/v1/exchangeInfo", &[], One("NoSymbols")),
];

/// The documentation of an endpoint.
pub fn documented_answer(method: &str, path: &str) -> Option<&'static Documented> {
    DOCUMENTED.iter().find(|row| row.method == method && row.path == path)
}
