//! What befell an incident: why a message is sent, and whether it sounds.

use serde::{Deserialize, Serialize};

use super::Severity;

/// What befell an incident. Written into the outbox as JSON: kinds may be added, none renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// It is new.
    Fired,
    /// It was resolved and fires again.
    Reopened {
        /// Firing and resolved so often that further changes are only edited until it calms down.
        flapping: bool,
    },
    SeverityRaised {
        from: Severity,
    },
    /// More alerts of the group fire now.
    Joined {
        count: usize,
    },
    /// Nobody acknowledged: `step` counts from 1, `round` too.
    Escalated {
        step: usize,
        round: usize,
        /// Who pressed the button; `None` when a wait was over.
        by: Option<String>,
        /// Names of those who are told now, for the people who read along.
        to: Vec<String>,
    },
    /// Still firing after the route's reminder interval.
    Reminded,
    Acknowledged {
        by: String,
    },
    /// The acknowledgement timed out, or was taken back.
    AcknowledgementEnded {
        by: String,
    },
    /// Another person has it now.
    Reassigned {
        to: String,
        by: String,
    },
    Silenced {
        by: String,
    },
    Unsilenced {
        by: String,
    },
    Resolved,
    /// The configuration has no escalation for it any more.
    EscalationLost,
    /// Some alerts resolved or changed; nothing that needs anybody.
    Changed,
}

impl Happening {
    /// Whether it is a new message with sound. Everything else edits the first message, and an edit makes no sound.
    pub fn sounds(&self) -> bool {
        match self {
            Self::Fired
            | Self::Reopened { .. }
            | Self::SeverityRaised { .. }
            | Self::Joined { .. }
            | Self::Escalated { .. }
            | Self::Reminded
            | Self::AcknowledgementEnded { .. }
            | Self::EscalationLost
            | Self::Reassigned { .. } => true,
            Self::Acknowledged { .. } | Self::Silenced { .. } | Self::Unsilenced { .. } | Self::Resolved | Self::Changed => false,
        }
    }
}
