//! Every metric of the alert bot, one list. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! Labels are names of the configuration, or words of a fixed list; never a chat's id, a person, an incident.

use crate::{config::Config, incident::Severity};
use service_kit::metrics::{
    Descriptor, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};

/// Everything that the alert bot exports, beside what every program does (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[
    WebhookMetrics::DESCRIPTORS,
    StoreMetrics::DESCRIPTORS,
    DeliveryMetrics::DESCRIPTORS,
    IncidentMetrics::DESCRIPTORS,
    PeopleMetrics::DESCRIPTORS,
];

/// From accepted to sent: around the objectives of 50 ms, 1 s and 60 s.
const DELIVERY_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];
/// From minutes to days.
const INCIDENT_SECONDS: &[f64] =
    &[30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0, 259200.0];
/// Jobs in one commit: powers of two up to the largest batch.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Reasons to turn a request away.
const REFUSALS: [&str; 7] =
    ["malformed", "too_large", "too_many_alerts", "unauthorised", "unavailable", "unknown_path", "wrong_version"];
/// Reasons to give a message up: refused for good, its chat or number dead, sent and never known whether it arrived.
const GIVEN_UP: [&str; 3] = ["dead", "refused", "unknown"];
const CHANNELS: [&str; 3] = ["telegram", "sms", "voice"];
const CALLBACKS: [&str; 3] = ["delivery", "message", "refused"];
const HEARTBEATS: [&str; 3] = ["answered", "failed", "withheld"];
const PICTURES: [&str; 2] = ["drawn", "failed"];
const UPDATES: [&str; 3] = ["button", "message", "other"];

service_kit::metrics! {
    /// What Alertmanager and providers call.
    pub struct WebhookMetrics {
        /// Webhooks answered, by Alertmanager and outcome (opened, changed, repeated, nothing_fires, watchdog, unavailable).
        pub webhooks: IntCounterVec = "alertbot_webhooks_total", ["alertmanager", "outcome"];
        /// Alerts in accepted webhooks, by Alertmanager and status (firing, resolved).
        pub alerts: IntCounterVec = "alertbot_alerts_received_total", ["alertmanager", "status"];
        /// Requests turned away, by reason (malformed, too_large, too_many_alerts, unauthorised, unavailable, unknown_path, wrong_version).
        pub refused: IntCounterVec = "alertbot_webhook_refused_total", ["reason"];
        /// From a webhook's head to its answer, the commit included.
        pub duration: Histogram = "alertbot_webhook_duration_seconds", buckets: LATENCY_SECONDS;
        /// Callbacks of providers of SMS and calls, by provider and kind (delivery, message, refused).
        pub callbacks: IntCounterVec = "alertbot_callbacks_total", ["provider", "kind"];
    }
}

service_kit::metrics! {
    /// The embedded database.
    pub struct StoreMetrics {
        /// 1 while the last commit succeeded.
        pub writable: IntGauge = "alertbot_store_writable";
        /// Duration of one transaction, its fsync included.
        pub commit: Histogram = "alertbot_store_commit_seconds", buckets: LATENCY_SECONDS;
        /// Jobs that shared one commit.
        pub batch: Histogram = "alertbot_store_commit_jobs", buckets: BATCH;
        /// Transactions that failed.
        pub failures: IntCounter = "alertbot_store_failures_total";
        /// Bytes of the database, by state (used, free).
        pub bytes: IntGaugeVec = "alertbot_store_bytes", ["state"];
        /// Rows removed because they were older than the retention.
        pub removed: IntCounter = "alertbot_store_removed_rows_total";
    }
}

service_kit::metrics! {
    /// The way out: queue, budgets, calls.
    pub struct DeliveryMetrics {
        /// Messages waiting, by channel (telegram, sms, voice) and urgency (critical, answer, ordinary, quiet, picture).
        pub queued: IntGaugeVec = "alertbot_queued_messages", ["channel", "urgency"];
        /// Age of the oldest message with sound that nobody was told in any form; 0 when there is none.
        pub oldest: Gauge = "alertbot_oldest_queued_seconds";
        /// Calls made, by channel, kind (card, notice, edit, picture, text, digest, phone) and outcome.
        pub sent: IntCounterVec = "alertbot_sent_total", ["channel", "kind", "outcome"];
        /// From accepted to delivered, by channel and urgency; of criticals and other messages with sound.
        pub accepted_to_sent: HistogramVec = "alertbot_accepted_to_sent_seconds", ["channel", "urgency"], buckets: DELIVERY_SECONDS;
        /// Duration of one call, by channel.
        pub call: HistogramVec = "alertbot_call_seconds", ["channel"], buckets: LATENCY_SECONDS;
        /// Calls that a chat of the configuration may still receive in this minute.
        pub budget: IntGaugeVec = "alertbot_chat_budget_left", ["chat"];
        /// 1 while a bot or provider has to answer a probe before anything is sent through it.
        pub trouble: IntGaugeVec = "alertbot_carrier_trouble", ["carrier"];
        /// Criticals that were not delivered in time, so that the next channel was told too.
        pub overdue: IntCounter = "alertbot_overdue_total";
        /// Messages given up, by channel and reason (dead, refused, unknown).
        pub given_up: IntCounterVec = "alertbot_given_up_total", ["channel", "reason"];
        /// Pictures drawn, by outcome (drawn, failed).
        pub pictures: IntCounterVec = "alertbot_pictures_total", ["outcome"];
        /// From asking Prometheus to the finished picture.
        pub picture_seconds: Histogram = "alertbot_picture_seconds", buckets: LATENCY_SECONDS;
    }
}

