//! This module reads schedules: layers of rotations, and overrides. [`crate::oncall`] computes who is on duty.

use std::time::Duration;

use jiff::{civil::DateTime, tz::TimeZone};

use super::{document::Section, names::Names, window::Window};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    /// Line in the file. Faults about gaps in the schedule refer to it.
    pub line: usize,
    /// Zone of all local times: a handover at nine stays at nine when clocks change.
    pub time_zone: TimeZone,
    /// A later layer replaces earlier ones while it has a person on duty. Never empty.
    pub layers: Vec<Layer>,
    /// Replace all layers. If several cover a moment, the last one applies.
    pub overrides: Vec<Override>,
    /// Whether hours with no person on duty are allowed. Otherwise `check` rejects them.
    pub gaps: bool,
    /// Chats that announce handovers.
    pub handover_chats: Vec<String>,
    /// Whether both people are notified of a handover.
    pub handover_notice: bool,
}

/// People who take turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// In order. Never empty.
    pub people: Vec<String>,
    /// Local time of the first person's first turn. Before it, this layer has no person on duty.
    pub starts: DateTime,
    /// Length of a turn in hours of local time.
    pub turn_hours: u32,
    /// The layer applies only inside these windows. Empty: always.
    pub windows: Vec<Window>,
}

/// A person replaces the one on duty between two local times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub person: String,
    pub from: DateTime,
    pub to: DateTime,
}

/// A turn has at most one year.
const LONGEST_TURN_HOURS: u64 = 366 * 24;
const HOUR_SECONDS: u64 = 3600;

pub(super) fn schedules(root: &Section, people: &Names, chats: &Names, zone: &TimeZone) -> (Vec<Schedule>, Names) {
    let sections = root.sections("schedules");
    let names = Names::of("schedule", "schedules", &sections);
    let list = sections.iter().enumerate();
    let list = list.map(|(index, section)| Schedule::read(section, names.at(index), people, chats, zone)).collect();
    (list, names)
}

impl Schedule {
    fn read(section: &Section, name: String, people: &Names, chats: &Names, zone: &TimeZone) -> Self {
        let layers = section.required_sections("layers", "the rotations, the lowest first");
        Self {
            name,
            line: section.line(),
            time_zone: section.or("time_zone", zone.clone()),
            layers: layers.iter().map(|layer| Layer::read(layer, people)).collect(),
            overrides: section.sections("overrides").iter().map(|entry| Override::read(entry, people)).collect(),
            gaps: section.or("gaps", false),
            handover_chats: chats.list(section, "handover_chats"),
            handover_notice: section.or("handover_notice", true),
        }
    }
}

impl Layer {
    fn read(section: &Section, people: &Names) -> Self {
        section.at_least_one("people", "people who take turns, in order");
        let turn: Duration = section.or("turn", Duration::from_secs(7 * 24 * HOUR_SECONDS));
        let hours = turn.as_secs() / HOUR_SECONDS;
        let whole = turn.subsec_nanos() == 0 && turn.as_secs().is_multiple_of(HOUR_SECONDS);
        if !whole || hours == 0 || hours > LONGEST_TURN_HOURS {
            section.fault("turn", "is not a whole number of hours, at most a year", "write it as 12h, 1d or 1w");
        }
        Self {
            people: people.list_with_repeats(section, "people"),
            starts: section.required("starts", "local time at which the first turn begins, as 2026-01-05T09:00"),
            turn_hours: u32::try_from(hours).unwrap_or(1).max(1),
            windows: section.sections("windows").iter().map(Window::read).collect(),
        }
    }
}

impl Override {
    fn read(section: &Section, people: &Names) -> Self {
        let person: String = section.required("person", "person on duty during the override");
        people.check(section, "person", &person, section.line_of("person"));
        let from = section.required("from", "local start time");
        let to = section.required("to", "local end time");
        if from >= to && section.has("from") && section.has("to") {
            section.fault("to", "is not after `from`", "correct one of them");
        }
        Self { person, from, to }
    }
}
