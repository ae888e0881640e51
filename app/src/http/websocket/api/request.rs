//! This module reads one request of the WebSocket API: id, method, parameters. It must not know the methods.

use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Longest `id`, as JSON.
const ID_MAX: usize = 256;

/// A well-formed request.
#[derive(Debug)]
pub struct WebSocketRequest {
    /// JSON of the client's id, echoed in the reply.
    pub id: Box<str>,
    pub method: Box<str>,
    pub parameters: Parameters<'static>,
}

/// A request that cannot be run, with its id if it has one.
#[derive(Debug)]
pub struct MalformedRequest {
    pub id: Box<str>,
    pub error: ApiError,
}

const NO_ID: &str = "null";

/// # Errors
///
/// Returns -1135 for text that is not a JSON object, -1102 for a missing id or method, -1100 for a wrong type, -1101 for a repeated
/// parameter.
pub fn read_request(text: &str) -> Result<WebSocketRequest, MalformedRequest> {
    let anonymous = |error| MalformedRequest { id: NO_ID.into(), error };
    let Pairs(members) = serde_json::from_str(text).map_err(|_| anonymous(ApiError::INVALID_JSON))?;
    let member = |name: &str| {
        let mut found = members.iter().filter(|(known, _)| known == name).map(|(_, value)| *value);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(anonymous(ApiError::INVALID_JSON)),
            (first, None) => Ok(first),
        }
    };
    let id: Box<str> = match member("id")?.map(RawValue::get) {
        None => return Err(anonymous(ApiError::mandatory("id"))),
        Some(id) if id.len() <= ID_MAX && is_id(id) => Box::from(id),
        Some(_) => return Err(anonymous(ApiError::illegal("id", "^[a-zA-Z0-9-_]{1,36}$"))),
    };
    let fail = |error| MalformedRequest { id: id.clone(), error };
    let method = match member("method")? {
        None => return Err(fail(ApiError::mandatory("method"))),
        Some(method) => serde_json::from_str::<String>(method.get()).map_err(|_| fail(ApiError::mandatory("method")))?,
    };
    let parameters = match member("params")?.map(RawValue::get) {
        None | Some("null") => Parameters::default(),
        Some(text) => parameters(text).map_err(fail)?,
    };
    Ok(WebSocketRequest { method: method.into(), parameters, id })
}

/// A text, a whole number or null.
fn is_id(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    let is_text = || json.starts_with('"') && serde_json::from_str::<String>(json).is_ok();
    json == NO_ID || is_text() || (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn parameters(text: &str) -> Result<Parameters<'static>, ApiError> {
    let Pairs(pairs) = serde_json::from_str(text).map_err(|_| ApiError::INVALID_JSON)?;
    let mut parameters = Parameters::default();
    for (name, value) in pairs {
        if let Some(value) = value_of(&name, value.get())? {
            parameters.add(Cow::Owned(name), Cow::Owned(value))?;
        }
    }
    Ok(parameters)
}

/// A number and a boolean keep their text, because the client signed it. An array is compact JSON, as in a query. `None` for null.
fn value_of(name: &str, json: &str) -> Result<Option<String>, ApiError> {
    Ok(Some(match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map_err(|_| ApiError::INVALID_JSON)?,
        Some(b'[') => {
            let value: serde_json::Value = serde_json::from_str(json).map_err(|_| ApiError::INVALID_JSON)?;
            value.to_string()
        }
        Some(b'{') => return Err(ApiError::json_of(name)),
        _ if json == "null" => return Ok(None),
        _ => json.to_owned(),
    }))
}

/// The members of an object in order, including repeated ones.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(16);
                while let Some(pair) = map.next_entry::<String, &RawValue>()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod fuzz {
    use super::*;
    use proptest::prelude::*;

    // Short in `make test`; `make fuzz` runs more cases.
    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            check(&text)?;
        }

        #[test]
        fn any_object_is_read_or_refused(
            id in "(1|\"a\"|null|\\[\\]|1.5|-|\"\\\\ud800\"|)",
            method in "(\"order.place\"|\"\"|1|null)",
            name in "[a-z\"\\\\]{0,8}",
            value in "(1e5|\"x\"|true|null|\\[1,\"a\"\\]|\\{\\}|\"\\\\u0000\"|-0)",
            tail in "[,}\\]\"]{0,3}",
        ) {
            check(&format!("{{\"id\":{id},\"method\":{method},\"params\":{{\"{name}\":{value}}}}}{tail}"))?;
        }
    }

    fn check(text: &str) -> Result<(), TestCaseError> {
        match read_request(text) {
            Ok(request) => {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&request.id).is_ok());
                let _ = request.parameters.sorted_without("signature");
            }
            Err(malformed) => prop_assert!(serde_json::from_str::<serde_json::Value>(&malformed.id).is_ok()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_examples_have_their_signed_text() {
        let text = r#"{"id": "4885f793-e5ad-4c3b-8f6c-55d891472b71", "method": "order.place", "params": {
            "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000000",
            "price": "52000.00", "recvWindow": 100, "timestamp": 1645423376532,
            "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A", "signature": "x"}}"#;
        let request = read_request(text).unwrap();
        assert_eq!((&*request.method, &*request.id), ("order.place", "\"4885f793-e5ad-4c3b-8f6c-55d891472b71\""));
        let payload = request.parameters.sorted_without("signature");
        assert_eq!(
            payload,
            "apiKey=vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A&price=52000.00&quantity=0.01000000\
             &recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
        );
        let secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j".to_owned().into();
        let verifier = crate::http::verifier::Verifier::hmac(&secret);
        let signature = "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24";
        assert!(verifier.verify(&[payload.as_bytes()], signature));
        assert!(verifier.verify(&[payload.as_bytes()], &signature.to_uppercase()), "not case-sensitive");
    }

    #[test]
    fn values_keep_the_text_that_was_signed() {
        let request = read_request(
            r#"{"id":null,"method":"x","params":{"a":1.50,"b":true,"c":"é&=","d":["X", "Y"],"e":null,"f":-0,"g":1e-7}}"#,
        )
        .unwrap();
        let expected = "a=1.50&b=true&c=é&=&d=[\"X\",\"Y\"]&f=-0&g=1e-7";
        assert_eq!(request.parameters.sorted_without(""), expected);
    }

    #[test]
    fn faults_name_the_member() {
        let rows = [
            ("", "null", -1135),
            ("[]", "null", -1135),
            ("{\"id\":1,\"method\":\"ping\"} x", "null", -1135),
            (r#"{"method":"ping"}"#, "null", -1102),
            (r#"{"id":[],"method":"ping"}"#, "null", -1100),
            (r#"{"id":1.5,"method":"ping"}"#, "null", -1100),
            (r#"{"id":1,"id":2,"method":"ping"}"#, "null", -1135),
            (r#"{"id":1}"#, "1", -1102),
            (r#"{"id":"a","method":7}"#, "\"a\"", -1102),
            (r#"{"id":1,"method":"ping","params":[]}"#, "1", -1135),
            (r#"{"id":1,"method":"ping","params":{"a":{}}}"#, "1", -1135),
            (r#"{"id":1,"method":"ping","params":{"a":1,"a":2}}"#, "1", -1101),
        ];
        for (text, id, code) in rows {
            let malformed = read_request(text).unwrap_err();
            assert_eq!((&*malformed.id, malformed.error.code), (id, code), "{text}");
        }
    }
}
