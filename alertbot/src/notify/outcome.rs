//! What came of one attempt to send.

use std::time::Duration;

/// What came of one attempt. `reason` is for the log and the audit trail: it holds no secret and no message text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it. `reference` finds it again: a message id, a provider's id.
    Delivered { reference: String },
    /// Nothing was sent; this address, and no other, must not be tried before the time has passed.
    RateLimited { retry_after: Duration },
    /// Nothing was sent, and the fault is the receiver's or the network's: connection refused, 5xx.
    TryAgain { reason: String },
    /// It left, and the answer was lost. It may be sent once more, marked, after a probe was answered.
    Unknown { reason: String },
    /// The chat has another id now.
    Moved { chat: i64 },
    /// The topic is gone; the chat is there.
    TopicGone,
    /// The message that should be edited or replied to is not there any more; the chat is.
    MessageGone,
    /// The receiver could not read the markup: send it again as plain text.
    Unparsable { reason: String },
    /// This will never be accepted. With `dead` nothing sent to this address will (kicked, blocked, no such number): use
    /// the next channel.
    Refused { reason: String, dead: bool },
}

impl Outcome {
    /// The label of metrics.
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
