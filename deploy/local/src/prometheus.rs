//! A Prometheus server of one's own, with given rules and scrape targets.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    binaries,
    folder::Folder,
    launch::{Launch, StopSignal},
    ports::free_ports,
    process::ChildProcess,
};

const READY_DEADLINE: Duration = Duration::from_secs(60);

/// The targets and rules of a server.
#[derive(Debug, Clone)]
pub struct PrometheusOptions {
    /// Where data, configuration and log live; a throwaway folder when absent.
    pub folder: Option<PathBuf>,
    /// A free one when absent.
    pub port: Option<u16>,
    /// Rule files. The last part of a path may contain an asterisk.
    pub rules: Vec<PathBuf>,
    pub targets: Vec<ScrapeTarget>,
    /// Labels of every target, as service discovery of a cluster adds them.
    pub target_labels: Vec<(String, String)>,
    /// Where users reach it: the links of its alerts begin with it. Its own address when absent.
    pub external_url: Option<String>,
    /// Where alerts go: addresses (`host:port`) of Alertmanagers.
    pub alertmanagers: Vec<String>,
    /// Labels added to every alert.
    pub external_labels: Vec<(String, String)>,
    /// How often it scrapes and evaluates.
    pub interval: Duration,
}

impl Default for PrometheusOptions {
    fn default() -> Self {
        Self {
            folder: None,
            port: None,
            rules: Vec::new(),
            targets: Vec::new(),
            target_labels: Vec::new(),
            external_url: None,
            alertmanagers: Vec::new(),
            external_labels: Vec::new(),
            interval: Duration::from_secs(1),
        }
    }
}

/// One job: addresses (`host:port`) that serve `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeTarget {
    pub job: String,
    pub addresses: Vec<String>,
}

/// A server that is ready to be started, by this process or by a supervisor.
#[derive(Debug, Clone)]
pub struct PrometheusPlan {
    pub launch: Launch,
    pub url: String,
}

impl PrometheusPlan {
    pub fn prepare(folder: &Folder, options: &PrometheusOptions) -> Result<Self> {
        let port = match options.port {
            Some(port) => port,
            None => free_ports::<1>()?[0],
        };
        let interval = format!("{}ms", options.interval.as_millis());
        let labels: BTreeMap<_, _> = options.target_labels.iter().cloned().collect();
        let jobs = options
            .targets
            .iter()
            .map(|target| json!({"job_name": target.job, "static_configs": [{"targets": target.addresses, "labels": labels}]}));
        let configuration = json!({
            "global": {
                "scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval,
                "external_labels": options.external_labels.iter().cloned().collect::<BTreeMap<_, _>>(),
            },
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": options.alertmanagers}]}]},
            "rule_files": options.rules,
            "scrape_configs": jobs.collect::<Vec<_>>(),
        });
        let file = folder.path().join("prometheus.yml");
        let text = serde_yaml_ng::to_string(&configuration).context("writing a configuration")?;
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        let url = format!("http://127.0.0.1:{port}");
        let external_url = options.external_url.as_deref().unwrap_or(&url);
        let launch = Launch {
            name: "prometheus",
            program: binaries::find("prometheus")?,
            arguments: vec![
                format!("--config.file={}", file.display()).into(),
                format!("--storage.tsdb.path={}", folder.path().join("data").display()).into(),
                format!("--web.listen-address=127.0.0.1:{port}").into(),
                format!("--web.external-url={external_url}").into(),
                // A reload after a change of rules, as prometheus-operator's reloader does it.
                "--web.enable-lifecycle".into(),
            ],
            environment: Vec::new(),
            account: None,
            open_input: false,
            stop_signal: StopSignal::Terminate,
        };
        Ok(Self { launch, url })
    }

    /// Whether the server has loaded everything and answers queries.
    pub async fn is_ready(&self) -> bool {
        reqwest::get(format!("{}/-/ready", self.url)).await.is_ok_and(|reply| reply.status().is_success())
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Prometheus {
    // Dropped in this order: the server first, then its folder.
    process: ChildProcess,
    plan: PrometheusPlan,
    folder: Folder,
}

impl Prometheus {
    /// Starts a server and waits until it answers queries. Rules that do not parse end it at once, with its log.
    pub async fn start(options: PrometheusOptions) -> Result<Self> {
        let folder = match &options.folder {
            Some(path) => Folder::kept(path)?,
            None => Folder::throwaway("prometheus")?,
        };
        let plan = PrometheusPlan::prepare(&folder, &options)?;
        let mut process = ChildProcess::start(&plan.launch, folder.path())?;
        process.ready(READY_DEADLINE, async || plan.is_ready().await).await?;
        Ok(Self { process, plan, folder })
    }

    pub fn url(&self) -> &str {
        &self.plan.url
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_queries_and_refuses_rules_that_do_not_parse() {
        let prometheus = Prometheus::start(PrometheusOptions::default()).await.unwrap();
        let answer = reqwest::get(format!("{}/api/v1/query?query=1", prometheus.url())).await.unwrap();
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(answer["data"]["result"][1], "1");

        let rules = prometheus.folder().join("broken.yml");
        fs::write(&rules, "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]").unwrap();
        let error =
            Prometheus::start(PrometheusOptions { rules: vec![rules], ..Default::default() }).await.unwrap_err().to_string();
        assert!(error.contains("prometheus ended at start") && error.contains("could not parse expression"), "{error}");
    }
}
