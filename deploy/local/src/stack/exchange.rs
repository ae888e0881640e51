//! From nothing to an exchange with markets, accounts and money. Never: traffic, and what watches it.

use std::{fs, process::Stdio};

use anyhow::{Context, Result, bail};
use local_parts::log_tail;
use tokio::process::Command;

use super::{
    bootstrap::{OperatorQueue, Traders},
    endpoints::{Endpoints, ExchangeEndpoint, PostgresEndpoint, S3},
    layout::{self, StackLayout, local},
    parts::{BUCKET, REPLICAS, StartedParts},
    readiness::{Steps, answers, ready},
    supervisor::Supervisor,
    traces,
};

/// Returns when servers and worker are ready: where everything is, and the accounts of the simulator and of the probe.
pub async fn start_exchange(
    layout: &StackLayout,
    parts: &StartedParts,
    supervisor: &Supervisor,
    steps: &Steps,
) -> Result<(Endpoints, Traders)> {
    let ports = layout.ports;
    let server = parts.postgres.url("postgres");
    let (postgres, object_store) = (supervisor.start("postgres").await?, supervisor.start("object-store").await?);
    ready("postgres", postgres, &layout.log("postgres"), async || local_parts::postgres_answers(&server).await).await?;
    steps.step("PostgreSQL is ready");
    local_parts::create_database(&server, StartedParts::database()).await?;
    let haproxy = supervisor.start("haproxy").await?;
    let metrics = format!("http://{}/metrics", local(ports.haproxy_metrics));
    ready("haproxy", haproxy, &layout.log("haproxy"), async || answers(&metrics, database_is_up).await).await?;
    migrate(layout, parts).await?;
    steps.step("the schema is up to date");
    let store = &parts.object_store.access;
    ready("object-store", object_store, &layout.log("object-store"), async || store.takes_objects().await).await?;
    store.create_bucket(BUCKET).await?;
    steps.step("the S3 server is ready");

    traces::start_traces(layout, supervisor).await?;
    let mut replicas = Vec::new();
    for (name, replica) in REPLICAS.into_iter().zip(ports.replicas) {
        let pid = supervisor.start(name).await?;
        let readyz = format!("http://{}/readyz", local(replica.admin));
        ready(name, pid, &layout.log(name), async || answers(&readyz, |_| true).await).await?;
        replicas.push(pid);
    }
    let nginx = supervisor.start("nginx").await?;
    let ping = format!("http://{}/api/v3/ping", local(ports.rest));
    ready("nginx", nginx, &layout.log("nginx"), async || answers(&ping, |_| true).await).await?;
    steps.step("two replicas of the exchange serve behind nginx");
    let traders = OperatorQueue { environment: parts.environment.clone() }.bootstrap().await?;
    steps.step("markets are open and accounts have money");
    let worker = supervisor.start("worker").await?;
    let readyz = format!("http://{}/readyz", local(ports.worker_admin));
    ready("worker", worker, &layout.log("worker"), async || answers(&readyz, |_| true).await).await?;
    steps.step("the worker works");

    let [rest, streams, ws_api] = [("http", ""), ("ws", "/ws"), ("ws", "/ws-api/v3")]
        .map(|(scheme, path)| format!("{scheme}://{}{path}", local(ports.rest)));
    let [first, second] = ports.replicas;
    let metrics: Vec<String> =
        [first.admin, second.admin, ports.worker_admin].map(|port| format!("http://{}/metrics", local(port))).into();
    let endpoints = Endpoints {
        exchange: ExchangeEndpoint {
            rest,
            servers: ports.replicas.iter().map(|replica| format!("http://{}", local(replica.api))).collect(),
            streams: Some(streams),
            ws_api: Some(ws_api),
            metrics: metrics.clone(),
            pids: replicas.into_iter().chain([worker]).collect(),
        },
        postgres: PostgresEndpoint { primary: parts.postgres.url(StartedParts::database()), replica: None },
        s3: S3 {
            endpoint: store.endpoint.clone(),
            access_key: store.access_key.clone(),
            secret_key: store.secret_key.clone(),
            bucket: BUCKET.into(),
        },
        prometheus: None,
        viewer: None,
        traces: Some(traces::url(layout)),
        alertmanager: None,
        alertbot: None,
        telegram: None,
        logship: None,
        accounts: traders.demo.clone(),
        alerts: None,
        metrics: [("exchange".to_owned(), metrics)].into(),
    };
    Ok((endpoints, traders))
}

/// HAProxy has found PostgreSQL.
fn database_is_up(metrics: &str) -> bool {
    metrics.lines().any(|line| line == "haproxy_backend_active_servers{proxy=\"postgres\"} 1")
}

/// `exchange migrate` runs to its end and is not a supervised part.
async fn migrate(layout: &StackLayout, parts: &StartedParts) -> Result<()> {
    let path = layout.log("migrate");
    let log = fs::File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let status = Command::new(layout::program("exchange")?)
        .arg("migrate")
        .envs(parts.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("sharing a log")?)
        .stderr(log)
        .status()
        .await
        .context("running exchange migrate")?;
    if !status.success() {
        bail!("`exchange migrate` failed ({status}). {}", log_tail(&path));
    }
    Ok(())
}
