//! This module finds the person on duty at a moment, and the shifts of a span of time.

use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};

use super::schedule::{CalendarShift, Layer, Schedule};

/// A span during which one person, or no one, is on duty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift<'a> {
    pub from: Timestamp,
    /// The end, exclusive.
    pub to: Timestamp,
    pub person: Option<&'a str>,
}

/// How far ahead to search for the next person.
const HORIZON_DAYS: i64 = 400;

/// Name of the person on duty.
pub fn on_duty(schedule: &Schedule, moment: Timestamp) -> Option<&str> {
    let zone = &schedule.time_zone;
    let covers = |shift: &&CalendarShift| shift.from <= moment && moment < shift.to;
    if let Some(shift) = schedule.commanded.iter().rev().find(covers) {
        return Some(&shift.person);
    }
    let stands_in = schedule.overrides.iter().rev().find(|entry| {
        instant(zone, entry.from).is_some_and(|from| from <= moment) && instant(zone, entry.to).is_some_and(|to| moment < to)
    });
    if let Some(entry) = stands_in {
        return Some(&entry.person);
    }
    let shift = schedule.calendar.iter().rev().find(covers);
    match shift {
        Some(shift) => Some(&shift.person),
        None => schedule.layers.iter().rev().find_map(|layer| in_layer(layer, zone, moment)),
    }
}

/// The next person on duty and the time of the handover. `None` if no other person follows.
pub fn next_after(schedule: &Schedule, moment: Timestamp) -> Option<(Timestamp, &str)> {
    let now = on_duty(schedule, moment);
    let horizon = moment.checked_add(HORIZON_DAYS.saturating_mul(24).hours()).ok()?;
    let mut at = moment;
    loop {
        at = next_change(schedule, at)?;
        if at > horizon {
            return None;
        }
        let person = on_duty(schedule, at);
        if person.is_some() && person != now {
            return person.map(|person| (at, person));
        }
    }
}

/// Splits the span into shifts without gaps. A shift without a person has `None`.
pub fn shifts(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Vec<Shift<'_>> {
    let mut shifts: Vec<Shift> = Vec::new();
    let mut at = from;
    while at < to {
        let end = next_change(schedule, at).unwrap_or(to).min(to);
        let person = on_duty(schedule, at);
        match shifts.last_mut() {
            Some(last) if last.person == person => last.to = end,
            _ => shifts.push(Shift { from: at, to: end, person }),
        }
        at = end;
    }
    shifts
}

fn in_layer<'a>(layer: &'a Layer, zone: &TimeZone, moment: Timestamp) -> Option<&'a str> {
    if !layer.windows.is_empty() && !layer.windows.iter().any(|window| window.contains(moment, zone)) {
        return None;
    }
    let turn = usize::try_from(turn(layer, zone, moment)?).ok()?;
    Some(&layer.people[turn % layer.people.len()])
}

/// Index of the turn, from 0; `None` before the first one.
fn turn(layer: &Layer, zone: &TimeZone, moment: Timestamp) -> Option<i64> {
    if moment < handover(layer, zone, 0)? {
        return None;
    }
    // The local time determines it, except in the hours around a change of clocks.
    let since = zone.to_datetime(moment).duration_since(layer.starts);
    let mut turn = (since.as_hours() / i64::from(layer.turn_hours)).max(0);
    while turn > 0 && handover(layer, zone, turn)? > moment {
        turn -= 1;
    }
    while handover(layer, zone, turn + 1).is_some_and(|next| next <= moment) {
        turn += 1;
    }
    Some(turn)
}

/// Start of a turn.
fn handover(layer: &Layer, zone: &TimeZone, turn: i64) -> Option<Timestamp> {
    let hours = turn.checked_mul(i64::from(layer.turn_hours))?;
    instant(zone, layer.starts.checked_add(jiff::SignedDuration::from_hours(hours)).ok()?)
}

fn instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    zone.to_timestamp(local).ok()
}

/// The first moment after `moment` at which another person may be on duty.
fn next_change(schedule: &Schedule, moment: Timestamp) -> Option<Timestamp> {
    let zone = &schedule.time_zone;
    let overrides = schedule.overrides.iter().flat_map(|entry| [instant(zone, entry.from), instant(zone, entry.to)]).flatten();
    let calendar = schedule.calendar.iter().chain(&schedule.commanded).flat_map(|shift| [shift.from, shift.to]);
    let layers = schedule.layers.iter().flat_map(|layer| changes(layer, zone, moment));
    overrides.chain(calendar).chain(layers).filter(|change| *change > moment).min()
}

/// Moments at which a layer may change, including the next ones.
fn changes(layer: &Layer, zone: &TimeZone, moment: Timestamp) -> Vec<Timestamp> {
    let next_turn = turn(layer, zone, moment).map_or(0, |turn| turn + 1);
    let mut changes: Vec<Timestamp> = handover(layer, zone, next_turn).into_iter().collect();
    let today = zone.to_datetime(moment).date();
    // A window recurs within a week. One that began yesterday may end today.
    for day in -1..=8 {
        let Ok(day) = today.checked_add(day.days()) else { continue };
        changes.extend(layer.windows.iter().filter_map(|window| window.on(day, zone)).flat_map(|(begin, end)| [begin, end]));
    }
    changes
}
