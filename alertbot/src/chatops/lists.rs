//! This module lists open incidents, silences and people on duty. Lists are bounded, so that an answer is one message.

use alertbot_core::{
    incident::Incident,
    message::{
        Reader,
        age::Age,
        catalogue::{Text, Word, say, word},
        mark,
        markup::escape,
        notice::{directed, plain_words, safe, titled},
        place,
    },
    oncall,
};

use super::BotContext;
use crate::{store::incidents, writer::Unavailable};

/// Most lines of one answer.
const LINES: usize = 25;
/// Longest value in a line, in UTF-16 units.
pub(super) const VALUE: usize = 60;

pub(super) async fn alerts(context: &BotContext, reader: &Reader) -> Result<String, Unavailable> {
    let mut open = incidents::open(&context.writer.readers, LINES).await.map_err(|error| Unavailable(error.to_string()))?;
    let counts = incidents::count_open(&context.writer.readers).await.map_err(|error| Unavailable(error.to_string()))?;
    let count = usize::try_from(counts.iter().map(|(_, _, count)| count).sum::<i64>()).unwrap_or(0);
    if open.is_empty() {
        return Ok(plain_words(&say(reader.language, Text::NothingOpen), reader));
    }
    // Causes before what they cause.
    open.sort_by_key(|incident| !incident.causes.is_empty());
    let mut lines = vec![say(reader.language, Text::Open { count })];
    let shared = place::SharedFacts::of(&open);
    lines.extend(open.iter().map(|incident| line(incident, &shared, reader)));
    if count > open.len() {
        lines.push(say(reader.language, Text::More { count: (count - open.len()) as u64 }));
    }
    Ok(directed(lines.join("\n"), reader))
}

fn line(incident: &Incident, shared: &place::SharedFacts, reader: &Reader) -> String {
    let age = say(reader.language, Text::Age(Age::between(incident.started_at, reader.now)));
    let taken = incident.acknowledgement.as_ref().map(|held| {
        let by = say(reader.language, Text::TakenBy { by: &held.by });
        format!(" – {}", escape(&by))
    });
    format!("{} {} {age}{}", mark(incident), titled(incident, shared, reader), taken.unwrap_or_default())
}

pub(super) async fn silences(context: &BotContext, reader: &Reader) -> String {
    let safe = |text: &str| safe(text, VALUE, reader);
    if context.alertmanagers.is_empty() {
        return plain_words(&say(reader.language, Text::NoApiAddress), reader);
    }
    let mut lines = Vec::new();
    let mut count = 0;
    for alertmanager in context.alertmanagers.iter() {
        match alertmanager.silences().await {
            Ok(silences) => {
                count += silences.len();
                for silence in silences.iter().take(LINES) {
                    let matchers: Vec<String> =
                        silence.matchers.iter().map(|matcher| safe(&format!("{}={}", matcher.name, matcher.value))).collect();
                    lines.push(format!(
                        "<code>{}</code> {} – {} ({})",
                        safe(silence.id.as_deref().unwrap_or_default()),
                        matchers.join(", "),
                        reader.clock(silence.ends_at),
                        safe(&silence.created_by)
                    ));
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), alertmanager = alertmanager.name, "failed to read silences");
                let failed = say(reader.language, Text::AlertmanagerFailed);
                lines.push(format!("{}: {}", safe(&alertmanager.name), escape(&failed)));
            }
        }
    }
    if lines.is_empty() {
        return plain_words(&say(reader.language, Text::NothingSilenced), reader);
    }
    lines.truncate(LINES);
    lines.insert(0, say(reader.language, Text::Silences { count }));
    directed(lines.join("\n"), reader)
}

pub(super) fn on_call(context: &BotContext, reader: &Reader) -> String {
    let safe = |text: &str| safe(text, VALUE, reader);
    let routing = &context.writer.routing;
    if routing.config.schedules.is_empty() {
        return plain_words(&say(reader.language, Text::NoSchedules), reader);
    }
    let mut lines = vec![say(reader.language, Text::OnDuty)];
    for schedule in &routing.schedules().collect::<Vec<_>>() {
        let on_duty: Vec<String> =
            routing.on_duty(&schedule.name, reader.now).into_iter().map(|person| safe(&person.name)).collect();
        let who = if on_duty.is_empty() { word(reader.language, Word::Nobody).to_owned() } else { on_duty.join(", ") };
        let next = oncall::next_after(schedule, reader.now).map(|(at, name)| {
            let at = reader.clock(at);
            format!(", {}", escape(&say(reader.language, Text::OnDutyUntil { until: &at, next: &safe(name) })))
        });
        lines.push(format!("{}: <b>{who}</b>{}", safe(&schedule.name), next.unwrap_or_default()));
    }
    directed(lines.join("\n"), reader)
}
