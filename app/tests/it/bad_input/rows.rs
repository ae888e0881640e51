//! Requests that are refused on the stage of `stage`, in the order of the checks.

/// New orders that are refused: parameters, code, text. All are 400.
pub const ORDERS: &[(&str, i64, &str)] = &[
    // Syntax.
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=1e2&quantity=1",
        -1100,
        "Illegal characters found in parameter 'price'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=-100&quantity=1",
        -1100,
        "Illegal characters found in parameter 'price'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
    ),
    (
        "symbol=btcusdt&side=BUY&type=MARKET&quantity=1",
        -1100,
        "Illegal characters found in parameter 'symbol'; legal range is '^[\\w\\-._&&[^a-z]]{1,50}$'.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&newClientOrderId=1234567890123456789012345678901234567",
        -1100,
        "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&newClientOrderId=%FF%FE",
        -1100,
        "Illegal characters found in a parameter.",
    ),
    (
        "symbol=%00&side=BUY&type=MARKET&quantity=1",
        -1100,
        "Illegal characters found in parameter 'symbol'; legal range is '^[\\w\\-._&&[^a-z]]{1,50}$'.",
    ),
    ("symbol=BTCUSDT&side=BUY&side=SELL&type=MARKET&quantity=1", -1101, "Duplicate values for a parameter detected."),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&pirce=1",
        -1104,
        "Not all sent parameters were read; read '8' parameter(s) but was sent '9'.",
    ),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=&quantity=1", -1105, "Parameter 'price' was empty."),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100.000000001&quantity=1",
        -1111,
        "Parameter 'price' has too much precision.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=0.000000001",
        -1111,
        "Parameter 'quantity' has too much precision.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=99999999999999",
        -1108,
        "Parameter 'quantity' overflowed.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&newClientOrderId=",
        -1118,
        "New client order ID was empty.",
    ),
    // Mandatory, by type.
    ("side=BUY&type=MARKET&quantity=1", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("symbol=BTCUSDT&type=MARKET&quantity=1", -1102, "Mandatory parameter 'side' was not sent, was empty/null, or malformed."),
    ("symbol=BTCUSDT&side=BUY&quantity=1", -1102, "Mandatory parameter 'type' was not sent, was empty/null, or malformed."),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&price=100&quantity=1",
        -1102,
        "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100",
        -1102,
        "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1",
        -1102,
        "Mandatory parameter 'price' was not sent, was empty/null, or malformed.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=1",
        -1102,
        "Mandatory parameter 'price' was not sent, was empty/null, or malformed.",
    ),
    ("symbol=BTCUSDT&side=BUY&type=MARKET", -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"),
    (
        "symbol=BTCUSDT&side=BUY&type=STOP_LOSS&quantity=1",
        -1102,
        "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=TAKE_PROFIT_LIMIT&quantity=1&price=100&stopPrice=90",
        -1102,
        "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=STOP_LOSS_LIMIT&timeInForce=GTC&quantity=1&stopPrice=120",
        -1102,
        "Mandatory parameter 'price' was not sent, was empty/null, or malformed.",
    ),
    // Rejected by type.
    ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&price=100", -1106, "Parameter 'price' sent when not required."),
    ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&timeInForce=GTC", -1106, "Parameter 'timeInForce' sent when not required."),
    (
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&quoteOrderQty=100",
        -1106,
        "Parameter 'quoteOrderQty' sent when not required.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=1&price=100&timeInForce=GTC",
        -1106,
        "Parameter 'timeInForce' sent when not required.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=100&stopPrice=99",
        -1106,
        "Parameter 'stopPrice' sent when not required.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=100&quoteOrderQty=99",
        -1106,
        "Parameter 'quoteOrderQty' sent when not required.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=STOP_LOSS&quantity=1&stopPrice=120&price=1",
        -1106,
        "Parameter 'price' sent when not required.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=100&strategyId=1",
        -1106,
        "Parameter 'strategyId' sent when not required.",
    ),
    // Closed sets.
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTD&price=100&quantity=1", -1115, "Invalid timeInForce."),
    ("symbol=BTCUSDT&side=BUY&type=limit&timeInForce=GTC&price=100&quantity=1", -1116, "Invalid orderType."),
    ("symbol=BTCUSDT&side=HOLD&type=LIMIT&timeInForce=GTC&price=100&quantity=1", -1117, "Invalid side."),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&newOrderRespType=ALL",
        -1130,
        "Data sent for parameter 'newOrderRespType' is not valid.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&selfTradePreventionMode=SOME",
        -1130,
        "Data sent for parameter 'selfTradePreventionMode' is not valid.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&selfTradePreventionMode=TRANSFER",
        -1013,
        "This symbol does not allow the specified self-trade prevention mode.",
    ),
    // Features that this exchange does not support.
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&icebergQty=0.1",
        -2010,
        "Iceberg orders are not supported for this symbol.",
    ),
    (
        "symbol=BTCUSDT&side=SELL&type=STOP_LOSS&quantity=1&trailingDelta=100",
        -2010,
        "Trailing stop orders are not supported for this symbol.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&pegPriceType=PRIMARY_PEG",
        -2010,
        "Pegged orders are not supported for this symbol.",
    ),
    // The market and its filters, one by one.
    ("symbol=NOSUCH&side=BUY&type=MARKET&quantity=1", -1121, "Invalid symbol."),
    ("symbol=%EF%BC%91%EF%BC%92&side=BUY&type=MARKET&quantity=1", -1121, "Invalid symbol."),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100.001&quantity=1", -1013, "Filter failure: PRICE_FILTER"),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=0&quantity=1", -1013, "Filter failure: PRICE_FILTER"),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=1000000.01&quantity=1", -1013, "Filter failure: PRICE_FILTER"),
    ("symbol=BTCUSDT&side=SELL&type=STOP_LOSS&stopPrice=90.001&quantity=1", -1013, "Filter failure: PRICE_FILTER"),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=0", -1013, "Filter failure: LOT_SIZE"),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1.000001", -1013, "Filter failure: LOT_SIZE"),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=9000.00001", -1013, "Filter failure: LOT_SIZE"),
    ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0", -1013, "Filter failure: LOT_SIZE"),
    ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1001", -1013, "Filter failure: MARKET_LOT_SIZE"),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=600&quantity=1", -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    (
        "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&price=19.99&quantity=1",
        -1013,
        "Filter failure: PERCENT_PRICE_BY_SIDE",
    ),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=0.04999", -1013, "Filter failure: NOTIONAL"),
    ("symbol=BTCUSDT&side=BUY&type=MARKET&quoteOrderQty=4.99", -1013, "Filter failure: NOTIONAL"),
    // Refusals by the account and the book.
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=400&quantity=9000",
        -2010,
        "Account has insufficient balance for requested action.",
    ),
    (
        "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&price=101&quantity=150",
        -2010,
        "Account has insufficient balance for requested action.",
    ),
    (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=90&quantity=1&newClientOrderId=taken",
        -2010,
        "Duplicate order sent.",
    ),
    ("symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&price=110&quantity=1", -2010, "Order would immediately match and take."),
    ("symbol=BTCUSDT&side=BUY&type=STOP_LOSS&stopPrice=100&quantity=1", -2010, "Order would trigger immediately."),
    (
        "symbol=BTCUSDT&side=SELL&type=TAKE_PROFIT_LIMIT&timeInForce=GTC&stopPrice=99&price=99&quantity=1",
        -2010,
        "Order would trigger immediately.",
    ),
    (
        "symbol=BNBUSDT&side=BUY&type=MARKET&quoteOrderQty=100",
        -2010,
        "Order book liquidity is less than symbol minimum quantity.",
    ),
];

