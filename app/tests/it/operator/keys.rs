//! Tests of API keys: created, listed, used, revoked.

use std::{env, fs};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{
    Signer, SigningKey,
    pkcs8::{EncodePublicKey, spki::der::pem::LineEnding},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::json;

use super::command::Operator;
use crate::{
    eventually::until,
    exchange::{Exchange, Trader, now},
};

const REJECTED: (u16, i64, &str) = (401, -2015, "Invalid API-key, IP, or permissions for action.");
const ORDER: &str = "side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=1";

#[tokio::test]
async fn a_key_works_once_it_is_told_and_ends_when_it_is_revoked() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    trader.order(ORDER).await.ok();
    let revoked = operator.does(&["api-key", "revoke", &trader.api_key]).await;
    assert_eq!(revoked, json!({ "apiKey": trader.api_key, "revoked": true }));
    until("the key is refused", || async { trader.get("/api/v3/account", "").await.error() == REJECTED }).await;
    let again = operator.does(&["api-key", "revoke", &trader.api_key]).await;
    assert_eq!(again["revoked"], false);
    let unknown = operator.refused(&["api-key", "revoke", "misspelt"]).await;
    assert!(unknown.contains("api-key: misspelt does not exist") && unknown.contains("api-key list"), "{unknown}");
    let listed = operator.does(&["api-key", "list", "trader"]).await;
    assert!(listed[0]["revokedMicroseconds"].is_i64() && listed[0]["apiKey"] == trader.api_key.as_str(), "{listed}");
    assert!(!listed.to_string().contains(&trader.secret), "a secret is shown once");
}

#[tokio::test]
async fn a_key_may_do_what_the_operator_gave_it() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    let made = operator.does(&["api-key", "create", "trader", "--label", "robot", "--permissions", "read"]).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let reader = Trader { exchange: &exchange, account: trader.account, api_key: text("apiKey"), secret: text("secretKey") };
    reader.get("/api/v3/account", "").await.ok();
    assert_eq!(reader.order(ORDER).await.error(), REJECTED);

    let made = operator.does(&["api-key", "create", "trader", "--network", "192.0.2.0/24", "--network", "198.51.100.7/32"]).await;
    assert_eq!(made["networks"], json!(["192.0.2.0/24", "198.51.100.7/32"]));
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let elsewhere = Trader { exchange: &exchange, account: trader.account, api_key: text("apiKey"), secret: text("secretKey") };
    assert_eq!(elsewhere.get("/api/v3/account", "").await.error(), REJECTED);
    let made = operator.does(&["api-key", "create", "trader", "--network", "127.0.0.0/8"]).await;
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let here = Trader { exchange: &exchange, account: trader.account, api_key: text("apiKey"), secret: text("secretKey") };
    here.get("/api/v3/account", "").await.ok();

    let labels = operator.does(&["api-key", "list"]).await;
    assert_eq!(labels.as_array().unwrap().iter().filter(|key| key["label"] == "robot").count(), 1);
    let said = operator.refused(&["api-key", "create", "trader", "--permissions", "read,steal"]).await;
    assert!(said.contains("permissions: expected read, trade or withdraw, got steal"), "{said}");
}

#[tokio::test]
async fn an_ed25519_key_comes_as_a_pem_file() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    let trader = operator.trader(&exchange, "trader").await;
    let private = SigningKey::from_bytes(&[7; 32]);
    let file = env::temp_dir().join(format!("operator-{}.pem", trader.api_key));
    let path = file.to_str().unwrap();
    fs::write(&file, private.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
    let made = operator.does(&["api-key", "create", "trader", "--ed25519", path]).await;
    assert_eq!(made["secretKey"], json!(null), "its owner has the private half");
    let listed = operator.does(&["api-key", "list", "trader"]).await;
    assert_eq!(listed[1]["kind"], "ED25519", "{listed}");

    let payload = format!("timestamp={}", now());
    let signature = BASE64.encode(private.sign(payload.as_bytes()).to_bytes());
    let query = format!("{payload}&signature={}", utf8_percent_encode(&signature, NON_ALPHANUMERIC));
    exchange.send(Method::GET, "/api/v3/account", &query, None, made["apiKey"].as_str()).await.ok();

    fs::write(&file, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap();
    let said = operator.refused(&["api-key", "create", "trader", "--ed25519", path]).await;
    assert!(said.contains("the public key is not an Ed25519 key: pass its PEM"), "{said}");
    fs::remove_file(&file).unwrap();
    let said = operator.refused(&["api-key", "create", "trader", "--ed25519", path]).await;
    assert!(said.contains("--ed25519") && said.contains(path), "{said}");
}

/// The database answers with a refusal: the error names the cause, and the journal has no entry.
#[tokio::test]
async fn the_accounts_of_the_house_have_no_keys() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    for account in ["0", "1"] {
        let refused = operator.refused(&["api-key", "create", account]).await;
        assert!(refused.contains("house accounts (0 and 1) cannot have API keys"), "{account}: {refused}");
    }
}

/// Every command that names an account says why a house account is refused.
#[tokio::test]
async fn the_accounts_of_the_house_are_refused_by_name() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    for arguments in [
        &["account", "freeze", "1"][..],
        &["account", "cancel-orders", "0"],
        &["account", "set-fees", "1", "--maker-rate", "0", "--taker-rate", "0"],
        &["credit", "0", "USDT", "1", "--reference", "house"],
    ] {
        let refused = operator.refused(arguments).await;
        assert!(refused.contains("the house accounts (0 custody, 1 fees)"), "{arguments:?}: {refused}");
    }
}

#[tokio::test]
async fn a_label_has_the_bounds_of_every_other_text() {
    let exchange = Exchange::start().await;
    let operator = Operator::of(&exchange);
    exchange.trader("labels").await;
    for label in ["x".repeat(201), "a\u{1}b".to_owned()] {
        let refused = operator.refused(&["api-key", "create", "labels", "--label", &label]).await;
        assert!(refused.contains("label: must be at most 200 bytes"), "{refused}");
    }
}
