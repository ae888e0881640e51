//! What the cluster answers, and errors in Elasticsearch's shape:
//! `{"error": {"root_cause": [{"type", "reason"}], "type", "reason"}, "status"}`.

use serde_json::{Value, json};

/// A status and a body.
#[derive(Debug, Clone, PartialEq)]
pub struct FakeAnswer {
    pub status: u16,
    /// `Null`: an empty body.
    pub body: Value,
}

/// An outcome, or the refusal to send.
pub type Refused<T> = Result<T, FakeAnswer>;

impl FakeAnswer {
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    pub fn acknowledged() -> Self {
        Self::ok(json!({"acknowledged": true}))
    }

    pub fn error(status: u16, kind: &str, reason: impl Into<String>) -> Self {
        let cause = json!({"type": kind, "reason": reason.into()});
        let mut error = cause.clone();
        error["root_cause"] = json!([cause]);
        Self { status, body: json!({"error": error, "status": status}) }
    }

    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self::error(400, "illegal_argument_exception", reason)
    }

    pub fn index_not_found(name: &str) -> Self {
        let mut answer = Self::error(404, "index_not_found_exception", format!("no such index [{name}]"));
        for error in ["/error", "/error/root_cause/0"] {
            if let Some(error) = answer.body.pointer_mut(error) {
                error["resource.type"] = "index_or_alias".into();
                error["resource.id"] = name.into();
                error["index_uuid"] = "_na_".into();
                error["index"] = name.into();
            }
        }
        answer
    }

    pub fn missing(reason: impl Into<String>) -> Self {
        Self::error(404, "resource_not_found_exception", reason)
    }

    /// What Elasticsearch would do and this fake does not: never a silent success.
    pub fn not_modelled(what: &str) -> Self {
        Self::error(501, "not_modelled_exception", format!("the fake does not model {what}"))
    }

    /// The error as an item of a bulk answer holds it.
    pub fn cause(&self) -> Value {
        self.body["error"]["root_cause"][0].clone()
    }
}
