//! This module builds the buttons of a message.

use alertbot_core::{
    delivery::{Button, ButtonAction},
    incident::{Incident, Phase},
    message::{
        Language,
        catalogue::{Text, Word, say, word},
        press::Press,
    },
};

use crate::routing::Routing;

/// Hours offered by the silence buttons.
const SILENCES: [u32; 3] = [1, 4, 24];

/// Buttons of the card, as far as the configuration supports them. A closed incident has none, so an edit removes them.
pub fn for_card(routing: &Routing, incident: &Incident, language: Language) -> Vec<Vec<Button>> {
    let id = incident.id;
    let taken = match incident.phase {
        Phase::Resolved => return Vec::new(),
        Phase::Firing => button(word(language, Word::Acknowledge), Press::Acknowledge(id)),
        Phase::Acknowledged => button(word(language, Word::Release), Press::Release(id)),
    };
    let mut first = vec![taken];
    if routing.escalation(incident).is_some() {
        first.push(button(word(language, Word::Escalate), Press::Escalate(id)));
    }
    if incident.expression().is_some() {
        first.push(button(word(language, Word::Graph), Press::Graph(id)));
    }
    let mut second: Vec<Button> = SILENCES
        .iter()
        .map(|hours| button(&say(language, Text::SilenceFor { hours: *hours }), Press::Silence(id, *hours, false)))
        .collect();
    if !incident.silences.is_empty() {
        second = vec![button(word(language, Word::Unsilence), Press::Unsilence(id))];
    }
    match routing.config.alertmanager(&incident.source) {
        Some(alertmanager) if !alertmanager.urls.is_empty() => vec![first, second],
        _ => vec![first],
    }
}

/// Buttons of a later message with sound, because the card may be far up in the chat.
pub fn for_notice(incident: &Incident, language: Language) -> Vec<Vec<Button>> {
    match incident.phase {
        Phase::Firing => vec![vec![button(word(language, Word::Acknowledge), Press::Acknowledge(incident.id))]],
        _ => Vec::new(),
    }
}

pub fn for_digest(digest: i64, language: Language) -> Vec<Vec<Button>> {
    vec![vec![button(word(language, Word::AcknowledgeAll), Press::AcknowledgeAll(digest))]]
}

fn button(text: &str, press: Press) -> Button {
    Button { text: text.to_owned(), action: ButtonAction::Press(press.data()) }
}
