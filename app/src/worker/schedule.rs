//! This module has the schedule of the jobs. It must not contain their work.

use graphile_worker::TaskHandler;

use super::jobs::{ArchiveJournal, LedgerCheck, RefreshTickers, TakeSnapshot, TakeTrialBalance, Upkeep, WriteStatement};

/// One entry: a job and the minutes between its runs, counted from midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledJob {
    pub job: &'static str,
    pub minutes: u32,
    /// Omitted if object storage is not configured.
    pub needs_media: bool,
}

const fn every(job: &'static str, minutes: u32, needs_media: bool) -> ScheduledJob {
    ScheduledJob { job, minutes, needs_media }
}

/// Minutes that divide the hour, or whole hours that divide the day, so that the next run never depends on the last.
pub const SCHEDULE: &[ScheduledJob] = &[
    every(Upkeep::IDENTIFIER, 1, false),
    every(RefreshTickers::IDENTIFIER, 1, false),
    every(TakeTrialBalance::IDENTIFIER, 1, false),
    every(TakeSnapshot::IDENTIFIER, 5, true),
    every(ArchiveJournal::IDENTIFIER, 10, true),
    every(LedgerCheck::IDENTIFIER, 360, false),
];

/// Every kind of job: the scheduled ones, and the one that customers request.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    SCHEDULE.iter().map(|entry| entry.job).chain([WriteStatement::IDENTIFIER])
}

/// The entries that can run in this configuration.
pub fn entries(media: bool) -> impl Iterator<Item = &'static ScheduledJob> {
    SCHEDULE.iter().filter(move |entry| media || !entry.needs_media)
}

/// The queue's crontab. A run that is still waiting or failing at its next time is replaced by the new one.
pub fn crontab(media: bool) -> String {
    entries(media).map(ScheduledJob::line).collect()
}

impl ScheduledJob {
    fn line(&self) -> String {
        let Self { job, minutes, .. } = self;
        let times = match minutes {
            1 => "* * * * *".into(),
            2..60 => format!("*/{minutes} * * * *"),
            _ => format!("0 */{} * * *", minutes / 60),
        };
        // Without a payload the queue passes `null`, which does not deserialize to a job.
        format!("{times} {job} ?id={job}&job_key={job}&job_key_mode=replace {{}}\n")
    }

    /// The last time at or before `now` (Unix seconds) at which it should have been queued.
    pub fn last_due(&self, now: i64) -> i64 {
        let seconds = i64::from(self.minutes) * 60;
        now.div_euclid(seconds) * seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crontab_is_one_that_the_queue_reads() {
        for media in [false, true] {
            let read = graphile_worker::parse_crontab(&crontab(media)).unwrap();
            assert!(read.iter().all(|line| line.payload.as_ref().is_some_and(serde_json::Value::is_object)), "{read:?}");
            let read: Vec<_> = read.iter().map(|line| line.task_identifier.as_str()).collect();
            assert_eq!(read, entries(media).map(|entry| entry.job).collect::<Vec<_>>());
        }
        assert!(entries(false).count() < entries(true).count());
    }

    #[test]
    fn minutes_divide_the_hour_or_are_hours_that_divide_the_day() {
        for entry in SCHEDULE {
            let hours = entry.minutes / 60;
            assert!((entry.minutes < 60 && 60 % entry.minutes == 0) || (entry.minutes % 60 == 0 && 24 % hours == 0), "{entry:?}");
        }
        let five = every("x", 5, false);
        assert_eq!((five.last_due(599), five.last_due(600)), (300, 600));
    }
}
