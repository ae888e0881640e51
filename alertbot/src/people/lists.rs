//! What commands list: open incidents, silences, who is on duty. Bounded, so that an answer is one message.

use jiff::Timestamp;

use super::{
    Counter,
    phrases::{Phrase, phrase},
};
use crate::{config::Language, desk::Unavailable, incident::Incident, store::incidents};

/// Lines of one answer.
const LINES: usize = 25;
/// Characters of one value in a line.
const VALUE: usize = 60;

/// Text of others inside HTML: markup escaped, what would turn the line around removed, not too long.
pub fn safe(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().filter(|character| !is_unsafe(*character)).take(VALUE) {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            other => shown.push(other),
        }
    }
    if text.chars().count() > VALUE {
        shown.push('…');
    }
    shown
}

/// Controls, and marks that change the direction of what follows.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    let mark = match incident.severity {
        crate::incident::Severity::Critical => "🔴",
        crate::incident::Severity::Warning => "🟠",
        crate::incident::Severity::Info => "🔵",
    };
    let minutes = now.duration_since(incident.started_at).as_mins();
    let age = if minutes < 120 { format!("{minutes} min") } else { format!("{} h", minutes / 60) };
    let taken = incident.acknowledgement.as_ref().map(|held| {
        let by = safe(&held.by);
        format!(" – {}", phrase(language, &Phrase::TakenBy { by: &by }))
    });
    format!("{mark} {} <b>{}</b> {age}{}", incident.id, safe(&incident.title()), taken.unwrap_or_default())
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
        assert_eq!(safe(&"x".repeat(100)).chars().count(), 61);
    }
}
