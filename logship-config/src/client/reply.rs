//! This module classifies the result of a request: an answer, or the reason of the failure with the remedy and the exit
//! status.

use std::{error::Error as _, fmt, path::Path, time::Duration};

use elasticsearch::http::Method;
use serde_json::Value;
use url::Url;

use crate::exit::{CommandFailure, Exit};

/// Longest part of an answer shown in an error when the answer is not JSON.
const SHOWN_CHARACTERS: usize = 200;

/// An answer with an error status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply {
    /// `PUT /_ilm/policy/x`.
    pub request: String,
    pub status: u16,
    /// `error.type`, such as `resource_already_exists_exception`; empty if the answer has none.
    pub kind: String,
    /// `error.reason` with its causes.
    pub reason: String,
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} was answered {}", self.request, self.status)?;
        if !self.kind.is_empty() {
            write!(formatter, " {}", self.kind)?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A mounted file is invalid; the text names it.
    #[error("{0}")]
    Mounted(String),
    /// No answer: no connection, an untrusted certificate, or a timeout.
    #[error("{0}")]
    Unreachable(String),
    /// 401.
    #[error(
        "Elasticsearch does not accept the credentials ({reply}); correct LOGSHIP_API_KEY_FILE, or LOGSHIP_USERNAME and \
         LOGSHIP_PASSWORD_FILE"
    )]
    Unauthorised { reply: ErrorReply },
    /// 403: a privilege is missing.
    #[error("a privilege is missing ({0}); grant this program's role the privileges listed in README.md")]
    Forbidden(ErrorReply),
    /// A block: the cluster or an index accepts no changes (read-only, flood stage).
    #[error(
        "a block prevents changes ({0}); free disk space or lift the block (GET _cluster/settings, GET \
         _all/_settings/index.blocks.*), then retry"
    )]
    Blocked(ErrorReply),
    /// 408, 429, 500, 502, 503, 504: a later attempt may succeed.
    #[error("Elasticsearch cannot do it now ({0}); check GET _cluster/health, then retry")]
    Overloaded(ErrorReply),
    /// Every other status.
    #[error("{0}")]
    Refused(ErrorReply),
}

impl CallError {
    /// Returns the value of the label `outcome`.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Mounted(_) | Self::Unreachable(_) => "unreachable",
            Self::Unauthorised { .. } | Self::Forbidden(_) => "unauthorised",
            Self::Overloaded(_) | Self::Blocked(_) => "overloaded",
            Self::Refused(_) => "refused",
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Mounted(_) => Exit::Configuration,
            Self::Unreachable(_) => Exit::Unavailable,
            Self::Unauthorised { .. } | Self::Forbidden(_) => Exit::Forbidden,
            Self::Blocked(_) | Self::Overloaded(_) => Exit::NotNow,
            Self::Refused(_) => Exit::Failed,
        }
    }

    /// Returns the status of Elasticsearch's answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorised { reply } | Self::Forbidden(reply) | Self::Blocked(reply) | Self::Overloaded(reply) => {
                Some(reply.status)
            }
            Self::Refused(reply) => Some(reply.status),
            Self::Mounted(_) | Self::Unreachable(_) => None,
        }
    }

    pub(super) fn mounted(path: Option<&Path>, wrong: String) -> Self {
        Self::Mounted(path.map_or_else(|| wrong.clone(), |path| format!("{} {wrong}", path.display())))
    }

    pub(super) fn unreachable(url: &Url, timeout: Duration, error: &elasticsearch::Error) -> Self {
        let mut causes = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        let certificate = causes.iter().any(|cause| cause.contains("certificate"));
        let remedy = if certificate {
            "set LOGSHIP_CA_FILE to the authority that signed its certificate"
        } else if error.is_timeout() {
            return Self::Unreachable(format!(
                "{url} did not answer within {timeout:?}; check the cluster's load, or raise LOGSHIP_TIMEOUT"
            ));
        } else {
            "correct LOGSHIP_ELASTICSEARCH_URL, or check whether the cluster runs"
        };
        // The innermost cause is the most specific, and the outer ones repeat the address.
        Self::Unreachable(format!("{url} cannot be reached: {}; {remedy}", causes.pop().unwrap_or_default()))
    }

    /// Returns the answer as JSON, or the kind of refusal.
    pub(super) fn judge(method: Method, path: &str, status: u16, text: &str) -> Result<Value, Self> {
        let request = || format!("{} {path}", format!("{method:?}").to_uppercase());
        let parsed = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str::<Value>(text) };
        match parsed {
            Ok(value) if (200..300).contains(&status) => Ok(value),
            Ok(value) => Err(Self::of(ErrorReply::read(request(), status, &value))),
            Err(_) => {
                let reason = format!("not JSON: {:?}", text.chars().take(SHOWN_CHARACTERS).collect::<String>());
                Err(Self::of(ErrorReply { request: request(), status, kind: String::new(), reason }))
            }
        }
    }

    fn of(reply: ErrorReply) -> Self {
        match reply.status {
            401 => Self::Unauthorised { reply },
            403 | 429 if reply.kind == "cluster_block_exception" => Self::Blocked(reply),
            403 => Self::Forbidden(reply),
            408 | 429 | 500 | 502 | 503 | 504 => Self::Overloaded(reply),
            _ => Self::Refused(reply),
        }
    }
}

impl From<CallError> for CommandFailure {
    fn from(error: CallError) -> Self {
        Self::new(error.exit(), error.to_string())
    }
}

impl ErrorReply {
    /// Reads Elasticsearch's error object, or a plain text instead of it.
    fn read(request: String, status: u16, body: &Value) -> Self {
        let error = &body["error"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut reason = if error.is_string() { text(error) } else { text(&error["reason"]) };
        let mut cause = &error["caused_by"];
        while let Some(told) = cause["reason"].as_str() {
            if !reason.contains(told) {
                reason = format!("{reason}: {told}");
            }
            cause = &cause["caused_by"];
        }
        if reason.is_empty() {
            reason = body.to_string().chars().take(SHOWN_CHARACTERS).collect();
        }
        Self { request, status, kind: text(&error["type"]), reason }
    }
}
