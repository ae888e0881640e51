//! This module defines answers of methods, in the form of the Bot API (<https://core.telegram.org/bots/api#making-requests>).

use serde::Serialize;
use serde_json::{Value, json};

/// A method's outcome: its result, or why not.
pub type MethodResult = Result<Value, MethodError>;

/// An error with Telegram's code and words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MethodError {
    pub code: u16,
    pub description: String,
    pub retry_after: Option<u64>,
    pub migrate_to_chat_id: Option<i64>,
}

impl MethodError {
    fn new(code: u16, description: String) -> Self {
        Self { code, description, retry_after: None, migrate_to_chat_id: None }
    }

    /// 400; `wrong` as Telegram words it, without the prefix.
    pub fn bad_request(wrong: impl std::fmt::Display) -> Self {
        Self::new(400, format!("Bad Request: {wrong}"))
    }

    pub fn forbidden(wrong: impl std::fmt::Display) -> Self {
        Self::new(403, format!("Forbidden: {wrong}"))
    }

    /// What Telegram would take and this emulator does not: never a silent success.
    pub fn not_modelled(what: impl std::fmt::Display) -> Self {
        Self::new(501, format!("Emulator: {what}"))
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized".to_owned())
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(404, if what.is_empty() { "Not Found".to_owned() } else { format!("Not Found: {what}") })
    }

    pub fn conflict(wrong: &str) -> Self {
        Self::new(409, format!("Conflict: {wrong}"))
    }

    pub fn too_large() -> Self {
        Self::new(413, "Request Entity Too Large".to_owned())
    }

    pub fn too_many_requests(seconds: u64) -> Self {
        let told = format!("Too Many Requests: retry after {seconds}");
        Self { retry_after: Some(seconds), ..Self::new(429, told) }
    }

    pub fn server(code: u16) -> Self {
        let name = match code {
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            _ => "Internal Server Error",
        };
        Self::new(code, name.to_owned())
    }

    /// A group that became a supergroup.
    pub fn migrated(to: i64) -> Self {
        Self { migrate_to_chat_id: Some(to), ..Self::bad_request("group chat was upgraded to a supergroup chat") }
    }

    pub fn body(&self) -> Value {
        let mut body = json!({"ok": false, "error_code": self.code, "description": self.description});
        let mut parameters = serde_json::Map::new();
        parameters.extend(self.retry_after.map(|seconds| ("retry_after".to_owned(), seconds.into())));
        parameters.extend(self.migrate_to_chat_id.map(|chat| ("migrate_to_chat_id".to_owned(), chat.into())));
        if !parameters.is_empty() {
            body["parameters"] = parameters.into();
        }
        body
    }
}

/// Marks a response that must not be sent: the listener closes the connection instead.
#[derive(Clone, Copy)]
pub struct Cut;
