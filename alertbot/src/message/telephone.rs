//! What is said to a telephone: one text for all incidents that are told at once, and how it is answered.

use super::{
    Messages, Reader, Rendered,
    catalogue::{Saying, say},
    context::TITLE_UNITS,
    render::Shape,
    sms, split,
};
use crate::incident::Incident;

/// Longest text of a call, in UTF-16 units: what a listener can bear, and far below what providers take.
const VOICE_UNITS: usize = 600;

/// An SMS about these incidents in at most `parts` parts. Each that it names is named with its code; what does not fit is
/// counted.
pub fn sms(messages: &Messages, incidents: &[Incident], reader: &Reader, parts: usize) -> Rendered {
    let code = |incident: &Incident| say(reader.language, Saying::Code { code: incident.code });
    if let [incident] = incidents {
        let rendered = messages.render(Shape::Sms, incident, reader);
        let body = rendered.text.split_whitespace().collect::<Vec<_>>().join(" ");
        return Rendered { text: sms::fit(&body, &code(incident), parts), fault: rendered.fault };
    }
    let head = format!("{}:", say(reader.language, Saying::Several { count: incidents.len() }));
    let entry = |incident: &Incident| {
        let title = super::bidi::strip(&incident.title()).split_whitespace().collect::<Vec<_>>().join(" ");
        sms::plain_signs(&format!("{} ACK {}", split::shorten(&title, SEVERAL_TITLE_UNITS), incident.code))
    };
    let entries: Vec<String> = incidents.iter().map(entry).collect();
    let text = |shown: usize| {
        let mut text = format!("{head} {}", entries[..shown].join("; "));
        if shown < entries.len() {
            text.push_str(&format!("; {}", say(reader.language, Saying::More { count: (entries.len() - shown) as u64 })));
        }
        text
    };
    let shown = (0..=entries.len()).rev().find(|shown| sms::parts(&text(*shown)) <= parts).unwrap_or(0);
    Rendered { text: text(shown), fault: None }
}

/// Longest title where several share a message.
const SEVERAL_TITLE_UNITS: usize = 40;
const _: () = assert!(SEVERAL_TITLE_UNITS < TITLE_UNITS);

/// What a call says.
pub fn voice(messages: &Messages, incidents: &[Incident], reader: &Reader) -> Rendered {
    let mut fault = None;
    let mut said: Vec<String> = Vec::new();
    if incidents.len() > 1 {
        said.push(format!("{}.", say(reader.language, Saying::Several { count: incidents.len() })));
    }
    for incident in incidents {
        let rendered = messages.render(Shape::Voice, incident, reader);
        fault = fault.or(rendered.fault);
        said.push(rendered.text);
    }
    let text = said.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    Rendered { text: split::shorten(&text, VOICE_UNITS), fault }
}
