//! An Alertmanager of one's own, with a given configuration, alone or in a cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    binaries,
    folder::Folder,
    launch::{Launch, StopSignal},
    ports::free_ports,
    process::ChildProcess,
};

const READY_DEADLINE: Duration = Duration::from_secs(60);

/// The routes of a server.
#[derive(Debug, Clone, Default)]
pub struct AlertmanagerOptions {
    /// Where data, configuration and log live; a throwaway folder when absent.
    pub folder: Option<PathBuf>,
    /// A free one when absent.
    pub port: Option<u16>,
    /// Alertmanager's own YAML.
    pub configuration: String,
    /// Addresses of others to form a cluster with ([`Alertmanager::cluster_address`]); `None` stays alone, an empty list is the
    /// first of a cluster.
    pub peers: Option<Vec<String>>,
}

/// A server that is ready to be started, by this process or by a supervisor.
#[derive(Debug, Clone)]
pub struct AlertmanagerPlan {
    pub launch: Launch,
    pub url: String,
    configuration: PathBuf,
    cluster_address: Option<String>,
}

impl AlertmanagerPlan {
    pub fn prepare(folder: &Folder, options: &AlertmanagerOptions) -> Result<Self> {
        let [free, cluster_port] = free_ports()?;
        let port = options.port.unwrap_or(free);
        let configuration = folder.path().join("alertmanager.yml");
        write_private(&configuration, &options.configuration)?;
        let cluster_address = options.peers.as_ref().map(|_| format!("127.0.0.1:{cluster_port}"));
        let url = format!("http://127.0.0.1:{port}");
        let mut arguments = vec![
            format!("--config.file={}", configuration.display()),
            format!("--storage.path={}", folder.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            format!("--web.external-url={url}"),
            // Empty: no cluster. Otherwise it would listen on every address.
            format!("--cluster.listen-address={}", cluster_address.as_deref().unwrap_or_default()),
        ];
        if options.peers.is_some() {
            // Two on one machine need not wait a minute for others.
            arguments.push("--cluster.settle-timeout=2s".to_owned());
        }
        arguments.extend(options.peers.iter().flatten().map(|peer| format!("--cluster.peer={peer}")));
        let launch = Launch::new(
            "alertmanager",
            binaries::find("prometheus-alertmanager")?,
            arguments,
            Vec::new(),
            // It writes silences and its notification log to disk when it stops.
            StopSignal::Terminate,
        );
        Ok(Self { launch, url, configuration, cluster_address })
    }

    /// Whether the server answers.
    pub async fn is_ready(&self) -> bool {
        reqwest::get(format!("{}/-/ready", self.url)).await.is_ok_and(|reply| reply.status().is_success())
    }
}

/// It holds tokens of receivers.
fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    const OWNER_ONLY: u32 = 0o600;
    let mut file = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(path)
        .with_context(|| format!("creating {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Alertmanager {
    // Dropped in this order: the server first, then its folder.
    process: Option<ChildProcess>,
    plan: AlertmanagerPlan,
    folder: Folder,
}

impl Alertmanager {
    /// Starts a server and waits until it answers. A configuration that does not parse ends it at once, with its log.
    pub async fn start(options: AlertmanagerOptions) -> Result<Self> {
        let folder = match &options.folder {
            Some(path) => Folder::kept(path)?,
            None => Folder::throwaway("alertmanager")?,
        };
        let plan = AlertmanagerPlan::prepare(&folder, &options)?;
        let mut alertmanager = Self { process: None, plan, folder };
        alertmanager.start_again().await?;
        Ok(alertmanager)
    }

    pub fn url(&self) -> &str {
        &self.plan.url
    }

    /// The address for the rest of its cluster; `None` without a cluster.
    pub fn cluster_address(&self) -> Option<&str> {
        self.plan.cluster_address.as_deref()
    }

    /// The process id; `None` while stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ChildProcess::pid)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Posts alerts as Prometheus does (`POST /api/v2/alerts`): a list of `labels`, `annotations`, `startsAt`, `endsAt`.
    pub async fn post_alerts(&self, alerts: &serde_json::Value) -> Result<()> {
        let url = format!("{}/api/v2/alerts", self.url());
        let reply = reqwest::Client::new().post(url).json(alerts).send().await.context("posting alerts")?;
        let status = reply.status();
        ensure!(status.is_success(), "Alertmanager refused alerts ({status}): {}", reply.text().await.unwrap_or_default());
        Ok(())
    }

    /// Takes another configuration without a restart.
    pub async fn reload(&self, configuration: &str) -> Result<()> {
        write_private(&self.plan.configuration, configuration)?;
        let reply = reqwest::Client::new().post(format!("{}/-/reload", self.url())).send().await.context("reloading")?;
        let status = reply.status();
        ensure!(status.is_success(), "Alertmanager refused its configuration: {}", reply.text().await.unwrap_or_default());
        Ok(())
    }

    /// Ends the server with `signal`. Its files and its address remain.
    pub async fn stop(&mut self, signal: StopSignal) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop(signal).await?;
        }
        Ok(())
    }

    /// Starts a stopped server at the same address.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "Alertmanager is already running");
        let mut process = ChildProcess::start(&self.plan.launch, self.folder.path())?;
        process.ready(READY_DEADLINE, async || self.plan.is_ready().await).await?;
        self.process = Some(process);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const QUIET: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

    async fn get(url: &str) -> Value {
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    #[tokio::test]
    async fn takes_alerts_keeps_silences_and_refuses_what_does_not_parse() {
        let options = AlertmanagerOptions { configuration: QUIET.into(), ..Default::default() };
        let mut alertmanager = Alertmanager::start(options).await.unwrap();
        alertmanager.post_alerts(&json!([{"labels": {"alertname": "DiskFull"}}])).await.unwrap();
        let alerts = get(&format!("{}/api/v2/alerts", alertmanager.url())).await;
        assert_eq!(alerts[0]["labels"]["alertname"], "DiskFull");

        let silence = json!({
            "matchers": [{"name": "alertname", "value": "DiskFull", "isRegex": false}],
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "test", "comment": "test",
        });
        let url = format!("{}/api/v2/silences", alertmanager.url());
        assert!(reqwest::Client::new().post(&url).json(&silence).send().await.unwrap().status().is_success());
        alertmanager.stop(StopSignal::Terminate).await.unwrap();
        alertmanager.start_again().await.unwrap();
        assert_eq!(get(&url).await.as_array().unwrap().len(), 1);

        let broken = AlertmanagerOptions { configuration: "route: {receiver: gone}".into(), ..Default::default() };
        let error = Alertmanager::start(broken).await.unwrap_err().to_string();
        assert!(error.contains("alertmanager ended at start") && error.contains("gone"), "{error}");
        assert!(alertmanager.reload("route: {receiver: gone}").await.is_err());
        alertmanager.reload(QUIET).await.unwrap();
    }

    #[tokio::test]
    async fn two_form_a_cluster() {
        let start = async |peers: Vec<String>| {
            let options = AlertmanagerOptions { configuration: QUIET.into(), peers: Some(peers), ..Default::default() };
            Alertmanager::start(options).await.unwrap()
        };
        let first = start(Vec::new()).await;
        let second = start(vec![first.cluster_address().unwrap().to_owned()]).await;
        let status = get(&format!("{}/api/v2/status", second.url())).await;
        assert_eq!(status["cluster"]["peers"].as_array().unwrap().len(), 2);
    }
}
