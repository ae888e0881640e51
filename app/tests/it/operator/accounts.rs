//! Tests of accounts: custom fees, freezing, and cancels of their orders.

use exchange_core::{CUSTODY, FEES};
use serde_json::{Value, json};

use super::command::Operator;
use crate::exchange::{Exchange, Trader};

#[tokio::test]
async fn an_account_is_made_once_and_shown_as_committed() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    let again = operator.does(&["account", "create", "trader"]).await;
    assert_eq!(again, json!({ "account": trader.account }));
    trader.limit("BUY", "100", "2").await;
    let shown = operator.does(&["account", "show", "trader"]).await;
    assert_eq!(shown, operator.does(&["account", "show", &trader.account.to_string()]).await, "by its number too");
    assert_eq!((&shown["reference"], &shown["trade"], &shown["openOrders"]), (&json!("trader"), &json!(true), &json!(1)));
    let money = shown["balances"].as_array().unwrap().iter().find(|balance| balance["asset"] == "USDT").unwrap();
    assert_eq!((&money["free"], &money["locked"]), (&json!("99800.00000000"), &json!("200.00000000")));
    let said = operator.refused(&["account", "show", "nobody"]).await;
    assert!(said.contains("account: nobody does not exist") && said.contains("account create"), "{said}");
}

/// Maker and taker rates of the account on BTCUSDT, from the API.
async fn rates(trader: &Trader<'_>) -> [Value; 2] {
    let told = trader.get("/api/v3/account/commission", "symbol=BTCUSDT").await.ok();
    ["maker", "taker"].map(|rate| told["standardCommission"][rate].clone())
}

#[tokio::test]
async fn fees_are_the_markets_until_an_account_has_its_own() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let (trader, other) = (operator.trader(&exchange, "trader").await, operator.trader(&exchange, "other").await);
    operator.does(&["market", "set-fees", "BTCUSDT", "--maker-rate", "0.0003"]).await;
    assert_eq!(rates(&trader).await, ["0.00030000", "0.00200000"], "the rate that was not named stays");

    operator.does(&["account", "set-fees", "trader", "--maker-rate", "0", "--taker-rate", "0.01"]).await;
    assert_eq!(rates(&trader).await, ["0.00000000", "0.01000000"]);
    assert_eq!(rates(&other).await, ["0.00030000", "0.00200000"]);
    other.limit("SELL", "100", "1").await;
    let bought = trader.limit("BUY", "100", "1").await;
    assert_eq!(bought["fills"][0]["commission"], "0.01000000");

    operator.does(&["account", "reset-fees", "trader"]).await;
    assert_eq!(rates(&trader).await, ["0.00030000", "0.00200000"]);
    let said = operator.refused(&["account", "set-fees", "trader", "--maker-rate", "0", "--taker-rate", "much"]).await;
    assert!(said.contains("taker-rate: invalid value much") && said.contains("write a plain decimal"), "{said}");
}

async fn open_orders(trader: &Trader<'_>) -> usize {
    trader.get("/api/v3/openOrders", "").await.ok().as_array().unwrap().len()
}

#[tokio::test]
async fn a_frozen_account_keeps_its_orders_unless_they_are_cancelled_with_it() {
    const ORDER: &str = "side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1";
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let (trader, other) = (operator.trader(&exchange, "trader").await, operator.trader(&exchange, "other").await);
    let first = trader.limit("BUY", "100", "1").await;
    trader.limit("BUY", "101", "1").await;

    let frozen = operator.does(&["account", "freeze", "trader"]).await;
    assert_eq!(frozen, json!({ "account": "trader", "trading": false, "canceledOrders": 0 }));
    let refused = trader.order(ORDER).await;
    assert_eq!(refused.error(), (400, -2010, "This account may not place or cancel orders."));
    let cancel = trader.delete("/api/v3/order", &format!("symbol=BTCUSDT&orderId={}", first["orderId"])).await;
    assert_eq!(cancel.error(), (400, -2011, "This account may not place or cancel orders."));
    assert_eq!(trader.get("/api/v3/account", "").await.ok()["canTrade"], false);
    assert_eq!(open_orders(&trader).await, 2);
    other.order(ORDER).await.ok();

    let frozen = operator.does(&["account", "freeze", "trader", "--cancel-orders"]).await;
    assert_eq!(frozen, json!({ "account": "trader", "trading": false, "canceledOrders": 2 }));
    assert_eq!(open_orders(&trader).await, 0);
    assert_eq!(trader.balance("USDT").await, ("100000.00000000".to_owned(), "0.00000000".to_owned()));
    assert_eq!(open_orders(&other).await, 1, "other accounts are unchanged");

    operator.does(&["account", "unfreeze", "trader"]).await;
    trader.order(ORDER).await.ok();
}

#[tokio::test]
async fn every_order_of_an_account_is_cancelled_on_every_market() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let (trader, other) = (operator.trader(&exchange, "trader").await, operator.trader(&exchange, "other").await);
    trader.limit("BUY", "100", "1").await;
    let elsewhere = "symbol=BNBUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=50&quantity=1";
    trader.post("/api/v3/order", elsewhere).await.ok();
    other.limit("BUY", "100", "1").await;
    assert_eq!(operator.does(&["account", "cancel-orders", "trader"]).await, json!({ "canceledOrders": 2 }));
    assert_eq!((open_orders(&trader).await, open_orders(&other).await), (0, 1));
    assert_eq!(operator.does(&["account", "cancel-orders", "trader"]).await, json!({ "canceledOrders": 0 }));
    for house in [CUSTODY, FEES] {
        operator.refused(&["account", "cancel-orders", &house.to_string()]).await;
    }
}
