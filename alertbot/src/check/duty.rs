//! This module finds gaps in schedules, and people whom a step cannot reach.

use std::collections::BTreeSet;

use alertbot_core::oncall::{self, Schedule};
use jiff::{SignedDuration, Timestamp};
use service_kit::yaml::FileFault;

use super::calendar;
use crate::config::{Config, EscalationStep, Person, Role};

/// Time in which gaps are searched.
const LOOKED_AHEAD: SignedDuration = SignedDuration::from_hours(24 * 120);

/// Times with no person on duty in schedules that do not allow gaps.
pub fn gaps(config: &Config, now: Timestamp) -> Vec<FileFault> {
    let Ok(end) = now.checked_add(LOOKED_AHEAD) else { return Vec::new() };
    let mut faults = Vec::new();
    for (index, schedule) in config.schedules.iter().enumerate().filter(|(_, schedule)| !schedule.gaps) {
        let Some(filled) = calendar::filled(config, schedule, now) else { continue };
        let shifts = oncall::shifts(&filled, now, end);
        let mut empty = shifts.iter().filter(|shift| shift.person.is_none());
        let Some(first) = empty.next() else { continue };
        let local = |moment| schedule.time_zone.to_datetime(moment).strftime("%Y-%m-%d %H:%M").to_string();
        let others = match empty.count() {
            0 => String::new(),
            count => format!(", and {count} more times within 120 days"),
        };
        let until = if first.to == end { "on".to_owned() } else { format!("to {}", local(first.to)) };
        let wrong = format!("({}) has no person on duty from {} {until}{others}", schedule.name, local(first.from));
        let remedy = "add a lower layer or an override, or allow gaps with `gaps: true`";
        faults.push(FileFault::new(schedule.line, &format!("schedules[{index}]"), &wrong, remedy));
    }
    faults
}

/// People on duty who have none of the means of a step, or who may not acknowledge.
pub fn unreachable(config: &Config) -> Vec<FileFault> {
    let mut faults = Vec::new();
    for (index, escalation) in config.escalations.iter().enumerate() {
        for (number, step) in escalation.steps.iter().enumerate() {
            let path = format!("escalations[{index}].steps[{number}]");
            for (schedule, person) in on_schedules(config, step) {
                let by: Vec<&str> = step.by.iter().map(|means| means.name()).collect();
                if !step.by.iter().any(|means| person.can_be_reached(*means)) {
                    let wrong =
                        format!("calls {} of {schedule} by {}, which that person does not have", person.name, by.join(", "));
                    let remedy = "add a means to `by`, or the missing `telegram`, `phone` or provider to the person";
                    faults.push(FileFault::new(step.line, &path, &wrong, remedy));
                }
            }
        }
    }
    for (index, schedule) in config.schedules.iter().enumerate() {
        let viewers: Vec<&str> = people(config, schedule)
            .into_iter()
            .filter(|person| person.role == Role::Viewer)
            .map(|person| &*person.name)
            .collect();
        if !viewers.is_empty() {
            let wrong = format!("({}) puts {} on duty, who may not acknowledge", schedule.name, viewers.join(", "));
            faults.push(FileFault::new(schedule.line, &format!("schedules[{index}]"), &wrong, "set their role to `responder`"));
        }
    }
    faults
}

fn on_schedules<'a>(config: &'a Config, step: &'a EscalationStep) -> Vec<(&'a str, &'a Person)> {
    let names: BTreeSet<&String> = step.on_call.iter().chain(&step.next_on_call).collect();
    let schedules = names.into_iter().filter_map(|name| config.schedule(name));
    schedules.flat_map(|schedule| people(config, schedule).into_iter().map(|person| (&*schedule.name, person))).collect()
}

/// Everybody who can come on duty in a schedule.
fn people<'a>(config: &'a Config, schedule: &Schedule) -> Vec<&'a Person> {
    let layers = schedule.layers.iter().flat_map(|layer| &layer.people);
    let calendars = config.calendars.iter().filter(|source| source.schedule == schedule.name);
    let named = calendars.flat_map(|source| source.people.values());
    let names: BTreeSet<&String> = layers.chain(schedule.overrides.iter().map(|entry| &entry.person)).chain(named).collect();
    names.into_iter().filter_map(|name| config.person(name)).collect()
}
