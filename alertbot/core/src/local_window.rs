//! This module defines recurring windows of local time: quiet hours, the hours of a rotation's layer.

use jiff::{
    Timestamp,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

/// From a time of day to a time of day, on some weekdays. If `to` is not after `from`, the window ends on the next day. Equal
/// times cover a whole day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalWindow {
    /// Weekdays on which it starts. Empty: every day.
    pub days: Vec<Weekday>,
    pub from: Time,
    pub to: Time,
}

impl LocalWindow {
    /// If the moment is inside, the end of the window.
    pub fn end_of(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = zone.to_datetime(moment).date();
        // It may have started the day before. Where clocks go back, its day may be one that the clock has already left.
        [today.yesterday().ok(), Some(today), today.tomorrow().ok()]
            .into_iter()
            .flatten()
            .filter_map(|day| self.on(day, zone))
            .find(|(begin, end)| *begin <= moment && moment < *end)
            .map(|(_, end)| end)
    }

    pub fn contains(&self, moment: Timestamp, zone: &TimeZone) -> bool {
        self.end_of(moment, zone).is_some()
    }

    /// Start and end of the window that starts on this day.
    pub fn on(&self, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        if !self.days.is_empty() && !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = if self.to > self.from { day } else { day.tomorrow().ok()? };
        let moment = |day: Date, time: Time| zone.to_timestamp(day.to_datetime(time)).ok();
        Some((moment(day, self.from)?, moment(last, self.to)?))
    }
}
