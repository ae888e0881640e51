//! This module starts a server with markets and traders that sign their requests, for the tests of the API.

use std::time::{SystemTime, UNIX_EPOCH};

use exchange::{
    api_key::{self, Permissions, Vault},
    config,
    db::api_keys::{self, Material, NewApiKey},
};
use exchange_core::{
    command::{AdminAction, Command, Operator, Outcome},
    market::{Commission, Filters},
    money::SCALE,
    order::{AccountId, AssetId},
};
use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;
use sha2::Sha256;

use crate::{eventually::until, replica::database, test_app::TestApp};

/// Maker 0.1 %, taker 0.2 %: neither rate is zero, and they differ.
pub const COMMISSION: Commission = Commission { maker: SCALE / 1000, taker: SCALE / 500 };

/// BTC, USDT and BNB; BTCUSDT and BNBUSDT with the default filters.
pub struct Exchange {
    pub app: TestApp,
    vault: Vault,
}

/// An account with a key that may read and trade.
pub struct Trader<'a> {
    pub exchange: &'a Exchange,
    pub account: AccountId,
    pub api_key: String,
    pub secret: String,
}

/// A reply.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// Status, code and text of an error.
    pub fn error(&self) -> (u16, i64, &str) {
        let text = self.body["msg"].as_str().unwrap_or_default();
        (self.status.as_u16(), self.body["code"].as_i64().unwrap_or_default(), text)
    }

    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Exchange {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With custom settings; rate limits are effectively off unless the settings define them.
    pub async fn with(change: impl FnOnce(&mut config::ServeSettings)) -> Self {
        Self::on(database().await, change).await
    }

    /// On the given database, with this release's schema.
    pub async fn on(database_url: String, change: impl FnOnce(&mut config::ServeSettings)) -> Self {
        let mut vault = None;
        let app = TestApp::on(database_url, |settings| {
            settings.rate_limits = config::RateLimits { weight_1m: u32::MAX, orders_10s: u32::MAX, orders_1d: u32::MAX };
            vault = Some(Vault::new(&settings.key_encryption_key, &[]));
            change(settings);
        })
        .await;
        let exchange = Self { app, vault: vault.expect("settings were read") };
        until("the server leads", || async { exchange.app.engine.is_leader() }).await;
        for code in ["BTC", "USDT", "BNB"] {
            exchange.admin(AdminAction::CreateAsset { code: code.into() }).await;
        }
        for (symbol, base) in [("BTCUSDT", "BTC"), ("BNBUSDT", "BNB")] {
            let (base, quote) = (exchange.asset(base), exchange.asset("USDT"));
            let filters = Filters::default();
            exchange
                .admin(AdminAction::CreateMarket { symbol: symbol.into(), base, quote, filters, commission: COMMISSION })
                .await;
        }
        exchange
    }

    /// A server that has its markets and traders already.
    pub fn of(app: TestApp) -> Self {
        let key = crate::test_app::KEY_ENCRYPTION_KEY;
        Self { app, vault: Vault::new(&key.into(), &[]) }
    }

    pub async fn admin(&self, action: AdminAction) -> Outcome {
        let operator = Operator { actor: "test".into(), reason: "test".into() };
        self.app.engine.submit(Command::Admin { operator, action }, None).await.unwrap().outcome
    }

    pub fn asset(&self, code: &str) -> AssetId {
        self.app.engine.committed().read().state.asset_by_code(code).unwrap().id
    }

    /// A trader with 100 of every base asset and 1,000,000 USDT.
    pub async fn trader(&self, reference: &str) -> Trader<'_> {
        let trader = self.poor_trader(reference).await;
        for (code, whole) in [("BTC", 100), ("BNB", 100), ("USDT", 1_000_000)] {
            trader.credit(code, whole).await;
        }
        trader
    }

    /// A trader with nothing.
    pub async fn poor_trader(&self, reference: &str) -> Trader<'_> {
        let Outcome::AccountCreated(account) = self.admin(AdminAction::CreateAccount { reference: reference.into() }).await
        else {
            panic!("an account")
        };
        let permissions = Permissions { read: true, trade: true, withdraw: false };
        let (api_key, secret) = self.key(account, permissions, &[]).await;
        Trader { exchange: self, account, api_key, secret }
    }

    /// A new HMAC key that the server knows.
    pub async fn key(&self, account: AccountId, permissions: Permissions, networks: &[IpNet]) -> (String, String) {
        let (api_key, secret) = (api_key::new_id(), api_key::new_secret());
        let material = Material::Hmac(self.vault.seal(&api_key, &secret).unwrap());
        self.store(account, &api_key, &material, permissions, networks).await;
        (api_key, secret.expose().to_owned())
    }

    pub async fn store(
        &self,
        account: AccountId,
        api_key: &str,
        material: &Material,
        permissions: Permissions,
        networks: &[IpNet],
    ) {
        let key = NewApiKey { api_key, account, label: "test", material, permissions, networks };
        api_keys::insert_api_key(&self.app.pool, &key).await.unwrap();
        until("the key is known", || async {
            let query = format!("timestamp={}&signature=00", now());
            let answer = self.send(Method::GET, "/api/v3/account", &query, None, Some(api_key)).await;
            // A request with a known key is checked up to its signature, unless the address fails first.
            answer.error().1 == -1022 || !networks.is_empty()
        })
        .await;
    }

    /// A request as given; `body` with its content type.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        query: &str,
        body: Option<(&str, Vec<u8>)>,
        api_key: Option<&str>,
    ) -> Answer {
        let separator = if query.is_empty() { "" } else { "?" };
        let mut request = self.app.http.request(method, format!("{}{path}{separator}{query}", self.app.api));
        if let Some(api_key) = api_key {
            request = request.header("X-MBX-APIKEY", api_key);
        }
        if let Some((content_type, body)) = body {
            request = request.header("Content-Type", content_type).body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body =
            serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&bytes)));
        Answer { status, headers, body }
    }

    /// A public request.
    pub async fn public(&self, path: &str, query: &str) -> Answer {
        self.send(Method::GET, path, query, None, None).await
    }
}

