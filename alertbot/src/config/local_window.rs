//! This module reads recurring windows of local time.

use alertbot_core::local_window::LocalWindow;
use jiff::civil::Weekday;

use super::document::{Section, Value};

pub(super) fn read_window(section: &Section) -> LocalWindow {
    LocalWindow {
        days: section.list::<Day>("days").into_iter().map(|(day, _)| day.0).collect(),
        from: section.required("from", "local start time, as \"22:00\""),
        to: section.required("to", "local end time, as \"07:00\"; if not after `from`, on the next day"),
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
