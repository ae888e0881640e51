//! This module lists the events of an incident that cause a message, and whether each one sounds.

use serde::{Deserialize, Serialize};

use crate::alert::Severity;

/// An event of an incident. The outbox stores it as JSON: kinds may be added, but not renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// The incident is new.
    Fired,
    /// It was resolved and fires again.
    Reopened {
        /// It fired and resolved so often that further changes only edit the message until it calms down.
        flapping: bool,
    },
    SeverityRaised {
        from: Severity,
    },
    /// More alerts of the group fire now.
    Joined {
        count: usize,
    },
    /// Not acknowledged in time: `step` and `round` count from 1.
    Escalated {
        step: usize,
        round: usize,
        /// The person who pressed the button; `None` if a wait ended.
        by: Option<String>,
        /// Names of the people notified now, shown to followers.
        to: Vec<String>,
    },
    /// Still firing after the route's reminder interval.
    Reminded,
    Acknowledged {
        by: String,
    },
    /// The acknowledgement expired or was released.
    AcknowledgementEnded {
        by: String,
    },
    /// Another person owns it now.
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
    /// The configuration no longer has an escalation for it.
    EscalationLost,
    /// Some alerts resolved or changed. No person needs to act.
    Changed,
}

impl Happening {
    /// Whether it is a new message with sound. Other events edit the first message, without sound.
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
