//! This module defines one message of the queue as the planner sees it.

use serde::{Deserialize, Serialize};

use crate::{delivery::Address, moment::Moment};

/// The kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// The first message of an incident in a chat.
    Card,
    /// A later message with sound, in reply to the card.
    Notice,
    /// An edit that updates the card.
    Edit,
    /// A silent reply with a chart.
    Picture,
    /// A text without an incident: an answer to a command, a handover.
    Text,
    /// A list of incidents that exceeded the chat's budget.
    Digest,
    /// An SMS or a call.
    Phone,
}

impl MessageKind {
    /// Name in the store and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Notice => "notice",
            Self::Edit => "edit",
            Self::Picture => "picture",
            Self::Text => "text",
            Self::Digest => "digest",
            Self::Phone => "phone",
        }
    }
}

/// Priority in a chat: the smaller one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// A critical incident, with sound. Budget is reserved for it.
    Critical,
    /// A person pressed a button or sent a command and waits.
    Answer,
    /// Other incidents, with sound.
    Ordinary,
    /// Without sound.
    Quiet,
    Picture,
}

impl Urgency {
    pub const ALL: [Self; 5] = [Self::Critical, Self::Answer, Self::Ordinary, Self::Quiet, Self::Picture];
}

/// One message in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Id of the row in the outbox.
    pub id: i64,
    pub address: Address,
    pub kind: MessageKind,
    pub urgency: Urgency,
    /// When it was accepted. In a queue the older message goes first.
    pub since: Moment,
    pub not_before: Moment,
    /// When the next channel is notified too; `None`: never, or it already was.
    pub overdue_at: Option<Moment>,
    /// A digest may list it instead of a message of its own.
    pub digestible: bool,
    /// A digest listed its present state, so its own message can wait.
    pub listed: bool,
    pub attempts: u32,
    /// Number of those attempts that had to use an alternative.
    pub detours: u32,
    /// An attempt may have arrived.
    pub maybe_sent: bool,
}

impl Item {
    /// Whether the message carries sound that no person has received yet.
    pub(super) fn wants_digest(&self) -> bool {
        self.digestible && !self.listed
    }

    /// A message that a digest has listed is not urgent.
    pub(super) fn rank(&self) -> Urgency {
        if self.listed { self.urgency.max(Urgency::Quiet) } else { self.urgency }
    }
}
