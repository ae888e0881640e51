//! What messages say: an incident and a reader in, words out. Pure: the moment is an argument. Never where a message goes, when
//! it goes, or whether it sounds.
//!
//! Words are made at the moment of sending. Everything that comes from outside (labels, annotations, names of groups) is
//! stripped of controls, shortened, isolated where directions mix, and escaped, all in one place: [`render`].

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

/// Who reads it, and when.
#[derive(Debug, Clone)]
pub struct Reader {
    pub language: Language,
    pub zone: TimeZone,
    pub now: Timestamp,
    /// Of dates.
    pub calendar: Calendar,
}

impl Reader {
    pub fn right_to_left(&self) -> bool {
        self.language == Language::Persian
    }

    /// A moment as this reader writes it: the time alone on the same day, with the date otherwise.
    pub fn clock(&self, moment: Timestamp) -> String {
        age::clock(moment, self.now, &self.zone, self.calendar)
    }
}

/// A colour that says how bad it is before a word is read.
pub fn mark(incident: &crate::incident::Incident) -> &'static str {
    use crate::incident::{Phase, Severity};
    match (incident.phase, incident.severity) {
        (Phase::Resolved, _) => "🟢",
        (_, Severity::Critical) => "🔴",
        (_, Severity::Warning) => "🟠",
        (_, Severity::Info) => "🔵",
    }
}
