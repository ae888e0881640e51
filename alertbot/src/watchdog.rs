//! This module is the dead man's switch in both directions.
//!
//! - In: an Alertmanager whose Watchdog stopped arriving becomes an incident.
//! - Out: an external service is called only while every part on the way of an alert works.

use std::{collections::HashMap, sync::Arc, time::Duration};

use alertbot_core::{
    alert::{Alert, Labels, Payload, Severity, Status, payload::VERSION},
    moment::moment,
};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Alertmanager, Heartbeat},
    metrics::{AlertbotMetrics, IncidentMetrics},
    notify::Receivers,
    writer::{
        Remember, Writer,
        blind::Freeze,
        ingest::Ingest,
        watchdogs::{ALERT, RECEIVER, Watchdogs},
    },
};

/// Interval between checks of the Watchdogs.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Opens an incident for every Alertmanager whose Watchdog is missing, and resolves it when the Watchdog returns.
pub async fn watch(
    alertmanagers: Vec<Alertmanager>,
    watchdogs: Watchdogs,
    writer: Writer,
    metrics: IncidentMetrics,
    stop: CancellationToken,
) {
    let mut silent: HashMap<String, Timestamp> = HashMap::new();
    let mut first = true;
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        for alertmanager in &alertmanagers {
            let (Some(expected), Some(age)) = (&alertmanager.watchdog, watchdogs.age(&alertmanager.name)) else { continue };
            metrics.watchdog_age.with_label_values(&[&alertmanager.name]).set(age.as_secs_f64());
            let now = watchdogs.clock.now();
            let began = silent.get(&alertmanager.name).copied();
            let is_silent = age > expected.within;
            if is_silent && began.is_none() {
                let since = now.checked_sub(age).unwrap_or(now);
                let freeze = Freeze { source: alertmanager.name.clone(), since };
                if let Err(error) = writer.perform(freeze).await {
                    tracing::error!(%error, alertmanager = alertmanager.name, "failed to freeze incidents; retrying");
                    continue;
                }
            }
            let (status, began) = match (is_silent, began) {
                (true, None) => (Status::Firing, now.checked_sub(age).unwrap_or(now)),
                (false, Some(began)) => (Status::Resolved, began),
                // An incident that was open before a restart ends too.
                (false, None) if first => (Status::Resolved, now),
                _ => continue,
            };
            let ingest = own_alert(&writer, alertmanager, status, began, now, age);
            match writer.perform(ingest).await {
                Ok(_) if is_silent => {
                    silent.insert(alertmanager.name.clone(), began);
                }
                Ok(_) => {
                    silent.remove(&alertmanager.name);
                }
                Err(error) => {
                    tracing::error!(%error, alertmanager = alertmanager.name, "failed to record the silence of an Alertmanager; retrying")
                }
            }
        }
        first = false;
    }
}

/// Relative, as those of the rules: `links` of the configuration completes them.
const RUNBOOK: &str = "/runbooks/AlertbotWatchdogStale.md";
const BOARD: &str = "/d/alertbot?viewPanel=104";

/// The bot's own alert about an Alertmanager, in the form of a webhook.
fn own_alert(
    writer: &Writer,
    alertmanager: &Alertmanager,
    status: Status,
    began: Timestamp,
    now: Timestamp,
    age: Duration,
) -> Ingest {
    let name = &alertmanager.name;
    let labels: Labels =
        [("alertname", ALERT), ("severity", Severity::Critical.name()), ("alertmanager", name)].into_iter().collect();
    let summary = format!("Alertmanager {name} is silent: its Watchdog arrived last {} s ago", age.as_secs());
    let description = "Alerts may not arrive. Check Prometheus, Alertmanager and the network between them and this bot.";
    let links = [("runbook_url", RUNBOOK), ("dashboard_url", BOARD)].map(|(name, link)| (name, link.to_owned()));
    let texts = [("summary", summary), ("description", description.to_owned())];
    let annotations: Labels = texts.into_iter().chain(links).collect();
    let payload = Payload {
        version: VERSION.into(),
        group_key: format!("{ALERT}:{name}"),
        truncated_alerts: 0,
        status,
        receiver: RECEIVER.into(),
        group_labels: labels.clone(),
        common_labels: labels.clone(),
        common_annotations: annotations.clone(),
        external_url: alertmanager.urls.first().cloned().unwrap_or_default(),
        alerts: vec![Alert {
            status,
            labels,
            annotations,
            starts_at: began,
            ends_at: (status == Status::Resolved).then_some(now),
            generator_url: String::new(),
            fingerprint: format!("{ALERT}:{name}").into(),
        }],
    };
    let mut ingest = Ingest::new(&writer.routing, name, payload);
    for (_, alert) in &mut ingest.observation.alerts {
        alert.severity = Severity::Critical;
    }
    ingest
}

/// Timeout of a call to the external service.
const BEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls the external service while alerts can be delivered: Watchdogs arrive, the store commits, no message waits too long, and
/// Telegram answers.
pub async fn beat(
    settings: Heartbeat,
    watchdogs: Watchdogs,
    writer: Writer,
    receivers: Arc<Receivers>,
    metrics: AlertbotMetrics,
    stop: CancellationToken,
) {
    let client = reqwest::Client::builder().timeout(BEAT_TIMEOUT).build().unwrap_or_default();
    while stop.run_until_cancelled(tokio::time::sleep(settings.every)).await.is_some() {
        let outcome = match reason_to_withhold(&settings, &watchdogs, &writer, &receivers, &metrics).await {
            Some(reason) => {
                tracing::warn!(reason, "not sending the heartbeat: the bot cannot work");
                "withheld"
            }
            None => match client.get(settings.url.expose()).send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => "answered",
                Err(error) => {
                    tracing::warn!(error = %error.without_url(), "the external heartbeat service did not answer");
                    "failed"
                }
            },
        };
        metrics.incident.heartbeats.with_label_values(&[outcome]).inc();
    }
}

async fn reason_to_withhold(
    settings: &Heartbeat,
    watchdogs: &Watchdogs,
    writer: &Writer,
    receivers: &Receivers,
    metrics: &AlertbotMetrics,
) -> Option<String> {
    for alertmanager in &writer.routing.config.alertmanagers {
        let (Some(expected), Some(age)) = (&alertmanager.watchdog, watchdogs.age(&alertmanager.name)) else { continue };
        if age > expected.within {
            return Some(format!("the Watchdog of {} arrived last {} s ago", alertmanager.name, age.as_secs()));
        }
    }
    let at = moment(watchdogs.clock.now()).as_millis().to_string();
    let written = writer.perform(Remember { name: "heartbeat".into(), value: at }).await;
    if let Err(error) = written {
        return Some(error.to_string());
    }
    let oldest = metrics.delivery.oldest.get();
    if oldest > settings.oldest_queued.as_secs_f64() {
        return Some(format!("the oldest message has been waiting for {oldest} s"));
    }
    for bot in receivers.bots.keys() {
        if !receivers.probe(bot).await {
            return Some(format!("Telegram does not answer the bot {bot}"));
        }
    }
    None
}
