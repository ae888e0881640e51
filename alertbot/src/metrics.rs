//! This module declares every metric of the alert bot. Names, labels and meanings are interfaces: boards and alerts read them.
//!
//! - Labels are names of the configuration, or words of a fixed list.
//! - A label must not be a chat's id, a person or an incident.

use service_kit::metrics::{
    Descriptor, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, LATENCY_SECONDS,
};

/// Every metric of the alert bot, in addition to those of all programs (`service_kit::metrics::STANDARD`).
pub const DECLARED: &[&[Descriptor]] = &[
    WebhookMetrics::DESCRIPTORS,
    StoreMetrics::DESCRIPTORS,
    DeliveryMetrics::DESCRIPTORS,
    IncidentMetrics::DESCRIPTORS,
    PeopleMetrics::DESCRIPTORS,
    CalendarMetrics::DESCRIPTORS,
];

/// Time from acceptance to sending, around the objectives of 50 ms, 1 s and 60 s.
const DELIVERY_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];
/// Durations of incidents, from minutes to days.
const INCIDENT_SECONDS: &[f64] =
    &[30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0, 259200.0];
/// Commands in one commit: powers of two up to the largest batch.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

service_kit::metrics! {
    /// Requests of Alertmanager and providers.
    pub struct WebhookMetrics {
        /// Webhooks answered, by Alertmanager and outcome (opened, changed, repeated, nothing_fires, watchdog, unavailable).
        pub webhooks: IntCounterVec = "alertbot_webhooks_total", ["alertmanager", "outcome"];
        /// Alerts in accepted webhooks, by Alertmanager and status (firing, resolved).
        pub alerts: IntCounterVec = "alertbot_alerts_received_total", ["alertmanager", "status"];
        /// Rejected requests, by reason (malformed, too_large, too_many_alerts, unauthorised, unavailable, unknown_path, wrong_version).
        pub refused: IntCounterVec = "alertbot_webhook_refused_total", ["reason"];
        /// Time from a webhook's head to its answer, including the commit.
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
        /// Duration of one transaction, including its fsync.
        pub commit: Histogram = "alertbot_store_commit_seconds", buckets: LATENCY_SECONDS;
        /// Commands that shared one commit.
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
    /// Delivery: queue, budgets, calls.
    pub struct DeliveryMetrics {
        /// Messages waiting, by channel (telegram, sms, voice) and urgency (critical, answer, ordinary, quiet, picture).
        pub queued: IntGaugeVec = "alertbot_queued_messages", ["channel", "urgency"];
        /// Age of the oldest message with sound that waits and that no digest has listed; 0 if none waits.
        pub oldest: Gauge = "alertbot_oldest_queued_seconds";
        /// Calls, by channel, kind (card, notice, edit, picture, text, digest, phone) and outcome.
        pub sent: IntCounterVec = "alertbot_sent_total", ["channel", "kind", "outcome"];
        /// Time from acceptance to delivery of messages with sound, by channel and urgency.
        pub accepted_to_sent: HistogramVec = "alertbot_accepted_to_sent_seconds", ["channel", "urgency"], buckets: DELIVERY_SECONDS;
        /// Duration of one call, by channel.
        pub call: HistogramVec = "alertbot_call_seconds", ["channel"], buckets: LATENCY_SECONDS;
        /// Calls that a chat of the configuration may still receive in this minute.
        pub budget: IntGaugeVec = "alertbot_chat_budget_left", ["chat"];
        /// 1 while a bot or provider must answer a probe before it gets more messages.
        pub trouble: IntGaugeVec = "alertbot_carrier_trouble", ["carrier"];
        /// Critical messages that were not delivered in time, so that the next channel was notified too.
        pub overdue: IntCounter = "alertbot_overdue_total";
        /// Dropped messages, by channel and reason (dead, refused, unknown).
        pub given_up: IntCounterVec = "alertbot_given_up_total", ["channel", "reason"];
        /// Charts, by outcome (drawn, failed).
        pub pictures: IntCounterVec = "alertbot_pictures_total", ["outcome"];
        /// Time from the query of Prometheus to the finished chart.
        pub picture_seconds: Histogram = "alertbot_picture_seconds", buckets: LATENCY_SECONDS;
    }
}

service_kit::metrics! {
    /// Incidents, and Alertmanager's view of them.
    pub struct IncidentMetrics {
        /// Open incidents, by phase (firing, acknowledged) and severity.
        pub open: IntGaugeVec = "alertbot_open_incidents", ["phase", "severity"];
        /// Open incidents whose escalation is no longer in the configuration, so that no one is called.
        pub escalation_lost: IntGauge = "alertbot_escalation_lost_incidents";
        /// Time from an incident's first alert to its acknowledgement, by severity.
        pub acknowledge: HistogramVec = "alertbot_time_to_acknowledge_seconds", ["severity"], buckets: INCIDENT_SECONDS;
        /// Time from an incident's first alert to its end, by severity.
        pub resolve: HistogramVec = "alertbot_time_to_resolve_seconds", ["severity"], buckets: INCIDENT_SECONDS;
        /// Comparisons with API v2, by Alertmanager and outcome (done, failed, resting).
        pub reconciliations: IntCounterVec = "alertbot_reconciliations_total", ["alertmanager", "outcome"];
        /// Unix time of the last successful comparison, by Alertmanager; the start of the program before the first one.
        pub reconciled: GaugeVec = "alertbot_reconciled_timestamp_seconds", ["alertmanager"];
        /// Time since the Watchdog of an Alertmanager arrived last.
        pub watchdog_age: GaugeVec = "alertbot_watchdog_age_seconds", ["alertmanager"];
        /// Calls to the external heartbeat service, by outcome (answered, failed, withheld).
        pub heartbeats: IntCounterVec = "alertbot_heartbeats_total", ["outcome"];
        /// Change of the wall clock since the start by being set; forward is positive.
        pub clock_stepped: Gauge = "alertbot_clock_stepped_seconds";
    }
}

service_kit::metrics! {
    /// Actions of people, and readiness.
    pub struct PeopleMetrics {
        /// Updates received, by bot and kind (message, button, other).
        pub updates: IntCounterVec = "alertbot_updates_total", ["bot", "kind"];
        /// Failed requests for updates, by bot.
        pub update_failures: IntCounterVec = "alertbot_update_failures_total", ["bot"];
        /// Buttons, commands and SMS replies, by action and outcome (done, nothing, refused, failed).
        pub actions: IntCounterVec = "alertbot_actions_total", ["action", "outcome"];
        /// 1 while a schedule has a person on duty.
        pub on_duty: IntGaugeVec = "alertbot_on_duty", ["schedule"];
        /// 1 while the program is ready.
        pub ready: IntGauge = "alertbot_ready";
        /// 1 unless the last attempt to reload the configuration failed.
        pub reloaded: IntGauge = "alertbot_config_last_reload_successful";
    }
}

service_kit::metrics! {
    /// Calendars of schedules.
    pub struct CalendarMetrics {
        /// Reads of a schedule's calendar, by outcome (done, failed).
        pub reads: IntCounterVec = "alertbot_calendar_reads_total", ["schedule", "outcome"];
        /// Unix time of the last successful read, by schedule; the start of the program before the first one.
        pub read_at: GaugeVec = "alertbot_calendar_read_timestamp_seconds", ["schedule"];
        /// Events of the calendar without effect: they name no person, or have invalid times.
        pub skipped: IntGaugeVec = "alertbot_calendar_skipped_events", ["schedule"];
    }
}

/// Every metric, registered.
#[derive(Debug, Clone)]
pub struct AlertbotMetrics {
    pub webhook: WebhookMetrics,
    pub store: StoreMetrics,
    pub delivery: DeliveryMetrics,
    pub incident: IncidentMetrics,
    pub people: PeopleMetrics,
    pub calendar: CalendarMetrics,
}

impl AlertbotMetrics {
    /// # Errors
    /// Returns an error if a name is malformed or already registered.
    pub fn register(metrics: &service_kit::metrics::Metrics) -> anyhow::Result<Self> {
        Ok(Self {
            webhook: WebhookMetrics::register(metrics)?,
            store: StoreMetrics::register(metrics)?,
            delivery: DeliveryMetrics::register(metrics)?,
            incident: IncidentMetrics::register(metrics)?,
            people: PeopleMetrics::register(metrics)?,
            calendar: CalendarMetrics::register(metrics)?,
        })
    }
}
