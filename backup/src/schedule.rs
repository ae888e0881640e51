//! This module parses schedules with six cron fields, starting with seconds, in UTC. It is pure: the present time is an argument.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use jiff::Timestamp;

/// `sec min hour day month weekday`.
#[derive(Debug, Clone)]
pub struct Schedule(Cron);

impl FromStr for Schedule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parser = CronParser::builder().seconds(Seconds::Required).build();
        let schedule =
            parser.parse(text).map(Self).map_err(|_| "write six fields: sec min hour day month weekday, such as 0 30 2 * * *")?;
        if schedule.next_after(Timestamp::UNIX_EPOCH).is_none() {
            Err("it never matches a time; correct it")
        } else {
            Ok(schedule)
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

impl Schedule {
    /// The first time after `time`.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = DateTime::<Utc>::from_timestamp(time.as_second(), 0)?;
        let next = self.0.find_next_occurrence(&time, false).ok()?;
        Timestamp::from_second(next.timestamp()).ok()
    }

    /// Number of times after `from`, up to and including `to`; stops counting at `most`.
    pub fn times_between(&self, from: Timestamp, to: Timestamp, most: usize) -> usize {
        std::iter::successors(self.next_after(from), |time| self.next_after(*time))
            .take_while(|time| *time <= to)
            .take(most)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn next_and_missed_times_are_computed() {
        let nightly: Schedule = "0 30 2 * * *".parse().unwrap();
        assert_eq!(nightly.next_after(at("2026-01-31T02:29:59Z")), Some(at("2026-01-31T02:30:00Z")));
        assert_eq!(nightly.next_after(at("2026-01-31T02:30:00Z")), Some(at("2026-02-01T02:30:00Z")));
        assert_eq!(nightly.times_between(at("2026-01-01T00:00:00Z"), at("2026-01-04T02:30:00Z"), 100), 4);
        assert_eq!(nightly.times_between(at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"), 7), 7);
        assert_eq!(nightly.to_string(), "0 30 2 * * *");
    }

    #[test]
    fn an_invalid_schedule_is_rejected() {
        for wrong in ["", "nightly", "30 2 * * *", "0 61 2 * * *", "0 0 0 31 2 *"] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }
}
