//! One message in the queue, as far as the planner is concerned.

use serde::{Deserialize, Serialize};

use super::Moment;
use crate::notify::Address;

/// What kind of call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first message of an incident in a chat.
    Card,
    /// A later message with sound, replying to the card.
    Notice,
    /// The card, brought up to date.
    Edit,
    /// A silent reply with a picture.
    Picture,
    /// A text that no incident stands behind: an answer to a command, a handover.
    Text,
    /// A list of incidents for which the chat had no budget.
    Digest,
    /// An SMS or a call.
    Phone,
}

impl Kind {
    /// As in the store and in metrics.
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

/// What goes first in a chat: the smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// A critical incident, with sound. Budget is kept back for it.
    Critical,
    /// Somebody pressed a button or wrote a command and waits.
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
    /// Of the row in the outbox.
    pub id: i64,
    pub address: Address,
    pub kind: Kind,
    pub urgency: Urgency,
    /// When it was accepted: in a queue the older one goes first.
    pub since: Moment,
    pub not_before: Moment,
    /// When the next channel is told as well; `None`: never, or it was already.
    pub overdue_at: Option<Moment>,
    /// A digest may name it in place of a message of its own.
    pub digestible: bool,
    /// A digest named it as it is now: its own message has time.
    pub told: bool,
    pub attempts: u32,
    /// Of those, how often it had to be sent in another way.
    pub detours: u32,
    /// An attempt may have arrived.
    pub maybe_sent: bool,
}

impl Item {
    /// Whether it stands in for sound that nobody has heard yet.
    pub(super) fn wants_digest(&self) -> bool {
        self.digestible && !self.told
    }

    /// What a digest has told already is without hurry.
    pub(super) fn rank(&self) -> Urgency {
        if self.told { self.urgency.max(Urgency::Quiet) } else { self.urgency }
    }
}
