//! This module previews messages as text: the routes of a group, the text for each chat, and the people called.

use std::fmt::Write;

use alertbot_core::{
    alert::{Alert, Payload, Status, payload::VERSION, read_body},
    delivery::Address,
    incident::{Incident, Phase},
    message::{
        Language, Reader,
        age::Age,
        catalogue::{Text, say},
        markup,
        samples::samples,
        sms, telephone,
        template::TemplateShape,
    },
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    config::{Means, Person},
    routing::{QuietMode, Routing},
    sender::buttons,
    writer::ingest::Ingest,
};

/// Previews every sample.
pub fn preview(routing: &Routing, now: Timestamp) -> String {
    let Some(alertmanager) = routing.config.alertmanagers.first() else { return String::new() };
    let mut text = String::new();
    for sample in samples(now) {
        let _ = writeln!(text, "== {}", sample.name);
        let mut incident = sample.incident.clone();
        incident.source.clone_from(&alertmanager.name);
        let payload = payload_of(&incident);
        incident.routes = routing.routes(&alertmanager.name, &payload).iter().map(|route| route.name.clone()).collect();
        text.push_str(&of_incident(routing, &incident, now));
        text.push('\n');
    }
    text
}

/// Previews a body, as if it arrived at the webhook of the first Alertmanager.
///
/// # Errors
/// Returns the reason why the webhook would reject the body.
pub fn preview_payload(routing: &Routing, body: &[u8], now: Timestamp) -> anyhow::Result<String> {
    let payload = read_body(body)?;
    let Some(alertmanager) = routing.config.alertmanagers.first() else { return Ok(String::new()) };
    let ingest = Ingest::new(routing, &alertmanager.name, payload);
    let mut incident = ingest.blank(SAMPLE_CODE, now);
    let rules = routing.rules(&incident);
    incident.begin(&ingest.observation, now, &rules);
    Ok(of_incident(routing, &incident, now))
}

const SAMPLE_CODE: u32 = 4711;

fn of_incident(routing: &Routing, incident: &Incident, now: Timestamp) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "routes: {}", listed(&incident.routes));
    for address in routing.chats(incident) {
        let chat = routing.config.chats.iter().find(|chat| Routing::chat_address(chat) == address);
        let name = chat.map_or("?", |chat| &chat.name);
        let sound = match routing.quiet_mode(&address, incident.severity, now) {
            QuietMode::Loud => String::new(),
            QuietMode::Mute => ", without a sound now (quiet hours)".into(),
            QuietMode::Hold(until) => format!(", held until {} (quiet hours)", routing.reader(&address, now).clock(until)),
        };
        let _ = writeln!(text, "at once, into chat {name}{sound}:");
        text.push_str(&card(routing, incident, &routing.reader(&address, now)));
    }
    escalation(routing, incident, now, &mut text);
    text
}

fn card(routing: &Routing, incident: &Incident, reader: &Reader) -> String {
    let rendered = routing.messages.render(TemplateShape::Telegram, incident, reader);
    let mut text = indented(&markup::plain(&rendered.text));
    for row in buttons::for_card(routing, incident, reader.language) {
        let row: Vec<String> = row.iter().map(|button| format!("[{}]", button.text)).collect();
        let _ = writeln!(text, "    {}", row.join(" "));
    }
    text
}

fn escalation(routing: &Routing, incident: &Incident, now: Timestamp, text: &mut String) {
    let Some(policy) = routing.escalation(incident).filter(|_| incident.phase == Phase::Firing) else { return };
    let _ = writeln!(text, "escalation {}, {} rounds, until a person acknowledges:", policy.name, policy.rounds);
    let mut at = now;
    let mut shown = Vec::new();
    for step in &policy.steps {
        at = SignedDuration::try_from(step.after).ok().and_then(|wait| at.checked_add(wait).ok()).unwrap_or(at);
        let people = routing.people_of(step, at);
        let mut told: Vec<String> = step.chats.iter().map(|chat| format!("chat {chat}")).collect();
        told.extend(people.iter().map(|person| {
            let ways: Vec<&str> =
                step.by.iter().filter(|means| person.can_be_reached(**means)).map(|means| means.name()).collect();
            format!("{} by {}", person.name, listed(&ways))
        }));
        let wait = say(Language::English, Text::Age(Age::between(now, at)));
        let _ = writeln!(text, "  after {wait}: {}", listed(&told));
        for person in people {
            for means in step.by.iter().filter(|means| **means != Means::Telegram) {
                phone(routing, incident, person, *means, at, &mut shown, text);
            }
        }
    }
    if policy.then_everyone {
        let everyone: Vec<&str> = routing.everyone().iter().map(|person| &*person.name).collect();
        let _ = writeln!(text, "  then everyone: {}", listed(&everyone));
    }
}

/// Shows each text once, even if several people receive it.
fn phone(
    routing: &Routing,
    incident: &Incident,
    person: &Person,
    means: Means,
    at: Timestamp,
    shown: &mut Vec<String>,
    text: &mut String,
) {
    let Some(address) = Routing::person_address(person, means) else { return };
    let reader = routing.reader(&address, at);
    let (parts, answers) = match &address {
        Address::Phone { provider, .. } => routing.line(provider),
        Address::Telegram { .. } => return,
    };
    let line = telephone::SpokenLine { parts, answers, ready: "" };
    let incidents = std::slice::from_ref(incident);
    let said = match means {
        Means::Sms => telephone::sms(&routing.messages, incidents, line, &reader).text,
        _ => telephone::voice(&routing.messages, incidents, line, &reader).text,
    };
    if shown.contains(&said) {
        return;
    }
    let count = match means {
        Means::Sms => format!("sms, {} of at most {parts} parts, {}", sms::parts(&said), sms::Alphabet::of(&said).name()),
        _ => "voice".into(),
    };
    let _ = write!(text, "    {count}:\n{}", indented(&said));
    shown.push(said);
}

fn listed(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() {
        return "no one".into();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}

fn payload_of(incident: &Incident) -> Payload {
    let alerts = incident.alerts.iter().map(|(fingerprint, alert)| Alert {
        status: alert.status,
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at: alert.starts_at,
        ends_at: alert.ends_at,
        generator_url: alert.generator_url.to_string(),
        fingerprint: fingerprint.clone(),
    });
    Payload {
        version: VERSION.into(),
        group_key: incident.group_key.clone(),
        truncated_alerts: 0,
        status: Status::Firing,
        receiver: incident.receiver.clone(),
        group_labels: incident.group_labels.clone(),
        common_labels: incident.common_labels(),
        common_annotations: incident.common_annotations(),
        external_url: incident.external_url.clone(),
        alerts: alerts.collect(),
    }
}
