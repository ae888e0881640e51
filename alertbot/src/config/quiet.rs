//! This module reads quiet hours, in which a message is muted or held. They apply to critical messages only if `severities` lists
//! them.

use alertbot_core::{alert::Severity, local_window::LocalWindow};
use jiff::tz::TimeZone;

use super::{
    document::{Section, Value},
    local_window::read_window,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// Severities to which they apply.
    pub severities: Vec<Severity>,
    pub window: LocalWindow,
    /// `None`: the zone of the person or, for a chat, of the file.
    pub zone: Option<TimeZone>,
    pub manner: Quiet,
}

/// Effect of the quiet hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// Send without a sound. A phone cannot do that, so an SMS or a call waits as with `Hold`.
    Mute,
    /// Hold until the window ends, then send if the message still matters.
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
            window: read_window(section),
            zone: section.optional("time_zone"),
            manner: section.or("manner", Quiet::Mute),
        }
    }
}
