//! This module answers who is on duty, with calendars and the overrides that people set by command.

use std::sync::PoisonError;

use alertbot_core::oncall::{self, CalendarShift, Schedule};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Routing;
use crate::config::{EscalationStep, Person, Role};

/// An override that a person set by command: one person is on duty in a schedule until a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyOverride {
    pub person: String,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Routing {
    /// A schedule including its calendar and its override by command.
    pub fn schedule(&self, name: &str) -> Option<Schedule> {
        let mut schedule = self.config.schedule(name)?.clone();
        let discovered = self.discovered.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = discovered.duty_overrides.get(name).filter(|known| self.config.person(&known.person).is_some()) {
            schedule.commanded.push(CalendarShift { person: known.person.clone(), from: known.from, to: known.to });
        }
        if let Some(shifts) = discovered.calendars.get(name) {
            schedule.calendar.clone_from(shifts);
        }
        Some(schedule)
    }

    /// All schedules.
    pub fn schedules(&self) -> impl Iterator<Item = Schedule> {
        self.config.schedules.iter().filter_map(|schedule| self.schedule(&schedule.name))
    }

    /// The active override of a schedule.
    pub fn duty_override(&self, schedule: &str, now: Timestamp) -> Option<DutyOverride> {
        let discovered = self.discovered.read().unwrap_or_else(PoisonError::into_inner);
        discovered.duty_overrides.get(schedule).filter(|known| known.from <= now && now < known.to).cloned()
    }

    pub fn add_duty_override(&self, schedule: String, duty_override: DutyOverride) {
        self.discovered.write().unwrap_or_else(PoisonError::into_inner).duty_overrides.insert(schedule, duty_override);
    }

    /// Replaces the shifts of a schedule's calendar.
    pub fn set_calendar(&self, schedule: String, shifts: Vec<CalendarShift>) {
        self.discovered.write().unwrap_or_else(PoisonError::into_inner).calendars.insert(schedule, shifts);
    }

    /// People whom a step means now: named people and people on duty.
    pub fn people_of(&self, step: &EscalationStep, now: Timestamp) -> Vec<&Person> {
        let on_duty = step.on_call.iter().flat_map(|schedule| self.on_duty(schedule, now));
        let next = step.next_on_call.iter().flat_map(|schedule| self.next_on_duty(schedule, now));
        let named = step.people.iter().filter_map(|name| self.config.person(name));
        let mut people: Vec<&Person> = Vec::new();
        for person in named.chain(on_duty).chain(next) {
            if !people.iter().any(|listed| listed.name == person.name) {
                people.push(person);
            }
        }
        people
    }

    /// The person on duty in a schedule.
    pub fn on_duty(&self, schedule: &str, now: Timestamp) -> Option<&Person> {
        let schedule = self.schedule(schedule)?;
        self.config.person(oncall::on_duty(&schedule, now)?)
    }

    /// The next person on duty; the present one if the schedule has no other.
    fn next_on_duty(&self, schedule: &str, now: Timestamp) -> Option<&Person> {
        let found = self.schedule(schedule)?;
        let next = oncall::next_after(&found, now).and_then(|(_, name)| self.config.person(name));
        next.or_else(|| self.on_duty(schedule, now))
    }

    /// All people with the right to act.
    pub fn everyone(&self) -> Vec<&Person> {
        self.config.people.iter().filter(|person| person.role >= Role::Responder).collect()
    }
}
