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
    pub group_key: String,
    /// Number of alerts that `max_alerts` removed. If it is not zero, `status` is that of the remaining alerts.
    #[serde(default)]
    pub truncated_alerts: u64,
    /// Firing while an alert of the list fires.
    pub status: Status,
    /// The receiver in Alertmanager's configuration.
    pub receiver: String,
    #[serde(default)]
    pub group_labels: Labels,
    #[serde(default)]
    pub common_labels: Labels,
    #[serde(default)]
    pub common_annotations: Labels,
    /// Alertmanager's address for people.
    #[serde(default, rename = "externalURL")]
    pub external_url: String,
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
    pub starts_at: Timestamp,
    /// `None` while it fires. Alertmanager then writes the year 1.
    #[serde(default, deserialize_with = "end", serialize_with = "write_end")]
    pub ends_at: Option<Timestamp>,
    /// Prometheus's page of the expression, with `g0.expr`.
    #[serde(default, rename = "generatorURL")]
    pub generator_url: String,
    /// Hash of the labels. Empty if the sender omitted it; use [`Alert::identity`].
    #[serde(default)]
    pub fingerprint: Box<str>,
}

/// State of an alert or of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
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

fn end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let moment = Option::<Timestamp>::deserialize(deserializer)?;
    Ok(moment.filter(|moment| moment.as_second() > FIRST_END))
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
