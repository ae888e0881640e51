//! Tests of the account's and the wallet's endpoints: documented shapes, values from the committed state.

use reqwest::Method;
use serde_json::json;

use crate::exchange::Exchange;

#[tokio::test]
async fn account_shows_balances_rates_and_rights() {
    let exchange = Exchange::start().await;
    let trader = exchange.poor_trader("trader").await;
    trader.credit("USDT", 1_000).await;
    trader.limit("BUY", "100.00", "1").await;
    let account = trader.get("/api/v3/account", "").await.ok();
    let expected = json!({
        "makerCommission": 10, "takerCommission": 20, "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": {"maker": "0.00100000", "taker": "0.00200000", "buyer": "0.00000000", "seller": "0.00000000"},
        "canTrade": true, "canWithdraw": true, "canDeposit": true, "brokered": false, "requireSelfTradePrevention": false,
        "preventSor": false, "updateTime": account["updateTime"], "accountType": "SPOT",
        "balances": [
            {"asset": "BTC", "free": "0.00000000", "locked": "0.00000000"},
            {"asset": "USDT", "free": "900.00000000", "locked": "100.00000000"},
            {"asset": "BNB", "free": "0.00000000", "locked": "0.00000000"},
        ],
        "permissions": ["SPOT"], "uid": trader.account,
    });
    assert_eq!(account, expected);
    assert!(account["updateTime"].as_u64().is_some_and(|time| time > 1_600_000_000_000 && time < 10_000_000_000_000));
    let short = trader.get("/api/v3/account", "omitZeroBalances=true").await.ok();
    assert_eq!(short["balances"].as_array().map(Vec::len), Some(1));

    let zero = json!({"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"});
    let commission = trader.get("/api/v3/account/commission", "symbol=BTCUSDT").await.ok();
    let expected = json!({
        "symbol": "BTCUSDT", "standardCommission": account["commissionRates"], "specialCommission": zero, "taxCommission": zero,
        "discount": {"enabledForAccount": false, "enabledForSymbol": false, "discountAsset": "BNB", "discount": "0.00000000"},
    });
    assert_eq!(commission, expected);
}

#[tokio::test]
async fn open_orders_of_one_market_and_of_all() {
    let exchange = Exchange::start().await;
    let (trader, other) = (exchange.trader("trader").await, exchange.trader("other").await);
    trader.limit("BUY", "100.00", "1").await;
    other.limit("BUY", "100.00", "1").await;
    trader.post("/api/v3/order", "symbol=BNBUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=50&quantity=1").await.ok();
    let all = trader.get("/api/v3/openOrders", "").await;
    let used = |answer: &crate::exchange::Answer| answer.header("x-mbx-used-weight-1m").unwrap().parse::<u32>().unwrap();
    let one = trader.get("/api/v3/openOrders", "symbol=BNBUSDT").await;
    let minute_changed = used(&one) < used(&all);
    assert!(minute_changed || used(&one) - used(&all) == 6, "{} {}", used(&all), used(&one));
    assert_eq!((all.ok().as_array().map(Vec::len), one.ok()[0]["symbol"].as_str()), (Some(2), Some("BNBUSDT")));
}

#[tokio::test]
async fn times_come_in_microseconds_on_request() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let query = trader.sign("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1");
    let send = |unit: &'static str, query: String| {
        let request = exchange.app.http.post(format!("{}/api/v3/order?{query}", exchange.app.api));
        let request = request.header("X-MBX-APIKEY", &trader.api_key).header("X-MBX-TIME-UNIT", unit);
        async move { request.send().await.unwrap().json::<serde_json::Value>().await.unwrap() }
    };
    let order = send("microsecond", query).await;
    assert!(order["transactTime"].as_u64().is_some_and(|time| time > 1_000_000_000_000_000), "{order}");
    assert_eq!(order["transactTime"], order["workingTime"]);
    let fault = send("NANOSECOND", trader.sign("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1")).await;
    assert_eq!(fault, json!({"code": -1194, "msg": "Invalid value for time unit; expected either MICROSECOND or MILLISECOND."}));
}

#[tokio::test]
async fn the_wallet_answers_what_clients_ask_first() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    assert_eq!(exchange.public("/sapi/v1/system/status", "").await.ok(), json!({"status": 0, "msg": "normal"}));
    for path in ["/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs"] {
        assert_eq!(exchange.public(path, "").await.ok(), json!([]));
    }
    for path in ["/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo"] {
        assert_eq!(exchange.public(path, "").await.ok(), json!({"symbols": []}));
    }
    let coins = trader.get("/sapi/v1/capital/config/getall", "").await.ok();
    assert_eq!(
        (&coins[0]["coin"], &coins[0]["free"], &coins[0]["networkList"]),
        (&json!("BTC"), &json!("100.00000000"), &json!([]))
    );
    for path in ["/sapi/v1/capital/deposit/hisrec", "/sapi/v1/capital/withdraw/history"] {
        assert_eq!(trader.get(path, "coin=BTC").await.ok(), json!([]));
    }
    let fees = trader.get("/sapi/v1/asset/tradeFee", "symbol=BTCUSDT").await.ok();
    assert_eq!(fees, json!([{"symbol": "BTCUSDT", "makerCommission": "0.00100000", "takerCommission": "0.00200000"}]));
    assert_eq!(trader.get("/sapi/v1/asset/tradeFee", "").await.ok().as_array().map(Vec::len), Some(2));
    let withdraw = trader.signed(Method::POST, "/sapi/v1/capital/withdraw/apply", "coin=BTC&address=x&amount=1").await;
    assert_eq!(withdraw.error().1, -2015, "this key may not withdraw");
    let permissions = exchange::api_key::Permissions { withdraw: true, ..Default::default() };
    let (api_key, secret) = exchange.key(trader.account, permissions, &[]).await;
    let allowed = crate::exchange::Trader { api_key, secret, ..trader };
    let withdraw = allowed.post("/sapi/v1/capital/withdraw/apply", "coin=BTC&address=x&amount=1").await;
    assert_eq!(withdraw.error(), (400, -4019, "The current currency is not open for withdrawal"));
    assert_eq!(allowed.post("/sapi/v1/capital/withdraw/apply", "coin=BTC&amount=1").await.error().1, -1102);
}
