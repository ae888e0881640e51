//! The dead man's switch, in and out. In: an Alertmanager whose Watchdog stopped arriving is an incident of its own. Out: an
//! outside service is called only while everything on the way of an alert works, so that its silence means something.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, moment},
    config::{Alertmanager, Heartbeat},
    incident::{Incident, Severity},
    metrics::{AlertbotMetrics, IncidentMetrics},
    schedule::Moment,
    sender::Receivers,
    store::facts,
    webhook::{Labels, Status},
    writer::{
        Writer,
        blind::Freeze,
        ingest::{Ingest, watchdog_fact},
    },
};

/// When each Watchdog was last heard, before any deduplication.
#[derive(Debug, Clone)]
pub struct Heard {
    at: Arc<Mutex<HashMap<String, Moment>>>,
    clock: Clock,
}

impl Heard {
    /// What was heard before the restart counts; who was never heard gets the whole time from now on.
    pub async fn restore(writer: &Writer, alertmanagers: &[Alertmanager], clock: Clock) -> sqlx::Result<Self> {
        let mut at = HashMap::new();
        for alertmanager in alertmanagers {
            if alertmanager.watchdog.is_none() {
                continue;
            }
            let known = facts::get(&writer.readers, &watchdog_fact(&alertmanager.name)).await?;
            let known = known.and_then(|text| text.parse().ok()).map(Duration::from_millis);
            // A time of the future is a clock that was set back since.
            let heard = known.filter(|heard| *heard <= clock.moment()).unwrap_or_else(|| clock.moment());
            at.insert(alertmanager.name.clone(), heard);
        }
        Ok(Self { at: Arc::new(Mutex::new(at)), clock })
    }

    pub fn heard(&self, alertmanager: &str) {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).insert(alertmanager.to_owned(), self.clock.moment());
    }

    /// When it was last heard; now, when it is not expected.
    pub fn last(&self, alertmanager: &str) -> Timestamp {
        let now = self.clock.now();
        self.age(alertmanager).and_then(|age| now.checked_sub(age).ok()).unwrap_or(now)
    }

    /// Since when it was not heard; `None` when it is not expected.
    pub fn age(&self, alertmanager: &str) -> Option<Duration> {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner).get(alertmanager).copied();
        at.map(|at| self.clock.moment().saturating_sub(at))
    }
}

/// How often ages are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Its alert's name, for routes that match it.
pub const ALERT: &str = "AlertmanagerSilent";
/// Its receiver. An Alertmanager's may have the same name: ask [`is_own`].
pub const RECEIVER: &str = "alertbot";

/// Whether the bot itself opened the incident: no Alertmanager has its alert. Alertmanager's own group keys begin with a brace.
pub fn is_own(incident: &Incident) -> bool {
    incident.receiver == RECEIVER && incident.group_key.starts_with(ALERT)
}

/// Opens an incident for every Alertmanager that has fallen silent, and ends it when it is heard again.
pub async fn watch(
    alertmanagers: Vec<Alertmanager>,
    heard: Heard,
    writer: Writer,
    metrics: IncidentMetrics,
    stop: CancellationToken,
) {
    let mut silent: HashMap<String, Timestamp> = HashMap::new();
    let mut first = true;
    while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        for alertmanager in &alertmanagers {
            let (Some(expected), Some(age)) = (&alertmanager.watchdog, heard.age(&alertmanager.name)) else { continue };
            metrics.watchdog_age.with_label_values(&[&alertmanager.name]).set(age.as_secs_f64());
            let now = heard.clock.now();
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
                // One that was open before a restart ends as well.
                (false, None) if first => (Status::Resolved, now),
                _ => continue,
            };
            let ingest = word(&writer, alertmanager, status, began, now, age);
            match writer.perform(ingest).await {
                Ok(_) if is_silent => {
                    silent.insert(alertmanager.name.clone(), began);
                }
                Ok(_) => {
                    silent.remove(&alertmanager.name);
                }
                Err(error) => {
                    tracing::error!(%error, alertmanager = alertmanager.name, "the silence of an Alertmanager was not written down")
                }
            }
        }
        first = false;
    }
}

/// The bot's own word about an Alertmanager, in the form of a webhook.
fn word(writer: &Writer, alertmanager: &Alertmanager, status: Status, began: Timestamp, now: Timestamp, age: Duration) -> Ingest {
    let name = &alertmanager.name;
    let labels: Labels =
        [("alertname", ALERT), ("severity", Severity::Critical.name()), ("alertmanager", name)].into_iter().collect();
    let summary = format!("Alertmanager {name} is silent: its Watchdog was last heard {} s ago", age.as_secs());
    let description = "Alerts may not arrive. Look at Prometheus, at Alertmanager and at the way between them and this bot.";
    let annotations: Labels = [("summary", summary), ("description", description.to_owned())].into_iter().collect();
    let payload = crate::webhook::Payload {
        version: crate::webhook::payload::VERSION.into(),
        group_key: format!("{ALERT}:{name}"),
        truncated_alerts: 0,
        status,
        receiver: RECEIVER.into(),
        group_labels: labels.clone(),
        common_labels: labels.clone(),
        common_annotations: annotations.clone(),
        external_url: alertmanager.urls.first().cloned().unwrap_or_default(),
        alerts: vec![crate::webhook::Alert {
            status,
            labels,
            annotations,
            starts_at: began,
            ends_at: (status == Status::Resolved).then_some(now),
            generator_url: String::new(),
            fingerprint: format!("{ALERT}:{name}").into(),
        }],
    };
    let mut ingest = crate::writer::ingest::take(&writer.routing, name, payload);
    for (_, alert) in &mut ingest.observation.alerts {
        alert.severity = Severity::Critical;
    }
    ingest
}

/// How long the outside service may take.
const BEAT_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls the outside service for as long as alerts can get through: Watchdogs are fresh, the store takes changes, nothing
/// waits for too long, and Telegram answers.
pub async fn beat(
    settings: Heartbeat,
    heard: Heard,
    writer: Writer,
    receivers: Arc<Receivers>,
    metrics: AlertbotMetrics,
    stop: CancellationToken,
) {
    let client = reqwest::Client::builder().timeout(BEAT_TIMEOUT).build().unwrap_or_default();
    while stop.run_until_cancelled(tokio::time::sleep(settings.every)).await.is_some() {
        let outcome = match reason_to_withhold(&settings, &heard, &writer, &receivers, &metrics).await {
            Some(reason) => {
                tracing::warn!(reason, "the heartbeat is withheld");
                "withheld"
            }
            None => match client.get(settings.url.expose()).send().await.and_then(reqwest::Response::error_for_status) {
                Ok(_) => "answered",
                Err(error) => {
                    tracing::warn!(error = %error.without_url(), "the outside heartbeat did not answer");
                    "failed"
                }
            },
        };
        metrics.incident.heartbeats.with_label_values(&[outcome]).inc();
    }
}

async fn reason_to_withhold(
    settings: &Heartbeat,
    heard: &Heard,
    writer: &Writer,
    receivers: &Receivers,
    metrics: &AlertbotMetrics,
) -> Option<String> {
    for alertmanager in &writer.routing.config.alertmanagers {
        let (Some(expected), Some(age)) = (&alertmanager.watchdog, heard.age(&alertmanager.name)) else { continue };
        if age > expected.within {
            return Some(format!("the Watchdog of {} was last heard {} s ago", alertmanager.name, age.as_secs()));
        }
    }
    let at = moment(heard.clock.now()).as_millis().to_string();
    let written = writer.perform(crate::writer::Remember { name: "heartbeat".into(), value: at }).await;
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
