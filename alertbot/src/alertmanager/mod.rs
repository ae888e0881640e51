//! This module is a client of Alertmanager's API v2 (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>):
//! alerts, silences, uptime. It must not decide about incidents.

pub mod silence;

use std::{collections::HashMap, time::Duration};

use alertbot_core::alert::{Alert, Labels, Status, labels::in_matcher};
use anyhow::Context;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header::DATE};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config::{self, Credentials};

/// The replicas of one cluster.
#[derive(Debug, Clone)]
pub struct AlertmanagerClient {
    pub name: String,
    pub urls: Vec<String>,
    credentials: Option<Credentials>,
    client: Client,
}

/// One alert, with the fields that a reconciliation needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Seen {
    pub fingerprint: Box<str>,
    pub status: SeenStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenStatus {
    /// `active`, `suppressed` or `unprocessed`.
    pub state: String,
    /// Time intervals that mute it. Newer versions of Alertmanager send them.
    #[serde(default)]
    pub muted_by: Option<Vec<String>>,
    /// Fingerprints of the alerts that inhibit it.
    #[serde(default)]
    pub inhibited_by: Vec<Box<str>>,
}

/// Whether an alert notifies no one, and which alerts inhibit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    pub suppressed: bool,
    /// Fingerprints.
    pub inhibited_by: Vec<Box<str>>,
}

/// Alerts of all replicas, by fingerprint.
pub type SeenAlerts = HashMap<Box<str>, Suppression>;

