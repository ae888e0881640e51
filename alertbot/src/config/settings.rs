//! This module reads the sections that occur once: store, incidents, charts, heartbeat, limits.

use std::{path::PathBuf, time::Duration};

use alertbot_core::message::{Calendar, Language, LinkAddresses, Template, Templates};
use service_kit::config::Secret;

use super::document::{Bytes, HttpAddress, Section, Value};

/// The embedded database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Line in the file; 0 if the section is missing.
    pub line: usize,
    /// The database file. The bot creates its folder if it is missing.
    pub path: PathBuf,
    /// Retention of closed incidents, their messages and the audit trail.
    pub retention: Duration,
    /// At this size the webhook answers 503, before the disk is full.
    pub bytes: u64,
}

/// Behaviour of incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incidents {
    /// After this time an undelivered critical message also goes by the next channel.
    pub critical_within: Duration,
    /// Interval between reconciliations of open incidents with Alertmanager.
    pub reconcile_every: Duration,
    /// Time after its start in which an Alertmanager may not know every alert. In this time a missing alert has not necessarily
    /// ended.
    pub settle_after_restart: Duration,
    /// A group that fires again within this time after its end reopens its incident.
    pub reopen_within: Duration,
    pub flapping: FlappingSettings,
    /// A silence over more alerts than this needs a confirmation.
    pub silence_confirm_above: u32,
}

/// After this many reopenings within a time, changes only edit messages until the incident has been calm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlappingSettings {
    pub reopenings: u32,
    pub within: Duration,
    pub calm: Duration,
}

/// Charts of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Time range of the chart.
    pub range: Duration,
    /// Timeout of the query and the rendering together.
    pub timeout: Duration,
}

/// Calls to an external service that alerts when they stop. Only such a service can detect that everything is dead.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The address contains the credential.
    pub url: Secret,
    pub every: Duration,
    /// The oldest queued message must be younger than this.
    pub oldest_queued: Duration,
}

/// Limits of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputLimits {
    /// Size of a webhook's body.
    pub webhook_bytes: u64,
    /// Alerts of one webhook.
    pub webhook_alerts: u32,
    /// Webhooks processed at once.
    pub webhooks_at_once: u32,
    /// Messages not yet sent.
    pub queued: u32,
}

/// Reads the addresses of links in messages.
pub(super) fn read_links(root: &Section) -> LinkAddresses {
    let section = root.section_or_empty("links");
    let address = |key| section.optional::<HttpAddress>(key).map(|address| address.0);
    LinkAddresses {
        runbooks: address("runbooks"),
        dashboards: address("dashboards"),
        logs: address("logs"),
        expressions: address("expressions"),
        silences: address("silences"),
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

impl StoreSettings {
    pub(super) fn read(root: &Section) -> Self {
        let section = root.section_or_empty("store");
        Self {
            line: if root.has("store") { section.line() } else { 0 },
            path: PathBuf::from(section.or("path", "/var/lib/alertbot/alertbot.db".to_owned())),
            retention: section.or_within("retention", 90 * DAY, DAY..=3650 * DAY),
            bytes: section.or_within("bytes", Bytes(4 << 30), Bytes(1 << 20)..=Bytes(1 << 40)).0,
        }
    }
}

impl Incidents {
    pub(super) fn read(root: &Section) -> Self {
        let section = root.section_or_empty("incidents");
        let flapping = section.section_or_empty("flapping");
        Self {
            critical_within: section.or_within("critical_within", 60 * SECOND, SECOND..=DAY),
            reconcile_every: section.or_within("reconcile_every", 30 * SECOND, SECOND..=DAY),
            settle_after_restart: section.or_within("settle_after_restart", 300 * SECOND, Duration::ZERO..=DAY),
            reopen_within: section.or_within("reopen_within", 3600 * SECOND, Duration::ZERO..=7 * DAY),
            flapping: FlappingSettings {
                reopenings: flapping.or_within("reopenings", 3, 1..=1000),
                within: flapping.or_within("within", 1800 * SECOND, SECOND..=DAY),
                calm: flapping.or_within("calm", 900 * SECOND, SECOND..=DAY),
            },
            silence_confirm_above: section.or_within("silence_confirm_above", 20, 0..=1_000_000),
        }
    }
}

impl Picture {
    pub(super) fn read(root: &Section) -> Self {
        let section = root.section_or_empty("picture");
        Self {
            range: section.or_within("range", 3600 * SECOND, 60 * SECOND..=31 * DAY),
            timeout: section.or_within("timeout", 10 * SECOND, SECOND..=60 * SECOND),
        }
    }
}

impl Heartbeat {
    pub(super) fn read(root: &Section) -> Option<Self> {
        let section = root.section("heartbeat")?;
        Some(Self {
            url: section.secret("url", "the secret address to call"),
            every: section.or_within("every", 60 * SECOND, SECOND..=DAY),
            oldest_queued: section.or_within("oldest_queued", 60 * SECOND, SECOND..=DAY),
        })
    }
}

impl InputLimits {
    pub(super) fn read(root: &Section) -> Self {
        let section = root.section_or_empty("limits");
        Self {
            webhook_bytes: section.or_within("webhook_bytes", Bytes(32 << 20), Bytes(64 << 10)..=Bytes(1 << 30)).0,
            webhook_alerts: section.or_within("webhook_alerts", 20_000, 100..=1_000_000),
            webhooks_at_once: section.or_within("webhooks_at_once", 64, 1..=10_000),
            queued: section.or_within("queued", 100_000, 1_000..=10_000_000),
        }
    }
}

impl Value for Language {
    const SHAPE: &'static str = "en or fa";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "en" => Some(Self::English),
            "fa" => Some(Self::Persian),
            _ => None,
        }
    }

    fn stand_in() -> Self {
        Self::default()
    }
}

impl Value for Calendar {
    const SHAPE: &'static str = "gregorian or jalali";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "gregorian" => Some(Self::Gregorian),
            "jalali" => Some(Self::Jalali),
            _ => None,
        }
    }

    fn stand_in() -> Self {
        Self::default()
    }
}

pub(super) fn read_templates(root: &Section) -> Templates {
    let section = root.section_or_empty("templates");
    let template = |key| section.optional(key).map(|source| Template { source, line: section.line_of(key) });
    Templates { telegram: template("telegram"), sms: template("sms"), voice: template("voice") }
}
