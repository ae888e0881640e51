//! This module expands an event into spans of time.

use std::collections::HashSet;

use calcard::{
    common::{PartialDateTime, timezone::Tz},
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarPeriod, ICalendarProperty,
        ICalendarValue, timezone::TzResolver,
    },
};
use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, DateTime},
    tz::{Offset, TimeZone},
};

use super::zone_rules;

/// Time zones of a calendar.
pub(super) struct Zones<'a> {
    pub resolver: TzResolver<&'a str>,
    /// Its `VTIMEZONE`s define the names that the resolver does not know.
    pub calendar: &'a ICalendar,
    /// Of times without a zone.
    pub default: &'a TimeZone,
}

/// What an exception names: an occurrence by its start, or every occurrence of a local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Point {
    At(Timestamp),
    On(Date),
}

/// One occurrence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub start: Timestamp,
    /// Exclusive.
    pub end: Timestamp,
    day: Date,
}

impl Span {
    pub fn is_not_in(&self, points: &HashSet<Point>) -> bool {
        !points.contains(&Point::At(self.start)) && !points.contains(&Point::On(self.day))
    }
}

pub(super) struct Expanded {
    pub spans: Vec<Span>,
    /// Number of expanded occurrences.
    pub used: usize,
}

/// A local time with its zone.
struct Local {
    time: DateTime,
    zone: TimeZone,
    is_day: bool,
}

impl Local {
    /// A time that a change of clocks skips or repeats is the later, or the first, of its two meanings.
    fn instant(&self) -> Result<Timestamp, String> {
        self.zone.to_timestamp(self.time).map_err(|_| format!("{} is out of range", self.time))
    }
}

impl Zones<'_> {
    fn named(&self, name: Option<&str>) -> Result<TimeZone, String> {
        let Some(name) = name else { return Ok(self.default.clone()) };
        let unknown = || format!("unknown time zone {name:?}");
        let Some(resolved) = self.resolver.resolve(name) else {
            if let Some(defined) = zone_rules::defined(self.calendar, name) {
                return defined;
            }
            // Evolution and others write a prefix of their own before the name: `/example.org/Europe/Berlin`.
            let ends = name.match_indices('/').map(|(at, _)| &name[at + 1..]);
            return ends.filter_map(|end| TimeZone::get(end).ok()).next().ok_or_else(unknown);
        };
        match resolved {
            Tz::Floating => Ok(self.default.clone()),
            Tz::Fixed(offset) => Offset::from_seconds(offset.local_minus_utc()).map(TimeZone::fixed).map_err(|_| unknown()),
            Tz::Tz(zone) => TimeZone::get(zone.name()).map_err(|_| unknown()),
        }
    }

    fn local(&self, value: &PartialDateTime, entry: &ICalendarEntry) -> Result<Local, String> {
        let part = |part: Option<u8>| i8::try_from(part.unwrap_or(0)).unwrap_or(-1);
        let year = i16::try_from(value.year.unwrap_or(0)).unwrap_or(-1);
        let time = DateTime::new(
            year,
            part(value.month),
            part(value.day),
            part(value.hour),
            part(value.minute),
            part(value.second).min(59),
            0,
        );
        let time = time.map_err(|_| format!("{} has an invalid time", entry.name.as_str()))?;
        let zone = match value.tz_hour {
            Some(hours) => {
                let seconds = i32::from(hours) * 3600 + i32::from(value.tz_minute.unwrap_or(0)) * 60;
                let seconds = if value.tz_minus { -seconds } else { seconds };
                TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| "has an invalid offset".to_owned())?)
            }
            None => self.named(entry.tz_id())?,
        };
        Ok(Local { time, zone, is_day: value.hour.is_none() })
    }

    fn locals(&self, entry: &ICalendarEntry) -> Result<Vec<Local>, String> {
        let values = entry.values.iter().filter_map(|value| match value {
            ICalendarValue::PartialDateTime(value) => Some(self.local(value, entry)),
            _ => None,
        });
        values.collect()
    }

    /// Occurrences named by EXDATE or RECURRENCE-ID.
    pub fn points(&self, entry: &ICalendarEntry) -> Result<Vec<Point>, String> {
        let point = |local: Local| Ok(if local.is_day { Point::On(local.time.date()) } else { Point::At(local.instant()?) });
        self.locals(entry)?.into_iter().map(point).collect()
    }
}

/// How long each occurrence lasts.
enum Length {
    /// By the local clock, so that a shift ends at nine when clocks change.
    Local(SignedDuration),
    Exact(SignedDuration),
}