/// A group with its alerts, as a webhook within the size limit would have contained it.
#[derive(Debug, Clone, Deserialize)]
pub struct Group {
    pub labels: Labels,
    pub receiver: Receiver,
    pub alerts: Vec<Grouped>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Receiver {
    pub name: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grouped {
    pub fingerprint: Box<str>,
    pub labels: Labels,
    #[serde(default)]
    pub annotations: Labels,
    pub starts_at: Timestamp,
    #[serde(default, rename = "generatorURL")]
    pub generator_url: String,
    pub status: SeenStatus,
}

impl SeenStatus {
    /// Silenced, inhibited or muted.
    pub fn is_suppressed(&self) -> bool {
        self.state == "suppressed" || self.muted_by.as_ref().is_some_and(|intervals| !intervals.is_empty())
    }
}

impl From<Grouped> for Alert {
    fn from(alert: Grouped) -> Self {
        Self {
            status: Status::Firing,
            labels: alert.labels,
            annotations: alert.annotations,
            starts_at: alert.starts_at,
            ends_at: None,
            generator_url: alert.generator_url,
            fingerprint: alert.fingerprint,
        }
    }
}

/// One condition of a silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiMatcher {
    pub name: String,
    pub value: String,
    pub is_regex: bool,
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiSilence {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub matchers: Vec<ApiMatcher>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub created_by: String,
    pub comment: String,
    #[serde(default, skip_serializing)]
    pub status: Option<SeenStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Uptime {
    uptime: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

/// Timeout of one request.
pub const TIMEOUT: Duration = Duration::from_secs(10);

impl AlertmanagerClient {
    /// `None` if the configuration has no address. Then silences and reconciliation are not available.
    pub fn new(settings: &config::Alertmanager) -> anyhow::Result<Option<Self>> {
        if settings.urls.is_empty() {
            return Ok(None);
        }
        let client = Client::builder().timeout(TIMEOUT).build().context("failed to build a client for Alertmanager")?;
        Ok(Some(Self {
            name: settings.name.clone(),
            urls: settings.urls.clone(),
            credentials: settings.api_credentials.clone(),
            client,
        }))
    }

    /// Whether there are several replicas.
    pub fn has_replicas(&self) -> bool {
        self.urls.len() > 1
    }

    /// Every alert of any replica. An alert is suppressed if it is on all replicas that have it. Also returns why the list may be
    /// incomplete: if a replica did not answer, an alert missing from the list may be active there.
    ///
    /// # Errors
    /// Returns an error if no replica answers.
    pub async fn alerts(&self) -> anyhow::Result<(SeenAlerts, Option<anyhow::Error>)> {
        let mut all = SeenAlerts::new();
        let (mut answered, mut missing) = (false, None);
        for url in &self.urls {
            let alerts: Vec<Seen> = match self.get(url, "alerts", &[]).await {
                Ok(alerts) => alerts,
                Err(error) => {
                    missing = Some(error);
                    continue;
                }
            };
            answered = true;
            for alert in alerts {
                let suppressed = alert.status.is_suppressed();
                let merged = all.entry(alert.fingerprint).or_insert(Suppression { suppressed: true, inhibited_by: Vec::new() });
                merged.suppressed &= suppressed;
                merged.inhibited_by.extend(alert.status.inhibited_by);
            }
        }
        match missing {
            Some(error) if !answered => Err(error),
            missing => Ok((all, missing)),
        }
    }

    /// How long the youngest replica has been running, by its own clock: the `Date` of its answer. `wall` applies to an answer
    /// without one. The clock of this host may differ, and an Alertmanager that looks old while it is still empty would end every
    /// incident.
    pub async fn up_for(&self, wall: Timestamp) -> anyhow::Result<SignedDuration> {
        let mut youngest = SignedDuration::MAX;
        for url in &self.urls {
            let request = self.request(Method::GET, url, "status").send().await;
            let reply = request.map_err(reqwest::Error::without_url).context("asking Alertmanager")?;
            let date = reply.headers().get(DATE).and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
            let status: Uptime = read(Ok(reply)).await?;
            youngest = youngest.min(date.map_or(wall, |date| date.timestamp()).duration_since(status.uptime));
        }
        Ok(youngest)
    }

    pub async fn groups(&self) -> anyhow::Result<Vec<Group>> {
        self.first("alerts/groups", &[]).await
    }

    /// The groups of every replica that answers. A group on several replicas occurs once per replica.
    pub async fn groups_of_any(&self) -> Vec<Group> {
        let mut all = Vec::new();
        for url in &self.urls {
            match self.get::<Vec<Group>>(url, "alerts/groups", &[]).await {
                Ok(groups) => all.extend(groups),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), alertmanager = self.name, "a replica did not answer");
                }
            }
        }
        all
    }

    /// The groups of every replica. A group on several replicas occurs once per replica.
    ///
    /// # Errors
    /// Returns an error if any replica does not answer.
    pub async fn groups_of_all(&self) -> anyhow::Result<Vec<Group>> {
        let mut all = Vec::new();
        for url in &self.urls {
            all.extend(self.get::<Vec<Group>>(url, "alerts/groups", &[]).await?);
        }
        Ok(all)
    }

    /// Number of firing alerts that these matchers would silence.
    pub async fn count(&self, matchers: &[ApiMatcher]) -> anyhow::Result<usize> {
        let filters: Vec<(&str, String)> = matchers
            .iter()
            .map(|matcher| ("filter", format!("{}={}", in_matcher(&matcher.name), quoted(&matcher.value))))
            .collect();
        let alerts: Vec<Seen> = self.first("alerts", &filters).await?;
        Ok(alerts.len())
    }

    /// Active and pending silences.
    pub async fn silences(&self) -> anyhow::Result<Vec<ApiSilence>> {
        let all: Vec<ApiSilence> = self.first("silences", &[]).await?;
        Ok(all.into_iter().filter(|silence| silence.status.as_ref().is_none_or(|status| status.state != "expired")).collect())
    }

    /// Returns the id. The update of an active silence may return a new id.
    pub async fn silence(&self, silence: &ApiSilence) -> anyhow::Result<String> {
        let mut last = anyhow::anyhow!("no address");
        for url in &self.urls {
            match read::<Created>(self.request(Method::POST, url, "silences").json(silence).send().await).await {
                Ok(created) => return Ok(created.silence_id),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Ends a silence. A missing one counts as ended.
    pub async fn end_silence(&self, id: &str) -> anyhow::Result<()> {
        let mut last = anyhow::anyhow!("no address");
        for url in &self.urls {
            let reply = self.request(Method::DELETE, url, &format!("silence/{id}")).send().await;
            match reply.map_err(reqwest::Error::without_url).context("asking Alertmanager") {
                Ok(reply) if reply.status().is_success() || reply.status() == StatusCode::NOT_FOUND => return Ok(()),
                Ok(reply) => {
                    let status = reply.status();
                    let said = reply.text().await.unwrap_or_default();
                    // 0.25 answers 500 for an expired silence.
                    if said.contains("expired") || said.contains("not found") {
                        return Ok(());
                    }
                    last = anyhow::anyhow!("Alertmanager answered {status}: {}", cut(&said));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Uses the first replica that answers, because replicas gossip.
    async fn first<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<T> {
        let mut last = anyhow::anyhow!("no address");
        for url in &self.urls {
            match self.get(url, path, query).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn get<T: DeserializeOwned>(&self, url: &str, path: &str, query: &[(&str, String)]) -> anyhow::Result<T> {
        let mut address = reqwest::Url::parse(&format!("{url}/api/v2/{path}")).context("invalid address of Alertmanager")?;
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        read(self.credentialed(self.client.get(address)).send().await).await
    }

    fn request(&self, method: Method, url: &str, path: &str) -> RequestBuilder {
        self.credentialed(self.client.request(method, format!("{url}/api/v2/{path}")))
    }

    fn credentialed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            None => request,
            Some(Credentials::Bearer(token)) => request.bearer_auth(token.expose()),
            Some(Credentials::Basic { user, password }) => request.basic_auth(user, Some(password.expose())),
        }
    }
}

async fn read<T: DeserializeOwned>(reply: reqwest::Result<reqwest::Response>) -> anyhow::Result<T> {
    let reply = reply.map_err(reqwest::Error::without_url).context("asking Alertmanager")?;
    let status = reply.status();
    if !status.is_success() {
        anyhow::bail!("Alertmanager answered {status}: {}", cut(&reply.text().await.unwrap_or_default()));
    }
    reply.json().await.map_err(reqwest::Error::without_url).context("failed to read Alertmanager's answer")
}

const SAID_CHARACTERS: usize = 200;

fn cut(text: &str) -> String {
    text.chars().take(SAID_CHARACTERS).collect()
}

/// Formats a matcher in Alertmanager's syntax.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests;
