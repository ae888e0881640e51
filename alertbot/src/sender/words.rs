//! What messages say.

use jiff::Timestamp;

use crate::{
    desk::{Book, deliver::Dispatch},
    incident::{Happening, Incident},
    notify::{Medium, telegram::Text},
    people::{Press, button_data},
    schedule::Kind,
    store::outbox::{Body, Button, ButtonAction, Message},
};

pub fn card(_book: &Book, incident: &Incident, message: &Message, _happenings: &[Happening], _now: Timestamp) -> Text {
    let taken = incident.taken_by.as_deref().map(|by| format!(" – {by}")).unwrap_or_default();
    let text = format!("{} {} {:?} {}{taken}", incident.severity.name(), incident.title(), incident.phase, incident.id);
    let id = incident.id;
    let buttons = match incident.is_open() {
        false => Vec::new(),
        true => vec![
            vec![
                press("Acknowledge", Press::Acknowledge(id)),
                press("Escalate", Press::Escalate(id)),
                press("Graph", Press::Graph(id)),
            ],
            [1, 4, 24].map(|hours| press(&format!("Silence {hours}h"), Press::Silence(id, hours, false))).to_vec(),
        ],
    };
    repeated(Text { text, html: false, buttons }, message)
}

pub fn notice(_book: &Book, incident: &Incident, message: &Message, happenings: &[Happening], _now: Timestamp) -> Text {
    repeated(Text { text: format!("{} {happenings:?}", incident.title()), html: false, buttons: Vec::new() }, message)
}

pub fn digest(_book: &Book, incidents: &[Incident], message: &Message, _now: Timestamp) -> Text {
    let lines = incidents.iter().map(|incident| format!("{} {:?} {}", incident.title(), incident.phase, incident.id));
    let buttons = vec![vec![press("Acknowledge all", Press::AcknowledgeAll(message.id))]];
    repeated(Text { text: lines.collect::<Vec<_>>().join("\n"), html: false, buttons }, message)
}

pub fn phone(_book: &Book, dispatch: &Dispatch, _medium: Medium, _now: Timestamp) -> String {
    if let Body::Text(words) = &dispatch.messages[0].body {
        return words.text.clone();
    }
    dispatch.incidents.iter().map(|incident| format!("{} ACK {}", incident.title(), incident.code)).collect::<Vec<_>>().join("; ")
}

/// A message that may have arrived before says so.
pub fn repeated(mut text: Text, message: &Message) -> Text {
    if message.doubtful && message.kind != Kind::Edit {
        text.text = format!("(may be a repetition)\n{}", text.text);
    }
    text
}

fn press(text: &str, press: Press) -> Button {
    Button { text: text.into(), action: ButtonAction::Press(button_data(press)) }
}
