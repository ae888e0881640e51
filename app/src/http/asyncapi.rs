//! This module generates the reference of streams and of the WebSocket API (AsyncAPI 3.0) from the table of methods and from the
//! writers of events: the schema of an event is that of a sample which its writer produces. It must not define an event.

use super::endpoint::{Endpoint, Security};
use super::openapi::{AnswerShape, ParameterKind, REFUSED, describe, documented};
use super::websocket::{METHODS, SESSION_METHODS};
use super::{ENDPOINTS, openapi};
use crate::engine::feed::{AccountChange, AccountEvent, Execution, LastTrade, OrderReport, Prevention};
use crate::json::{Json, TimeUnit};
use crate::streams::account::{self, MarketNames};
use crate::streams::market::{self, DepthUpdate};
use exchange_core::market_data::{AggregateTrade, Candle, Interval, MarketData, PublicTrade, ZonedInterval};
use exchange_core::order::{
    AssetId, ClientId, Contingency, ExpiryReason, MarketId, Order, OrderStatus, OrderType, Side, StpMode, TimeInForce,
};
use exchange_core::{Balance, OrderList};
use serde_json::{Map, Value, json};

const SAMPLE_TIME: i64 = 1_700_000_000_000_000;
const SYMBOL: &str = "BTCUSDT";

/// The whole document.
pub fn asyncapi_document() -> Value {
    let (streams, accounts) = (stream_messages(), account_messages());
    let mut messages = Map::new();
    let mut operations = Map::new();
    let mut channel_messages = [Map::new(), Map::new()];
    for (name, names, sample) in streams {
        messages.insert(name.to_owned(), json!({
            "name": name, "summary": format!("Streams: {names}"), "payload": schema_of(&sample), "examples": [{"payload": sample}],
        }));
        channel_messages[0].insert(name.to_owned(), message(name));
        operations.insert(format!("send_{name}"), operation("send", "streams", name));
    }
    for (name, sample) in accounts {
        messages.insert(
            name.to_owned(),
            json!({
                "name": name, "summary": "Account event", "payload": schema_of(&sample), "examples": [{"payload": sample}],
            }),
        );
        channel_messages[1].insert(name.to_owned(), message(name));
        operations.insert(format!("send_{name}"), operation("send", "api", name));
    }
    let control = json!({
        "name": "control", "summary": "Subscribe, unsubscribe, list, and properties of a connection",
        "payload": {"type": "object", "required": ["method", "id"], "properties": {
            "method": {"enum": ["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]},
            "params": {"type": "array"}, "id": {"type": ["integer", "string", "null"]},
        }},
    });
    messages.insert("control".to_owned(), control);
    channel_messages[0].insert("control".to_owned(), message("control"));
    operations.insert("receive_control".to_owned(), operation("receive", "streams", "control"));
    for (method, request, reply) in methods() {
        let reply_name = format!("{method}.reply");
        for (name, payload) in [(method.to_owned(), request), (reply_name.clone(), reply)] {
            messages.insert(name.clone(), json!({"name": name, "payload": payload}));
            channel_messages[1].insert(name.clone(), message(&name));
        }
        let mut asked = operation("receive", "api", method);
        asked["reply"] = json!({"channel": {"$ref": "#/channels/api"}, "messages": [channel_message("api", &reply_name)]});
        operations.insert(method.to_owned(), asked);
    }
    let [streams, api] = channel_messages;
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Spot exchange: streams and WebSocket API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Market streams and the WebSocket API are those of Binance Spot. Differences: /docs/differences.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "streams": {
                "address": "/ws/{streams}",
                "description": "Names of streams, joined with `/`. `/stream?streams=` wraps each event as {\"stream\":…,\"data\":…}.",
                "parameters": {"streams": {"description": "E.g. btcusdt@depth@100ms/btcusdt@trade."}},
                "messages": streams,
            },
            "api": {"address": "/ws-api/v3", "description": "Requests, replies and account events.", "messages": api},
        },
        "operations": operations,
        "components": {"messages": messages},
    })
}

