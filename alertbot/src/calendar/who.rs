//! This module finds the person whom an event names.

use std::collections::{BTreeMap, BTreeSet};

use calcard::icalendar::{ICalendarComponent, ICalendarEntry, ICalendarParameterName, ICalendarProperty, ICalendarValue};

/// Longest part of a summary in a log line.
const SUMMARY_CHARACTERS: usize = 80;

/// CalendarNames of people in a calendar, in lower case, with their names in the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CalendarNames(BTreeMap<String, String>);

impl CalendarNames {
    /// Every person's own name, and the names that the calendar has for them.
    pub fn new<'a>(people: impl IntoIterator<Item = &'a str>, others: &BTreeMap<String, String>) -> Self {
        let own = people.into_iter().map(|name| (name.to_lowercase(), name.to_owned()));
        Self(own.chain(others.iter().map(|(name, person)| (name.trim().to_lowercase(), person.clone()))).collect())
    }

    /// The person of an event: its attendee (address or name), or the one whose name the summary contains. A person who declined
    /// does not attend.
    ///
    /// # Errors
    /// Returns the reason if no person, or more than one, is found.
    pub fn person(&self, event: &ICalendarComponent) -> Result<&str, String> {
        let takes_part = |entry: &&ICalendarEntry| {
            let mut answers = entry.parameters(&ICalendarParameterName::Partstat).filter_map(|answer| answer.as_text());
            !answers.any(|answer| answer.eq_ignore_ascii_case("DECLINED"))
        };
        let attendees = event.properties(&ICalendarProperty::Attendee).filter(takes_part).flat_map(|entry| {
            let addresses = entry.values.iter().filter_map(ICalendarValue::as_text).map(address);
            let names = entry.parameters(&ICalendarParameterName::Cn).filter_map(|name| name.as_text());
            addresses.chain(names)
        });
        let mut found: BTreeSet<&str> = attendees.filter_map(|name| self.known(name)).collect();
        if found.is_empty() {
            let summary = summary(event);
            found = match self.known(&summary) {
                Some(person) => BTreeSet::from([person]),
                None => self.named_in(&summary.to_lowercase()),
            };
        }
        match (found.len(), found.first()) {
            (1, Some(person)) => Ok(person),
            (0, _) => Err("names no person of the configuration; add the name to `calendar.people`".into()),
            _ => Err(format!("names several people: {}", found.into_iter().collect::<Vec<_>>().join(", "))),
        }
    }

    fn known(&self, name: &str) -> Option<&str> {
        self.0.get(&name.trim().to_lowercase()).map(String::as_str)
    }

    /// People whose names are whole words of the text.
    fn named_in(&self, text: &str) -> BTreeSet<&str> {
        let is_word = |at: usize, name: &str| {
            let ends = |side: Option<char>| side.is_none_or(|letter| !letter.is_alphanumeric());
            ends(text[..at].chars().next_back()) && ends(text[at + name.len()..].chars().next())
        };
        let contains = |name: &str| !name.is_empty() && text.match_indices(name).any(|(at, _)| is_word(at, name));
        self.0.iter().filter(|(name, _)| contains(name)).map(|(_, person)| person.as_str()).collect()
    }
}

/// `mailto:ada@example.com` without its scheme.
fn address(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto") => rest,
        _ => text,
    }
}

/// The summary, shortened.
pub(super) fn summary(event: &ICalendarComponent) -> String {
    let value = event.property(&ICalendarProperty::Summary).and_then(|entry| entry.values.first());
    value.and_then(ICalendarValue::as_text).unwrap_or_default().chars().take(SUMMARY_CHARACTERS).collect()
}
