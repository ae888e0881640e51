//! This module reads the Alertmanagers that call the webhook, and their API addresses.

use std::time::Duration;

use service_kit::config::Secret;

use super::{
    document::{HttpAddress, Section},
    names::Names,
};

/// One Alertmanager, or the replicas of one cluster. Replicas gossip, so equal groups of them are one group.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    /// The webhook is `/webhook/<name>`.
    pub name: String,
    /// API v2 of every replica, without `/api/v2`. Empty: no silences and no reconciliation.
    pub urls: Vec<String>,
    pub api_credentials: Option<Credentials>,
    /// Each is valid. List two during a rotation. Never empty.
    pub webhook_credentials: Vec<Credentials>,
    /// Source of charts; `None`: the address in the alert's generatorURL.
    pub prometheus: Option<String>,
    pub prometheus_credentials: Option<Credentials>,
    pub watchdog: Option<Watchdog>,
}

/// Credentials of an HTTP request.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `Authorization: Basic …` (RFC 7617)
    Basic { user: String, password: Secret },
}

/// An alert that always fires. If it stops arriving, alerting is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// Its `alertname`.
    pub alert: String,
    /// A longer gap opens an incident. Must exceed the route's `repeat_interval` in Alertmanager.
    pub within: Duration,
}

pub(super) fn alertmanagers(root: &Section) -> Vec<Alertmanager> {
    let sections = root.required_sections("alertmanagers", "Alertmanagers that call this webhook");
    let names = Names::of("Alertmanager", "alertmanagers", &sections);
    sections.iter().enumerate().map(|(index, section)| Alertmanager::read(section, names.at(index))).collect()
}

impl Alertmanager {
    fn read(section: &Section, name: String) -> Self {
        let addresses = |key| section.list::<HttpAddress>(key).into_iter().map(|(address, _)| address.0).collect();
        let watchdog = section.section("watchdog").map(|watchdog| Watchdog {
            alert: watchdog.or("alert", "Watchdog".to_owned()),
            within: watchdog.or_within("within", DEFAULT_WATCHDOG, Duration::from_secs(1)..=Duration::from_secs(86_400)),
        });
        Self {
            name,
            urls: addresses("urls"),
            api_credentials: section.section("api_credentials").and_then(|section| Credentials::read(&section)),
            webhook_credentials: webhook_credentials(section),
            prometheus: section.optional::<HttpAddress>("prometheus").map(|address| address.0),
            prometheus_credentials: section.section("prometheus_credentials").and_then(|section| Credentials::read(&section)),
            watchdog,
        }
    }
}

/// Two missed repeats of a Watchdog whose route repeats every minute or two.
const DEFAULT_WATCHDOG: Duration = Duration::from_secs(300);

fn webhook_credentials(section: &Section) -> Vec<Credentials> {
    let sections =
        section.required_sections("webhook_credentials", "credentials that Alertmanager sends, as `- bearer: ${ALERTBOT_…}`");
    sections.iter().filter_map(Credentials::read).collect()
}

impl Credentials {
    pub(super) fn read(section: &Section) -> Option<Self> {
        let bearer = section.optional_secret("bearer", "bearer token");
        let user: Option<String> = section.optional("user");
        let password = section.optional_secret("password", "password of basic authentication");
        match (section.has("bearer"), section.has("user"), section.has("password")) {
            (true, false, false) => bearer.map(Self::Bearer),
            (false, true, true) => Some(Self::Basic { user: user?, password: password? }),
            _ => {
                section.fault("", "has neither `bearer` nor `user` and `password`", "set one of the two");
                None
            }
        }
    }
}
