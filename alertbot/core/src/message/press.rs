//! This module encodes the buttons of messages as callback data, and decodes it.

use crate::incident::IncidentId;

/// The action of a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    Acknowledge(IncidentId),
    /// Every incident of a digest.
    AcknowledgeAll(i64),
    Escalate(IncidentId),
    Graph(IncidentId),
    Release(IncidentId),
    /// Hours. Confirmed although it covers many alerts.
    Silence(IncidentId, u32, bool),
    Unsilence(IncidentId),
}

/// Longest silence set by a button.
const MOST_HOURS: u32 = 24 * 7;

impl Press {
    /// Encodes the button as callback data: at most [`super::units::CALLBACK_BYTES`].
    pub fn data(self) -> String {
        match self {
            Self::Acknowledge(id) => format!("ack:{}", id.0),
            Self::AcknowledgeAll(digest) => format!("all:{digest}"),
            Self::Escalate(id) => format!("esc:{}", id.0),
            Self::Graph(id) => format!("gra:{}", id.0),
            Self::Release(id) => format!("rel:{}", id.0),
            Self::Silence(id, hours, false) => format!("sil:{}:{hours}", id.0),
            Self::Silence(id, hours, true) => format!("yes:{}:{hours}", id.0),
            Self::Unsilence(id) => format!("uns:{}", id.0),
        }
    }

    /// Decodes callback data; `None` if it is not that of a button of this program.
    pub fn from_data(data: &str) -> Option<Self> {
        let mut parts = data.split(':');
        let (word, number) = (parts.next()?, parts.next()?.parse::<i64>().ok()?);
        let id = IncidentId(number);
        let mut hours = || parts.next()?.parse::<u32>().ok().filter(|hours| (1..=MOST_HOURS).contains(hours));
        let press = match word {
            "ack" => Self::Acknowledge(id),
            "all" => Self::AcknowledgeAll(number),
            "esc" => Self::Escalate(id),
            "gra" => Self::Graph(id),
            "rel" => Self::Release(id),
            "sil" => Self::Silence(id, hours()?, false),
            "yes" => Self::Silence(id, hours()?, true),
            "uns" => Self::Unsilence(id),
            _ => return None,
        };
        parts.next().is_none().then_some(press)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Acknowledge(_) => "acknowledge",
            Self::AcknowledgeAll(_) => "acknowledge_all",
            Self::Escalate(_) => "escalate",
            Self::Graph(_) => "graph",
            Self::Release(_) => "release",
            Self::Silence(..) => "silence",
            Self::Unsilence(_) => "unsilence",
        }
    }

    pub fn incident(self) -> Option<IncidentId> {
        match self {
            Self::Acknowledge(id)
            | Self::Escalate(id)
            | Self::Graph(id)
            | Self::Release(id)
            | Self::Silence(id, ..)
            | Self::Unsilence(id) => Some(id),
            Self::AcknowledgeAll(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::units::CALLBACK_BYTES;

    #[test]
    fn every_button_round_trips_and_fits() {
        let id = IncidentId(i64::MAX);
        for press in [
            Press::Acknowledge(id),
            Press::AcknowledgeAll(i64::MAX),
            Press::Escalate(id),
            Press::Graph(id),
            Press::Release(id),
            Press::Silence(id, 4, false),
            Press::Silence(id, 24, true),
            Press::Unsilence(id),
        ] {
            let data = press.data();
            assert!(data.len() <= CALLBACK_BYTES);
            assert_eq!(Press::from_data(&data), Some(press), "{data}");
        }
        for wrong in ["", "ack", "ack:x", "sil:1", "sil:1:0", "sil:1:9999", "ack:1:2", "rm:1"] {
            assert_eq!(Press::from_data(wrong), None, "{wrong}");
        }
    }
}
