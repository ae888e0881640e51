//! Quiet hours: when a message below a severity is held back or makes no sound. Critical is never quiet unless it says so.

use jiff::tz::TimeZone;

use super::{
    document::{Section, Value},
    window::Window,
};
use crate::incident::Severity;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// To which severities it applies.
    pub severities: Vec<Severity>,
    pub window: Window,
    /// `None`: the zone of the person or, for a chat, of the file.
    pub zone: Option<TimeZone>,
    pub manner: Quiet,
}

/// What quiet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// Sent, without a sound. A telephone cannot do that: an SMS or a call then waits like `Hold`.
    Mute,
    /// Kept until the window ends, and sent if it still matters then.
    Hold,
}

impl Value for Quiet {
    const SHAPE: &'static str = "mute or hold";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "mute" => Some(Self::Mute),
            "hold" => Some(Self::Hold),
            _ => None,
        }
    }

    fn stand_in() -> Self {
        Self::Mute
    }
}

impl QuietHours {
    pub(super) fn read_all(section: &Section) -> Vec<Self> {
        section.sections("quiet_hours").iter().map(Self::read).collect()
    }

    fn read(section: &Section) -> Self {
        let severities: Vec<_> = section.list::<Severity>("severities").into_iter().map(|(severity, _)| severity).collect();
        Self {
            severities: if section.has("severities") { severities } else { vec![Severity::Info, Severity::Warning] },
            window: Window::read(section),
            zone: section.optional("time_zone"),
            manner: section.or("manner", Quiet::Mute),
        }
    }
}