/// Expands an event up to `until`, with at most `limit` occurrences.
pub(super) fn expand(event: &ICalendarComponent, zones: &Zones, until: Timestamp, limit: usize) -> Result<Expanded, String> {
    let entry = event.property(&ICalendarProperty::Dtstart).ok_or("has no DTSTART")?;
    let start = zones.locals(entry)?.into_iter().next().ok_or("has an invalid DTSTART")?;
    let length = length(event, zones, &start)?;
    let mut starts = vec![start.time];
    let mut used = 1;
    let mut rules = event.properties(&ICalendarProperty::Rrule).peekable();
    if rules.peek().is_some() {
        starts.clear();
        for rule in rules {
            starts.extend(recurrences(rule, &start, zones, until, limit.saturating_sub(starts.len()))?);
        }
        used = starts.len();
        starts.sort_unstable();
        starts.dedup();
    }
    let mut spans = Vec::new();
    for time in starts {
        let span = span(&Local { time, zone: start.zone.clone(), is_day: start.is_day }, &length)?;
        if span.start < until {
            spans.push(span);
        }
    }
    for entry in event.properties(&ICalendarProperty::Rdate) {
        for local in zones.locals(entry)? {
            spans.push(span(&local, &length)?);
        }
        for value in &entry.values {
            let ICalendarValue::Period(period) = value else { continue };
            let (start, end) = match period {
                ICalendarPeriod::Range { start, end } => {
                    (zones.local(start, entry)?.instant()?, zones.local(end, entry)?.instant()?)
                }
                ICalendarPeriod::Duration { start, duration } => {
                    let start = zones.local(start, entry)?.instant()?;
                    let lasts = duration.to_time_delta().ok_or("has an invalid RDATE")?.num_seconds();
                    (start, start.checked_add(lasts.seconds()).map_err(|_| "has an invalid RDATE")?)
                }
            };
            spans.push(Span { start, end, day: zones.default.to_datetime(start).date() });
        }
    }
    let mut excluded = HashSet::new();
    for entry in event.properties(&ICalendarProperty::Exdate) {
        excluded.extend(zones.points(entry)?);
    }
    spans.retain(|span| span.is_not_in(&excluded));
    let is_empty = spans.is_empty();
    // Where clocks skip its hour, one occurrence of a series may end before it begins.
    spans.retain(|span| span.end > span.start);
    if spans.is_empty() && !is_empty {
        return Err("ends before it begins".into());
    }
    Ok(Expanded { spans, used })
}

fn span(local: &Local, length: &Length) -> Result<Span, String> {
    let start = local.instant()?;
    let end = match length {
        Length::Exact(lasts) => start.checked_add(*lasts).ok(),
        Length::Local(lasts) => local.time.checked_add(*lasts).ok().and_then(|end| local.zone.to_timestamp(end).ok()),
    };
    Ok(Span { start, end: end.ok_or("its end is out of range")?, day: local.time.date() })
}

fn length(event: &ICalendarComponent, zones: &Zones, start: &Local) -> Result<Length, String> {
    if let Some(entry) = event.property(&ICalendarProperty::Dtend) {
        let end = zones.locals(entry)?.into_iter().next().ok_or("has an invalid DTEND")?;
        return Ok(match end.zone == start.zone {
            // Some programs write the same day as the end of a whole day.
            true if start.is_day && end.time == start.time => Length::Local(SignedDuration::from_hours(24)),
            true => Length::Local(end.time.duration_since(start.time)),
            false => Length::Exact(end.instant()?.duration_since(start.instant()?)),
        });
    }
    if let Some(entry) = event.property(&ICalendarProperty::Duration) {
        let Some(ICalendarValue::Duration(lasts)) = entry.values.first() else { return Err("has an invalid DURATION".into()) };
        let lasts = SignedDuration::from_secs(lasts.to_time_delta().ok_or("has an invalid DURATION")?.num_seconds());
        // Days are local days, hours are exact.
        let days = lasts.as_secs() % 86_400 == 0;
        return Ok(if days { Length::Local(lasts) } else { Length::Exact(lasts) });
    }
    if start.is_day { Ok(Length::Local(SignedDuration::from_hours(24))) } else { Err("has no end".into()) }
}

/// Local starts of a recurring event. The rule is expanded without a zone, because its parts are local times.
fn recurrences(
    rule: &ICalendarEntry,
    start: &Local,
    zones: &Zones,
    horizon: Timestamp,
    limit: usize,
) -> Result<Vec<DateTime>, String> {
    if start.instant()? >= horizon {
        return Ok(Vec::new());
    }
    let Some(ICalendarValue::RecurrenceRule(known)) = rule.values.first() else { return Err("has an invalid RRULE".into()) };
    let mut known = known.clone();
    if let Some(until) = &known.until {
        let until = zones.local(until, rule)?;
        // A day includes its last second.
        let last = if until.is_day { until.time.date().at(23, 59, 59, 0) } else { until.time };
        let zone =
            if known.until.as_ref().is_some_and(|until| until.tz_hour.is_some()) { until.zone } else { start.zone.clone() };
        let last = zone.to_timestamp(last).map_err(|_| "has an invalid UNTIL")?;
        known.until = Some(partial(start.zone.to_datetime(last.min(horizon))));
    } else if known.count.is_none() {
        known.until = Some(partial(start.zone.to_datetime(horizon)));
    }
    let entry = |name, value| ICalendarEntry { name, params: Vec::new(), values: vec![value] };
    let event = ICalendarComponent {
        component_type: ICalendarComponentType::VEvent,
        entries: vec![
            entry(ICalendarProperty::Dtstart, ICalendarValue::PartialDateTime(Box::new(partial(start.time)))),
            entry(ICalendarProperty::Rrule, ICalendarValue::RecurrenceRule(known)),
        ],
        component_ids: Vec::new(),
    };
    let expanded = ICalendar { components: vec![event] }.expand_dates(Tz::Floating, limit);
    if let Some(error) = expanded.errors.first() {
        return Err(error.error.to_string());
    }
    let parsed = expanded.events.iter().map(|event| event.start.naive_local().to_string().parse::<DateTime>());
    parsed.collect::<Result<_, _>>().map_err(|_| "has an invalid RRULE".into())
}

fn partial(time: DateTime) -> PartialDateTime {
    let part = |part: i8| u8::try_from(part).ok();
    PartialDateTime {
        year: u16::try_from(time.year()).ok(),
        month: part(time.month()),
        day: part(time.day()),
        hour: part(time.hour()),
        minute: part(time.minute()),
        second: part(time.second()),
        ..PartialDateTime::default()
    }
}
