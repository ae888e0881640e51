//! Tests of public market data: values, parameters, errors, and that it remains available while PostgreSQL is lost.

use exchange_core::command::AdminAction;
use exchange_core::market::MarketStatus;
use serde_json::{Value, json};

use crate::exchange::Exchange;

/// A book, and three trades: 0.5 at 100 and 0.25 at 101 by one buyer, 0.1 at 99 by a seller.
async fn traded() -> Exchange {
    let exchange = Exchange::start().await;
    {
        let (maker, taker) = (exchange.trader("maker").await, exchange.trader("taker").await);
        maker.limit("SELL", "100.00", "0.5").await;
        maker.limit("SELL", "101.00", "1").await;
        maker.limit("BUY", "99.00", "2").await;
        maker.limit("BUY", "98.00", "3").await;
        maker.limit("BUY", "98.00", "1").await;
        taker.limit("BUY", "101.00", "0.75").await;
        taker.limit("SELL", "99.00", "0.1").await;
    }
    exchange
}

fn without(mut value: Value, names: &[&str]) -> Value {
    let fields = value.as_object_mut().unwrap();
    for name in names {
        assert!(fields.remove(*name).is_some_and(|value| value.is_i64() || value.is_u64()), "{name} is a number");
    }
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn what_traded_is_shown() {
    let exchange = traded().await;
    let get = async |path: &str, query: &str| exchange.public(path, query).await.ok();

    let depth = get("/api/v3/depth", "symbol=BTCUSDT&limit=2").await;
    let sequence = exchange.app.engine.committed().read().state.market_sequence(0);
    assert_eq!(
        depth,
        json!({"lastUpdateId": sequence,
            "bids": [["99.00000000", "1.90000000"], ["98.00000000", "4.00000000"]],
            "asks": [["101.00000000", "0.75000000"]]})
    );
    assert_eq!(get("/api/v3/depth", "symbol=BTCUSDT&limit=1").await["bids"].as_array().map(Vec::len), Some(1));

    let trade = |id: u64, price: &str, quantity: &str, quote: &str, maker_bought: bool| json!({"id": id, "price": price, "qty": quantity, "quoteQty": quote, "isBuyerMaker": maker_bought, "isBestMatch": true});
    let expected = [
        trade(1, "100.00000000", "0.50000000", "50.00000000", false),
        trade(2, "101.00000000", "0.25000000", "25.25000000", false),
        trade(3, "99.00000000", "0.10000000", "9.90000000", true),
    ];
    let untimed =
        |body: Value| -> Vec<Value> { body.as_array().unwrap().iter().map(|trade| without(trade.clone(), &["time"])).collect() };
    assert_eq!(untimed(get("/api/v3/trades", "symbol=BTCUSDT").await), expected);
    assert_eq!(untimed(get("/api/v3/trades", "symbol=BTCUSDT&limit=2").await), expected[1..]);
    assert_eq!(untimed(get("/api/v3/historicalTrades", "symbol=BTCUSDT").await), expected);
    assert_eq!(untimed(get("/api/v3/historicalTrades", "symbol=BTCUSDT&fromId=2&limit=1").await), expected[1..2]);
    assert_eq!(untimed(get("/api/v3/historicalTrades", "symbol=BTCUSDT&fromId=4").await), [Value::Null; 0]);
    assert_eq!(get("/api/v3/trades", "symbol=BNBUSDT").await, json!([]));

    let aggregates = get("/api/v3/aggTrades", "symbol=BTCUSDT").await;
    let time = aggregates[0]["T"].as_i64().unwrap();
    assert_eq!(
        without(aggregates[1].clone(), &["T"]),
        json!({"a": 2, "p": "101.00000000", "q": "0.25000000", "f": 2, "l": 2, "m": false, "M": true})
    );
    let count =
        async |query: String| get("/api/v3/aggTrades", &format!("symbol=BTCUSDT&{query}")).await.as_array().unwrap().len();
    assert_eq!(count(format!("startTime={time}")).await, 3);
    assert_eq!(count(format!("startTime={}", time + 60_000)).await, 0);
    assert_eq!(count(format!("endTime={}", time - 1)).await, 0);
    assert_eq!(count("fromId=3".to_owned()).await, 1);

    assert_eq!(
        without(get("/api/v3/avgPrice", "symbol=BTCUSDT").await, &["closeTime"]),
        json!({"mins": 5, "price": "100.17647058"})
    );
    assert_eq!(get("/api/v3/avgPrice", "symbol=BNBUSDT").await["price"], "0.00000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn candles_and_tickers_sum_what_traded() {
    let exchange = traded().await;
    let get = async |path: &str, query: &str| exchange.public(path, query).await.ok();

    for interval in ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"] {
        let candles = get("/api/v3/klines", &format!("symbol=BTCUSDT&interval={interval}")).await;
        // Trades may be on both sides of one opening, never of two.
        let candles = candles.as_array().unwrap();
        let most = if interval == "1s" { 500 } else { 3 };
        assert!((1..=most).contains(&candles.len()), "{interval}: {candles:?}");
        let number = |candle: &Value, column: usize| candle[column].as_str().unwrap().parse::<f64>().unwrap();
        let sum = |column| (candles.iter().map(|candle| number(candle, column)).sum::<f64>() * 1e8).round() / 1e8;
        assert_eq!((sum(5), sum(7), sum(9), sum(10)), (0.85, 85.15, 0.75, 75.25), "{interval}");
        assert_eq!(candles.iter().map(|candle| candle[8].as_i64().unwrap()).sum::<i64>(), 3);
        assert_eq!((&candles[0][1], &candles[candles.len() - 1][4]), (&json!("100.00000000"), &json!("99.00000000")));
        let last = candles.last().unwrap();
        assert_eq!(last[11], "0");
        let (open, close) = (last[0].as_i64().unwrap(), last[6].as_i64().unwrap());
        let length = match interval.split_at(interval.len() - 1) {
            (count, "m") => count.parse::<i64>().unwrap() * 60_000,
            (count, "h") => count.parse::<i64>().unwrap() * 3_600_000,
            (count, "d") => count.parse::<i64>().unwrap() * 86_400_000,
            (_, "w") => 7 * 86_400_000,
            _ => close - open + 1,
        };
        assert_eq!(close, open + length - 1, "{interval}");
    }

    let ticker = get("/api/v3/ticker/24hr", "symbol=BTCUSDT").await;
    let (open, close) = (ticker["openTime"].as_i64().unwrap(), ticker["closeTime"].as_i64().unwrap());
    assert_eq!(close - open, 86_400_000);
    let expected = json!({
        "symbol": "BTCUSDT", "priceChange": "-1.00000000", "priceChangePercent": "-1.000", "weightedAvgPrice": "100.17647059",
        "prevClosePrice": "0.00000000", "lastPrice": "99.00000000", "lastQty": "0.10000000",
        "bidPrice": "99.00000000", "bidQty": "1.90000000", "askPrice": "101.00000000", "askQty": "0.75000000",
        "openPrice": "100.00000000", "highPrice": "101.00000000", "lowPrice": "99.00000000",
        "volume": "0.85000000", "quoteVolume": "85.15000000", "firstId": 1, "lastId": 3, "count": 3,
    });
    assert_eq!(without(ticker, &["openTime", "closeTime"]), expected);
    let mini = get("/api/v3/ticker/24hr", "symbol=BTCUSDT&type=MINI").await;
    assert_eq!(mini.as_object().map(|fields| fields.len()), Some(12));
    let mut in_window = expected;
    for name in ["prevClosePrice", "lastQty", "bidPrice", "bidQty", "askPrice", "askQty"] {
        in_window.as_object_mut().unwrap().remove(name).unwrap();
    }
    for size in ["", "&windowSize=2h", "&windowSize=7d", "&windowSize=59m"] {
        let window = get("/api/v3/ticker", &format!("symbol=BTCUSDT{size}")).await;
        let (open, close) = (window["openTime"].as_i64().unwrap(), window["closeTime"].as_i64().unwrap());
        let length = match size {
            "&windowSize=2h" => 7_200_000,
            "&windowSize=7d" => 604_800_000,
            "&windowSize=59m" => 3_540_000,
            _ => 86_400_000,
        };
        assert_eq!(open % 60_000, 0, "{size}");
        assert!((length..length + 60_000).contains(&(close - open)), "{size}: {open} to {close}");
        assert_eq!(without(window, &["openTime", "closeTime"]), in_window, "{size}");
    }
    let mini = get("/api/v3/ticker", "symbol=BTCUSDT&type=MINI").await;
    assert_eq!(mini.as_object().map(|fields| fields.len()), Some(12));
    // The journal's time may pass midnight of one zone between trades and request, never of two.
    let days = ["0", "8", "-05:30"].map(|zone| format!("symbol=BTCUSDT&timeZone={zone}"));
    let mut whole = 0;
    for (query, offset) in days.iter().zip([0, 480, -330]) {
        let day = get("/api/v3/ticker/tradingDay", query).await;
        let open = day["openTime"].as_i64().unwrap();
        assert_eq!((open + offset * 60_000) % 86_400_000, 0, "{query}");
        assert_eq!(day["closeTime"].as_i64().unwrap() - open, 86_399_999);
        whole += usize::from(without(day, &["openTime", "closeTime"]) == in_window);
    }
    assert!(whole >= 2, "{whole}");
    let quiet = get("/api/v3/ticker", "symbols=[%22BNBUSDT%22]&windowSize=3d").await;
    assert_eq!((&quiet[0]["lastPrice"], &quiet[0]["firstId"]), (&json!("0.00000000"), &json!(-1)));
    let quiet = get("/api/v3/ticker/24hr", "symbol=BNBUSDT").await;
    assert_eq!(
        (&quiet["lastPrice"], &quiet["priceChangePercent"], &quiet["firstId"]),
        (&json!("0.00000000"), &json!("0.000"), &json!(-1))
    );

    assert_eq!(get("/api/v3/ticker/price", "symbol=BTCUSDT").await, json!({"symbol": "BTCUSDT", "price": "99.00000000"}));
    let all = get("/api/v3/ticker/bookTicker", "").await;
    assert_eq!(
        all,
        json!([
            {"symbol": "BTCUSDT", "bidPrice": "99.00000000", "bidQty": "1.90000000", "askPrice": "101.00000000", "askQty": "0.75000000"},
            {"symbol": "BNBUSDT", "bidPrice": "0.00000000", "bidQty": "0.00000000", "askPrice": "0.00000000", "askQty": "0.00000000"},
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_told_in_the_order_of_their_checks() {
    let exchange = Exchange::start().await;
    let info = exchange.public("/api/v3/exchangeInfo", "").await.ok();
    let filters = |info: &Value| -> Vec<String> {
        let filters = info["symbols"][0]["filters"].as_array().unwrap();
        filters.iter().map(|filter| filter["filterType"].as_str().unwrap().to_owned()).collect()
    };
    let order = [
        "PRICE_FILTER",
        "LOT_SIZE",
        "MARKET_LOT_SIZE",
        "PERCENT_PRICE_BY_SIDE",
        "NOTIONAL",
        "ICEBERG_PARTS",
        "TRAILING_DELTA",
        "MAX_NUM_ORDERS",
        "MAX_NUM_ALGO_ORDERS",
        "MAX_NUM_ORDER_AMENDS",
    ];
    assert_eq!(filters(&info), order);
    let own = exchange.trader("ada").await.get("/api/v3/myFilters", "symbol=BTCUSDT").await.ok();
    let expected = json!({"exchangeFilters": [], "symbolFilters": info["symbols"][0]["filters"], "assetFilters": []});
    assert_eq!(own, expected);
    assert_eq!(
        info["symbols"][0]["filters"][3],
        json!({"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2", "askMultiplierUp": "5",
               "askMultiplierDown": "0.2", "avgPriceMins": 5})
    );
    let symbols = async |query: &str| {
        let info = exchange.public("/api/v3/exchangeInfo", query).await.ok();
        let symbols = info["symbols"].as_array().unwrap();
        symbols.iter().map(|symbol| symbol["symbol"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(symbols("").await, ["BTCUSDT", "BNBUSDT"]);
    assert_eq!(symbols("symbol=BNBUSDT").await, ["BNBUSDT"]);
    assert_eq!(symbols("symbols=%5B%22BNBUSDT%22,%22BTCUSDT%22%5D").await, ["BNBUSDT", "BTCUSDT"]);
    assert_eq!(symbols("permissions=SPOT").await, ["BTCUSDT", "BNBUSDT"]);
    assert_eq!(symbols("permissions=%5B%22MARGIN%22%2C%22LEVERAGED%22%5D").await, [""; 0]);
    assert_eq!(symbols("symbolStatus=HALT").await, [""; 0]);
    let bare = exchange.public("/api/v3/exchangeInfo", "showPermissionSets=false").await.ok();
    assert_eq!((&info["symbols"][0]["permissionSets"], &bare["symbols"][0]["permissionSets"]), (&json!([["SPOT"]]), &json!([])));

    // A change is visible immediately.
    exchange.admin(AdminAction::SetMarketStatus { market: 1, status: MarketStatus::Halt }).await;
    assert_eq!(symbols("symbolStatus=HALT").await, ["BNBUSDT"]);
    let halted = exchange.public("/api/v3/exchangeInfo", "symbol=BNBUSDT").await.ok();
    assert_eq!(halted["symbols"][0]["status"], "HALT");
    let answer = exchange.public("/api/v3/ticker/price", "symbol=BNBUSDT&symbolStatus=TRADING").await;
    assert_eq!(answer.error(), (400, -1220, "The symbol's status does not match the requested symbolStatus."));
    let prices = exchange.public("/api/v3/ticker/price", "symbolStatus=TRADING").await.ok();
    assert_eq!(prices.as_array().map(Vec::len), Some(1));
}

const ILLEGAL: &str = "Illegal characters found in parameter";

/// Path and query, code, and the start of the text. All are 400.
const FAULTS: &[(&str, i64, &str)] = &[
    ("depth", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("depth?symbol=", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
    ("depth?symbol=NOSUCH", -1121, "Invalid symbol."),
    ("depth?symbol=btcusdt", -1100, ILLEGAL),
    ("depth?symbol=BTCUSDT&limit=-1", -1100, ILLEGAL),
    ("depth?symbol=BTCUSDT&limit=many", -1100, ILLEGAL),
    ("depth?symbol=BTCUSDT&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
    ("depth?symbol=BTCUSDT&limit=99999999999999999999", -1108, "Parameter 'limit' overflowed."),
    ("depth?symbol=BTCUSDT&symbol=BTCUSDT", -1101, "Duplicate values for a parameter detected."),
    ("depth?symbol=BTCUSDT&depth=5", -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ("trades?symbol=BTCUSDT&limit=5&depth=5", -1101, "Too many parameters; expected '2' and received '3'."),
    ("depth?symbol=BTCUSDT&symbolStatus=OPEN", -1122, "Invalid symbolStatus."),
    ("depth?symbol=BTCUSDT&symbolStatus=BREAK", -1220, "The symbol's status does not match the requested symbolStatus."),
    ("historicalTrades?symbol=BTCUSDT&fromId=x", -1100, ILLEGAL),
    ("aggTrades?symbol=BTCUSDT&fromId=1&startTime=1", -1128, "Combination of optional parameters invalid."),
    (
        "aggTrades?symbol=BTCUSDT&startTime=1700000000001&endTime=1700000000000",
        -1130,
        "Data sent for parameter 'endTime' is not valid.",
    ),
    ("klines?symbol=BTCUSDT", -1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed."),
    ("klines?symbol=BTCUSDT&interval=7m", -1120, "Invalid interval."),
    ("klines?symbol=BTCUSDT&interval=2s", -1120, "Invalid interval."),
    ("klines?symbol=BTCUSDT&interval=1m&timeZone=14:01", -1130, "Data sent for parameter 'timeZone' is not valid."),
    ("avgPrice?symbol=%FF", -1100, "Illegal characters found in a parameter."),
    ("ticker", -1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"),
    ("ticker/tradingDay?symbolStatus=TRADING", -1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"),
    ("ticker?symbol=BTCUSDT&windowSize=8d", -1130, "Data sent for parameter 'windowSize' is not valid."),
    ("ticker?symbol=BTCUSDT&windowSize=", -1105, "Parameter 'windowSize' was empty."),
    ("ticker?symbol=BTCUSDT&type=HUGE", -1139, "Invalid ticker type."),
    ("ticker?symbol=BTCUSDT&symbols=%5B%22BTCUSDT%22%5D", -1128, "Combination of optional parameters invalid."),
    ("ticker?symbols=%5B%22BTCUSDT%22,%22NOSUCH%22%5D", -1121, "Invalid symbol."),
    ("ticker/tradingDay?symbol=BTCUSDT&timeZone=14:01", -1130, "Data sent for parameter 'timeZone' is not valid."),
    ("ticker/24hr?symbol=BTCUSDT&type=HUGE", -1139, "Invalid ticker type."),
    ("ticker/24hr?symbol=BTCUSDT&symbols=%5B%22BTCUSDT%22%5D", -1128, "Combination of optional parameters invalid."),
    ("ticker/price?symbols=BTCUSDT", -1100, ILLEGAL),
    ("ticker/price?symbols=%5B%5D", -1105, "Parameter 'symbols' was empty."),
    ("ticker/price?symbols=%5B%22BTCUSDT%22,%22BTCUSDT%22%5D", -1151, "Symbol is present multiple times in the list."),
    ("ticker/bookTicker?symbols=%5B%22BTCUSDT%22,%22NOSUCH%22%5D", -1121, "Invalid symbol."),
    ("exchangeInfo?symbol=BTCUSDT&permissions=SPOT", -1128, "Combination of optional parameters invalid."),
    ("exchangeInfo?symbol=BTCUSDT&symbolStatus=TRADING", -1128, "Combination of optional parameters invalid."),
    ("exchangeInfo?permissions=EVERYTHING", -1130, "Data sent for parameter 'permissions' is not valid."),
    ("exchangeInfo?showPermissionSets=perhaps", -1100, ILLEGAL),
];

#[tokio::test(flavor = "multi_thread")]
async fn faults_have_their_codes_and_texts() {
    let exchange = Exchange::start().await;
    for (request, code, text) in FAULTS {
        let (path, query) = request.split_once('?').unwrap_or((request, ""));
        let answer = exchange.public(&format!("/api/v3/{path}"), query).await;
        let (status, found, message) = answer.error();
        assert_eq!((status, found), (400, *code), "{request}: {message}");
        assert!(message.starts_with(text), "{request}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_those_of_the_documentation() {
    let exchange = Exchange::start().await;
    let mut used = None;
    let rows = [
        ("ping", 1),
        ("time", 1),
        ("exchangeInfo", 20),
        ("depth?symbol=BTCUSDT", 5),
        ("depth?symbol=BTCUSDT&limit=100", 5),
        ("depth?symbol=BTCUSDT&limit=101", 25),
        ("depth?symbol=BTCUSDT&limit=501", 50),
        ("depth?symbol=BTCUSDT&limit=1001", 250),
        ("depth?symbol=BTCUSDT&limit=9999", 250),
        ("trades?symbol=BTCUSDT", 25),
        ("historicalTrades?symbol=BTCUSDT", 25),
        ("aggTrades?symbol=BTCUSDT", 4),
        ("klines?symbol=BTCUSDT&interval=1m", 2),
        ("avgPrice?symbol=BTCUSDT", 2),
        ("ticker?symbol=BTCUSDT&windowSize=7d", 4),
        ("ticker/tradingDay?symbols=%5B%22BTCUSDT%22,%22BNBUSDT%22%5D", 8),
        ("ticker/24hr?symbol=BTCUSDT", 2),
        ("ticker/24hr", 80),
        ("ticker/24hr?symbols=%5B%22BTCUSDT%22%5D", 2),
        ("ticker/price?symbol=BTCUSDT", 2),
        ("ticker/price", 4),
        ("ticker/bookTicker?symbols=%5B%22BTCUSDT%22%5D", 4),
    ];
    for (request, weight) in rows {
        let (path, query) = request.split_once('?').unwrap_or((request, ""));
        let answer = exchange.public(&format!("/api/v3/{path}"), query).await;
        let now: u32 = answer.header("x-mbx-used-weight-1m").unwrap().parse().unwrap();
        // A new minute starts with an empty book of trades.
        if let Some(used) = used.filter(|used| now > *used) {
            assert_eq!(now - used, weight, "{request}");
        }
        used = Some(now);
    }
}
