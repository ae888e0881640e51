//! This module builds the template context of an incident. Its size is bounded: of ten thousand alerts some are listed and the
//! rest is counted.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::{
    Reader,
    age::Age,
    catalogue::{Text, Word, say, word},
    links, mark, place, split,
};
use crate::{
    alert::{Labels, Status},
    incident::{Incident, Phase, Tracked},
};
use minijinja::{
    Value,
    value::{Enumerator, Object},
};

/// Every name available to templates, with its meaning. `alertbot check --templates` prints them, and templates are checked
/// against them.
pub const NAMES: [(&str, &str); 33] = [
    ("title", "alertname, or the number of alerts if they differ"),
    ("number", "#12"),
    ("code", "code for a reply by SMS: ACK 1234"),
    ("severity", "critical, warning or info"),
    ("severity_word", "severity in the reader's language"),
    ("phase", "firing, acknowledged or resolved"),
    ("phase_word", "phase in the reader's language"),
    ("mark", "a coloured circle"),
    ("started", "start time, in the reader's time zone"),
    ("age", "time since the start"),
    ("ended", "end time; empty until the end"),
    ("lasted", "duration; empty until the end"),
    ("summary", "annotation common to all alerts"),
    ("description", "annotation common to all alerts"),
    ("value", "annotation value or current_value, if common to all alerts"),
    ("labels", "labels common to all alerts, without alertname and severity"),
    ("labels_left", "number of labels not shown, as text; empty if all are shown"),
    ("place", "values of the location labels that the summary does not contain"),
    ("annotations", "annotations common to all alerts"),
    ("counts", "numbers of firing and resolved alerts, as text"),
    ("firing", "number of firing alerts"),
    ("resolved", "number of resolved alerts"),
    (
        "alerts",
        "the first alerts: name, status, mark, severity, labels (only different ones), difference, annotations, summary, value, age",
    ),
    ("more", "number of further alerts, as text; empty if all are listed"),
    ("taken", "owner, as text; empty if unassigned"),
    ("silenced", "list of silences set through the bot, as text"),
    ("blind", "since when the Watchdog is missing, as text; empty if it is not"),
    ("cause", "the incidents whose alerts inhibit this one in Alertmanager, as text"),
    ("suppressed", "whether it is silenced or inhibited in Alertmanager"),
    ("links", "runbook, dashboard, logs, expression and silence, if available: url, words"),
    ("source", "name of the Alertmanager"),
    ("receiver", "name of the receiver in Alertmanager"),
    ("words", "the catalogue: words.runbook, words.since, …"),
];

/// Most alerts listed one by one.
pub const SHOWN_ALERTS: usize = 10;
/// Most labels shown of one set.
const SHOWN_LABELS: usize = 12;
/// Longest value of a label, in UTF-16 units.
const LABEL_UNITS: usize = 200;
/// Longest annotation, in UTF-16 units.
const ANNOTATION_UNITS: usize = 1500;
/// Longest title, in UTF-16 units.
pub const TITLE_UNITS: usize = 120;

