//! This module renders a row of the outbox: text, language and buttons. [`alertbot_core::message`] makes the words.

use alertbot_core::{
    delivery::{Button, Medium, Words},
    incident::{Happening, Incident},
    message::{
        Reader, Rendered,
        catalogue::{Word, word},
        markup, notice, sms, split, telephone,
        template::TemplateShape,
        units::TEXT_UNITS,
    },
    schedule::MessageKind,
};
use jiff::Timestamp;

use super::buttons;
use crate::{
    notify::telegram::ChatText,
    routing::Routing,
    store::outbox::{Message, MessageBody},
    writer::deliver::Dispatch,
};

/// The text of one call, and the rest that follows without a sound as replies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub text: ChatText,
    pub rest: Vec<String>,
}

/// The first message of an incident.
pub fn card(routing: &Routing, incident: &Incident, message: &Message, now: Timestamp) -> Said {
    let reader = routing.reader(&message.address, now);
    let html = log_fault(routing.messages.render(TemplateShape::Telegram, incident, &reader), message);
    said(html, buttons::for_card(routing, incident, reader.language), message, &reader)
}

/// The events since, as a reply to the card.
pub fn notice(routing: &Routing, incident: &Incident, message: &Message, happenings: &[Happening], now: Timestamp) -> Said {
    let reader = routing.reader(&message.address, now);
    let mention = |name: &str| routing.config.person(name)?.telegram;
    let html = notice::notice(incident, happenings, &reader, mention);
    said(html, buttons::for_notice(incident, reader.language), message, &reader)
}

pub fn digest(routing: &Routing, incidents: &[Incident], message: &Message, now: Timestamp) -> Said {
    let reader = routing.reader(&message.address, now);
    let any_open = incidents.iter().any(Incident::is_open);
    let buttons = if any_open { buttons::for_digest(message.id, reader.language) } else { Vec::new() };
    said(notice::digest(incidents, &reader), buttons, message, &reader)
}

/// Text that was ready when the message was written.
pub fn ready(routing: &Routing, words: &Words, message: &Message, now: Timestamp) -> Said {
    said(words.text.clone(), words.buttons.clone(), message, &routing.reader(&message.address, now))
}

/// Text for a phone: at most as many parts as its provider's settings allow.
pub fn phone(routing: &Routing, dispatch: &Dispatch, medium: Medium, now: Timestamp) -> String {
    let message = &dispatch.messages[0];
    let reader = routing.reader(&message.address, now);
    let (parts, answers) = routing.line(message.address.carrier());
    // An answer or a handover that waited for the same phone joins the incidents' text.
    let ready: Vec<&str> = dispatch
        .messages
        .iter()
        .filter_map(|message| match &message.body {
            MessageBody::Text(words) => Some(words.text.as_str()),
            _ => None,
        })
        .collect();
    let ready = ready.join(". ");
    if dispatch.incidents.is_empty() {
        return sms::fit(&ready, "", parts);
    }
    let line = telephone::SpokenLine { parts, answers, ready: &ready };
    let rendered = match medium {
        Medium::Sms => telephone::sms(&routing.messages, &dispatch.incidents, line, &reader),
        Medium::Voice => telephone::voice(&routing.messages, &dispatch.incidents, line, &reader),
    };
    log_fault(rendered, message)
}

/// A failed template is logged, and its message uses the built-in template.
fn log_fault(rendered: Rendered, message: &Message) -> String {
    if let Some(fault) = rendered.fault {
        tracing::error!(outbox.id = message.id, fault, "a template failed; using the built-in template");
    }
    rendered.text
}

/// Cuts the text to Telegram's limit. A message that may have arrived before is marked. A message that Telegram could not parse
/// is sent as plain text.
fn said(mut html: String, buttons: Vec<Vec<Button>>, message: &Message, reader: &Reader) -> Said {
    if message.maybe_sent && message.kind != MessageKind::Edit {
        let note = notice::plain_words(word(reader.language, Word::Repetition), reader);
        html = format!("<i>{note}</i>\n{html}");
    }
    // Text that is not Telegram's HTML (ready text of an older version) is sent unchanged, without markup.
    let (html, is_html) = match message.plain || markup::read(&html).is_err() {
        true => (markup::plain(&html), false),
        false => (html, true),
    };
    let mut parts = match is_html {
        true => split::split(&html, TEXT_UNITS).unwrap_or_default(),
        false => split::split_plain(&html, TEXT_UNITS),
    };
    let first = if parts.is_empty() { html } else { parts.remove(0) };
    let rest = if is_html { parts } else { parts.iter().map(|part| markup::escape(part).into_owned()).collect() };
    Said { text: ChatText { text: first, html: is_html, buttons }, rest }
}
