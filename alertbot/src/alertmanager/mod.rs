//! Alertmanager's API v2 (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>), as far as the bot asks:
//! alerts, silences, how long it has been up. Never a decision about an incident.

pub mod reconcile;
pub mod silence;

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    config::{self, Credentials},
    webhook::{Labels, Status, labels::in_matcher},
};

/// The replicas of one cluster.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    pub name: String,
    urls: Vec<String>,
    credentials: Option<Credentials>,
    client: Client,
}

/// One alert, as far as it matters to a comparison.
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
    /// Time intervals that mute it; newer Alertmanagers say so.
    #[serde(default)]
    pub muted_by: Option<Vec<String>>,
}

/// A group with its alerts: what a webhook that was too large would have told.
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

impl From<Grouped> for crate::webhook::Alert {
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
pub struct Matcher {
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
pub struct Silence {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub matchers: Vec<Matcher>,
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

/// How long one request may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

impl Alertmanager {
    /// `None` when the configuration names no address: then there are no silences and no comparison.
    pub fn new(settings: &config::Alertmanager) -> anyhow::Result<Option<Self>> {
        if settings.urls.is_empty() {
            return Ok(None);
        }
        let client = Client::builder().timeout(TIMEOUT).build().context("building a client for Alertmanager")?;
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

    /// Every alert that any replica has: whether it is suppressed on all that have it. And why the list is not complete: a
    /// replica did not answer, so an alert that is missing from the list may be active there.
    ///
    /// # Errors
    /// Returns an error if no replica answers.
    pub async fn alerts(&self) -> anyhow::Result<(HashMap<Box<str>, bool>, Option<anyhow::Error>)> {
        let mut all: HashMap<Box<str>, bool> = HashMap::new();
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
                all.entry(alert.fingerprint).and_modify(|on_all| *on_all &= suppressed).or_insert(suppressed);
            }
        }
        match missing {
            Some(error) if !answered => Err(error),
            missing => Ok((all, missing)),
        }
    }

    /// When the youngest replica was started.
    pub async fn up_since(&self) -> anyhow::Result<Timestamp> {
        let mut since = Timestamp::MIN;
        for url in &self.urls {
            let status: Uptime = self.get(url, "status", &[]).await?;
            since = since.max(status.uptime);
        }
        Ok(since)
    }

    pub async fn groups(&self) -> anyhow::Result<Vec<Group>> {
        self.first("alerts/groups", &[]).await
    }

    /// The groups of every replica that answers, those that several have once from each.
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

    /// The groups of every replica, those that several have once from each.
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

    /// How many alerts fire that these matchers would silence.
    pub async fn count(&self, matchers: &[Matcher]) -> anyhow::Result<usize> {
        let filters: Vec<(&str, String)> = matchers
            .iter()
            .map(|matcher| ("filter", format!("{}={}", in_matcher(&matcher.name), quoted(&matcher.value))))
            .collect();
        let alerts: Vec<Seen> = self.first("alerts", &filters).await?;
        Ok(alerts.len())
    }

    /// Silences in force and to come.
    pub async fn silences(&self) -> anyhow::Result<Vec<Silence>> {
        let all: Vec<Silence> = self.first("silences", &[]).await?;
        Ok(all.into_iter().filter(|silence| silence.status.as_ref().is_none_or(|status| status.state != "expired")).collect())
    }

    /// Answers the id. An update of one that is in force may answer another id.
    pub async fn silence(&self, silence: &Silence) -> anyhow::Result<String> {
        let mut last = anyhow::anyhow!("no address");
        for url in &self.urls {
            match read::<Created>(self.request(Method::POST, url, "silences").json(silence).send().await).await {
                Ok(created) => return Ok(created.silence_id),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Ends a silence; one that is not there any more has ended.
    pub async fn end_silence(&self, id: &str) -> anyhow::Result<()> {
        let mut last = anyhow::anyhow!("no address");
        for url in &self.urls {
            let reply = self.request(Method::DELETE, url, &format!("silence/{id}")).send().await;
            match reply.map_err(reqwest::Error::without_url).context("asking Alertmanager") {
                Ok(reply) if reply.status().is_success() || reply.status() == StatusCode::NOT_FOUND => return Ok(()),
                Ok(reply) => {
                    let status = reply.status();
                    let said = reply.text().await.unwrap_or_default();
                    // 0.25 answers 500 for a silence that has expired already.
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

    /// From the first replica that answers: they tell each other.
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
        let mut address = reqwest::Url::parse(&format!("{url}/api/v2/{path}")).context("the address of Alertmanager")?;
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
    reply.json().await.map_err(reqwest::Error::without_url).context("reading what Alertmanager answered")
}

const SAID_CHARACTERS: usize = 200;

fn cut(text: &str) -> String {
    text.chars().take(SAID_CHARACTERS).collect()
}

/// As matchers are written.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