service_kit::metrics! {
    /// Incidents, and Alertmanager's side of them.
    pub struct IncidentMetrics {
        /// Open incidents, by phase (firing, acknowledged) and severity.
        pub open: IntGaugeVec = "alertbot_open_incidents", ["phase", "severity"];
        /// Open incidents that had an escalation which the configuration does not have any more: nobody is called.
        pub escalation_lost: IntGauge = "alertbot_escalation_lost_incidents";
        /// From an incident's first alert to its acknowledgement, by severity.
        pub acknowledge: HistogramVec = "alertbot_time_to_acknowledge_seconds", ["severity"], buckets: INCIDENT_SECONDS;
        /// From an incident's first alert to its end, by severity.
        pub resolve: HistogramVec = "alertbot_time_to_resolve_seconds", ["severity"], buckets: INCIDENT_SECONDS;
        /// Comparisons with API v2, by Alertmanager and outcome (done, failed, resting).
        pub reconciliations: IntCounterVec = "alertbot_reconciliations_total", ["alertmanager", "outcome"];
        /// When the last comparison succeeded, Unix time, by Alertmanager; before the first one, when the program started.
        pub reconciled: GaugeVec = "alertbot_reconciled_timestamp_seconds", ["alertmanager"];
        /// Since when the Watchdog of an Alertmanager was last heard.
        pub watchdog_age: GaugeVec = "alertbot_watchdog_age_seconds", ["alertmanager"];
        /// Calls to the outside heartbeat, by outcome (answered, failed, withheld).
        pub heartbeats: IntCounterVec = "alertbot_heartbeats_total", ["outcome"];
        /// How far the wall's clock was set since the start; forward is positive.
        pub clock_stepped: Gauge = "alertbot_clock_stepped_seconds";
    }
}

service_kit::metrics! {
    /// What people do.
    pub struct PeopleMetrics {
        /// Updates received, by bot and kind (message, button, other).
        pub updates: IntCounterVec = "alertbot_updates_total", ["bot", "kind"];
        /// Failures to ask for updates, by bot.
        pub update_failures: IntCounterVec = "alertbot_update_failures_total", ["bot"];
        /// Buttons, commands and SMS replies, by action and outcome (done, nothing, refused, failed).
        pub actions: IntCounterVec = "alertbot_actions_total", ["action", "outcome"];
        /// 1 while a schedule of the configuration has somebody on duty.
        pub on_duty: IntGaugeVec = "alertbot_on_duty", ["schedule"];
        /// 1 while every latch of readiness is open.
        pub ready: IntGauge = "alertbot_ready";
        /// 1 unless the last attempt to replace the configuration was refused.
        pub reloaded: IntGauge = "alertbot_config_last_reload_successful";
    }
}

/// All of them, registered.
#[derive(Debug, Clone)]
pub struct AlertbotMetrics {
    pub webhook: WebhookMetrics,
    pub store: StoreMetrics,
    pub delivery: DeliveryMetrics,
    pub incident: IncidentMetrics,
    pub people: PeopleMetrics,
}

impl AlertbotMetrics {
    /// # Errors
    /// When a name is malformed or taken.
    pub fn register(metrics: &service_kit::metrics::Metrics) -> anyhow::Result<Self> {
        Ok(Self {
            webhook: WebhookMetrics::register(metrics)?,
            store: StoreMetrics::register(metrics)?,
            delivery: DeliveryMetrics::register(metrics)?,
            incident: IncidentMetrics::register(metrics)?,
            people: PeopleMetrics::register(metrics)?,
        })
    }

    /// Makes every counter and duration whose labels are known visible before it counts: a rate needs a first value, and so does an
    /// alert on the first fault.
    pub fn start_at_zero(&self, config: &Config) {
        for reason in REFUSALS {
            self.webhook.refused.with_label_values(&[reason]);
        }
        for (channel, reason) in CHANNELS.into_iter().flat_map(|channel| GIVEN_UP.map(|reason| (channel, reason))) {
            self.delivery.given_up.with_label_values(&[channel, reason]);
        }
        for outcome in PICTURES {
            self.delivery.pictures.with_label_values(&[outcome]);
        }
        for outcome in HEARTBEATS {
            self.incident.heartbeats.with_label_values(&[outcome]);
        }
        for severity in Severity::ALL {
            self.incident.acknowledge.with_label_values(&[severity.name()]);
            self.incident.resolve.with_label_values(&[severity.name()]);
        }
        for (provider, kind) in config.providers.iter().flat_map(|provider| CALLBACKS.map(|kind| (&provider.name, kind))) {
            self.webhook.callbacks.with_label_values(&[provider.as_str(), kind]);
        }
        for bot in config.bots.iter().filter(|bot| bot.listens) {
            self.people.update_failures.with_label_values(&[bot.name.as_str()]);
            for kind in UPDATES {
                self.people.updates.with_label_values(&[bot.name.as_str(), kind]);
            }
        }
    }
}
