//! Changes of what Prometheus scrapes, as service discovery makes them on a cluster.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use serde_yaml_ng::{Value, from_str, to_string};
use tokio::sync::Mutex;

/// The job of the second namespace's server.
pub const SECOND: &str = "second-exchange";
/// Restarts of the processes of this job are seen at this interval.
const SLOWLY_SCRAPED: (&str, &str) = ("logship-watch", "30s");
/// The declared targets of the second namespace. Its server serves an imposter.
const DECLARED: &str = "groups:\n  - name: second\n    rules:\n      \
    - {record: expected_targets, expr: vector(1), labels: {job: exchange-serve, namespace: second}}\n      \
    - {record: expected_targets, expr: vector(1), labels: {job: exchange-worker, namespace: second}}\n";

pub struct Discovery {
    file: PathBuf,
    prometheus: String,
    /// The configuration with every target.
    whole: Value,
    forgotten: Mutex<Vec<&'static str>>,
}

/// Addresses of imposters.
pub struct Imposters {
    pub exporter: String,
    pub second: String,
}

impl Discovery {
    /// Adds the imposters and the second namespace.
    pub async fn begin(run: &std::path::Path, prometheus: &str, imposters: &Imposters) -> Result<Self> {
        let file = run.join("prometheus/prometheus.yml");
        let mut whole: Value = from_str(&fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?)?;
        fs::write(run.join("rules/recording/second.yml"), DECLARED).context("declaring the second namespace")?;
        let jobs = whole["scrape_configs"].as_sequence_mut().context("the configuration has jobs")?;
        for job in jobs.iter_mut().filter(|job| job["job_name"] == SLOWLY_SCRAPED.0) {
            job["scrape_interval"] = SLOWLY_SCRAPED.1.into();
        }
        let job = |name: &str, address: &str, job: &str, namespace: &str| {
            from_str::<Value>(&format!(
                "{{job_name: {name}, static_configs: [{{targets: ['{address}'], labels: {{job: {job}, namespace: {namespace}, cluster: local}}}}]}}"
            ))
        };
        jobs.push(job("imposter", &imposters.exporter, "node", "imposter")?);
        jobs.push(job(SECOND, &imposters.second, "exchange-serve", "second")?);
        let discovery = Self { file, prometheus: prometheus.to_owned(), whole, forgotten: Mutex::default() };
        discovery.write(&[]).await?;
        Ok(discovery)
    }

    pub async fn forget(&self, job: &'static str) -> Result<()> {
        let mut forgotten = self.forgotten.lock().await;
        forgotten.push(job);
        self.write(&forgotten).await
    }

    pub async fn remember(&self, job: &str) -> Result<()> {
        let mut forgotten = self.forgotten.lock().await;
        forgotten.retain(|other| *other != job);
        self.write(&forgotten).await
    }

    async fn write(&self, without: &[&str]) -> Result<()> {
        let mut configuration = self.whole.clone();
        let jobs = configuration["scrape_configs"].as_sequence_mut().context("the configuration has jobs")?;
        // The job stays, as that of a ServiceMonitor whose pods are gone. Prometheus writes no end of series for a job that it forgets,
        // so those remain for five minutes.
        for job in jobs.iter_mut().filter(|job| job["job_name"].as_str().is_some_and(|name| without.contains(&name))) {
            job["static_configs"] = Value::Sequence(Vec::new());
        }
        fs::write(&self.file, to_string(&configuration)?).with_context(|| format!("writing {}", self.file.display()))?;
        let reply = reqwest::Client::new().post(format!("{}/-/reload", self.prometheus)).send().await?;
        let status = reply.status();
        ensure!(status.is_success(), "Prometheus refused its configuration: {}", reply.text().await.unwrap_or_default());
        Ok(())
    }
}