/// The context of one rendering.
pub fn context(incident: &Incident, reader: &Reader) -> Value {
    let (language, now) = (reader.language, reader.now);
    let ours = |text: String| Value::from_safe_string(text);
    let link = |(name, url): (Word, String)| object([("url", Value::from(url)), ("words", ours(word(language, name).into()))]);
    let (labels, annotations) = (incident.common_labels(), incident.common_annotations());
    let firing = incident.firing().count();
    let resolved = incident.alerts.len() - firing;
    let mut speaking: Vec<&Tracked> = incident.speaking().collect();
    // Highest severity first, then oldest first.
    speaking.sort_by_key(|alert| (Reverse(alert.severity), alert.starts_at));
    let long = place::LongValues::of(speaking.iter().map(|alert| &alert.labels), LABEL_UNITS);
    let shown: Vec<Value> =
        speaking.into_iter().take(SHOWN_ALERTS).map(|alert| one(alert, &labels, &annotations, &long, reader)).collect();
    let rest = incident.speaking().skip(SHOWN_ALERTS).count() as u64 + incident.truncated;
    let ended = incident.ended_at.map(|at| reader.clock(at)).unwrap_or_default();
    let lasted = incident.ended_at.map(|at| say(language, Text::Age(Age::between(incident.started_at, at))));
    let entries: [(&str, Value); NAMES.len()] = [
        ("title", split::shorten(&incident.title(), TITLE_UNITS).into()),
        ("number", incident.id.to_string().into()),
        ("code", incident.code.into()),
        ("severity", incident.severity.name().into()),
        ("severity_word", ours(word(language, Word::of_severity(incident.severity)).into())),
        ("phase", phase(incident.phase).into()),
        ("phase_word", ours(word(language, Word::of_phase(incident.phase)).into())),
        ("mark", ours(mark(incident).into())),
        ("started", reader.clock(incident.started_at).into()),
        ("age", ours(say(language, Text::Age(Age::between(incident.started_at, now))))),
        ("ended", ended.into()),
        ("lasted", ours(lasted.unwrap_or_default())),
        ("summary", annotation(&annotations, &["summary", "message"])),
        ("description", annotation(&annotations, &["description"])),
        ("value", annotation(&annotations, &VALUES)),
        (
            "labels",
            map(&labels, |_, value| split::around(value, LABEL_UNITS, None), |name, _| !matches!(name, "alertname" | "severity")),
        ),
        ("labels_left", ours(labels_left(&labels, reader))),
        ("place", place::short(incident, &place::SharedFacts::default(), summary_of(&annotations)).into()),
        ("annotations", map(&annotations, |_, value| split::shorten(value, ANNOTATION_UNITS), |_, _| true)),
        ("counts", ours(say(language, Text::Counts { firing, resolved }))),
        ("firing", firing.into()),
        ("resolved", resolved.into()),
        ("alerts", shown.into()),
        ("more", ours(if rest == 0 { String::new() } else { say(language, Text::More { count: rest }) })),
        ("taken", ours(taken(incident, reader))),
        ("silenced", incident.silences.iter().map(|silence| silenced(silence, reader)).collect::<Vec<_>>().into()),
        ("blind", ours(blind(incident, reader))),
        ("cause", ours(cause(incident, reader))),
        ("suppressed", (incident.suppressed && incident.is_open()).into()),
        ("links", links::links(incident, &labels, &annotations, &reader.links).into_iter().map(link).collect::<Vec<_>>().into()),
        ("source", incident.source.as_str().into()),
        ("receiver", incident.receiver.as_str().into()),
        ("words", object(Word::ALL.map(|one| (one.key(), ours(word(language, one).into()))))),
    ];
    object(entries)
}

/// A plain collection of pairs would become a list.
fn object<const COUNT: usize>(entries: [(&'static str, Value); COUNT]) -> Value {
    Value::from(BTreeMap::from(entries))
}

const VALUES: [&str; 3] = ["value", "current_value", "current"];

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Firing => "firing",
        Phase::Acknowledged => "acknowledged",
        Phase::Resolved => "resolved",
    }
}

fn one(alert: &Tracked, common: &Labels, common_annotations: &Labels, long: &place::LongValues, reader: &Reader) -> Value {
    let own = |name: &str, value: &str| common.get(name) != Some(value) && !matches!(name, "alertname" | "severity");
    let all: Vec<(&str, &str)> = place::ranked(&alert.labels).into_iter().filter(|(name, value)| own(name, value)).collect();
    let left = all.len().saturating_sub(SHOWN_LABELS);
    let shown = all.into_iter().take(SHOWN_LABELS);
    let mut difference: Vec<String> =
        shown.map(|(name, value)| format!("{name}={}", long.shorten(name, value, LABEL_UNITS))).collect();
    if left > 0 {
        difference.push(format!("+{left}"));
    }
    let fires = alert.status == Status::Firing;
    let until = alert.ends_at.filter(|_| !fires).unwrap_or(reader.now);
    let age = say(reader.language, Text::Age(Age::between(alert.starts_at, until)));
    let unshared = |_: &str, _: &str| true;
    let summary = match annotation(&alert.annotations, &["summary", "message"]) {
        summary if common_annotations.get("summary").is_none() => summary,
        _ => "".into(),
    };
    let entries: [(&str, Value); 10] = [
        ("name", split::shorten(alert.labels.get("alertname").unwrap_or_default(), TITLE_UNITS).into()),
        ("status", alert.status.to_string().into()),
        ("mark", Value::from_safe_string(if fires { "•" } else { "✓" }.into())),
        ("severity", alert.severity.name().into()),
        ("labels", map(&alert.labels, |name, value| long.shorten(name, value, LABEL_UNITS), own)),
        ("difference", difference.join(" ").into()),
        ("annotations", map(&alert.annotations, |_, value| split::shorten(value, ANNOTATION_UNITS), unshared)),
        ("summary", summary),
        ("value", annotation(&alert.annotations, &VALUES)),
        ("age", Value::from_safe_string(age)),
    ];
    object(entries)
}

