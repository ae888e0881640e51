//! This module defines the outcome of an attempt to send, and the report about it that a provider may send later.

use std::time::Duration;

/// The outcome of one attempt. `reason` is for the log and the audit trail. It must not contain a secret or the text of a
/// message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Accepted by the receiver. `reference` identifies it: a message id, a provider's id.
    Delivered { reference: String },
    /// Not sent. Only this address must not be tried before this time has passed.
    RateLimited { retry_after: Duration },
    /// Not sent, because of the receiver or the network: connection refused, 5xx.
    TryAgain { reason: String },
    /// Sent, but the answer was lost. It may be sent once more, marked, after an answered probe.
    Unknown { reason: String },
    /// The chat has another id now.
    Moved { chat: i64 },
    /// The topic does not exist, but the chat does.
    TopicGone,
    /// The message to edit or reply to does not exist, but the chat does.
    MessageGone,
    /// The receiver could not parse the markup: send it again as plain text.
    Unparsable { reason: String },
    /// The message will never be accepted. `dead`: no message to this address will be (kicked, blocked, no such number). Use the
    /// next channel.
    Refused { reason: String, dead: bool },
}

impl DeliveryOutcome {
    /// Label of metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::RateLimited { .. } => "rate_limited",
            Self::TryAgain { .. } => "try_again",
            Self::Unknown { .. } => "unknown",
            Self::Moved { .. } => "moved",
            Self::TopicGone => "topic_gone",
            Self::MessageGone => "message_gone",
            Self::Unparsable { .. } => "unparsable",
            Self::Refused { .. } => "refused",
        }
    }
}

/// State of an accepted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryReport {
    /// In transit. A later report follows.
    Underway,
    /// The phone received it, or the call was answered.
    Arrived,
    /// It will not arrive.
    Failed { reason: String },
}
