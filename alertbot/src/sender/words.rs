//! What messages say.

use jiff::Timestamp;

use crate::{
    desk::{Book, deliver::Dispatch},
    incident::{Happening, Incident, Phase},
    notify::{Medium, telegram::Text},
    schedule::Kind,
    store::outbox::{Button, ButtonAction, Message},
};

pub fn card(_book: &Book, incident: &Incident, message: &Message, _happenings: &[Happening], _now: Timestamp) -> Text {
    let text = format!("{} {} {:?} {}", incident.severity.name(), incident.title(), incident.phase, incident.id);
    let buttons = if incident.phase == Phase::Resolved {
        Vec::new()
    } else {
        vec![vec![press("Acknowledge", format!("ack:{}", incident.id.0))]]
    };
    repeated(Text { text, html: false, buttons }, message)
}

pub fn notice(_book: &Book, incident: &Incident, message: &Message, happenings: &[Happening], _now: Timestamp) -> Text {
    repeated(Text { text: format!("{} {happenings:?}", incident.title()), html: false, buttons: Vec::new() }, message)
}

pub fn digest(_book: &Book, incidents: &[Incident], message: &Message, _now: Timestamp) -> Text {
    let lines: Vec<String> =
        incidents.iter().map(|incident| format!("{} {:?} {}", incident.title(), incident.phase, incident.id)).collect();
    let buttons = vec![vec![press("Acknowledge all", format!("all:{}", message.id))]];
    repeated(Text { text: lines.join("\n"), html: false, buttons }, message)
}

pub fn phone(_book: &Book, dispatch: &Dispatch, _medium: Medium, _now: Timestamp) -> String {
    dispatch.incidents.iter().map(|incident| format!("{} ACK {}", incident.title(), incident.code)).collect::<Vec<_>>().join("; ")
}

/// A message that may have arrived before says so.
pub fn repeated(mut text: Text, message: &Message) -> Text {
    if message.doubtful && message.kind != Kind::Edit {
        text.text = format!("(may be a repetition)\n{}", text.text);
    }
    text
}

fn press(text: &str, data: String) -> Button {
    Button { text: text.into(), action: ButtonAction::Press(data) }
}
