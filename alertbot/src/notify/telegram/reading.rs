//! This module derives the outcome of a call from Telegram's answer (<https://core.telegram.org/bots/api#making-requests>).

use std::time::Duration;

use alertbot_core::delivery::DeliveryOutcome;
use reqwest_of_teloxide::{Error, Response};
use serde::Deserialize;
use service_kit::telemetry::with_causes;

/// The fields of the answer that matter.
#[derive(Debug, Default, Deserialize)]
struct TelegramAnswer {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    result: Option<Sent>,
    #[serde(default)]
    error_code: Option<u16>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sent {
    Message { message_id: i32 },
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

/// Longest part of a description in a log.
const REASON_CHARACTERS: usize = 200;
/// Wait after a 429 without a time.
const DEFAULT_RETRY_AFTER: u64 = 5;

/// `edited`: the message that the call changed. It becomes the reference.
pub(super) async fn outcome(sent: Result<Response, Error>, edited: Option<i32>) -> DeliveryOutcome {
    let response = match sent {
        Ok(response) => response,
        Err(error) => return unanswered(error),
    };
    let status = response.status().as_u16();
    match response.text().await {
        Ok(body) => read(status, &body, edited),
        // The head arrived, so the request did too. The body contained its result.
        Err(error) if status < 300 => DeliveryOutcome::Unknown { reason: describe(error) },
        Err(_) => read(status, "", edited),
    }
}

/// No answer: whether the message was sent depends on how far the request got.
fn unanswered(error: Error) -> DeliveryOutcome {
    if error.is_builder() {
        return DeliveryOutcome::Refused { reason: describe(error), dead: false };
    }
    if error.is_connect() {
        DeliveryOutcome::TryAgain { reason: describe(error) }
    } else {
        DeliveryOutcome::Unknown { reason: describe(error) }
    }
}

/// Removes the address of the call first, because it contains the token.
fn describe(error: Error) -> String {
    cut(&with_causes(&error.without_url()))
}

fn cut(text: &str) -> String {
    text.chars().take(REASON_CHARACTERS).collect()
}

fn read(status: u16, body: &str, edited: Option<i32>) -> DeliveryOutcome {
    let answer: TelegramAnswer = match serde_json::from_str(body) {
        Ok(answer) => answer,
        Err(_) if status < 300 => return DeliveryOutcome::Unknown { reason: "the answer is not from Telegram".into() },
        Err(_) => TelegramAnswer { error_code: Some(status), ..TelegramAnswer::default() },
    };
    if answer.ok {
        let message = match answer.result {
            Some(Sent::Message { message_id }) => Some(message_id),
            _ => edited,
        };
        return DeliveryOutcome::Delivered { reference: message.map(|id| id.to_string()).unwrap_or_default() };
    }
    if let Some(chat) = answer.parameters.migrate_to_chat_id {
        return DeliveryOutcome::Moved { chat };
    }
    let code = answer.error_code.unwrap_or(status);
    let reason = if answer.description.is_empty() { format!("status {code}") } else { cut(&answer.description) };
    if code == 429 || answer.parameters.retry_after.is_some() {
        let seconds = answer.parameters.retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
        return DeliveryOutcome::RateLimited { retry_after: Duration::from_secs(seconds) };
    }
    let says = |part: &str| answer.description.to_lowercase().contains(part);
    match code {
        // The gateway timed out, and the server may have processed the request.
        504 => DeliveryOutcome::Unknown { reason },
        500.. => DeliveryOutcome::TryAgain { reason },
        // The token is wrong or revoked. No message is sent until it is fixed, and none is lost.
        401 | 404 => DeliveryOutcome::TryAgain { reason },
        403 => DeliveryOutcome::Refused { reason, dead: true },
        _ if says("message is not modified") => {
            DeliveryOutcome::Delivered { reference: edited.map(|id| id.to_string()).unwrap_or_default() }
        }
        _ if says("message thread not found") || says("topic_deleted") || says("topic_closed") => DeliveryOutcome::TopicGone,
        _ if says("message to edit not found")
            || says("message can't be edited")
            || says("message_id_invalid")
            || says("message to be replied not found")
            || says("message to reply not found") =>
        {
            DeliveryOutcome::MessageGone
        }
        _ if says("chat not found")
            || says("peer_id_invalid")
            || says("not enough rights")
            || says("have no rights")
            || says("need administrator rights")
            || says("user is deactivated")
            || says("chat_write_forbidden") =>
        {
            DeliveryOutcome::Refused { reason, dead: true }
        }
        _ if says("can't parse entities") || says("message is too long") || says("button_") || says("entities_too_long") => {
            DeliveryOutcome::Unparsable { reason }
        }
        _ => DeliveryOutcome::Refused { reason, dead: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row per kind of answer.
    #[test]
    fn each_answer_has_its_outcome() {
        let refused = |code: u16, description: &str| {
            read(code, &format!(r#"{{"ok":false,"error_code":{code},"description":"{description}"}}"#), Some(7)).name()
        };
        for (code, description, expected) in [
            (400, "Bad Request: can't parse entities: Unsupported start tag", "unparsable"),
            (400, "Bad Request: message is not modified: specified new message content", "delivered"),
            (400, "Bad Request: message thread not found", "topic_gone"),
            (400, "Bad Request: message to edit not found", "message_gone"),
            (400, "Bad Request: chat not found", "refused"),
            (400, "Bad Request: not enough rights to send text messages to the chat", "refused"),
            (401, "Unauthorized", "try_again"),
            (403, "Forbidden: bot was kicked from the supergroup chat", "refused"),
            (429, "Too Many Requests: retry after 7", "rate_limited"),
            (500, "Internal Server Error", "try_again"),
            (502, "Bad Gateway", "try_again"),
            (504, "Gateway Timeout", "unknown"),
        ] {
            assert_eq!(refused(code, description), expected, "{code} {description}");
        }
        let moved = r#"{"ok":false,"error_code":400,"description":"x","parameters":{"migrate_to_chat_id":-1009}}"#;
        assert_eq!(read(400, moved, None), DeliveryOutcome::Moved { chat: -1009 });
        let stopped = r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":7}}"#;
        assert_eq!(read(429, stopped, None), DeliveryOutcome::RateLimited { retry_after: Duration::from_secs(7) });
        let sent = r#"{"ok":true,"result":{"message_id":12,"chat":{"id":1}}}"#;
        assert_eq!(read(200, sent, None), DeliveryOutcome::Delivered { reference: "12".into() });
        assert_eq!(read(200, r#"{"ok":true,"result":true}"#, Some(7)), DeliveryOutcome::Delivered { reference: "7".into() });
        assert_eq!(read(200, "<html>", None).name(), "unknown");
        assert_eq!(read(502, "<html>", None).name(), "try_again");
        assert_eq!(read(413, "", None).name(), "refused");
    }
}
