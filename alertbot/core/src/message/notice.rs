//! This module renders messages without a template, in Telegram's HTML: events since the card, the digest of a storm, a handover.

use super::{
    Reader,
    age::Age,
    bidi,
    catalogue::{Text, say, word},
    context::TITLE_UNITS,
    mark,
    markup::escape,
    place, render, split,
};
use crate::{
    incident::{Happening, Incident},
    message::catalogue::Word,
};

/// Events as a reply to the card. `mention` returns the numeric id of a person to mention by name.
pub fn notice(incident: &Incident, happenings: &[Happening], reader: &Reader, mention: impl Fn(&str) -> Option<i64>) -> String {
    let mut said: Vec<String> = Vec::new();
    for happening in happenings {
        let words = match happening {
            Happening::Fired | Happening::Reopened { flapping: false } => {
                say(reader.language, if *happening == Happening::Fired { Text::Reminded } else { Text::Reopened })
            }
            Happening::Reopened { flapping: true } => say(reader.language, Text::Flapping),
            Happening::SeverityRaised { from } => {
                say(reader.language, Text::SeverityRaised { from: *from, to: incident.severity })
            }
            Happening::Joined { count } => say(reader.language, Text::Joined { count: *count }),
            Happening::Escalated { by, to, .. } => {
                let to = if to.is_empty() { word(reader.language, Word::Nobody).to_owned() } else { to.join(", ") };
                say(reader.language, Text::Escalated { to: &to, by: by.as_deref() })
            }
            Happening::EscalationLost => say(reader.language, Text::EscalationLost),
            Happening::Reminded => say(reader.language, Text::Reminded),
            Happening::AcknowledgementEnded { by } => say(reader.language, Text::AcknowledgementEnded { by }),
            Happening::Reassigned { to, by } => say(reader.language, Text::Reassigned { to, by }),
            // These events only edit the card.
            Happening::Acknowledged { .. }
            | Happening::Silenced { .. }
            | Happening::Unsilenced { .. }
            | Happening::Resolved
            | Happening::Changed => continue,
        };
        let words = escape(&words).into_owned();
        if !said.contains(&words) {
            said.push(words);
        }
    }
    if said.is_empty() {
        said.push(escape(word(reader.language, Word::of_phase(incident.phase))).into_owned());
    }
    let age = say(reader.language, Text::Age(Age::between(incident.started_at, reader.now)));
    let mut text =
        format!("{} {} ({age})\n{}", mark(incident), titled(incident, &place::SharedFacts::default(), reader), said.join("\n"));
    let mentioned: Vec<String> = called(happenings)
        .filter_map(|name| Some(format!("<a href=\"tg://user?id={}\">{}</a>", mention(name)?, escape(name))))
        .collect();
    if !mentioned.is_empty() {
        text.push_str(&format!("\n{}", mentioned.join(" ")));
    }
    directed(text, reader)
}

/// Names of the people notified to act. A mention sounds even in a muted chat.
fn called(happenings: &[Happening]) -> impl Iterator<Item = &str> {
    let latest = happenings.iter().rev().find_map(|happening| match happening {
        Happening::Escalated { to, .. } => Some(to.iter().map(String::as_str).collect::<Vec<_>>()),
        Happening::Reassigned { to, .. } => Some(vec![to.as_str()]),
        _ => None,
    });
    latest.into_iter().flatten()
}

/// Every incident of a storm in one text: causes before what they cause, then the highest severity first.
pub fn digest(incidents: &[Incident], reader: &Reader) -> String {
    let shared = place::SharedFacts::of(incidents);
    let mut sorted: Vec<&Incident> = incidents.iter().collect();
    sorted.sort_by_key(|incident| {
        (!incident.is_open(), !incident.causes.is_empty(), std::cmp::Reverse(incident.severity), incident.id)
    });
    let mut lines = vec![format!("<b>{}</b>", escape(&say(reader.language, Text::Digest { count: incidents.len() })))];
    lines.extend(sorted.into_iter().map(|incident| {
        let until = incident.ended_at.unwrap_or(reader.now);
        let age = say(reader.language, Text::Age(Age::between(incident.started_at, until)));
        let phase = if incident.is_open() { String::new() } else { format!(", {}", word(reader.language, Word::Resolved)) };
        format!("{} {} {age}{phase}", mark(incident), titled(incident, &shared, reader))
    }));
    lines.push(escape(&say(reader.language, Text::DigestHelp)).into_owned());
    directed(lines.join("\n"), reader)
}

/// The same for HTML: isolated and escaped.
pub fn safe(text: &str, units: usize, reader: &Reader) -> String {
    escape(&bidi::isolate_in(reader.right_to_left(), &split::line(text, units))).into_owned()
}

/// Title, number, and the labels that distinguish the incident from others with its title.
pub fn titled(incident: &Incident, shared: &place::SharedFacts, reader: &Reader) -> String {
    let number = bidi::isolate_in(reader.right_to_left(), &incident.id.to_string()).into_owned();
    let place = place::place(incident, shared);
    let place = if place.is_empty() { place } else { format!(" {}", safe(&place, PLACE_UNITS, reader)) };
    format!("<b>{}</b> {number}{place}", safe(&incident.title(), TITLE_UNITS, reader))
}

/// Longest list of labels in a line.
const PLACE_UNITS: usize = 320;

/// HTML with every line in the reader's direction.
pub fn directed(text: String, reader: &Reader) -> String {
    if reader.right_to_left() { render::lead(&text) } else { text }
}

/// Ready text as HTML in the reader's direction.
pub fn plain_words(words: &str, reader: &Reader) -> String {
    directed(escape(words).into_owned(), reader)
}
