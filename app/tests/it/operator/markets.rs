//! Tests of assets and markets: filters, fees, halt and resume.

use serde_json::{Value, json};

use super::command::Operator;
use crate::exchange::Exchange;

async fn rules(exchange: &Exchange, symbol: &str) -> Value {
    exchange.public("/api/v3/exchangeInfo", &format!("symbol={symbol}")).await.ok()["symbols"][0].clone()
}

fn filter<'a>(rules: &'a Value, kind: &str) -> &'a Value {
    rules["filters"].as_array().unwrap().iter().find(|filter| filter["filterType"] == kind).unwrap()
}

#[tokio::test]
async fn an_asset_and_a_market_are_opened_with_their_filters() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let asset = operator.does(&["asset", "create", "ETH"]).await;
    assert_eq!(operator.does(&["asset", "create", "ETH"]).await, asset, "the same again is the same asset");

    let create =
        ["market", "create", "ETHUSDT", "--base", "ETH", "--quote", "USDT", "--tick-size", "0.01", "--step-size", "0.001"];
    let more = ["--min-quantity", "0.001", "--min-notional", "10", "--max-orders", "7", "--maker-rate", "0.0002"];
    let market = operator.does(&[&create[..], &more].concat()).await;
    assert_eq!(operator.does(&[&create[..], &more].concat()).await, market, "the same again is the same market");
    let known = rules(&exchange, "ETHUSDT").await;
    for (other, named) in [
        (["--tick-size", "0.001", "--maker-rate", "0.0002"], ["tickSize 0.01000000 -> 0.00100000", "set-filters"]),
        (["--max-orders", "8", "--maker-rate", "0.0002"], ["maxNumOrders 7 -> 8", "choose another symbol"]),
        (["--max-orders", "7", "--maker-rate", "0.0003"], ["makerRate 0.00020000 -> 0.00030000", "set-fees"]),
    ] {
        let rest = ["--min-quantity", "0.001", "--min-notional", "10"];
        let base = ["market", "create", "ETHUSDT", "--base", "ETH", "--quote", "USDT", "--step-size", "0.001"];
        let tick = if other[0] == "--tick-size" { &["--max-orders", "7"] } else { &["--tick-size", "0.01"] };
        let refused = operator.refused(&[&base[..], &rest, tick, &other].concat()).await;
        assert!(named.iter().all(|part| refused.contains(part)), "{other:?}: {refused}");
    }
    assert_eq!(rules(&exchange, "ETHUSDT").await, known, "nothing was changed");
    assert_eq!(known["status"], "TRADING");
    assert_eq!(filter(&known, "PRICE_FILTER")["tickSize"], "0.01000000");
    assert_eq!(filter(&known, "LOT_SIZE")["minQty"], "0.00100000");
    assert_eq!(filter(&known, "NOTIONAL")["minNotional"], "10.00000000");
    assert_eq!(filter(&known, "MAX_NUM_ORDERS")["maxNumOrders"], 7);

    operator.does(&["market", "set-filters", "ETHUSDT", "--min-notional", "20"]).await;
    let changed = rules(&exchange, "ETHUSDT").await;
    assert_eq!(filter(&changed, "NOTIONAL")["minNotional"], "20.00000000");
    assert_eq!(filter(&changed, "LOT_SIZE"), filter(&known, "LOT_SIZE"), "other filters are unchanged");

    let listed = operator.does(&["market", "list"]).await;
    let listed = listed.as_array().unwrap().iter().find(|market| market["symbol"] == "ETHUSDT").unwrap().clone();
    assert_eq!((&listed["makerRate"], &listed["takerRate"]), (&json!("0.00020000"), &json!("0.00100000")));
}

