//! This module reads on-call calendars (iCalendar, RFC 5545): who is on duty when. Apart from reading a file, it is pure: text and
//! time are arguments.
//!
//! - `calcard` parses, resolves names of time zones (IANA, Windows) and expands recurrences. Expansion runs in local time, so a
//!   shift stays at nine when clocks change.
//! - A time zone that the calendar itself defines under an unknown name applies by its rules. Any other name is an error.
//! - A changed occurrence (`RECURRENCE-ID`) replaces the one that it names; a cancelled one removes it.
//! - An event that names no person of the configuration, or more than one, is skipped with a reason. A text that is not a complete
//!   calendar is refused as a whole.

mod occurrence;
mod who;
mod zone_rules;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use alertbot_core::oncall::CalendarShift;
use anyhow::Context;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarParameterName, ICalendarProperty, ICalendarStatus,
    ICalendarValue,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use occurrence::{Expanded, Point, Zones};
pub use who::CalendarNames;

/// Largest calendar.
pub const CALENDAR_BYTES: usize = 4 << 20;
/// Most events of a calendar.
const MOST_EVENTS: usize = 5_000;
/// Most occurrences of all recurring events since their starts.
const MOST_OCCURRENCES: usize = 100_000;
/// Most shifts in the time that is read.
const MOST_SHIFTS: usize = 2_000;
/// Shifts are read from this time before now.
const BEFORE: SignedDuration = SignedDuration::from_hours(48);
/// And until this time after now.
const AFTER: SignedDuration = SignedDuration::from_hours(120 * 24);

/// Why a calendar is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CalendarFault(String);

/// The content of a calendar around now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CalendarContent {
    /// By start. If several cover a moment, the last one applies.
    pub shifts: Vec<CalendarShift>,
    /// Events without effect, each with its reason.
    pub skipped: Vec<String>,
}

/// Reads a calendar. `zone` applies to times without a time zone.
pub fn read(text: &str, names: &CalendarNames, zone: &TimeZone, now: Timestamp) -> Result<CalendarContent, CalendarFault> {
    let fault = |text: String| Err(CalendarFault(text));
    if text.len() > CALENDAR_BYTES {
        return fault(format!("is larger than {} MiB", CALENDAR_BYTES >> 20));
    }
    // The parser accepts a text that breaks off.
    let text = text.trim_start_matches('\u{feff}').trim();
    let begins = text.get(..15).is_some_and(|head| head.eq_ignore_ascii_case("BEGIN:VCALENDAR"));
    if !begins || !text.lines().next_back().is_some_and(|line| line.trim().eq_ignore_ascii_case("END:VCALENDAR")) {
        return fault("is not a complete iCalendar (BEGIN:VCALENDAR to END:VCALENDAR)".to_owned());
    }
    let calendar = ICalendar::parse(text).map_err(|_| CalendarFault("is not a valid iCalendar".to_owned()))?;
    let events: Vec<&ICalendarComponent> =
        calendar.components.iter().filter(|one| one.component_type == ICalendarComponentType::VEvent).collect();
    if events.len() > MOST_EVENTS {
        return fault(format!("has {} events; at most {MOST_EVENTS} are read", events.len()));
    }
    let mut reading = CalendarReading {
        zones: Zones { resolver: calendar.build_tz_resolver(), calendar: &calendar, default: zone },
        names,
        from: now.checked_sub(BEFORE).unwrap_or(Timestamp::MIN),
        to: now.checked_add(AFTER).unwrap_or(Timestamp::MAX),
        left: MOST_OCCURRENCES,
        content: CalendarContent::default(),
    };
    for event in series(&events) {
        reading.read_series(&event);
        if reading.left == 0 {
            return fault(format!("has more than {MOST_OCCURRENCES} occurrences; start its recurring events later"));
        }
    }
    let mut content = reading.content;
    if content.shifts.len() > MOST_SHIFTS {
        return fault(format!(
            "has {} shifts within {} days; at most {MOST_SHIFTS} are read",
            content.shifts.len(),
            AFTER.as_hours() / 24
        ));
    }
    content.shifts.sort_by_key(|shift| shift.from);
    Ok(content)
}