/// Cancels and queries that are refused.
pub const OTHERS: &[(&str, &str, &str, i64, &str)] = &[
    (
        "DELETE",
        "/api/v3/order",
        "symbol=BTCUSDT",
        -1102,
        "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!",
    ),
    ("DELETE", "/api/v3/order", "symbol=BTCUSDT&orderId=999", -2011, "Unknown order sent."),
    (
        "DELETE",
        "/api/v3/order",
        "symbol=BTCUSDT&orderId=1x",
        -1100,
        "Illegal characters found in parameter 'orderId'; legal range is '^[0-9]{1,20}$'.",
    ),
    ("DELETE", "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=", -1119, "Original client order ID was empty."),
    (
        "DELETE",
        "/api/v3/order",
        "symbol=BTCUSDT&origClientOrderId=taken&cancelRestrictions=ALL",
        -1145,
        "Invalid cancelRestrictions",
    ),
    (
        "DELETE",
        "/api/v3/order",
        "symbol=BTCUSDT&origClientOrderId=taken&cancelRestrictions=ONLY_PARTIALLY_FILLED",
        -2011,
        "Order was not canceled due to cancel restrictions.",
    ),
    ("DELETE", "/api/v3/openOrders", "symbol=BNBUSDT", -2011, "Unknown order sent."),
    ("DELETE", "/api/v3/openOrders", "", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("DELETE", "/api/v3/orderList", "symbol=BTCUSDT&orderListId=999", -2011, "Unknown order sent."),
    ("GET", "/api/v3/order", "symbol=BTCUSDT&orderId=999", -2013, "Order does not exist."),
    ("GET", "/api/v3/order", "symbol=BNBUSDT&origClientOrderId=taken", -2013, "Order does not exist."),
    ("GET", "/api/v3/orderList", "", -1102, "Param 'origClientOrderId' or 'orderListId' must be sent, but both were empty/null!"),
    ("GET", "/api/v3/orderList", "orderListId=999", -2013, "Order list does not exist."),
    (
        "GET",
        "/api/v3/account",
        "omitZeroBalances=maybe",
        -1100,
        "Illegal characters found in parameter 'omitZeroBalances'; legal range is '^(true|false)$'.",
    ),
    ("GET", "/api/v3/account", "unknown=1", -1104, "Not all sent parameters were read; read '2' parameter(s) but was sent '3'."),
    (
        "POST",
        "/api/v3/order/cancelReplace",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1",
        -1102,
        "Mandatory parameter 'cancelReplaceMode' was not sent, was empty/null, or malformed.",
    ),
    (
        "POST",
        "/api/v3/order/cancelReplace",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1&cancelReplaceMode=STOP_ON_FAILURE",
        -1102,
        "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were empty/null!",
    ),
    (
        "POST",
        "/api/v3/order/cancelReplace",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100.001&quantity=1&cancelReplaceMode=STOP_ON_FAILURE&cancelOrigClientOrderId=taken",
        -1013,
        "Filter failure: PRICE_FILTER",
    ),
    (
        "POST",
        "/api/v3/orderList/oco",
        "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=110&belowType=LIMIT_MAKER&belowPrice=90",
        -1168,
        "At least one OCO order must be contingent.",
    ),
    (
        "POST",
        "/api/v3/orderList/oco",
        "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=110&belowType=STOP_LOSS",
        -1102,
        "Param 'belowStopPrice' or 'belowTrailingDelta' must be sent, but both were empty/null!",
    ),
    (
        "POST",
        "/api/v3/orderList/oco",
        "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=110&belowType=STOP_LOSS&belowStopPrice=120",
        -2010,
        "The relationship of the prices for the orders is not correct.",
    ),
    (
        "POST",
        "/api/v3/orderList/oco",
        "symbol=BTCUSDT&side=SELL&quantity=1&aboveType=LIMIT_MAKER&abovePrice=110&aboveIcebergQty=1&belowType=STOP_LOSS&belowStopPrice=90",
        -2010,
        "Iceberg orders are not supported for this symbol.",
    ),
    (
        "POST",
        "/api/v3/order/test",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100.001&quantity=1",
        -1013,
        "Filter failure: PRICE_FILTER",
    ),
    ("POST", "/api/v3/orderList/otoco", "symbol=BTCUSDT", -1020, "This operation is not supported."),
    ("POST", "/api/v3/sor/order", "symbol=BTCUSDT", -1020, "This operation is not supported."),
];