/// A row: the request, and the field and remedy that the answer must name.
#[tokio::test]
async fn what_cannot_be_is_refused_with_the_field_and_the_remedy() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let before = operator.does(&["market", "list"]).await;
    let market = ["market", "create", "BNBBTC", "--base", "BNB", "--quote", "BTC"];
    let with = |more: &[&'static str]| [&market[..], more].concat();
    let rows: Vec<(Vec<&str>, [&str; 2])> = vec![
        (with(&["--tick-size", "0"]), ["tickSize", "must be above 0"]),
        (with(&["--tick-size", "a cent"]), ["tick-size: invalid value a cent", "write a plain decimal such as 0.01"]),
        (with(&["--tick-size", "0.000000001"]), ["tick-size", "use at most 8 decimal places"]),
        (with(&["--max-price", "99999999999999"]), ["max-price", "use a smaller number"]),
        (with(&["--tick-size", "0.00000001", "--step-size", "0.00000001"]), ["tickSize x stepSize", "choose a coarser"]),
        (with(&["--min-quantity", "0.000015", "--step-size", "0.00001"]), ["minQty", "a multiple of stepSize"]),
        (with(&["--min-price", "5", "--max-price", "1"]), ["maxPrice", "must not be below minPrice"]),
        (with(&["--average-minutes", "11"]), ["avgPriceMins", "must be 1 to 10"]),
        (with(&["--taker-rate", "0.2"]), ["taker rate", "must be 0 to 0.1"]),
        (vec!["market", "create", "AA", "--base", "BTC", "--quote", "BTC"], ["base and quote", "two different assets"]),
        (vec!["market", "create", "btcbnb", "--base", "BTC", "--quote", "BNB"], ["symbol", "A-Z and 0-9"]),
        (vec!["market", "create", "DOGEBTC", "--base", "DOGE", "--quote", "BTC"], ["base: DOGE does not exist", "asset create"]),
        (vec!["market", "create", "BTCUSDT", "--base", "BNB", "--quote", "USDT"], ["symbol BTCUSDT", "choose another symbol"]),
        (vec!["market", "set-filters", "BTCUSDT", "--step-size", "0"], ["stepSize", "must be above 0"]),
        (vec!["market", "halt", "NOSUCH"], ["symbol: NOSUCH does not exist", "market create"]),
        (vec!["asset", "create", "b t c"], ["asset", "A-Z and 0-9"]),
    ];
    for (arguments, named) in rows {
        let said = operator.refused(&arguments).await;
        assert!(named.iter().all(|part| said.contains(part)), "{arguments:?}: {said}");
    }
    assert_eq!(operator.does(&["market", "list"]).await, before, "nothing was changed");
}

#[tokio::test]
async fn a_halt_stops_all_and_cancel_only_lets_orders_out() {
    const ORDER: &str = "side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1";
    let closed = (400, -1013, "Market is closed.");
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    let [first, second] = [trader.limit("BUY", "100", "1").await, trader.limit("BUY", "101", "1").await];
    let cancel =
        async |order: &Value| trader.delete("/api/v3/order", &format!("symbol=BTCUSDT&orderId={}", order["orderId"])).await;

    operator.does(&["market", "halt", "BTCUSDT"]).await;
    assert_eq!(rules(&exchange, "BTCUSDT").await["status"], "HALT");
    assert_eq!(trader.order(ORDER).await.error(), closed);
    assert_eq!(cancel(&first).await.error(), closed);
    let elsewhere = format!("symbol=BNBUSDT&{ORDER}");
    trader.post("/api/v3/order", &elsewhere).await.ok();

    operator.does(&["market", "cancel-only", "BTCUSDT"]).await;
    assert_eq!(trader.order(ORDER).await.error(), closed);
    assert_eq!(cancel(&first).await.ok()["status"], "CANCELED");

    operator.does(&["market", "resume", "BTCUSDT"]).await;
    assert_eq!(rules(&exchange, "BTCUSDT").await["status"], "TRADING");
    trader.order(ORDER).await.ok();
    assert_eq!(cancel(&second).await.ok()["status"], "CANCELED", "resting orders remained");
}
