//! This module reads recurring windows of local time: quiet hours, the hours of a rotation's layer. It is pure: the moment is an
//! argument.

use jiff::{
    Timestamp,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

use super::document::{Section, Value};

/// From a time of day to a time of day, on some weekdays. If `to` is not after `from`, the window ends on the next day. Equal
/// times cover a whole day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Weekdays on which it starts. Empty: every day.
    pub days: Vec<Weekday>,
    pub from: Time,
    pub to: Time,
}

impl Window {
    pub(super) fn read(section: &Section) -> Self {
        let days = section.list::<Day>("days").into_iter().map(|(day, _)| day.0).collect();
        Self {
            days,
            from: section.required("from", "local start time, as \"22:00\""),
            to: section.required("to", "local end time, as \"07:00\"; if not after `from`, on the next day"),
        }
    }

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

struct Day(Weekday);

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Value for Day {
    const SHAPE: &'static str = "mon, tue, wed, thu, fri, sat or sun";

    fn parse(text: &str) -> Option<Self> {
        DAYS.into_iter().find(|(name, _)| *name == text).map(|(_, day)| Self(day))
    }

    fn stand_in() -> Self {
        Self(Weekday::Monday)
    }
}
