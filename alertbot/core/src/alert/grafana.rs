//! This module reads the webhook of Grafana-managed alerts, version "1"
//! (<https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/>).
//! It is Alertmanager's with more fields per alert: values, and links to dashboard, panel and silence. They become annotations, unless
//! the rule has annotations with that name.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Labels, payload::Payload};

/// The version that Grafana writes.
pub const VERSION: &str = "1";

#[derive(Default, Deserialize)]
struct Extra {
    #[serde(default)]
    alerts: Vec<ExtraAlert>,
}

/// Each field is only shown, so one of an unexpected type is left out: it must not cost the alert.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExtraAlert {
    /// Values by query; null for alerts about missing data and errors.
    #[serde(default)]
    values: Value,
    #[serde(default)]
    value_string: Value,
    #[serde(default, rename = "silenceURL")]
    silence_url: Value,
    #[serde(default, rename = "dashboardURL")]
    dashboard_url: Value,
    #[serde(default, rename = "panelURL")]
    panel_url: Value,
}

/// Adds the fields that only Grafana writes.
pub fn add(payload: &mut Payload, body: &[u8]) {
    let extra: Extra = serde_json::from_slice(body).unwrap_or_default();
    for (alert, extra) in payload.alerts.iter_mut().zip(extra.alerts) {
        let shown = shown(&extra);
        // The panel is closer to the rule than its dashboard.
        let dashboard = said(&extra.panel_url).or_else(|| said(&extra.dashboard_url));
        let given = [("value", shown), ("dashboard_url", dashboard), ("silence_url", said(&extra.silence_url))];
        let own = alert.annotations.iter().filter(|(_, value)| !value.is_empty());
        let added = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        // Of equal names the later one applies: the rule's.
        let all: Labels = added.chain(own.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
        alert.annotations = all;
    }
    let mut annotations = payload.alerts.iter().map(|alert| &alert.annotations);
    if let Some(first) = annotations.next().cloned() {
        payload.common_annotations = annotations.fold(first, |common, more| common.shared_with(more));
    }
}

/// A group without a key has that of its labels, and a receiver without a name is Grafana.
pub fn name_group(payload: &mut Payload) {
    if payload.group_key.is_empty() {
        let labels = if payload.group_labels.is_empty() { &payload.common_labels } else { &payload.group_labels };
        let first = payload.alerts.first().map(|alert| &alert.labels).filter(|_| labels.is_empty());
        let labels = serde_json::to_string(first.unwrap_or(labels)).unwrap_or_default();
        payload.group_key = format!("grafana:{labels}");
    }
    if payload.receiver.is_empty() {
        "grafana".clone_into(&mut payload.receiver);
    }
}

/// A text that is not empty.
fn said(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// One value as it is, several with their names.
fn shown(extra: &ExtraAlert) -> Option<String> {
    let values: Vec<(&String, &Value)> =
        extra.values.as_object().into_iter().flat_map(Map::iter).filter(|(_, value)| !value.is_null()).collect();
    match values.as_slice() {
        [] => said(&extra.value_string),
        [(_, value)] => Some(text(value)),
        several => Some(several.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(", ")),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
