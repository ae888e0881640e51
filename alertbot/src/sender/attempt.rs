//! This module makes one call: it renders the text from the present state and resolves the address from the present
//! configuration.

use alertbot_core::{
    alert::Severity,
    delivery::{Address, ChatPlace, DeliveryOutcome},
    incident::Incident,
    message::{split::shorten, units::CAPTION_UNITS},
    schedule::{MessageKind, Urgency},
};
use jiff::Timestamp;

use super::words;
use crate::{
    notify::{
        Receivers, phone,
        telegram::{Telegram, TelegramCall},
    },
    picture::ChartRenderer,
    routing::{QuietMode, Routing},
    store::outbox::{Message, MessageBody},
    writer::deliver::Dispatch,
};

/// The result of the call, and the rest of a text longer than one message.
pub(super) async fn attempt(
    receivers: &Receivers,
    routing: &Routing,
    renderer: &ChartRenderer,
    dispatch: &Dispatch,
    now: Timestamp,
) -> (DeliveryOutcome, Vec<String>) {
    let missing = |name: &str| {
        (DeliveryOutcome::Refused { reason: format!("{name} is no longer in the configuration"), dead: true }, Vec::new())
    };
    let message = &dispatch.messages[0];
    match &message.address {
        Address::Telegram { bot, chat, topic } => {
            let Some(telegram) = receivers.bots.get(bot) else { return missing(bot) };
            let place = routing.place(bot, *chat, *topic, now);
            chat_call(telegram, routing, renderer, dispatch, message, place, now).await
        }
        Address::Phone { provider, person, medium } => {
            let Some(receiver) = receivers.phones.get(provider) else { return missing(provider) };
            let Some(number) = routing.config.person(person).and_then(|person| person.phone.as_ref()) else {
                return missing(person);
            };
            let call = phone::PhoneMessage {
                id: message.id,
                medium: *medium,
                number: number.expose().to_owned(),
                text: words::phone(routing, dispatch, *medium, now),
            };
            (receiver.send(&call).await, Vec::new())
        }
    }
}

async fn chat_call(
    telegram: &Telegram,
    routing: &Routing,
    renderer: &ChartRenderer,
    dispatch: &Dispatch,
    message: &Message,
    place: ChatPlace,
    now: Timestamp,
) -> (DeliveryOutcome, Vec<String>) {
    let mut rest = Vec::new();
    let mut first = |said: words::Said| {
        rest = said.rest;
        said.text
    };
    let reply_to = dispatch.thread.filter(|_| !message.bare);
    let call = match (&message.body, message.kind) {
        (MessageBody::Incident { happenings }, kind) => {
            let Some(incident) = dispatch.incidents.first() else {
                return (DeliveryOutcome::Refused { reason: "its incident was deleted".into(), dead: false }, Vec::new());
            };
            let silent = is_silent(routing, incident, message, now);
            match (kind, dispatch.thread) {
                (MessageKind::Edit, Some(thread)) if !dispatch.anew => {
                    let text = first(words::card(routing, incident, message, now));
                    TelegramCall::Edit { chat: place.chat, message: thread, text }
                }
                (MessageKind::Notice, _) => {
                    let text = first(words::notice(routing, incident, message, happenings, now));
                    TelegramCall::Send { place, text, reply_to, silent }
                }
                _ => {
                    let text = first(words::card(routing, incident, message, now));
                    TelegramCall::Send { place, text, reply_to: None, silent: silent || dispatch.anew }
                }
            }
        }
        (MessageBody::Digest { .. }, _) => {
            let text = first(words::digest(routing, &dispatch.incidents, message, now));
            TelegramCall::Send { place, text, reply_to: None, silent: false }
        }
        (MessageBody::Part { .. }, _) => {
            let Some((ready, sent)) = &dispatch.part else {
                return (DeliveryOutcome::Refused { reason: "its text was deleted".into(), dead: false }, Vec::new());
            };
            let text = words::ready(routing, ready, message, now).text;
            match sent {
                Some(part) => TelegramCall::Edit { chat: place.chat, message: *part, text },
                None => TelegramCall::Send { place, text, reply_to: ready.reply_to.filter(|_| !message.bare), silent: true },
            }
        }
        (MessageBody::Text(ready), _) => {
            let text = first(words::ready(routing, ready, message, now));
            let reply_to = ready.reply_to.filter(|_| !message.bare);
            TelegramCall::Send { place, text, reply_to, silent: ready.silent }
        }
        (MessageBody::Picture { caption, reply_to: asked, .. }, _) => {
            let Some(picture) = renderer.get(message.id) else {
                return (DeliveryOutcome::Refused { reason: "its chart is no longer available".into(), dead: false }, Vec::new());
            };
            let reply_to = asked.or(dispatch.thread).filter(|_| !message.bare);
            TelegramCall::Photo { place, picture: picture.to_vec(), caption: shorten(caption, CAPTION_UNITS), reply_to }
        }
    };
    (telegram.call(&call).await, rest)
}

/// Without a sound: in quiet hours, after a digest has listed it, or after the incident ended.
fn is_silent(routing: &Routing, incident: &Incident, message: &Message, now: Timestamp) -> bool {
    let hushed = routing.quiet_mode(&message.address, incident.severity, now) == QuietMode::Mute;
    let said = message.listed && message.urgency != Urgency::Critical;
    hushed || said || (!incident.is_open() && incident.severity < Severity::Critical)
}
