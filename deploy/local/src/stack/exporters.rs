//! This module prepares the exporters of the parts that do not speak Prometheus themselves: PostgreSQL, nginx and the machine.

use anyhow::Result;
use local_parts::{Launch, PostgresPlan, ScrapeTarget, StopSignal, find_program};

use super::{
    layout::{StackLayout, local},
    readiness::{answers, ready},
    supervisor::Supervisor,
};

/// The exporters of a run.
pub struct Exporters {
    postgres: Launch,
    node: Launch,
    nginx: Launch,
}

impl Exporters {
    pub fn prepare(layout: &StackLayout, postgres: &PostgresPlan, database: &str) -> Result<Self> {
        let listen = |port| format!("--web.listen-address={}", local(port));
        let url = postgres.url(database);
        let options = if url.contains('?') { "&" } else { "?" };
        Ok(Self {
            postgres: Launch::new(
                "postgres-exporter",
                find_program("prometheus-postgres-exporter")?,
                [listen(layout.ports.postgres_exporter)],
                vec![("DATA_SOURCE_NAME".to_owned(), format!("{url}{options}sslmode=disable"))],
                StopSignal::Terminate,
            ),
            node: Launch::new(
                "node-exporter",
                find_program("prometheus-node-exporter")?,
                [listen(layout.ports.node_exporter)],
                Vec::new(),
                StopSignal::Terminate,
            ),
            nginx: Launch::new(
                "nginx-exporter",
                find_program("prometheus-nginx-exporter")?,
                [
                    format!("-web.listen-address={}", local(layout.ports.nginx_exporter)),
                    format!("-nginx.scrape-uri=http://{}/stub_status", local(layout.ports.nginx_status)),
                ],
                Vec::new(),
                StopSignal::Terminate,
            ),
        })
    }

    pub fn launches(&self) -> [Launch; 3] {
        [&self.postgres, &self.node, &self.nginx].map(Clone::clone)
    }

    /// What Prometheus scrapes of them.
    pub fn targets(layout: &StackLayout) -> [ScrapeTarget; 3] {
        let target = |job: &str, port| ScrapeTarget { job: job.to_owned(), addresses: vec![local(port)] };
        let ports = layout.ports;
        [target("postgres", ports.postgres_exporter), target("node", ports.node_exporter), target("nginx", ports.nginx_exporter)]
    }

    /// Returns when all answer.
    pub async fn start(layout: &StackLayout, supervisor: &Supervisor) -> Result<()> {
        let ports = layout.ports;
        let exporters = [
            ("postgres-exporter", ports.postgres_exporter),
            ("node-exporter", ports.node_exporter),
            ("nginx-exporter", ports.nginx_exporter),
        ];
        for (name, port) in exporters {
            let pid = supervisor.start(name).await?;
            let metrics = format!("http://{}/metrics", local(port));
            ready(name, pid, &layout.log(name), async || answers(&metrics, |_| true).await).await?;
        }
        Ok(())
    }
}
