//! Who is on duty when, as written down: layers of rotations, and overrides. What follows from it is worked out in
//! [`crate::oncall`].

use std::time::Duration;

use jiff::{civil::DateTime, tz::TimeZone};

use super::{document::Section, names::Names, window::Window};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    /// Where it stands in the file: faults of the duties that follow from it are told there.
    pub line: usize,
    /// All of its local times are in this zone: a handover at nine stays at nine when clocks change.
    pub time_zone: TimeZone,
    /// Later layers lie over earlier ones: where a later one has somebody, it counts. Never empty.
    pub layers: Vec<Layer>,
    /// Over all layers; the last one that covers a moment counts.
    pub overrides: Vec<Override>,
    /// Whether nobody on duty for a while is meant: otherwise `check` refuses it.
    pub gaps: bool,
    /// Chats in which a handover is said.
    pub handover_chats: Vec<String>,
    /// Whether who comes on duty and who goes is told in person.
    pub handover_notice: bool,
}

/// People taking turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// In the order of their turns. Never empty.
    pub people: Vec<String>,
    /// Local time at which the first person's first turn begins. Before it nobody of this layer is on duty.
    pub starts: DateTime,
    /// Length of a turn in hours of local time.
    pub turn_hours: u32,
    /// The layer counts inside these windows only; empty: always.
    pub windows: Vec<Window>,
}

/// Somebody stands in: from a local time to a local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub person: String,
    pub from: DateTime,
    pub to: DateTime,
}

/// A turn is at most a year.
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
        section.at_least_one("people", "who takes turns, in order");
        let turn: Duration = section.or("turn", Duration::from_secs(7 * 24 * HOUR_SECONDS));
        let hours = turn.as_secs() / HOUR_SECONDS;
        let whole = turn.subsec_nanos() == 0 && turn.as_secs().is_multiple_of(HOUR_SECONDS);
        if !whole || hours == 0 || hours > LONGEST_TURN_HOURS {
            section.fault("turn", "is no whole number of hours up to a year", "write it as 12h, 1d or 1w");
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
        let person: String = section.required("person", "who stands in");
        people.check(section, "person", &person, section.line_of("person"));
        let from = section.required("from", "local time at which it begins");
        let to = section.required("to", "local time at which it ends");
        if from >= to && section.has("from") && section.has("to") {
            section.fault("to", "is not after `from`", "swap or correct them");
        }
        Self { person, from, to }
    }
}
