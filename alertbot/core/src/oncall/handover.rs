//! This module lists handovers, to be announced when they happen.

use jiff::Timestamp;

use super::{roster::shifts, schedule::Schedule};

/// A change of who is on duty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover<'a> {
    pub at: Timestamp,
    /// `None`: no person was, or will be, on duty.
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
}

/// Handovers after `after` up to and including `until`, oldest first. The caller passes the moment of its last check, so that
/// each handover is announced once, and late after downtime.
pub fn handovers(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Vec<Handover<'_>> {
    let Ok(end) = until.checked_add(jiff::SignedDuration::from_nanos(1)) else { return Vec::new() };
    let shifts = shifts(schedule, after, end);
    shifts.windows(2).map(|pair| Handover { at: pair[1].from, from: pair[0].person, to: pair[1].person }).collect()
}

/// When another person, or no one, is on duty after `moment`. `None` if that is too far ahead to announce.
pub fn next_change_of_person(schedule: &Schedule, moment: Timestamp) -> Option<Timestamp> {
    let until = moment.checked_add(jiff::SignedDuration::from_hours(24 * LOOKED_AHEAD_DAYS)).ok()?;
    shifts(schedule, moment, until).first().map(|shift| shift.to).filter(|to| *to < until)
}

const LOOKED_AHEAD_DAYS: i64 = 60;
