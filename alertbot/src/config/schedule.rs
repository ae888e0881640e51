//! This module reads schedules: layers of rotations, calendars, and overrides. [`alertbot_core::oncall`] computes who is on duty.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use alertbot_core::oncall::{Layer, Override, Schedule};
use jiff::tz::TimeZone;
use service_kit::config::Secret;

use super::{document::Section, local_window::read_window, names::Names};

/// The on-call calendar of a schedule.
#[derive(Debug, Clone)]
pub struct CalendarSource {
    /// Name of the schedule.
    pub schedule: String,
    /// Index of the schedule in the file.
    pub index: usize,
    /// Line in the file.
    pub line: usize,
    pub place: CalendarPlace,
    /// Interval between reads.
    pub refresh: Duration,
    /// Names in the calendar (an address, an attendee's name or a summary) and the people they mean.
    pub people: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub enum CalendarPlace {
    File(PathBuf),
    /// The address may contain a credential: it must not be logged.
    Url(Secret),
}

const MINUTE: Duration = Duration::from_secs(60);
/// A turn has at most one year.
const LONGEST_TURN_HOURS: u64 = 366 * 24;
const HOUR_SECONDS: u64 = 3600;

/// The schedules, and the calendars of those that have one.
pub(super) fn schedules(
    root: &Section,
    people: &Names,
    chats: &Names,
    zone: &TimeZone,
) -> (Vec<Schedule>, Vec<CalendarSource>, Names) {
    let sections = root.sections("schedules");
    let names = Names::of("schedule", "schedules", &sections);
    let list = || sections.iter().enumerate();
    let calendars =
        list().filter_map(|(index, section)| Some(read_calendar(&section.section("calendar")?, names.at(index), index, people)));
    let calendars = calendars.collect();
    let schedules = list().map(|(index, section)| read_schedule(section, names.at(index), people, chats, zone)).collect();
    (schedules, calendars, names)
}

fn read_calendar(section: &Section, schedule: String, index: usize, people: &Names) -> CalendarSource {
    let (file, url) = (section.optional::<String>("file"), section.optional_secret("url", "the calendar's address"));
    let place = match (file, url) {
        (Some(file), None) => CalendarPlace::File(PathBuf::from(file)),
        (None, Some(url)) => {
            let is_web = reqwest::Url::parse(url.expose()).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !is_web {
                section.fault("url", "is not an address with http:// or https://", "set the address of an iCalendar file");
            }
            CalendarPlace::Url(url)
        }
        (file, url) => {
            let wrong = if url.is_some() { "sets both `file` and `url`" } else { "sets neither `file` nor `url`" };
            section.fault("file", wrong, "set one of them");
            CalendarPlace::File(PathBuf::from(file.unwrap_or_default()))
        }
    };
    let mut named = BTreeMap::new();
    if let Some(listed) = section.section("people") {
        listed.any_key();
        for (name, line) in listed.keys() {
            let Some(person) = listed.data::<String>(name) else { continue };
            people.check(&listed, name, &person, line);
            named.insert(name.to_owned(), person);
        }
    }
    CalendarSource {
        schedule,
        index,
        line: section.line(),
        place,
        refresh: section.or_within("refresh", 5 * MINUTE, MINUTE / 6..=30 * MINUTE),
        people: named,
    }
}

fn read_schedule(section: &Section, name: String, people: &Names, chats: &Names, zone: &TimeZone) -> Schedule {
    let layers = match section.has("calendar") {
        true => section.sections("layers"),
        false => section.required_sections("layers", "the rotations, the lowest first"),
    };
    Schedule {
        commanded: Vec::new(),
        name,
        line: section.line(),
        time_zone: section.or("time_zone", zone.clone()),
        layers: layers.iter().map(|layer| read_layer(layer, people)).collect(),
        // The running bot reads it, and again and again.
        calendar: Vec::new(),
        overrides: section.sections("overrides").iter().map(|entry| read_override(entry, people)).collect(),
        gaps: section.or("gaps", false),
        handover_chats: chats.list(section, "handover_chats"),
        handover_notice: section.or("handover_notice", true),
    }
}

fn read_layer(section: &Section, people: &Names) -> Layer {
    section.at_least_one("people", "people who take turns, in order");
    let turn: Duration = section.or("turn", Duration::from_secs(7 * 24 * HOUR_SECONDS));
    let hours = turn.as_secs() / HOUR_SECONDS;
    let whole = turn.subsec_nanos() == 0 && turn.as_secs().is_multiple_of(HOUR_SECONDS);
    if !whole || hours == 0 || hours > LONGEST_TURN_HOURS {
        section.fault("turn", "is not a whole number of hours, at most a year", "write it as 12h, 1d or 1w");
    }
    Layer {
        people: people.list_with_repeats(section, "people"),
        starts: section.required("starts", "local time at which the first turn begins, as 2026-01-05T09:00"),
        turn_hours: u32::try_from(hours).unwrap_or(1).max(1),
        windows: section.sections("windows").iter().map(read_window).collect(),
    }
}

fn read_override(section: &Section, people: &Names) -> Override {
    let person: String = section.required("person", "person on duty during the override");
    people.check(section, "person", &person, section.line_of("person"));
    let from = section.required("from", "local start time");
    let to = section.required("to", "local end time");
    if from >= to && section.has("from") && section.has("to") {
        section.fault("to", "is not after `from`", "correct one of them");
    }
    Override { person, from, to }
}
