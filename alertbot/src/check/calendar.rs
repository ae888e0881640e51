//! This module reads the calendar files of schedules. Calendars with an address are not requested.

use std::borrow::Cow;

use alertbot_core::oncall::Schedule;
use jiff::Timestamp;
use service_kit::yaml::FileFault;

use crate::{
    calendar::{self, CalendarContent, CalendarNames},
    config::{CalendarPlace, CalendarSource, Config},
};

/// The content of a calendar file; `None` for an address.
fn content(config: &Config, source: &CalendarSource, now: Timestamp) -> Option<Result<CalendarContent, String>> {
    let CalendarPlace::File(path) = &source.place else { return None };
    let schedule = config.schedule(&source.schedule)?;
    let names = CalendarNames::new(config.people.iter().map(|person| person.name.as_str()), &source.people);
    let text = calendar::read_file(path).map_err(|error| format!("{error:#}"));
    Some(text.and_then(|text| {
        calendar::read(&text, &names, &schedule.time_zone, now).map_err(|fault| format!("{} {fault}", path.display()))
    }))
}

/// A schedule with the shifts of its calendar file. `None` if only its address knows who is on duty.
pub(super) fn filled<'a>(config: &Config, schedule: &'a Schedule, now: Timestamp) -> Option<Cow<'a, Schedule>> {
    let Some(source) = config.calendars.iter().find(|source| source.schedule == schedule.name) else {
        return Some(Cow::Borrowed(schedule));
    };
    match content(config, source, now) {
        Some(Ok(content)) => Some(Cow::Owned(Schedule { calendar: content.shifts, ..schedule.clone() })),
        Some(Err(_)) | None if schedule.layers.is_empty() => None,
        _ => Some(Cow::Borrowed(schedule)),
    }
}

/// Calendar files that cannot be used.
pub fn calendars(config: &Config, now: Timestamp) -> Vec<FileFault> {
    let faulty = config.calendars.iter().filter_map(|source| {
        let wrong = content(config, source, now)?.err()?;
        let path = format!("schedules[{}].calendar", source.index);
        Some(FileFault::new(source.line, &path, &wrong, "set `file` to a readable iCalendar file"))
    });
    faulty.collect()
}

/// Events of calendar files without effect.
pub fn skipped_events(config: &Config, now: Timestamp) -> Vec<String> {
    let files = config.calendars.iter().filter_map(|source| Some((source, content(config, source, now)?.ok()?)));
    files
        .flat_map(|(source, content)| {
            content.skipped.into_iter().map(move |event| format!("schedules[{}].calendar: {event}", source.index))
        })
        .collect()
}