fn message(name: &str) -> Value {
    json!({"$ref": format!("#/components/messages/{name}")})
}

fn channel_message(channel: &str, name: &str) -> Value {
    json!({"$ref": format!("#/channels/{channel}/messages/{name}")})
}

fn operation(action: &str, channel: &str, name: &str) -> Value {
    json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{channel}")},
        "messages": [channel_message(channel, name)],
    })
}

/// Name, request and reply of every method that exists.
fn methods() -> Vec<(&'static str, Value, Value)> {
    let mut found = Vec::new();
    for (method, verb, path, _) in METHODS {
        if let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.method == *verb && endpoint.path == *path) {
            found.push((*method, request(method, parameters(endpoint)), reply(result(endpoint))));
        }
    }
    for (method, _) in SESSION_METHODS {
        let signed = matches!(*method, "session.logon" | "userDataStream.subscribe.signature");
        let parameters = if signed { signature(Map::new(), true) } else { Map::new() };
        found.push((*method, request(method, json!({"type": "object", "properties": parameters})), reply(json!({}))));
    }
    found
}

fn request(method: &str, parameters: Value) -> Value {
    json!({"type": "object", "required": ["id", "method"], "properties": {
        "id": {"type": ["integer", "string", "null"]}, "method": {"const": method}, "params": parameters,
    }})
}

fn reply(result: Value) -> Value {
    let error = json!({"type": "object", "required": ["code", "msg"], "properties": {
        "code": {"type": "integer"}, "msg": {"type": "string"}, "data": {"type": "object"},
    }});
    json!({"type": "object", "required": ["id", "status"], "properties": {
        "id": {"type": ["integer", "string", "null"]}, "status": {"type": "integer"}, "result": result, "error": error,
        "rateLimits": {"type": "array", "items": {"$ref": "/openapi.json#/components/schemas/OrderCount"}},
    }})
}

fn parameters(endpoint: &Endpoint) -> Value {
    let mut properties = Map::new();
    for name in endpoint.parameters.iter().filter(|name| !REFUSED.contains(name)) {
        let Some((kind, text)) = describe(endpoint.path, name) else { continue };
        let mut schema = match kind {
            ParameterKind::Text | ParameterKind::Decimal => json!({"type": "string"}),
            ParameterKind::Integer | ParameterKind::Time => json!({"type": "integer"}),
            ParameterKind::Boolean => json!({"type": "boolean"}),
            ParameterKind::Texts => json!({"type": "array", "items": {"type": "string"}}),
            ParameterKind::One(values) => json!({"enum": values()}),
        };
        schema["description"] = json!(text);
        properties.insert((*name).to_owned(), schema);
    }
    if endpoint.security != Security::None {
        properties = signature(properties, false);
    }
    let row = documented(endpoint.method.as_str(), endpoint.path);
    let required = row.map_or(&[][..], |row: &openapi::Documented| row.required);
    json!({"type": "object", "properties": properties, "required": required})
}

/// The parameters of a signed request; a session may omit key and signature.
fn signature(mut properties: Map<String, Value>, always: bool) -> Map<String, Value> {
    let note = if always { "" } else { " Not needed after session.logon." };
    properties.insert("apiKey".to_owned(), json!({"type": "string", "description": format!("The API key.{note}")}));
    properties
        .insert("signature".to_owned(), json!({"type": "string", "description": format!("Over all parameters by name.{note}")}));
    properties.insert("timestamp".to_owned(), json!({"type": "integer"}));
    properties.insert("recvWindow".to_owned(), json!({"type": ["integer", "number"]}));
    properties
}

