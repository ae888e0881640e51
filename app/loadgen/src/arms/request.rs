//! This module is the edge of all arms: key, timestamp, signature, parameters, and the acknowledgement. It must not process the
//! order.

use crate::workload::{ACCOUNTS, MARKETS, QUOTE, key};
use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use exchange_core::money::{Amount, Price, Quantity, notional, parse};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds, equal to the exchange's defaults.
const WINDOW: u64 = 5_000;
const AHEAD: u64 = 1_000;

/// What the handlers of an arm share.
pub(super) struct ArmState<Store> {
    pub keys: ArmKeys,
    pub store: Store,
}

/// The route of an arm: the exchange's path of new orders.
pub(super) fn router<Store: Send + Sync + 'static>(store: Store, handler: MethodRouter<Arc<ArmState<Store>>>) -> Router {
    Router::new().route("/api/v3/order", handler).with_state(Arc::new(ArmState { keys: ArmKeys::new(), store }))
}

/// An order after the checks.
#[derive(Debug)]
pub(super) struct ArmOrder<'a> {
    pub account: i32,
    pub symbol: &'a str,
    pub base: i16,
    pub buys: bool,
    pub price: Price,
    pub quantity: Quantity,
    pub client_id: &'a str,
}

impl ArmOrder<'_> {
    /// The quote asset comes after all bases.
    pub const QUOTE_ASSET: i16 = MARKETS.len() as i16;

    /// The hold of the order: asset and amount.
    pub fn hold(&self) -> (i16, i64) {
        let value: Amount = notional(self.price, self.quantity);
        if self.buys { (Self::QUOTE_ASSET, value as i64) } else { (self.base, self.quantity) }
    }
}

/// A refusal: HTTP status and text in the exchange's error shape.
pub(super) struct ArmRefusal(pub StatusCode, pub i32, pub String);

impl IntoResponse for ArmRefusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "code": self.1, "msg": self.2 }).to_string();
        (self.0, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

impl From<sqlx::Error> for ArmRefusal {
    fn from(error: sqlx::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, -1000, error.to_string())
    }
}

/// The keys of the workload's accounts.
pub(super) struct ArmKeys(HashMap<String, (i32, Hmac<Sha256>)>);

impl ArmKeys {
    pub fn new() -> Self {
        let keyed = (0..ACCOUNTS).filter_map(|account| {
            let (api_key, secret) = key(account);
            Some((api_key, (account as i32, Hmac::new_from_slice(secret.as_bytes()).ok()?)))
        });
        Self(keyed.collect())
    }

    /// The signer of these parameters, and the order in them.
    pub fn check<'a>(&self, headers: &HeaderMap, body: &'a str) -> Result<ArmOrder<'a>, ArmRefusal> {
        let refuse = |code: i32, text: &str| ArmRefusal(StatusCode::BAD_REQUEST, code, text.to_owned());
        let api_key = headers.get("x-mbx-apikey").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (account, keyed) = self.0.get(api_key).ok_or_else(|| refuse(-2015, "Invalid API-key."))?;
        let (signed, signature) = body.rsplit_once("&signature=").ok_or_else(|| refuse(-1102, "signature"))?;
        let mut given = [0; 32];
        hex::decode_to_slice(signature, &mut given).map_err(|_| refuse(-1022, "Signature for this request is not valid."))?;
        let mut mac = keyed.clone();
        mac.update(signed.as_bytes());
        mac.verify_slice(&given).map_err(|_| refuse(-1022, "Signature for this request is not valid."))?;

        let mut order = ArmOrder { account: *account, symbol: "", base: -1, buys: false, price: 0, quantity: 0, client_id: "" };
        let mut timestamp = 0;
        for pair in signed.split('&') {
            let (name, value) = pair.split_once('=').ok_or_else(|| refuse(-1101, "parameters"))?;
            let number = || parse(value).map_err(|_| refuse(-1100, name));
            match name {
                "symbol" => order.symbol = value,
                "side" => order.buys = value == "BUY",
                "quantity" => order.quantity = number()?,
                "price" => order.price = number()?,
                "newClientOrderId" => order.client_id = value,
                "timestamp" => timestamp = value.parse().map_err(|_| refuse(-1100, name))?,
                "type" | "timeInForce" | "newOrderRespType" => {}
                _ => return Err(refuse(-1104, name)),
            }
        }
        let now = now();
        if timestamp >= now + AHEAD || now > timestamp + WINDOW {
            return Err(refuse(-1021, "Timestamp for this request is outside of the recvWindow."));
        }
        let base = order.symbol.strip_suffix(QUOTE).and_then(|base| MARKETS.iter().position(|(code, _)| *code == base));
        order.base = base.ok_or_else(|| refuse(-1121, "Invalid symbol."))? as i16;
        Ok(order)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The acknowledgement (the exchange's `ACK` shape).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Acknowledgement<'a> {
    symbol: &'a str,
    order_id: i64,
    order_list_id: i64,
    client_order_id: &'a str,
    transact_time: u64,
}

pub(super) fn acknowledge(order: &ArmOrder<'_>, id: i64) -> Response {
    let acknowledgement = Acknowledgement {
        symbol: order.symbol,
        order_id: id,
        order_list_id: -1,
        client_order_id: order.client_id,
        transact_time: now(),
    };
    axum::Json(acknowledgement).into_response()
}
