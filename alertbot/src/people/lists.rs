//! What commands list: open incidents, silences, who is on duty. Bounded, so that an answer is one message.

use jiff::Timestamp;

use super::{
    Counter,
    phrases::{Phrase, phrase},
};
use crate::{
    config::Language,
    desk::Unavailable,
    incident::Incident,
    message::{
        age::Age,
        bidi,
        catalogue::{Saying, say},
        mark,
        markup::escape,
        split::shorten,
    },
    store::incidents,
};

/// Lines of one answer.
const LINES: usize = 25;
/// Longest value in a line, in UTF-16 units.
const VALUE: usize = 60;

/// Text of others inside HTML: markup escaped, what would turn the line around removed, not too long.
pub fn safe(text: &str) -> String {
    let line = bidi::strip(text).split_whitespace().collect::<Vec<_>>().join(" ");
    escape(&shorten(&line, VALUE)).into_owned()
}

pub(super) async fn alerts(counter: &Counter, language: Language) -> Result<String, Unavailable> {
    let open = incidents::open(&counter.desk.readers, LINES).await.map_err(|error| Unavailable(error.to_string()))?;
    let counts = incidents::count_open(&counter.desk.readers).await.map_err(|error| Unavailable(error.to_string()))?;
    let count = usize::try_from(counts.iter().map(|(_, _, count)| count).sum::<i64>()).unwrap_or(0);
    if open.is_empty() {
        return Ok(phrase(language, &Phrase::NoAlerts));
    }
    let mut lines = vec![phrase(language, &Phrase::Alerts { count })];
    lines.extend(open.iter().map(|incident| line(incident, language, counter.clock.now())));
    if count > open.len() {
        lines.push(phrase(language, &Phrase::More { count: count - open.len() }));
    }
    Ok(lines.join("\n"))
}

fn line(incident: &Incident, language: Language, now: Timestamp) -> String {
    let age = say(language, Saying::Age(Age::between(incident.started_at, now)));
    let taken = incident.acknowledgement.as_ref().map(|held| {
        let by = safe(&held.by);
        format!(" – {}", phrase(language, &Phrase::TakenBy { by: &by }))
    });
    format!("{} {} <b>{}</b> {age}{}", mark(incident), incident.id, safe(&incident.title()), taken.unwrap_or_default())
}

pub(super) async fn silences(counter: &Counter, language: Language) -> String {
    let mut lines = Vec::new();
    let mut count = 0;
    for alertmanager in counter.alertmanagers.iter() {
        match alertmanager.silences().await {
            Ok(silences) => {
                count += silences.len();
                for silence in silences.iter().take(LINES) {
                    let matchers: Vec<String> = silence
                        .matchers
                        .iter()
                        .map(|matcher| format!("{}={}", safe(&matcher.name), safe(&matcher.value)))
                        .collect();
                    let until = counter.desk.book.config.time_zone.to_datetime(silence.ends_at);
                    lines.push(format!(
                        "<code>{}</code> {} – {} ({})",
                        safe(silence.id.as_deref().unwrap_or_default()),
                        matchers.join(", "),
                        until.strftime("%Y-%m-%d %H:%M"),
                        safe(&silence.created_by)
                    ));
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), alertmanager = alertmanager.name, "silences were not read");
                lines.push(format!("{}: {}", safe(&alertmanager.name), phrase(language, &Phrase::AlertmanagerFailed)));
            }
        }
    }
    if lines.is_empty() {
        return phrase(language, &Phrase::NoSilences);
    }
    lines.truncate(LINES);
    lines.insert(0, phrase(language, &Phrase::Silences { count }));
    lines.join("\n")
}

pub(super) fn on_call(counter: &Counter, language: Language) -> String {
    let book = &counter.desk.book;
    if book.config.schedules.is_empty() {
        return phrase(language, &Phrase::NoSchedules);
    }
    let mut lines = vec![phrase(language, &Phrase::OnDuty)];
    for schedule in &book.config.schedules {
        let on_duty: Vec<String> =
            book.on_duty(&schedule.name, counter.clock.now()).into_iter().map(|person| safe(&person.name)).collect();
        let who = if on_duty.is_empty() { phrase(language, &Phrase::NobodyOnDuty) } else { on_duty.join(", ") };
        lines.push(format!("{}: <b>{who}</b>", safe(&schedule.name)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn what_others_wrote_cannot_mark_up_or_turn_around() {
        assert_eq!(safe("<b>a&b</b>\u{202e}x\n"), "&lt;b&gt;a&amp;b&lt;/b&gt;x");
        assert_eq!(safe(&"x".repeat(100)).chars().count(), 60);
    }
}