fn result(endpoint: &Endpoint) -> Value {
    let named = |name: &str| json!({"$ref": format!("/openapi.json#/components/schemas/{name}")});
    let many = |name: &str| json!({"type": "array", "items": named(name)});
    match documented(endpoint.method.as_str(), endpoint.path).map(|row| row.shape) {
        Some(AnswerShape::One(name)) => named(name),
        Some(AnswerShape::Many(name)) => many(name),
        Some(AnswerShape::OneOrMany(names)) => {
            json!({"anyOf": names.iter().flat_map(|name| [named(name), many(name)]).collect::<Vec<_>>()})
        }
        Some(AnswerShape::AnyOf(names)) => json!({"anyOf": names.iter().map(|name| named(name)).collect::<Vec<_>>()}),
        Some(AnswerShape::Candles) => json!({"type": "array", "items": {"type": "array"}}),
        Some(AnswerShape::Refused) | None => json!({}),
    }
}

/// A schema that the sample satisfies: types, members and their presence.
fn schema_of(sample: &Value) -> Value {
    match sample {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(items) => json!({"type": "array", "items": items.first().map_or(json!({}), schema_of)}),
        Value::Object(members) => {
            let properties: Map<String, Value> = members.iter().map(|(name, value)| (name.clone(), schema_of(value))).collect();
            json!({"type": "object", "properties": properties, "required": members.keys().collect::<Vec<_>>()})
        }
    }
}

fn written(write: impl FnOnce(&mut Json)) -> Value {
    let mut json = Json::with_capacity(512);
    write(&mut json);
    serde_json::from_slice(&json.into_bytes()).unwrap_or_default()
}

/// Name, names of its streams, and a sample of each market event.
fn stream_messages() -> Vec<(&'static str, &'static str, Value)> {
    let (unit, now) = (TimeUnit::Millisecond, SAMPLE_TIME);
    let trade = PublicTrade { trade: 12, aggregate: 7, price: 1, quantity: 1, quote: 1, time: now, buyer_is_maker: true };
    let candle = Candle::of(Interval::Minutes1, &trade);
    let statistics = MarketData::new().statistics(0);
    let (level, levels) = ((1, 1), [(1, 1)]);
    let update = DepthUpdate { symbol: SYMBOL, now, first: 157, last: 160, bids: &levels, asks: &levels };
    vec![
        ("trade", "<symbol>@trade", written(|json| market::trade(json, unit, now, SYMBOL, &trade))),
        (
            "aggTrade",
            "<symbol>@aggTrade",
            written(|json| market::aggregate_trade(json, unit, now, SYMBOL, &AggregateTrade::of(&trade))),
        ),
        ("bookTicker", "<symbol>@bookTicker", written(|json| market::book_ticker(json, SYMBOL, 160, level, level))),
        ("depthUpdate", "<symbol>@depth, <symbol>@depth@100ms", written(|json| market::depth_update(json, unit, &update))),
        (
            "partialDepth",
            "<symbol>@depth5, 10, 20, each with @100ms",
            written(|json| market::partial_depth(json, 160, &levels, &levels)),
        ),
        (
            "kline",
            "<symbol>@kline_<interval>",
            written(|json| market::candle(json, unit, now, SYMBOL, ZonedInterval::utc(Interval::Minutes1), &candle, false)),
        ),
        (
            "24hrMiniTicker",
            "<symbol>@miniTicker, !miniTicker@arr (an array)",
            written(|json| market::mini_ticker(json, unit, now, SYMBOL, &statistics)),
        ),
        (
            "24hrTicker",
            "<symbol>@ticker, !ticker@arr (an array)",
            written(|json| market::ticker(json, unit, now, SYMBOL, &statistics, level, level)),
        ),
        ("avgPrice", "<symbol>@avgPrice", written(|json| market::average_price(json, unit, now, SYMBOL, 5, 1, now))),
        ("serverShutdown", "every connection", written(|json| market::server_shutdown(json, unit, now))),
    ]
}

struct SampleNames;

impl MarketNames for SampleNames {
    fn asset(&self, _: AssetId) -> &str {
        "BTC"
    }

    fn symbol(&self, _: MarketId) -> &str {
        SYMBOL
    }
}

