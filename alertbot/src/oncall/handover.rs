//! Handovers: who goes and who comes, to be said when it happens.

use jiff::Timestamp;

use super::shifts;
use crate::config::Schedule;

/// A change of who is on duty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover<'a> {
    pub at: Timestamp,
    /// `None`: nobody was, or nobody will be.
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
}

/// Handovers after `after` up to and with `until`, the oldest first. To be asked with the moment of the last asking, so that
/// each is said once and one that fell into a pause is said late rather than never.
pub fn handovers(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Vec<Handover<'_>> {
    let Ok(end) = until.checked_add(jiff::SignedDuration::from_nanos(1)) else { return Vec::new() };
    let shifts = shifts(schedule, after, end);
    shifts.windows(2).map(|pair| Handover { at: pair[1].from, from: pair[0].person, to: pair[1].person }).collect()
}

/// When somebody else, or nobody, is on duty for the first time after `moment`. `None` when that is too far to be said.
pub fn next_change_of_person(schedule: &Schedule, moment: Timestamp) -> Option<Timestamp> {
    let until = moment.checked_add(jiff::SignedDuration::from_hours(24 * LOOKED_AHEAD_DAYS)).ok()?;
    shifts(schedule, moment, until).first().map(|shift| shift.to).filter(|to| *to < until)
}

const LOOKED_AHEAD_DAYS: i64 = 60;
