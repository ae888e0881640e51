//! This module lists the languages and calendars of messages.

/// The language of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Language {
    #[default]
    English,
    Persian,
}

/// Calendar of dates in Persian messages. Other messages use the Gregorian calendar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Calendar {
    #[default]
    Gregorian,
    /// The Solar Hijri calendar of Iran.
    Jalali,
}
