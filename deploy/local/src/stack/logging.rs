//! From the programs' log files to an index: the shipper, logship's relay, the fake that takes Elasticsearch's place, and logship's watch
//! over it. Never: a stream or a template (they are declared in logship-config/elasticsearch).

use std::{fs, process::Stdio};

use anyhow::{Context, Result, bail};
use local_parts::{Launch, StopSignal, log_tail};
use serde_yaml_ng::Value;
use tokio::process::Command;

use super::{
    endpoints::{Endpoints, Logship},
    layout::{self, StackLayout, local},
    readiness::{Steps, answers, ready, text_of},
    supervisor::Supervisor,
    traces,
};

const DECLARED: &str = "logship-config/elasticsearch";
const DEAD_LETTERS: &str = "logs-logship.dead_letter-default";

/// Shorter than an operator would choose: a newcomer looks at what changes.
const WATCH_EVERY: &str = "5s";

/// The parts of this path.
pub struct Logging {
    elasticsearch: Launch,
    relay: Launch,
    shipper: Launch,
    watch: Launch,
    /// What every command of `logship` gets.
    environment: Vec<(String, String)>,
}

impl Logging {
    pub fn prepare(layout: &StackLayout) -> Result<Self> {
        let ports = layout.ports;
        let declared = layout::repository()?.join(DECLARED);
        let environment: Vec<(String, String)> = [
            ("LOGSHIP_ELASTICSEARCH_URL", format!("http://{}", local(ports.elasticsearch))),
            ("LOGSHIP_DECLARED", declared.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let streams = fs::read_to_string(declared.join("streams.yaml")).context("reading the declared streams")?;
        let streams: Value = serde_yaml_ng::from_str(&streams).context("reading the declared streams")?;
        let streams = streams["streams"].as_mapping().context("streams.yaml names no streams")?;
        let streams: Vec<&str> = streams.keys().filter_map(Value::as_str).filter(|name| *name != DEAD_LETTERS).collect();
        let of = |own: &[(&str, String)]| -> Vec<(String, String)> {
            environment.iter().cloned().chain(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))).collect()
        };
        let of_relay = of(&[
            ("LOGSHIP_RELAY_LISTEN", local(ports.relay)),
            ("LOGSHIP_ADMIN_LISTEN", local(ports.relay_admin)),
            ("LOGSHIP_RELAY_STREAMS", streams.join(",")),
            ("LOGSHIP_RELAY_DEAD_LETTERS", DEAD_LETTERS.to_owned()),
        ]);
        let of_watch = of(&[("LOGSHIP_ADMIN_LISTEN", local(ports.watch_admin)), ("LOGSHIP_WATCH_EVERY", WATCH_EVERY.to_owned())]);
        let elasticsearch = Launch::new(
            "elasticsearch",
            layout::program("elasticsearch-fake")?,
            ["--listen".to_owned(), local(ports.elasticsearch)],
            Vec::new(),
            StopSignal::Terminate,
        );
        let relay = Launch::new("relay", layout::program("logship")?, ["relay"], of_relay, StopSignal::Terminate);
        let relay = traces::exporting(relay, layout);
        let watch = Launch::new("watch", layout::program("logship")?, ["watch"], of_watch, StopSignal::Terminate);
        let shipper = Launch::new(
            "shipper",
            layout::program("development-shipper")?,
            [
                "--logs".into(),
                layout.folder.join("logs").into_os_string(),
                "--relay".into(),
                format!("http://{}", local(ports.relay)).into(),
            ],
            Vec::new(),
            StopSignal::Terminate,
        );
        Ok(Self { elasticsearch, relay, shipper, watch, environment })
    }

    /// In the order of their start.
    pub fn launches(&self) -> [Launch; 4] {
        [&self.elasticsearch, &self.relay, &self.shipper, &self.watch].map(Clone::clone)
    }

    /// Returns when lines of the programs have arrived.
    pub async fn start(
        &self,
        layout: &StackLayout,
        supervisor: &Supervisor,
        steps: &Steps,
        endpoints: &mut Endpoints,
    ) -> Result<()> {
        let ports = layout.ports;
        let elasticsearch = format!("http://{}", local(ports.elasticsearch));
        let fake = supervisor.start("elasticsearch").await?;
        ready("elasticsearch", fake, &layout.log("elasticsearch"), async || answers(&elasticsearch, |_| true).await).await?;
        self.apply(layout).await?;
        let admin = format!("http://{}", local(ports.relay_admin));
        let (readyz, metrics) = (format!("{admin}/readyz"), format!("{admin}/metrics"));
        let relay = supervisor.start("relay").await?;
        ready("relay", relay, &layout.log("relay"), async || answers(&readyz, |_| true).await).await?;
        let shipper = supervisor.start("shipper").await?;
        ready("shipper", shipper, &layout.log("shipper"), async || {
            text_of(&metrics).await.is_ok_and(|metrics| settled(&metrics, "stored") > 0.0)
        })
        .await?;
        let watch_admin = format!("http://{}", local(ports.watch_admin));
        let watch = supervisor.start("watch").await?;
        let readyz = format!("{watch_admin}/readyz");
        ready("watch", watch, &layout.log("watch"), async || answers(&readyz, |_| true).await).await?;
        steps.step("the programs' logs arrive in the fake of Elasticsearch, and logship watches it");
        endpoints.logship = Some(Logship { relay: format!("http://{}", local(ports.relay)), elasticsearch });
        endpoints.metrics.insert("logship".to_owned(), vec![metrics, format!("{watch_admin}/metrics")]);
        Ok(())
    }

    /// `logship apply` runs to its end and is not a supervised part.
    async fn apply(&self, layout: &StackLayout) -> Result<()> {
        let path = layout.log("apply");
        let log = fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        let status = Command::new(&self.relay.program)
            .arg("apply")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing a log")?)
            .stderr(log)
            .status()
            .await
            .context("running logship apply")?;
        if !status.success() {
            bail!("`logship apply` failed ({status}). {}", log_tail(&path));
        }
        Ok(())
    }
}

/// Documents that the relay has settled so.
fn settled(metrics: &str, outcome: &str) -> f64 {
    let series = format!("logship_relay_documents_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::settled;

    #[test]
    fn settled_documents_are_read_by_outcome() {
        let metrics =
            "logship_relay_documents_total{outcome=\"already_there\"} 3\nlogship_relay_documents_total{outcome=\"stored\"} 12\n";
        assert!(settled(metrics, "stored") == 12.0 && settled(metrics, "dead_letter") == 0.0);
    }
}
