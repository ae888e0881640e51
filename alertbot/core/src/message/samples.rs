//! This module contains sample incidents for templates: common ones, and hostile ones.

use jiff::{SignedDuration, Timestamp};

use crate::{
    alert::{Labels, Severity, Status},
    incident::{Acknowledgement, Incident, IncidentId, Phase, Silence, Tracked},
};

/// One sample and its description.
#[derive(Debug, Clone)]
pub struct Sample {
    pub name: &'static str,
    pub incident: Incident,
}

/// Every sample, as of `now`.
pub fn samples(now: Timestamp) -> Vec<Sample> {
    let ago = |minutes: i64| now.checked_sub(SignedDuration::from_mins(minutes)).unwrap_or(now);
    let disk = [("alertname", "DiskAlmostFull"), ("severity", "critical"), ("instance", "db-1:9100"), ("mountpoint", "/var")];
    let told = [
        ("summary", "/var of db-1 is 97 % full"),
        ("description", "At this rate it is full in 40 minutes; the database stops when it is."),
        ("value", "97.2 %"),
        ("runbook_url", "https://runbooks.example.com/DiskAlmostFull"),
        ("dashboard_url", "https://grafana.example.com/d/disks?var-instance=db-1"),
    ];
    let one = incident(&disk, &[alert(&disk, &told, Severity::Critical, ago(12), None)], ago(12));
    let mut taken = one.clone();
    taken.phase = Phase::Acknowledged;
    taken.acknowledgement = Some(Acknowledgement { by: "ada".into(), at: ago(3), until: None });
    taken.taken_by = Some("ada".into());
    let until = now.checked_add(SignedDuration::from_hours(4)).unwrap_or(now);
    taken.silences = vec![Silence { id: "a".into(), by: "ada".into(), until, ends_with_incident: true }];
    let mut ended = taken.clone();
    ended.phase = Phase::Resolved;
    ended.ended_at = Some(ago(1));
    ended.acknowledgement = None;
    ended.silences.clear();
    ended.alerts = [("0".into(), alert(&disk, &told, Severity::Critical, ago(12), Some(ago(1))))].into();

    let instances = ["api-1", "api-2", "api-3", "<b>&\u{202e}evil"];
    let group: Vec<Tracked> = instances
        .iter()
        .enumerate()
        .map(|(index, instance)| {
            let labels = [("alertname", "HighLatency"), ("severity", "warning"), ("service", "api"), ("instance", *instance)];
            let summary = format!("{instance} answers in {} ms", 480 + index * 17);
            alert(&labels, &[("summary", summary.as_str())], Severity::Warning, ago(70), (index == 2).then(|| ago(5)))
        })
        .collect();
    let several = incident(&[("alertname", "HighLatency")], &group, ago(70));
    let bare = incident(&[], &[alert(&[], &[], Severity::Warning, ago(0), None)], ago(0));
    let hostile = [
        ("alertname", "</b><script>alert(1)</script>{{ 7 * 7 }}\u{202e}"),
        ("severity", "info"),
        ("emoji", "👩\u{200d}🚒🇮🇷"),
        ("persian", "پایگاه\u{200c}داده"),
    ];
    let long = "long ".repeat(2000);
    let hostile_told =
        [("summary", long.as_str()), ("description", "a & b < c > d \"e\" 'f'"), ("runbook_url", "javascript:alert(1)")];
    let hostile = incident(&hostile, &[alert(&hostile, &hostile_told, Severity::Info, ago(1), None)], ago(1));
    vec![
        Sample { name: "a critical alert fires", incident: one },
        Sample { name: "acknowledged and silenced", incident: taken },
        Sample { name: "resolved", incident: ended },
        Sample { name: "a group with one resolved alert and markup in a label", incident: several },
        Sample { name: "an alert without labels and annotations", incident: bare },
        Sample { name: "hostile labels and a very long annotation", incident: hostile },
    ]
}

fn alert(
    labels: &[(&str, &str)],
    annotations: &[(&str, &str)],
    severity: Severity,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
) -> Tracked {
    Tracked {
        status: if ends_at.is_some() { Status::Resolved } else { Status::Firing },
        severity,
        labels: labels.iter().copied().collect(),
        annotations: annotations.iter().copied().collect(),
        starts_at,
        ends_at,
        generator_url: "http://prometheus.example.com/graph?g0.expr=up+%3D%3D+0&g0.tab=1".into(),
        previous_end: None,
        unconfirmed_end: None,
        confirms_at: None,
    }
}

fn incident(group: &[(&str, &str)], alerts: &[Tracked], started_at: Timestamp) -> Incident {
    let group_labels: Labels = group.iter().take(1).copied().collect();
    Incident {
        id: IncidentId(12),
        code: 4711,
        source: "main".into(),
        receiver: "alertbot".into(),
        group_key: "{}:{}".into(),
        group_labels,
        external_url: "http://alertmanager.example.com".into(),
        severity: alerts.iter().map(|alert| alert.severity).max().unwrap_or_default(),
        alerts: alerts.iter().enumerate().map(|(index, alert)| (index.to_string().into(), alert.clone())).collect(),
        ..Incident::blank(started_at)
    }
}
