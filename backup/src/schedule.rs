//! This module parses schedules with six cron fields, starting with seconds, in UTC. It is pure: the present time is an argument.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use jiff::Timestamp;

/// A clock that is further behind than this was set back.
const SET_BACK: Duration = Duration::from_secs(60);

/// What a schedule requires at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleStep {
    /// A time of the schedule is due.
    Run,
    /// No time is due for this long, unless the clock is set.
    Wait(Duration),
    /// The clock was set back: times after the present are due again.
    ContinueFromNow,
    /// The schedule has no further time.
    End,
}

/// `sec min hour day month weekday`.
#[derive(Debug, Clone)]
pub struct BackupSchedule(Cron);

impl FromStr for BackupSchedule {
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

impl fmt::Display for BackupSchedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str())
    }
}

impl BackupSchedule {
    /// The first time after `time`.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = DateTime::<Utc>::from_timestamp(time.as_second(), 0)?;
        let next = self.0.find_next_occurrence(&time, false).ok()?;
        Timestamp::from_second(next.timestamp()).ok()
    }

    /// What to do at `now` if all times up to `served` are done. The caller must ask again often, since the clock may be set
    /// while it waits.
    pub fn step(&self, served: Timestamp, now: Timestamp) -> ScheduleStep {
        if now + SET_BACK < served {
            return ScheduleStep::ContinueFromNow;
        }
        match self.next_after(served) {
            None => ScheduleStep::End,
            Some(due) if due <= now => ScheduleStep::Run,
            Some(due) => ScheduleStep::Wait(Duration::try_from(due.duration_since(now)).unwrap_or_default()),
        }
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
        let nightly: BackupSchedule = "0 30 2 * * *".parse().unwrap();
        assert_eq!(nightly.next_after(at("2026-01-31T02:29:59Z")), Some(at("2026-01-31T02:30:00Z")));
        assert_eq!(nightly.next_after(at("2026-01-31T02:30:00Z")), Some(at("2026-02-01T02:30:00Z")));
        assert_eq!(nightly.times_between(at("2026-01-01T00:00:00Z"), at("2026-01-04T02:30:00Z"), 100), 4);
        assert_eq!(nightly.times_between(at("2026-01-01T00:00:00Z"), at("2026-12-31T00:00:00Z"), 7), 7);
        assert_eq!(nightly.to_string(), "0 30 2 * * *");
    }

    /// `tests/it/clock_steps.rs` shows what tokio-cron-scheduler does in this case.
    #[test]
    fn a_clock_that_was_set_back_does_not_delay_the_schedule() {
        let hourly: BackupSchedule = "0 0 * * * *".parse().unwrap();
        // The clock was a day ahead when the last backup ended.
        let (served, now) = (at("2026-01-02T12:00:10Z"), at("2026-01-01T12:00:20Z"));
        assert_eq!(hourly.step(served, now), ScheduleStep::ContinueFromNow);
        assert_eq!(hourly.step(now, now), ScheduleStep::Wait(Duration::from_secs(3580)));
        assert_eq!(hourly.step(now, at("2026-01-01T13:00:00Z")), ScheduleStep::Run);
    }

    #[test]
    fn a_small_step_back_does_not_run_a_backup_twice() {
        let hourly: BackupSchedule = "0 0 * * * *".parse().unwrap();
        let served = at("2026-01-01T12:00:10Z");
        assert_eq!(hourly.step(served, at("2026-01-01T11:59:30Z")), ScheduleStep::Wait(Duration::from_secs(3630)));
    }

    #[test]
    fn a_clock_that_was_set_forward_runs_one_backup() {
        let hourly: BackupSchedule = "0 0 * * * *".parse().unwrap();
        let now = at("2026-01-03T00:30:00Z");
        assert_eq!(hourly.step(at("2026-01-01T12:00:10Z"), now), ScheduleStep::Run);
        assert_eq!(hourly.step(now, now), ScheduleStep::Wait(Duration::from_secs(1800)));
    }

    #[test]
    fn an_invalid_schedule_is_rejected() {
        for wrong in ["", "nightly", "30 2 * * *", "0 61 2 * * *", "0 0 0 31 2 *"] {
            assert!(wrong.parse::<BackupSchedule>().is_err(), "{wrong}");
        }
    }
}
