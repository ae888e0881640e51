//! This module formats durations in their two largest units.

use icu_calendar::{Date, cal::Persian};
use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use crate::message::Calendar;

/// A duration in its two largest units. The second is `None` if it is zero or if the first is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    pub first: (AgeUnit, u64),
    pub second: Option<(AgeUnit, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgeUnit {
    Second,
    Minute,
    Hour,
    Day,
}

/// From this duration on, only days are shown.
const DAYS_ALONE: u64 = 7;

impl Age {
    /// A negative duration (clocks that differ) counts as zero.
    pub fn of(span: SignedDuration) -> Self {
        let seconds = u64::try_from(span.as_secs()).unwrap_or(0);
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        let with = |first, second: (AgeUnit, u64)| Self { first, second: Some(second).filter(|(_, count)| *count > 0) };
        match seconds {
            0..60 => Self { first: (AgeUnit::Second, seconds), second: None },
            // Seconds do not matter from ten minutes on.
            60..600 => with((AgeUnit::Minute, minutes), (AgeUnit::Second, seconds % 60)),
            600..3600 => Self { first: (AgeUnit::Minute, minutes), second: None },
            3600..86_400 => with((AgeUnit::Hour, hours), (AgeUnit::Minute, minutes % 60)),
            _ if days >= DAYS_ALONE => Self { first: (AgeUnit::Day, days), second: None },
            _ => with((AgeUnit::Day, days), (AgeUnit::Hour, hours % 24)),
        }
    }

    pub fn between(from: Timestamp, to: Timestamp) -> Self {
        Self::of(to.duration_since(from))
    }
}

/// A moment in a zone with the zone's name: only the time on the day of `now`, otherwise with the date.
pub fn clock(moment: Timestamp, now: Timestamp, zone: &TimeZone, calendar: Calendar) -> String {
    let (local, today) = (zone.to_datetime(moment), zone.to_datetime(now).date());
    let time = format!("{:02}:{:02}", local.hour(), local.minute());
    let named = zone.to_offset_info(moment);
    let zone = named.abbreviation();
    if local.date() == today { format!("{time} {zone}") } else { format!("{} {time} {zone}", date(local.date(), calendar)) }
}

/// `2026-01-31`, or `1404/11/11` in the notation of Iran.
fn date(date: civil::Date, calendar: Calendar) -> String {
    let jalali = || {
        let (month, day) = (u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?);
        Some(Date::try_new_iso(date.year().into(), month, day).ok()?.to_calendar(Persian))
    };
    match calendar {
        Calendar::Gregorian => date.to_string(),
        Calendar::Jalali => jalali().map_or_else(
            || date.to_string(),
            |there| format!("{:04}/{:02}/{:02}", there.year().extended_year(), there.month().ordinal, there.day_of_month().0),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_shows_its_two_largest_units() {
        for (seconds, first, second) in [
            (-5, (AgeUnit::Second, 0), None),
            (59, (AgeUnit::Second, 59), None),
            (90, (AgeUnit::Minute, 1), Some((AgeUnit::Second, 30))),
            (120, (AgeUnit::Minute, 2), None),
            (659, (AgeUnit::Minute, 10), None),
            (3_700, (AgeUnit::Hour, 1), Some((AgeUnit::Minute, 1))),
            (90_000, (AgeUnit::Day, 1), Some((AgeUnit::Hour, 1))),
            (8 * 86_400 + 3_600, (AgeUnit::Day, 8), None),
        ] {
            assert_eq!(Age::of(SignedDuration::from_secs(seconds)), Age { first, second }, "{seconds}");
        }
    }

    #[test]
    fn the_date_is_shown_if_it_is_another_day_in_the_zone() {
        let zone = TimeZone::get("Asia/Tehran").unwrap();
        let (moment, now): (Timestamp, Timestamp) =
            ("2026-01-31T20:15:00Z".parse().unwrap(), "2026-01-31T21:00:00Z".parse().unwrap());
        assert_eq!(clock(moment, now, &zone, Calendar::Gregorian), "2026-01-31 23:45 +0330");
        assert_eq!(clock(moment, now, &zone, Calendar::Jalali), "1404/11/11 23:45 +0330");
        assert_eq!(clock(moment, moment, &zone, Calendar::Jalali), "23:45 +0330");
    }

    /// New years and leap days, as published by the calendar centre of the University of Tehran.
    #[test]
    fn jalali_dates_match_the_published_calendar() {
        for (gregorian, jalali) in [
            ("2021-03-21", "1400/01/01"),
            ("2024-03-20", "1403/01/01"),
            ("2025-03-20", "1403/12/30"),
            ("2025-03-21", "1404/01/01"),
            ("2026-11-30", "1405/09/09"),
        ] {
            assert_eq!(date(gregorian.parse().unwrap(), Calendar::Jalali), jalali);
        }
    }
}
