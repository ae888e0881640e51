//! What commands list: open incidents, silences, who is on duty. Bounded, so that an answer is one message.

use super::Counter;
use crate::{
    desk::Unavailable,
    incident::Incident,
    message::{
        Reader,
        age::Age,
        catalogue::{Saying, Word, say, word},
        mark,
        markup::escape,
        notice::{directed, plain_words, safe, titled},
        place,
    },
    store::incidents,
};

/// Lines of one answer.
const LINES: usize = 25;
/// Longest value in a line, in UTF-16 units.
pub(super) const VALUE: usize = 60;

pub(super) async fn alerts(counter: &Counter, reader: &Reader) -> Result<String, Unavailable> {
    let open = incidents::open(&counter.desk.readers, LINES).await.map_err(|error| Unavailable(error.to_string()))?;
    let counts = incidents::count_open(&counter.desk.readers).await.map_err(|error| Unavailable(error.to_string()))?;
    let count = usize::try_from(counts.iter().map(|(_, _, count)| count).sum::<i64>()).unwrap_or(0);
    if open.is_empty() {
        return Ok(plain_words(&say(reader.language, Saying::NothingOpen), reader));
    }
    let mut lines = vec![say(reader.language, Saying::Open { count })];
    let shared = place::Shared::of(&open);
    lines.extend(open.iter().map(|incident| line(incident, &shared, reader)));
    if count > open.len() {
        lines.push(say(reader.language, Saying::More { count: (count - open.len()) as u64 }));
    }
    Ok(directed(lines.join("\n"), reader))
}

fn line(incident: &Incident, shared: &place::Shared, reader: &Reader) -> String {
    let age = say(reader.language, Saying::Age(Age::between(incident.started_at, reader.now)));
    let taken = incident.acknowledgement.as_ref().map(|held| {
        let by = say(reader.language, Saying::TakenBy { by: &held.by });
        format!(" – {}", escape(&by))
    });
    format!("{} {} {age}{}", mark(incident), titled(incident, shared, reader), taken.unwrap_or_default())
}

pub(super) async fn silences(counter: &Counter, reader: &Reader) -> String {
    let safe = |text: &str| safe(text, VALUE, reader);
    if counter.alertmanagers.is_empty() {
        return plain_words(&say(reader.language, Saying::NoApiAddress), reader);
    }
    let mut lines = Vec::new();
    let mut count = 0;
    for alertmanager in counter.alertmanagers.iter() {
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
                tracing::warn!(error = format!("{error:#}"), alertmanager = alertmanager.name, "silences were not read");
                let failed = say(reader.language, Saying::AlertmanagerFailed);
                lines.push(format!("{}: {}", safe(&alertmanager.name), escape(&failed)));
            }
        }
    }
    if lines.is_empty() {
        return plain_words(&say(reader.language, Saying::NothingSilenced), reader);
    }
    lines.truncate(LINES);
    lines.insert(0, say(reader.language, Saying::Silences { count }));
    directed(lines.join("\n"), reader)
}

pub(super) fn on_call(counter: &Counter, reader: &Reader) -> String {
    let safe = |text: &str| safe(text, VALUE, reader);
    let book = &counter.desk.book;
    if book.config.schedules.is_empty() {
        return plain_words(&say(reader.language, Saying::NoSchedules), reader);
    }
    let mut lines = vec![say(reader.language, Saying::OnDuty)];
    for schedule in &book.schedules().collect::<Vec<_>>() {
        let on_duty: Vec<String> =
            book.on_duty(&schedule.name, reader.now).into_iter().map(|person| safe(&person.name)).collect();
        let who = if on_duty.is_empty() { word(reader.language, Word::Nobody).to_owned() } else { on_duty.join(", ") };
        let next = crate::oncall::next_after(schedule, reader.now).map(|(at, name)| {
            let at = reader.clock(at);
            format!(", {}", escape(&say(reader.language, Saying::OnDutyUntil { until: &at, next: &safe(name) })))
        });
        lines.push(format!("{}: <b>{who}</b>{}", safe(&schedule.name), next.unwrap_or_default()));
    }
    directed(lines.join("\n"), reader)
}
