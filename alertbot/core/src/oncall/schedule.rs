//! This module defines the schedules: layers of rotations, and overrides.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::local_window::LocalWindow;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    /// Line in the file. Faults about gaps in the schedule refer to it.
    pub line: usize,
    /// Zone of all local times: a handover at nine stays at nine when clocks change.
    pub time_zone: TimeZone,
    /// A later layer replaces earlier ones while it has a person on duty. Empty only if the schedule has a calendar.
    pub layers: Vec<Layer>,
    /// Shifts of the calendar, by start. They replace the layers. If several cover a moment, the last one applies.
    pub calendar: Vec<CalendarShift>,
    /// Replace the calendar and all layers. If several cover a moment, the last one applies.
    pub overrides: Vec<Override>,
    /// Overrides set by command. They replace everything else. They are moments, because a local time may occur twice.
    pub commanded: Vec<CalendarShift>,
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
    pub windows: Vec<LocalWindow>,
}

/// A person replaces the one on duty between two local times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub person: String,
    pub from: DateTime,
    pub to: DateTime,
}

/// A person is on duty between two moments, by the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarShift {
    pub person: String,
    pub from: Timestamp,
    /// Exclusive.
    pub to: Timestamp,
}
