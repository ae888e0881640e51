//! Webhooks as Alertmanager writes them.

use jiff::Timestamp;
use serde_json::{Value, json};

/// One alert of a group.
pub fn alert(status: &str, labels: Value, starts_at: Timestamp) -> Value {
    let ends_at = if status == "firing" { "0001-01-01T00:00:00Z".to_owned() } else { Timestamp::now().to_string() };
    json!({
        "status": status,
        "labels": labels,
        "annotations": {"summary": format!("{} is wrong", labels["alertname"].as_str().unwrap_or("something"))},
        "startsAt": starts_at.to_string(),
        "endsAt": ends_at,
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "fingerprint": fingerprint(&labels),
    })
}

/// Not Alertmanager's hash, but one like it: the same labels give the same text.
fn fingerprint(labels: &Value) -> String {
    let hash = labels
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// A group of these alerts.
pub fn group(key: &str, alerts: &[Value]) -> Value {
    let firing = alerts.iter().any(|alert| alert["status"] == "firing");
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{alertname=\"{key}\"}}"),
        "truncatedAlerts": 0,
        "status": if firing { "firing" } else { "resolved" },
        "receiver": "alertbot",
        "groupLabels": {"alertname": key},
        "commonLabels": alerts[0]["labels"],
        "commonAnnotations": alerts[0]["annotations"],
        "externalURL": "http://alertmanager:9093",
        "alerts": alerts,
    })
}

/// A group with one alert of this name and severity.
pub fn single(name: &str, severity: &str, status: &str, starts_at: Timestamp) -> Value {
    group(name, &[alert(status, json!({"alertname": name, "severity": severity, "instance": "a:1"}), starts_at)])
}