fn annotation(annotations: &Labels, names: &[&str]) -> Value {
    let found = names.iter().find_map(|name| annotations.get(name));
    split::shorten(found.unwrap_or_default().trim(), ANNOTATION_UNITS).into()
}

fn map(labels: &Labels, short: impl Fn(&str, &str) -> String, shown: impl Fn(&str, &str) -> bool) -> Value {
    let mut shown: Vec<(&str, &str)> = labels.iter().filter(|(name, value)| shown(name, value)).collect();
    // Of many labels, the location labels stay.
    shown.sort_by_key(|(name, _)| place::rank(name));
    let shown = shown.into_iter().take(SHOWN_LABELS);
    Value::from_object(InOrder(shown.map(|(name, value)| (name.to_owned(), short(name, value))).collect()))
}

/// A map of names and values that templates see in this order.
#[derive(Debug)]
struct InOrder(Vec<(String, String)>);

impl Object for InOrder {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str().into())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| name.as_str().into()).collect())
    }
}

fn labels_left(labels: &Labels, reader: &Reader) -> String {
    match place::ranked(labels).len().saturating_sub(SHOWN_LABELS) {
        0 => String::new(),
        count => say(reader.language, Text::LabelsLeft { count }),
    }
}

fn summary_of(annotations: &Labels) -> &str {
    annotations.get("summary").or(annotations.get("message")).unwrap_or_default()
}

fn taken(incident: &Incident, reader: &Reader) -> String {
    let by = match (&incident.acknowledgement, &incident.taken_by) {
        (Some(held), _) => &held.by,
        (None, Some(by)) if !incident.is_open() => by,
        _ => return String::new(),
    };
    super::markup::escape(&say(reader.language, Text::TakenBy { by })).into_owned()
}

/// Most incidents named as the cause.
const SHOWN_CAUSES: usize = 2;

fn cause(incident: &Incident, reader: &Reader) -> String {
    if !incident.is_open() || incident.causes.is_empty() {
        return String::new();
    }
    let mut named: Vec<String> = Vec::new();
    for cause in &incident.causes {
        let name = format!("{} {}", split::line(&cause.title, TITLE_UNITS), cause.incident);
        if !named.contains(&name) {
            named.push(name);
        }
    }
    let more = named.len().saturating_sub(SHOWN_CAUSES);
    named.truncate(SHOWN_CAUSES);
    if more > 0 {
        named.push(format!("+{more}"));
    }
    super::markup::escape(&say(reader.language, Text::CausedBy { by: &named.join(", ") })).into_owned()
}

fn blind(incident: &Incident, reader: &Reader) -> String {
    let since = incident.blind_since.filter(|_| incident.is_open());
    let said = since.map(|since| say(reader.language, Text::BlindSince { at: &reader.clock(since) }));
    said.map(|said| super::markup::escape(&said).into_owned()).unwrap_or_default()
}

fn silenced(silence: &crate::incident::Silence, reader: &Reader) -> Value {
    let until = reader.clock(silence.until);
    let said = say(reader.language, Text::SilencedBy { by: &silence.by, until: &until });
    Value::from_safe_string(super::markup::escape(&said).into_owned())
}
