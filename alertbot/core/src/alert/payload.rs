//! This module defines the body of Alertmanager's webhook, version "4"
//! (<https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>). Unknown fields are ignored, because newer
//! Alertmanagers add some.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::Labels;

/// The only version.
pub const VERSION: &str = "4";

/// One group of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// `"4"`.
    pub version: String,
    /// Identifies the group within one Alertmanager by its route and group labels.
    #[serde(default, deserialize_with = "or_default")]
    pub group_key: String,
    /// Number of alerts that `max_alerts` removed. If it is not zero, `status` is that of the remaining alerts.
    #[serde(default, deserialize_with = "or_default")]
    pub truncated_alerts: u64,
    /// Firing while an alert of the list fires.
    #[serde(default)]
    pub status: Status,
    /// The receiver in Alertmanager's configuration.
    #[serde(default, deserialize_with = "or_default")]
    pub receiver: String,
    #[serde(default)]
    pub group_labels: Labels,
    #[serde(default)]
    pub common_labels: Labels,
    #[serde(default)]
    pub common_annotations: Labels,
    /// Alertmanager's address for people.
    #[serde(default, rename = "externalURL", deserialize_with = "or_default")]
    pub external_url: String,
    #[serde(deserialize_with = "or_default")]
    pub alerts: Vec<Alert>,
}

/// One alert of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub status: Status,
    #[serde(default)]
    pub labels: Labels,
    #[serde(default)]
    pub annotations: Labels,
    /// [`Alert::UNKNOWN_START`] if the sender omitted it.
    #[serde(default = "unknown_start", deserialize_with = "start")]
    pub starts_at: Timestamp,
    /// `None` while it fires. Alertmanager then writes the year 1.
    #[serde(default, deserialize_with = "end", serialize_with = "write_end")]
    pub ends_at: Option<Timestamp>,
    /// Prometheus's page of the expression, with `g0.expr`.
    #[serde(default, rename = "generatorURL", deserialize_with = "or_default")]
    pub generator_url: String,
    /// Hash of the labels. Empty if the sender omitted it; use [`Alert::identity`].
    #[serde(default, deserialize_with = "or_default")]
    pub fingerprint: Box<str>,
}

/// State of an alert or of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Firing,
    Resolved,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        })
    }
}

impl Alert {
    /// Stands for a missing start.
    pub const UNKNOWN_START: Timestamp = Timestamp::UNIX_EPOCH;

    /// The fingerprint, or a hash of the labels if it is missing.
    pub fn identity(&self) -> Box<str> {
        if !self.fingerprint.is_empty() {
            return self.fingerprint.clone();
        }
        let mut hash = Sha256::new();
        for (name, value) in self.labels.iter() {
            hash.update(name);
            hash.update([0]);
            hash.update(value);
            hash.update([0]);
        }
        let digest = hash.finalize();
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }
}

/// An end before this, in Unix seconds, is Alertmanager's zero time (year 1): the alert has not ended.
const FIRST_END: i64 = 0;

/// Null is the default: an optional field must not cost the alert.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A time; `None` if it is null, empty or the zero time.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)?.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let moment: Timestamp = text.trim().parse().map_err(serde::de::Error::custom)?;
    Ok(Some(moment).filter(|moment| moment.as_second() > FIRST_END))
}

fn unknown_start() -> Timestamp {
    Alert::UNKNOWN_START
}

fn start<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Ok(moment(deserializer)?.unwrap_or(Alert::UNKNOWN_START))
}

fn end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    moment(deserializer)
}

fn write_end<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => moment.serialize(serializer),
        None => serializer.serialize_str("0001-01-01T00:00:00Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = r#"{
        "receiver": "bot", "status": "firing", "version": "4", "groupKey": "{}:{alertname=\"Down\"}", "truncatedAlerts": 0,
        "groupLabels": {"alertname": "Down"}, "commonLabels": {"alertname": "Down"}, "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093", "notification_reason": "new",
        "alerts": [{
            "status": "firing", "labels": {"alertname": "Down"}, "annotations": {"summary": "down"},
            "startsAt": "2026-01-31T00:00:00.5Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p/graph?g0.expr=up",
            "fingerprint": "c0ffee", "silenceURL": "x"
        }]
    }"#;

    #[test]
    fn reads_alertmanagers_body_and_ignores_unknown_fields() {
        let payload: Payload = serde_json::from_str(GROUP).unwrap();
        assert_eq!((payload.status, payload.alerts[0].ends_at), (Status::Firing, None));
        assert_eq!(payload.alerts[0].identity().as_ref(), "c0ffee");
        let again: Payload = serde_json::from_str(&serde_json::to_string(&payload).unwrap()).unwrap();
        assert_eq!(again, payload);
    }

    /// An optional field that is missing, null or empty does not cost the alert.
    #[test]
    fn an_optional_field_does_not_cost_the_alert() {
        let body: serde_json::Value = serde_json::from_str(GROUP).unwrap();
        let places = ["", "/alerts/0"].map(|at| (at, body.pointer(at).unwrap().as_object().unwrap()));
        for (at, name) in places.iter().flat_map(|(at, object)| object.keys().map(move |name| (*at, name.clone()))) {
            let is_needed = matches!((at, name.as_str()), ("", "version" | "alerts") | (_, "status"));
            let mut missing = body.clone();
            missing.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(&name);
            let read = serde_json::from_value::<Payload>(missing);
            assert_eq!(read.is_err(), is_needed && (at, name.as_str()) != ("", "status"), "without {at}/{name}: {read:?}");
            let mut null = body.clone();
            null.pointer_mut(at).unwrap()[&name] = serde_json::Value::Null;
            let read = serde_json::from_value::<Payload>(null);
            assert_eq!(read.is_err(), is_needed && name != "alerts", "{at}/{name} null: {read:?}");
        }
        for (starts, ends) in [("\"0001-01-01T00:00:00Z\"", "\"\""), ("\"\"", "null"), ("null", "\"0001-01-01T00:00:00Z\"")] {
            let text = format!(r#"{{"status":"firing","startsAt":{starts},"endsAt":{ends}}}"#);
            let alert: Alert = serde_json::from_str(&text).unwrap();
            assert_eq!((alert.starts_at, alert.ends_at), (Alert::UNKNOWN_START, None), "{text}");
        }
    }

    #[test]
    fn labels_identify_an_alert_without_a_fingerprint() {
        let read = |labels: &str| {
            let text = format!(r#"{{"status":"firing","labels":{labels},"startsAt":"2026-01-31T00:00:00Z"}}"#);
            serde_json::from_str::<Alert>(&text).unwrap().identity()
        };
        assert_eq!(read(r#"{"a":"1","b":"2"}"#), read(r#"{"b":"2","a":"1"}"#));
        assert_ne!(read(r#"{"a":"1"}"#), read(r#"{"a":"2"}"#));
        assert_eq!(read("{}").len(), 16);
    }
}
