//! This module reads the control messages of market streams and writes their replies (web-socket-streams.md, "Live
//! Subscribing/Unsubscribing to streams"). It must not act on them.

use crate::json::Json;
use crate::streams::text;
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;
use std::borrow::Cow;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Longest `id` that is a text.
const ID_LENGTH_MAX: usize = 36;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ControlMethod {
    Subscribe,
    Unsubscribe,
    ListSubscriptions,
    SetProperty,
    GetProperty,
}

#[derive(Deserialize)]
struct Raw {
    method: ControlMethod,
    #[serde(default)]
    params: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
}

/// Distinguishes `"id":null` from a missing `id`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A well-formed control message.
#[derive(Debug, PartialEq)]
pub struct Control {
    pub method: ControlMethod,
    pub parameters: Vec<Value>,
    pub id: Id,
}

/// The client's id, echoed in the reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Id {
    Null,
    Integer(i64),
    Text(String),
}

/// An error reply.
#[derive(Debug, PartialEq)]
pub struct ControlFault {
    pub code: u8,
    pub text: Cow<'static, str>,
    /// `None`: the message has no usable id.
    pub id: Option<Id>,
}

impl ControlFault {
    pub fn request(text: impl Into<Cow<'static, str>>, id: &Id) -> Self {
        Self { code: 2, text: text.into(), id: Some(id.clone()) }
    }
}

/// # Errors
///
/// Returns code 3 for text that is not JSON, code 2 for JSON that is not a control message.
pub fn read_control(message: &str) -> Result<Control, ControlFault> {
    let raw: Raw = serde_json::from_str(message).map_err(|error| match error.classify() {
        Category::Data => ControlFault { code: 2, text: format!("Invalid request: {error}").into(), id: None },
        _ => ControlFault { code: 3, text: format!("Invalid JSON: {error}").into(), id: None },
    })?;
    let id = match raw.id {
        Some(Value::Null) => Id::Null,
        Some(Value::Number(number)) if number.is_i64() => Id::Integer(number.as_i64().unwrap_or_default()),
        Some(Value::String(id)) if id.len() <= ID_LENGTH_MAX && is_id(&id) => Id::Text(id),
        _ => {
            let text = "Invalid request: request ID must be an unsigned integer".into();
            return Err(ControlFault { code: 2, text, id: None });
        }
    };
    Ok(Control { method: raw.method, parameters: raw.params.unwrap_or_default(), id })
}

/// Alphanumeric; clients send UUIDs, so hyphens too.
fn is_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A successful reply.
pub fn reply(id: &Id, result: impl FnOnce(&mut Json)) -> Utf8Bytes {
    let mut json = Json::with_capacity(64);
    json.object(|json| {
        result(json.key("result"));
        write_id(json, id);
    });
    text(json.into_bytes())
}

/// An error reply: in the documented form and, for clients that look for it, as `error`.
pub fn refusal(fault: &ControlFault) -> Utf8Bytes {
    let fields = |json: &mut Json| {
        json.key("code").integer(fault.code);
        json.key("msg").text(&fault.text);
    };
    let mut json = Json::with_capacity(192);
    json.object(|json| {
        fields(json);
        json.key("error").object(fields);
        if let Some(id) = &fault.id {
            write_id(json, id);
        }
    });
    text(json.into_bytes())
}

fn write_id(json: &mut Json, id: &Id) {
    let json = json.key("id");
    match id {
        Id::Null => json.null(),
        Id::Integer(id) => json.integer(*id),
        Id::Text(id) => json.text(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read() {
        let control = read_control(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#).unwrap();
        assert_eq!((control.method, control.parameters.len(), control.id), (ControlMethod::Subscribe, 1, Id::Integer(1)));
        let control = read_control(r#"{"id":null,"method":"LIST_SUBSCRIPTIONS"}"#).unwrap();
        assert_eq!((control.method, control.parameters.len(), control.id), (ControlMethod::ListSubscriptions, 0, Id::Null));
        assert_eq!(read_control(r#"{"method":"GET_PROPERTY","id":"a-1"}"#).unwrap().id, Id::Text("a-1".into()));
    }

    #[test]
    fn faults_have_the_documented_codes_and_texts() {
        let rows = [
            ("", 3, "Invalid JSON: EOF while parsing a value at line 1 column 0"),
            ("x", 3, "Invalid JSON: expected value at line 1 column 1"),
            (r#"{"id":1}"#, 2, "Invalid request: missing field `method` at line 1 column 8"),
            (
                r#"{"method":"SUB","id":1}"#,
                2,
                "Invalid request: unknown variant `SUB`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, \
                 `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 15",
            ),
            (r#"{"method":"SUBSCRIBE","params":[]}"#, 2, "Invalid request: request ID must be an unsigned integer"),
            (r#"{"method":"SUBSCRIBE","params":[],"id":1.5}"#, 2, "Invalid request: request ID must be an unsigned integer"),
            (r#"{"method":"SUBSCRIBE","params":[],"id":[1]}"#, 2, "Invalid request: request ID must be an unsigned integer"),
        ];
        for (message, code, text) in rows {
            let fault = read_control(message).unwrap_err();
            assert_eq!((fault.code, &*fault.text), (code, text), "{message}");
        }
        let error = read_control(r#"{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}"#).unwrap_err();
        assert!(error.code == 2 && error.text.starts_with("Invalid request: invalid type: string"), "{error:?}");
    }
}
