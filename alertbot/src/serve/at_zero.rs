//! This module starts metrics at zero.

use alertbot_core::alert::Severity;

use crate::{config::Config, metrics::AlertbotMetrics};

/// Reasons to reject a request.
const REFUSALS: [&str; 7] =
    ["malformed", "too_large", "too_many_alerts", "unauthorised", "unavailable", "unknown_path", "wrong_version"];
/// Reasons to drop a message: its chat or number is dead, it was refused permanently, or its answer was lost.
const GIVEN_UP: [&str; 3] = ["dead", "refused", "unknown"];
const CHANNELS: [&str; 3] = ["telegram", "sms", "voice"];
const CALLBACKS: [&str; 3] = ["delivery", "message", "refused"];
const HEARTBEATS: [&str; 3] = ["answered", "failed", "withheld"];
const PICTURES: [&str; 2] = ["drawn", "failed"];
const UPDATES: [&str; 3] = ["button", "message", "other"];

/// Exports every counter and histogram whose labels are known at zero. A rate, and an alert on the first fault, need a first value.
pub(super) fn start_at_zero(metrics: &AlertbotMetrics, config: &Config) {
    for reason in REFUSALS {
        metrics.webhook.refused.with_label_values(&[reason]);
    }
    for (channel, reason) in CHANNELS.into_iter().flat_map(|channel| GIVEN_UP.map(|reason| (channel, reason))) {
        metrics.delivery.given_up.with_label_values(&[channel, reason]);
    }
    for outcome in PICTURES {
        metrics.delivery.pictures.with_label_values(&[outcome]);
    }
    for outcome in HEARTBEATS {
        metrics.incident.heartbeats.with_label_values(&[outcome]);
    }
    for severity in Severity::ALL {
        metrics.incident.acknowledge.with_label_values(&[severity.name()]);
        metrics.incident.resolve.with_label_values(&[severity.name()]);
    }
    for (provider, kind) in config.providers.iter().flat_map(|provider| CALLBACKS.map(|kind| (&provider.name, kind))) {
        metrics.webhook.callbacks.with_label_values(&[provider.as_str(), kind]);
    }
    for bot in config.bots.iter().filter(|bot| bot.listens) {
        metrics.people.update_failures.with_label_values(&[bot.name.as_str()]);
        for kind in UPDATES {
            metrics.people.updates.with_label_values(&[bot.name.as_str(), kind]);
        }
    }
}