/// Name and sample of each account event, as the WebSocket API wraps it.
fn account_messages() -> Vec<(&'static str, Value)> {
    let Some(client_id) = ClientId::new("mUvoqJxFIILMdfAW5iGSOW") else { return Vec::new() };
    let order = Order {
        id: 1,
        account: 2,
        market: 0,
        side: Side::Buy,
        kind: OrderType::Limit,
        time_in_force: TimeInForce::Gtc,
        stp: StpMode::None,
        status: OrderStatus::New,
        expiry_reason: ExpiryReason::None,
        working: true,
        price: 1,
        stop_price: 0,
        quantity: 1,
        executed: 0,
        prevented: 0,
        prevented_match: 0,
        quote_order_quantity: 0,
        iceberg: 0,
        shown: 0,
        trailing_delta: 0,
        tracking_since: 0,
        executed_quote: 0,
        hold: 1,
        list: 0,
        client_id,
        created: SAMPLE_TIME,
        updated: SAMPLE_TIME,
        working_since: SAMPLE_TIME,
    };
    let trade = LastTrade { trade: 1, price: 1, quantity: 1, quote: 1, commission: 1, commission_asset: 0, is_maker: false };
    let report = OrderReport {
        order,
        execution: Execution::Trade,
        trade: Some(trade),
        prevention: None::<Prevention>,
        original_client_id: None,
    };
    let list = OrderList {
        id: 1,
        account: 2,
        market: 0,
        client_id,
        contingency: Contingency::Oco,
        orders: [1].into_iter().collect(),
        done: false,
        created: SAMPLE_TIME,
        updated: SAMPLE_TIME,
    };
    let legs = [(1, client_id)].into_iter().collect();
    let balances = [(0, Balance::default())].into_iter().collect();
    let changes = [
        ("executionReport", AccountChange::Order(Box::new(report))),
        ("outboundAccountPosition", AccountChange::Balances(balances)),
        ("balanceUpdate", AccountChange::Credited { asset: 0, amount: 1 }),
        ("listStatus", AccountChange::List { list: Box::new(list), legs, renamed: false }),
    ];
    let mut samples: Vec<(&'static str, Value)> = changes
        .into_iter()
        .map(|(name, change)| {
            let event = AccountEvent { sequence: 1, time: SAMPLE_TIME, account: 2, change };
            (name, written(|json| account::event(json, TimeUnit::Millisecond, &SampleNames, &event)))
        })
        .collect();
    samples.push(("eventStreamTerminated", written(|json| account::terminated(json, TimeUnit::Millisecond, SAMPLE_TIME))));
    let wrap = |(name, event): (&'static str, Value)| (name, json!({"subscriptionId": 0, "event": event}));
    samples.into_iter().map(wrap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_document_exists() {
        let document = asyncapi_document();
        let mut references = Vec::new();
        collect(&document, &mut references);
        let rest = serde_json::to_value(openapi::openapi_document(ENDPOINTS)).unwrap();
        for reference in &references {
            let found = match reference.strip_prefix("/openapi.json#") {
                Some(pointer) => rest.pointer(pointer),
                None => document.pointer(&reference[1..]),
            };
            assert!(found.is_some(), "{reference}");
        }
        assert!(references.len() > 150, "{}", references.len());
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    references.push(reference.to_owned());
                }
                members.values().for_each(|value| collect(value, references));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
            _ => {}
        }
    }

    #[test]
    fn events_and_methods_are_in_the_document() {
        let document = asyncapi_document();
        let event = &document["components"]["messages"]["depthUpdate"];
        assert_eq!(event["payload"]["required"].as_array().map(Vec::len), Some(7), "{event}");
        assert_eq!(event["examples"][0]["payload"]["e"], "depthUpdate");
        let report = &document["components"]["messages"]["executionReport"]["payload"]["properties"]["event"]["properties"];
        assert_eq!(report["I"]["type"], "integer");
        let place = &document["operations"]["order.place"];
        assert_eq!((&place["action"], &place["reply"]["channel"]["$ref"]), (&json!("receive"), &json!("#/channels/api")));
        assert!(document["operations"].get("sor.order.place").is_none(), "unsupported methods are not documented");
    }
}
