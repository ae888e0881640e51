//! Who would be called: gaps in schedules, and people whom a step does not reach.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::{
    config::{Config, Person, Role, Schedule, Step, document::Fault},
    oncall,
};

/// How far ahead gaps are looked for.
const LOOKED_AHEAD: SignedDuration = SignedDuration::from_hours(24 * 120);

/// Times without anybody on duty, where they are not meant.
pub fn gaps(config: &Config, now: Timestamp) -> Vec<Fault> {
    let Ok(end) = now.checked_add(LOOKED_AHEAD) else { return Vec::new() };
    let mut faults = Vec::new();
    for (index, schedule) in config.schedules.iter().enumerate().filter(|(_, schedule)| !schedule.gaps) {
        let shifts = oncall::shifts(schedule, now, end);
        let mut empty = shifts.iter().filter(|shift| shift.person.is_none());
        let Some(first) = empty.next() else { continue };
        let local = |moment| schedule.time_zone.to_datetime(moment).strftime("%Y-%m-%d %H:%M").to_string();
        let others = match empty.count() {
            0 => String::new(),
            count => format!(", and {count} times more within 120 days"),
        };
        let until = if first.to == end { "on".to_owned() } else { format!("to {}", local(first.to)) };
        let wrong = format!("({}) has nobody on duty from {} {until}{others}", schedule.name, local(first.from));
        let remedy = "add a layer below, an override, or `gaps: true` when nobody is meant to be";
        faults.push(Fault::new(schedule.line, &format!("schedules[{index}]"), &wrong, remedy));
    }
    faults
}

/// People on duty whom a step calls in no way that they have, or who could not acknowledge.
pub fn unreachable(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, escalation) in config.escalations.iter().enumerate() {
        for (number, step) in escalation.steps.iter().enumerate() {
            let path = format!("escalations[{index}].steps[{number}]");
            for (schedule, person) in on_schedules(config, step) {
                let by: Vec<&str> = step.by.iter().map(|means| means.name()).collect();
                if !step.by.iter().any(|means| person.can_be_reached(*means)) {
                    let wrong =
                        format!("calls {} of {schedule} by {}, which that person does not have", person.name, by.join(", "));
                    let remedy = "add a way to `by`, or the missing `telegram`, `phone` or provider to the person";
                    faults.push(Fault::new(step.line, &path, &wrong, remedy));
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
            faults.push(Fault::new(schedule.line, &format!("schedules[{index}]"), &wrong, "give them `role: responder`"));
        }
    }
    faults
}

fn on_schedules<'a>(config: &'a Config, step: &'a Step) -> Vec<(&'a str, &'a Person)> {
    let names: BTreeSet<&String> = step.on_call.iter().chain(&step.next_on_call).collect();
    let schedules = names.into_iter().filter_map(|name| config.schedule(name));
    schedules.flat_map(|schedule| people(config, schedule).into_iter().map(|person| (&*schedule.name, person))).collect()
}

/// Everybody who can come on duty in a schedule.
fn people<'a>(config: &'a Config, schedule: &Schedule) -> Vec<&'a Person> {
    let layers = schedule.layers.iter().flat_map(|layer| &layer.people);
    let names: BTreeSet<&String> = layers.chain(schedule.overrides.iter().map(|entry| &entry.person)).collect();
    names.into_iter().filter_map(|name| config.person(name)).collect()
}
