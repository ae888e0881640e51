//! This module renders messages: an incident and a reader in, text out. It is pure: the moment is an argument.
//!
//! - It must not decide where a message goes, when it goes, or whether it sounds.
//! - The text is rendered at the time of sending.
//! - [`render`] alone handles values from outside (labels, annotations, names of groups). It removes control characters,
//!   shortens, isolates where directions mix, and escapes.

pub mod age;
pub mod bidi;
pub mod catalogue;
pub mod context;
pub mod markup;
pub mod notice;
pub mod place;
pub mod render;
pub mod samples;
pub mod sms;
pub mod split;
pub mod telephone;
pub mod units;
pub mod validate;

#[cfg(test)]
mod tests;

use jiff::{Timestamp, tz::TimeZone};

pub use render::{Messages, Rendered};

use crate::config::{Calendar, Language};

/// The reader of a message, and the moment.
#[derive(Debug, Clone)]
pub struct Reader {
    pub language: Language,
    pub zone: TimeZone,
    pub now: Timestamp,
    /// Calendar of dates.
    pub calendar: Calendar,
}

impl Reader {
    pub fn right_to_left(&self) -> bool {
        self.language == Language::Persian
    }

    /// Formats a moment for this reader: only the time on the same day, otherwise with the date.
    pub fn clock(&self, moment: Timestamp) -> String {
        age::clock(moment, self.now, &self.zone, self.calendar)
    }
}

/// A colour that shows the severity before the text is read.
pub fn mark(incident: &crate::incident::Incident) -> &'static str {
    use crate::incident::{Phase, Severity};
    match (incident.phase, incident.severity) {
        (Phase::Resolved, _) => "🟢",
        (_, Severity::Critical) => "🔴",
        (_, Severity::Warning) => "🟠",
        (_, Severity::Info) => "🔵",
    }
}
