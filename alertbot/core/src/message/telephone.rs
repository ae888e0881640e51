//! This module renders texts for phones: one text for all incidents of one notification, and the reply codes.

use super::{
    Messages, Reader, Rendered,
    catalogue::{Text, say},
    context::TITLE_UNITS,
    place, sms, split,
    template::TemplateShape,
};
use crate::incident::Incident;

/// Parameters of a text for a phone.
#[derive(Debug, Clone, Copy)]
pub struct SpokenLine<'a> {
    /// Longest text, in parts of an SMS.
    pub parts: usize,
    /// Whether replies reach the bot. Only then a reply code is useful.
    pub answers: bool,
    /// Ready text that waits for the same phone, or empty. It follows the incidents, shortened to a share of the capacity.
    pub ready: &'a str,
}

/// Longest text of a call, in UTF-16 units: bearable for a listener, and far below the limits of providers.
const VOICE_UNITS: usize = 600;

/// An SMS about these incidents. Each listed incident has its code; the others are counted.
pub fn sms(messages: &Messages, incidents: &[Incident], line: SpokenLine, reader: &Reader) -> Rendered {
    let parts = line.parts;
    let ready = sms::plain_signs(&split::shorten(line.ready.trim(), READY_UNITS * parts));
    let behind = |text: &str| match (text.is_empty(), ready.is_empty()) {
        (true, _) => ready.clone(),
        (_, true) => text.to_owned(),
        _ => format!("{text}. {ready}"),
    };
    let code = |incident: &Incident| match line.answers {
        true => behind(&say(reader.language, Text::Code { code: incident.code })),
        false => behind(""),
    };
    if let [incident] = incidents {
        let rendered = messages.render(TemplateShape::Sms, incident, reader);
        let body = rendered.text.split_whitespace().collect::<Vec<_>>().join(" ");
        return Rendered { text: sms::fit(&body, &code(incident), parts), fault: rendered.fault };
    }
    let head = format!("{}:", say(reader.language, Text::Several { count: incidents.len() }));
    let shared = place::SharedFacts::of(incidents);
    let entry = |incident: &Incident| {
        let place = place::short(incident, &shared, "");
        let title = super::bidi::strip(&format!("{} {place}", incident.title())).split_whitespace().collect::<Vec<_>>().join(" ");
        // The end of the place tells incidents apart.
        let title = split::around(&title, SEVERAL_TITLE_UNITS, None);
        sms::plain_signs(&if line.answers { format!("{title} ACK {}", incident.code) } else { title })
    };
    let entries: Vec<String> = incidents.iter().map(entry).collect();
    let text = |shown: usize| {
        let mut text = format!("{head} {}", entries[..shown].join("; "));
        if shown < entries.len() {
            text.push_str(&format!("; {}", say(reader.language, Text::More { count: (entries.len() - shown) as u64 })));
        }
        behind(&text)
    };
    let shown = (0..=entries.len()).rev().find(|shown| sms::parts(&text(*shown)) <= parts).unwrap_or(0);
    Rendered { text: text(shown), fault: None }
}

/// Longest following text per part, in UTF-16 units: less than half of a part in any alphabet.
const READY_UNITS: usize = 30;
/// Longest title if several share a message.
const SEVERAL_TITLE_UNITS: usize = 60;
const _: () = assert!(SEVERAL_TITLE_UNITS < TITLE_UNITS);

/// The text of a call.
pub fn voice(messages: &Messages, incidents: &[Incident], line: SpokenLine, reader: &Reader) -> Rendered {
    let mut fault = None;
    let mut said: Vec<String> = Vec::new();
    if incidents.len() > 1 {
        said.push(format!("{}.", say(reader.language, Text::Several { count: incidents.len() })));
    }
    for incident in incidents {
        let rendered = messages.render(TemplateShape::Voice, incident, reader);
        fault = fault.or(rendered.fault);
        said.push(rendered.text);
    }
    said.push(line.ready.to_owned());
    let text = said.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    Rendered { text: split::shorten(&text, VOICE_UNITS), fault }
}