impl Trader<'_> {
    pub async fn credit(&self, code: &str, whole: i128) {
        let (account, asset) = (self.account, self.exchange.asset(code));
        let reference = format!("{account} {code} {whole} {}", now()).into();
        let amount = whole * i128::from(SCALE);
        self.exchange.admin(AdminAction::Credit { account, asset, amount, reference }).await;
    }

    /// `parameters`, signed now, in the query.
    pub async fn signed(&self, method: Method, path: &str, parameters: &str) -> Answer {
        let query = self.sign(parameters);
        self.exchange.send(method, path, &query, None, Some(&self.api_key)).await
    }

    /// `parameters` with the time and the signature.
    pub fn sign(&self, parameters: &str) -> String {
        let separator = if parameters.is_empty() { "" } else { "&" };
        let payload = format!("{parameters}{separator}timestamp={}", now());
        let signature = hmac_hex(&self.secret, &payload);
        format!("{payload}&signature={signature}")
    }

    pub async fn post(&self, path: &str, parameters: &str) -> Answer {
        self.signed(Method::POST, path, parameters).await
    }

    pub async fn get(&self, path: &str, parameters: &str) -> Answer {
        self.signed(Method::GET, path, parameters).await
    }

    pub async fn put(&self, path: &str, parameters: &str) -> Answer {
        self.signed(Method::PUT, path, parameters).await
    }

    pub async fn delete(&self, path: &str, parameters: &str) -> Answer {
        self.signed(Method::DELETE, path, parameters).await
    }

    /// A new order on BTCUSDT.
    pub async fn order(&self, parameters: &str) -> Answer {
        self.post("/api/v3/order", &format!("symbol=BTCUSDT&{parameters}")).await
    }

    /// A GTC limit order on BTCUSDT that must be accepted.
    pub async fn limit(&self, side: &str, price: &str, quantity: &str) -> Value {
        self.order(&format!("side={side}&type=LIMIT&timeInForce=GTC&price={price}&quantity={quantity}")).await.ok()
    }

    /// (free, locked) according to the API.
    pub async fn balance(&self, code: &str) -> (String, String) {
        let account = self.get("/api/v3/account", "").await.ok();
        let balance = account["balances"].as_array().unwrap().iter().find(|balance| balance["asset"] == code).unwrap().clone();
        let text = |name: &str| balance[name].as_str().unwrap().to_owned();
        (text("free"), text("locked"))
    }

    /// State that a refused request must not change: every balance and open order.
    pub async fn holdings(&self) -> Value {
        let account = self.get("/api/v3/account", "").await.ok();
        let open = self.get("/api/v3/openOrders", "").await.ok();
        serde_json::json!([account["balances"], open])
    }
}

pub fn hmac_hex(secret: &str, payload: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(payload.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Milliseconds since the epoch.
pub fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}
