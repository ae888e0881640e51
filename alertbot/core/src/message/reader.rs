//! This module defines the reader of a message: language, time zone, calendar, and the addresses of links.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    age,
    links::LinkAddresses,
    locale::{Calendar, Language},
};

/// The reader of a message, and the moment.
#[derive(Debug, Clone)]
pub struct Reader {
    pub language: Language,
    pub zone: TimeZone,
    pub now: Timestamp,
    /// Calendar of dates.
    pub calendar: Calendar,
    pub links: Arc<LinkAddresses>,
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
