//! This module has the intervals of candles and their calendar: UTC, integer arithmetic, no leap seconds (as Unix time has none).

use crate::money::Time;
use crate::order::field_values;

/// One second of journal time.
pub const SECOND: Time = 1_000_000;
/// One minute of journal time.
pub const MINUTE: Time = 60_000_000;
/// One day of journal time.
pub const DAY: Time = 1_440 * MINUTE;

field_values! {
    /// The length of a candle. The codes are those of the `candles` table.
    Interval {
        Minutes1 = 0 "1m",
        Minutes3 = 1 "3m",
        Minutes5 = 2 "5m",
        Minutes15 = 3 "15m",
        Minutes30 = 4 "30m",
        Hours1 = 5 "1h",
        Hours2 = 6 "2h",
        Hours4 = 7 "4h",
        Hours6 = 8 "6h",
        Hours8 = 9 "8h",
        Hours12 = 10 "12h",
        Days1 = 11 "1d",
        /// Counted from 1970-01-01.
        Days3 = 12 "3d",
        /// From Monday.
        Week1 = 13 "1w",
        /// From the first of the month.
        Month1 = 14 "1M",
        /// From single trades; every other interval is a sum of minutes.
        Seconds1 = 15 "1s",
    }
}

/// 1970-01-01 was a Thursday: the week's Monday is three days before it.
const MONDAY_BEFORE_EPOCH: i64 = 3;

impl Interval {
    /// Length in microseconds; `None` for the month, whose length varies.
    pub(super) const fn length(self) -> Option<Time> {
        Some(match self {
            Self::Seconds1 => SECOND,
            Self::Minutes1 => MINUTE,
            Self::Minutes3 => 3 * MINUTE,
            Self::Minutes5 => 5 * MINUTE,
            Self::Minutes15 => 15 * MINUTE,
            Self::Minutes30 => 30 * MINUTE,
            Self::Hours1 => 60 * MINUTE,
            Self::Hours2 => 120 * MINUTE,
            Self::Hours4 => 240 * MINUTE,
            Self::Hours6 => 360 * MINUTE,
            Self::Hours8 => 480 * MINUTE,
            Self::Hours12 => 720 * MINUTE,
            Self::Days1 => DAY,
            Self::Days3 => 3 * DAY,
            Self::Week1 => 7 * DAY,
            Self::Month1 => return None,
        })
    }

    /// The opening time of the candle that contains `time`.
    pub const fn open(self, time: Time) -> Time {
        match (self, self.length()) {
            (Self::Week1, Some(length)) => {
                (time + MONDAY_BEFORE_EPOCH * DAY).div_euclid(length) * length - MONDAY_BEFORE_EPOCH * DAY
            }
            (_, Some(length)) => time.div_euclid(length) * length,
            (_, None) => month_start(month_of_day(time.div_euclid(DAY))) * DAY,
        }
    }

    /// The opening time `count` candles after `open`, itself an opening time; a negative `count` goes back.
    pub const fn step(self, open: Time, count: i64) -> Time {
        match self.length() {
            Some(length) => open + count * length,
            None => month_start(month_of_day(open.div_euclid(DAY)) + count) * DAY,
        }
    }

    /// The last microsecond of the candle that opens at `open`.
    pub const fn close(self, open: Time) -> Time {
        self.step(open, 1) - 1
    }
}

/// Days from 1970-01-01 to the first day of month `month`, counted from January of year 0.
///
/// Years start in March, so that the leap day is the last day of a year and month lengths follow one formula (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
const fn month_start(month: i64) -> i64 {
    let from_march = month - 2;
    let year = from_march.div_euclid(12);
    let month_of_year = from_march.rem_euclid(12);
    let day_of_year = (153 * month_of_year + 2) / 5;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The month, counted from January of year 0, of a day counted from 1970-01-01 (`civil_from_days`).
const fn month_of_day(day: i64) -> i64 {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * day_of_year + 2) / 153;
    (era * 400 + year_of_era) * 12 + month_of_year + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Midnight of a date, found by counting days one by one.
    fn midnight(year: i64, month: i64, day: i64) -> Time {
        let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
        let mut days = 0;
        for y in 1970..year {
            days += if leap(y) { 366 } else { 365 };
        }
        for m in 1..month {
            days += match m {
                2 if leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
        }
        (days + day - 1) * DAY
    }

    #[test]
    fn months_begin_on_their_first_day_for_two_centuries() {
        for year in 1970..2170 {
            for month in 1..=12 {
                let open = midnight(year, month, 1);
                let next = if month == 12 { midnight(year + 1, 1, 1) } else { midnight(year, month + 1, 1) };
                assert_eq!(Interval::Month1.open(open), open, "{year}-{month}");
                assert_eq!(Interval::Month1.open(next - 1), open, "{year}-{month}, last microsecond");
                assert_eq!(Interval::Month1.step(open, 1), next);
                assert_eq!(Interval::Month1.step(next, -1), open);
                assert_eq!(Interval::Month1.close(open), next - 1);
            }
        }
    }

    #[test]
    fn known_openings() {
        // 2024-02-29 was a Thursday.
        let leap_day = midnight(2024, 2, 29) + 13 * 60 * MINUTE + 7;
        let rows = [
            (Interval::Minutes3, midnight(2024, 2, 29) + 780 * MINUTE),
            (Interval::Hours8, midnight(2024, 2, 29) + 480 * MINUTE),
            (Interval::Days1, midnight(2024, 2, 29)),
            (Interval::Days3, midnight(2024, 2, 29)),
            (Interval::Week1, midnight(2024, 2, 26)),
            (Interval::Month1, midnight(2024, 2, 1)),
        ];
        for (interval, open) in rows {
            assert_eq!(interval.open(leap_day), open, "{interval}");
        }
        assert_eq!(Interval::Days3.open(midnight(2024, 2, 28)), midnight(2024, 2, 26));
    }

    proptest! {
        #[test]
        fn openings_tile_time(time in -4_000_000_000_000_000i64..8_000_000_000_000_000, code in 0u8..16, count in 0i64..50) {
            let interval = Interval::from_code(code).unwrap_or(Interval::Month1);
            let open = interval.open(time);
            prop_assert!(open <= time && time <= interval.close(open));
            prop_assert_eq!(interval.open(open), open);
            let later = interval.step(open, count);
            prop_assert_eq!(interval.open(later), later);
            prop_assert_eq!(interval.step(later, -count), open);
        }
    }
}
