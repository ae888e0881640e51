//! `.run/endpoints.json`: every address and demo credential, so that a script or a client can start at once.
//!
//! Its shape is an interface: members may be added, none renamed or removed without the changelog saying so. A part
//! that does not run is null.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use super::supervisor::write_private;

#[derive(Debug, Clone, Serialize)]
pub struct Endpoints {
    pub exchange: ExchangeEndpoint,
    pub postgres: PostgresEndpoint,
    pub s3: S3,
    pub prometheus: Option<String>,
    /// Boards, runbooks and logs in a browser.
    pub viewer: Option<String>,
    /// Takes spans over OTLP; the viewer shows them.
    pub traces: Option<String>,
    pub alertmanager: Option<String>,
    pub alertbot: Option<String>,
    pub telegram: Option<String>,
    pub logship: Option<Logship>,
    pub accounts: Vec<AccountEndpoint>,
    /// The recipients of alerts, and the demo credentials of each step.
    pub alerts: Option<Alerts>,
    /// Where each program that runs exports its metrics, one address for each process.
    pub metrics: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ExchangeEndpoint {
    pub rest: String,
    /// The API of each server, without the proxy.
    pub servers: Vec<String>,
    /// Market and user data streams, with the path `/ws`.
    pub streams: Option<String>,
    /// The WebSocket API, with its path.
    pub ws_api: Option<String>,
    /// One address for each process of the exchange.
    pub metrics: Vec<String>,
    pub pids: Vec<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub struct PostgresEndpoint {
    pub primary: String,
    pub replica: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct S3 {
    pub endpoint: String,
    pub access_key: String,
    pub secret_key: String,
    pub bucket: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Logship {
    /// Takes `_bulk`.
    pub relay: String,
    /// The fake Elasticsearch with the programs' logs.
    pub elasticsearch: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Alerts {
    /// Where Alertmanager posts, with the token as a bearer.
    pub webhook_url: String,
    pub webhook_token: String,
    /// The alert bot's own, and the one of Alertmanager's native receiver.
    pub bots: Vec<BotEndpoint>,
    pub chats: Vec<ChatEndpoint>,
    /// Numbers of the people whose buttons the bot obeys.
    pub people: Vec<ChatEndpoint>,
    /// The alert bot's.
    pub pids: Vec<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub struct BotEndpoint {
    pub name: String,
    pub token: String,
}

/// A chat or a person, by the number that Telegram knows it by.
#[derive(Debug, Clone, Serialize)]
pub struct ChatEndpoint {
    pub name: String,
    pub id: i64,
}

#[derive(Debug, Clone, Serialize)]
pub struct AccountEndpoint {
    pub name: String,
    pub api_key: String,
    pub secret_key: String,
}

impl Endpoints {
    /// [`write`]s them.
    pub fn write(&self, path: &Path) -> Result<()> {
        write(self, path)
    }
}

/// Writes JSON so that readers find either the whole file or none. Only its owner may read the keys in it.
pub fn write(content: &impl Serialize, path: &Path) -> Result<()> {
    let unfinished = path.with_extension("json.unfinished");
    let text = serde_json::to_string_pretty(content).context("writing JSON")? + "\n";
    write_private(&unfinished, &text)?;
    fs::rename(&unfinished, path).with_context(|| format!("publishing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use local_parts::Folder;

    use super::*;

    /// Scripts and clients of others read these names.
    #[test]
    fn the_shape_is_the_documented_one() {
        let account = |name: &str| AccountEndpoint { name: name.into(), api_key: "k".into(), secret_key: "s".into() };
        let endpoints = Endpoints {
            exchange: ExchangeEndpoint {
                rest: "r".into(),
                servers: vec!["r1".into()],
                streams: Some("w".into()),
                ws_api: Some("a".into()),
                metrics: vec!["m".into()],
                pids: vec![1],
            },
            postgres: PostgresEndpoint { primary: "p".into(), replica: None },
            s3: S3 { endpoint: "e".into(), access_key: "a".into(), secret_key: "s".into(), bucket: "b".into() },
            prometheus: Some("p".into()),
            viewer: Some("v".into()),
            traces: Some("t".into()),
            alertmanager: None,
            alertbot: None,
            telegram: None,
            logship: Some(Logship { relay: "r".into(), elasticsearch: "e".into() }),
            accounts: vec![account("demo"), account("demo-2")],
            alerts: Some(Alerts {
                webhook_url: "u".into(),
                webhook_token: "t".into(),
                bots: vec![BotEndpoint { name: "alertbot".into(), token: "1:t".into() }],
                chats: vec![ChatEndpoint { name: "operations".into(), id: -1 }],
                people: vec![ChatEndpoint { name: "ada".into(), id: 11 }],
                pids: vec![2],
            }),
            metrics: [("exchange".to_owned(), vec!["m".to_owned()])].into(),
        };
        let folder = Folder::throwaway("endpoints").unwrap();
        let path = folder.path().join("endpoints.json");
        endpoints.write(&path).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = serde_json::json!({
            "exchange": {"rest": "r", "servers": ["r1"], "streams": "w", "ws_api": "a", "metrics": ["m"], "pids": [1]},
            "postgres": {"primary": "p", "replica": null},
            "s3": {"endpoint": "e", "access_key": "a", "secret_key": "s", "bucket": "b"},
            "prometheus": "p", "viewer": "v", "traces": "t", "alertmanager": null, "alertbot": null, "telegram": null,
            "logship": {"relay": "r", "elasticsearch": "e"},
            "accounts": [
                {"name": "demo", "api_key": "k", "secret_key": "s"},
                {"name": "demo-2", "api_key": "k", "secret_key": "s"},
            ],
            "alerts": {
                "webhook_url": "u", "webhook_token": "t", "bots": [{"name": "alertbot", "token": "1:t"}],
                "chats": [{"name": "operations", "id": -1}], "people": [{"name": "ada", "id": 11}], "pids": [2],
            },
            "metrics": {"exchange": ["m"]},
        });
        assert_eq!(read, expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
    }
}
