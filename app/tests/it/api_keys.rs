//! Tests of API keys on the server: kinds, permissions, addresses, revocation, and the clients' ways to sign.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signer, SigningKey};
use exchange::{
    api_key::{Permissions, new_id, public_key},
    db::api_keys::{self, Material},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use service_kit::config::Secret;

use crate::{
    eventually::until,
    exchange::{Exchange, Trader, hmac_hex, now},
};

const READ: Permissions = Permissions { read: true, trade: false, withdraw: false };
const TRADE: Permissions = Permissions { read: true, trade: true, withdraw: false };
const ORDER: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1";
const REJECTED: (u16, i64, &str) = (401, -2015, "Invalid API-key, IP, or permissions for action.");

#[tokio::test]
async fn a_key_may_do_what_it_was_given() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let (api_key, secret) = exchange.key(trader.account, READ, &[]).await;
    let reader = Trader { exchange: &exchange, account: trader.account, api_key, secret };
    reader.get("/api/v3/account", "").await.ok();
    assert_eq!(reader.post("/api/v3/order", ORDER).await.error(), REJECTED);
    assert_eq!(reader.post("/api/v3/order/test", ORDER).await.error(), REJECTED);
    let (api_key, secret) = exchange.key(trader.account, Permissions { read: false, ..TRADE }, &[]).await;
    let blind = Trader { exchange: &exchange, account: trader.account, api_key, secret };
    blind.post("/api/v3/order", ORDER).await.ok();
    assert_eq!(blind.get("/api/v3/openOrders", "").await.error(), REJECTED);
    assert_eq!(reader.get("/api/v3/openOrders", "").await.ok().as_array().map(Vec::len), Some(1), "one account, three keys");
}

#[tokio::test]
async fn a_key_works_only_from_its_networks() {
    let exchange = Exchange::with(|settings| settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()]).await;
    let trader = exchange.trader("trader").await;
    let (api_key, secret) = exchange.key(trader.account, READ, &["203.0.113.0/24".parse().unwrap()]).await;
    let from = |address: &'static str| {
        let payload = format!("timestamp={}", now());
        let url = format!("{}/api/v3/account?{payload}&signature={}", exchange.app.api, hmac_hex(&secret, &payload));
        let request = exchange.app.http.get(url).header("X-MBX-APIKEY", &api_key).header("X-Forwarded-For", address);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    until("the key is known", || async { from("203.0.113.9").await == 200 }).await;
    assert_eq!(from("198.51.100.1").await, 401);
    assert_eq!(from("203.0.113.9, 198.51.100.1").await, 401, "entries that the client wrote before the proxy's are ignored");
    let direct = Trader { exchange: &exchange, account: trader.account, api_key: api_key.clone(), secret: secret.clone() };
    assert_eq!(direct.get("/api/v3/account", "").await.error(), REJECTED);
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_its_secret_forgotten() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    trader.get("/api/v3/account", "").await.ok();
    assert!(api_keys::revoke(&exchange.app.pool, &trader.api_key).await.unwrap());
    assert!(!api_keys::revoke(&exchange.app.pool, &trader.api_key).await.unwrap(), "once");
    until("the key is refused", || async { trader.get("/api/v3/account", "").await.error() == REJECTED }).await;
    let row = api_keys::list_api_keys(&exchange.app.pool, Some(trader.account)).await.unwrap().pop().unwrap();
    assert!(row.revoked_at.is_some() && row.material == Material::Gone);
}

#[tokio::test]
async fn secrets_are_not_in_the_table() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let dump: Vec<String> = sqlx::query_scalar("SELECT t::text FROM api_keys t").fetch_all(&exchange.app.pool).await.unwrap();
    let (text, hexadecimal) = (trader.secret.clone(), hex::encode(&trader.secret));
    assert!(dump.len() == 1 && dump.iter().all(|row| !row.contains(&text) && !row.contains(&hexadecimal)));
}

#[tokio::test]
async fn ed25519_keys_sign_orders() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let signing = SigningKey::from_bytes(&[7; 32]);
    let material = Material::Ed25519(public_key(&hex::encode(signing.verifying_key().to_bytes())).unwrap());
    let api_key = new_id();
    exchange.store(trader.account, &api_key, &material, TRADE, &[]).await;
    let payload = format!("{ORDER}&timestamp={}", now());
    let signature = BASE64.encode(signing.sign(payload.as_bytes()).to_bytes());
    let escaped = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
    let answer =
        exchange.send(Method::POST, "/api/v3/order", &format!("{payload}&signature={escaped}"), None, Some(&api_key)).await;
    assert_eq!(answer.ok()["status"], "NEW");
    let forged = SigningKey::from_bytes(&[8; 32]).sign(payload.as_bytes());
    let escaped = BASE64.encode(forged.to_bytes());
    let escaped = utf8_percent_encode(&escaped, NON_ALPHANUMERIC);
    let answer =
        exchange.send(Method::POST, "/api/v3/order", &format!("{payload}&signature={escaped}"), None, Some(&api_key)).await;
    assert_eq!(answer.error(), (400, -1022, "Signature for this request is not valid."));
}

#[tokio::test]
async fn parameters_may_stand_in_query_body_or_both() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let send = |query: String, body: String| {
        let (exchange, api_key) = (&exchange, &trader.api_key);
        async move { exchange.send(Method::POST, "/api/v3/order", &query, Some((form, body.into_bytes())), Some(api_key)).await }
    };
    let signed = trader.sign(ORDER);
    assert_eq!(send(String::new(), signed).await.ok()["status"], "NEW");
    // The documentation's mixed example: no `&` between query and body in the signed text; the query's price takes precedence.
    let (query, body) =
        ("symbol=BTCUSDT&side=BUY&type=LIMIT&price=99", format!("timeInForce=GTC&quantity=1&price=98&timestamp={}", now()));
    let signature = hmac_hex(&trader.secret, &format!("{query}{body}"));
    let answer = send(query.to_owned(), format!("{body}&signature={signature}")).await;
    assert_eq!(answer.ok()["price"], "99.00000000");
    // Signature in the query, the rest in the body.
    let body = format!("{ORDER}&timestamp={}", now());
    let answer = send(format!("signature={}", hmac_hex(&trader.secret, &body)), body).await;
    assert_eq!(answer.ok()["status"], "NEW");
}

#[tokio::test]
async fn without_the_encryption_key_a_key_is_not_usable() {
    let exchange = Exchange::start().await;
    let trader = exchange.trader("trader").await;
    let other = exchange::api_key::Vault::new(&service_kit::config::SecretBytes::from([9; 32]), &[]);
    let (api_key, secret) = (new_id(), Secret::from("secret".to_owned()));
    let material = Material::Hmac(other.seal(&api_key, &secret).unwrap());
    let key = api_keys::NewApiKey {
        api_key: &api_key,
        account: trader.account,
        label: "",
        material: &material,
        permissions: TRADE,
        networks: &[],
    };
    api_keys::insert_api_key(&exchange.app.pool, &key).await.unwrap();
    // A key created later is known, so the earlier one was read too.
    exchange.key(trader.account, READ, &[]).await;
    let stranger = Trader { exchange: &exchange, account: trader.account, api_key, secret: "secret".into() };
    assert_eq!(stranger.get("/api/v3/account", "").await.error(), REJECTED);
}
