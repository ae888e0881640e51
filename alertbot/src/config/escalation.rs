//! This module reads escalation policies, which apply while an incident is not acknowledged.

use std::time::Duration;

use super::{
    document::Section,
    names::Names,
    person::{Means, Person},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscalationPolicy {
    pub name: String,
    /// Performed in order until a person acknowledges. Never empty.
    pub steps: Vec<EscalationStep>,
    /// Number of rounds over all steps. At least 1.
    pub rounds: u32,
    /// Whether everyone is notified by every means after the last round.
    pub then_everyone: bool,
    /// An acknowledged incident that still fires after this time escalates again; `None`: never.
    pub acknowledge_timeout: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscalationStep {
    /// Line in the file.
    pub line: usize,
    /// Wait after the previous step. For the first step: after the start of the incident or the end of the previous round.
    pub after: Duration,
    pub chats: Vec<String>,
    pub people: Vec<String>,
    /// Schedules whose person on duty is notified.
    pub on_call: Vec<String>,
    /// Schedules whose next person on duty is notified.
    pub next_on_call: Vec<String>,
    /// Means of notification: each one that the person has.
    pub by: Vec<Means>,
}

const LONGEST_WAIT: Duration = Duration::from_secs(7 * 86_400);
const MOST_ROUNDS: u32 = 100;

/// The names to which steps refer.
pub(super) struct Reachable<'a> {
    pub chats: &'a Names,
    pub people: &'a Names,
    pub schedules: &'a Names,
    pub listed: &'a [Person],
}

pub(super) fn escalations(root: &Section, reachable: &Reachable) -> (Vec<EscalationPolicy>, Names) {
    let sections = root.sections("escalations");
    let names = Names::of("escalation", "escalations", &sections);
    let list = sections.iter().enumerate();
    (list.map(|(index, section)| EscalationPolicy::read(section, names.at(index), reachable)).collect(), names)
}

impl EscalationPolicy {
    fn read(section: &Section, name: String, reachable: &Reachable) -> Self {
        let steps = section.required_sections("steps", "recipients and waits, in order");
        Self {
            name,
            steps: steps.iter().map(|step| EscalationStep::read(step, reachable)).collect(),
            rounds: section.or_within("rounds", 3, 1..=MOST_ROUNDS),
            then_everyone: section.or("then_everyone", true),
            acknowledge_timeout: section.optional("acknowledge_timeout"),
        }
    }
}

impl EscalationStep {
    fn read(section: &Section, reachable: &Reachable) -> Self {
        let by: Vec<_> = section.list::<Means>("by").into_iter().map(|(means, _)| means).collect();
        let step = Self {
            line: section.line(),
            after: section.or_within("after", Duration::ZERO, Duration::ZERO..=LONGEST_WAIT),
            chats: reachable.chats.list(section, "chats"),
            people: reachable.people.list(section, "people"),
            on_call: reachable.schedules.list(section, "on_call"),
            next_on_call: reachable.schedules.list(section, "next_on_call"),
            by: if section.has("by") { by } else { vec![Means::Telegram] },
        };
        if step.chats.is_empty() && step.people.is_empty() && step.on_call.is_empty() && step.next_on_call.is_empty() {
            section.fault("", "has no recipient", "add `chats`, `people`, `on_call` or `next_on_call`");
        }
        for person in reachable.listed.iter().filter(|person| step.people.contains(&person.name)) {
            if !step.by.iter().any(|means| person.can_be_reached(*means)) {
                let wrong = format!("notifies {}, who has none of the means in `by`", person.name);
                section.fault("people", &wrong, "add a means to `by`, or the missing number or id to the person");
            }
        }
        step
    }
}
