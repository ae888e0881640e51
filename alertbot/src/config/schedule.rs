//! This module reads schedules: layers of rotations, and overrides. [`alertbot_core::oncall`] computes who is on duty.

use std::time::Duration;

use alertbot_core::oncall::{Layer, Override, Schedule};
use jiff::tz::TimeZone;

use super::{document::Section, local_window::read_window, names::Names};

/// A turn has at most one year.
const LONGEST_TURN_HOURS: u64 = 366 * 24;
const HOUR_SECONDS: u64 = 3600;

pub(super) fn schedules(root: &Section, people: &Names, chats: &Names, zone: &TimeZone) -> (Vec<Schedule>, Names) {
    let sections = root.sections("schedules");
    let names = Names::of("schedule", "schedules", &sections);
    let list = sections.iter().enumerate();
    let list = list.map(|(index, section)| read_schedule(section, names.at(index), people, chats, zone)).collect();
    (list, names)
}

fn read_schedule(section: &Section, name: String, people: &Names, chats: &Names, zone: &TimeZone) -> Schedule {
    let layers = section.required_sections("layers", "the rotations, the lowest first");
    Schedule {
        name,
        line: section.line(),
        time_zone: section.or("time_zone", zone.clone()),
        layers: layers.iter().map(|layer| read_layer(layer, people)).collect(),
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