/// Reads a calendar file.
pub fn read_file(path: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
    anyhow::ensure!(size <= CALENDAR_BYTES as u64, "{} is larger than {} MiB", path.display(), CALENDAR_BYTES >> 20);
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// An event with its changed occurrences.
struct EventSeries<'a> {
    master: Option<&'a ICalendarComponent>,
    changed: Vec<&'a ICalendarComponent>,
}

/// Groups events by UID. Of several versions of one event, the highest SEQUENCE applies.
fn series<'a>(events: &[&'a ICalendarComponent]) -> Vec<EventSeries<'a>> {
    let mut all: BTreeMap<(String, usize), EventSeries<'a>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        // An event without UID is one of its own.
        let key = event.uid().map_or_else(|| (String::new(), index), |uid| (uid.to_owned(), 0));
        let series = all.entry(key).or_insert(EventSeries { master: None, changed: Vec::new() });
        if event.property(&ICalendarProperty::RecurrenceId).is_some() {
            series.changed.push(event);
        } else if series.master.is_none_or(|known| sequence(event) >= sequence(known)) {
            series.master = Some(event);
        }
    }
    for series in all.values_mut() {
        series.changed.sort_by_key(|event| sequence(event));
    }
    all.into_values().collect()
}

fn sequence(event: &ICalendarComponent) -> i64 {
    let value = event.property(&ICalendarProperty::Sequence).and_then(|entry| entry.values.first());
    value.and_then(ICalendarValue::as_integer).unwrap_or(0)
}

struct CalendarReading<'a> {
    zones: Zones<'a>,
    names: &'a CalendarNames,
    from: Timestamp,
    to: Timestamp,
    /// Number of occurrences that may still be expanded.
    left: usize,
    content: CalendarContent,
}

impl CalendarReading<'_> {
    fn read_series(&mut self, series: &EventSeries<'_>) {
        let mut replaced: HashSet<Point> = HashSet::new();
        let mut changed: BTreeMap<Point, &ICalendarComponent> = BTreeMap::new();
        for event in &series.changed {
            let Some(entry) = event.property(&ICalendarProperty::RecurrenceId) else { continue };
            if entry.parameters(&ICalendarParameterName::Range).next().is_some() {
                self.skip(event, "RANGE=THISANDFUTURE is not supported");
                continue;
            }
            match self.zones.points(entry) {
                Ok(points) => {
                    replaced.extend(&points);
                    // The newest version of a changed occurrence applies.
                    changed.extend(points.into_iter().take(1).map(|point| (point, *event)));
                }
                Err(reason) => self.skip(event, &reason),
            }
        }
        if let Some(master) = series.master {
            self.add(master, &replaced);
        }
        for event in changed.into_values() {
            self.add(event, &HashSet::new());
        }
    }

    /// Adds the shifts of an event, without the occurrences that others replace.
    fn add(&mut self, event: &ICalendarComponent, replaced: &HashSet<Point>) {
        if event.status() == Some(&ICalendarStatus::Cancelled) {
            return;
        }
        let Expanded { spans, used } = match occurrence::expand(event, &self.zones, self.to, self.left) {
            Ok(expanded) => expanded,
            Err(reason) => return self.skip(event, &reason),
        };
        self.left = self.left.saturating_sub(used);
        let (from, to) = (self.from, self.to);
        let mut spans =
            spans.into_iter().filter(|span| span.is_not_in(replaced) && span.end > from && span.start < to).peekable();
        if spans.peek().is_none() {
            return;
        }
        match self.names.person(event) {
            Ok(person) => {
                let shift = |span: occurrence::Span| CalendarShift { person: person.to_owned(), from: span.start, to: span.end };
                self.content.shifts.extend(spans.map(shift));
            }
            Err(reason) => self.skip(event, &reason),
        }
    }

    fn skip(&mut self, event: &ICalendarComponent, reason: &str) {
        self.content.skipped.push(format!("{:?}: {reason}", who::summary(event)));
    }
}
