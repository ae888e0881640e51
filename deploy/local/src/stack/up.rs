//! From nothing to live traffic: each part is started when those it needs are ready.

use std::{fs, process::Stdio, time::Instant};

use anyhow::{Context, Result, bail};
use local_parts::log_tail;
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use super::{
    bootstrap::{Operator, Traders},
    endpoints::{self, Endpoints, Exchange, Postgres, S3},
    layout::{self, Layout},
    parts::{BUCKET, Parts, local},
    readiness::{answers, ready},
    supervisor::{Supervisor, running},
};

/// Starts everything in the background; returns when every part is ready.
pub async fn up(layout: &Layout) -> Result<()> {
    let (parts, supervisor) = prepare(layout).await?;
    supervisor.start_in_background().await?;
    if let Err(error) = until_signalled(start(layout, &parts, &supervisor)).await {
        supervisor.stop().await?;
        return Err(error);
    }
    println!("`make down` ends it all.");
    Ok(())
}

/// Starts everything, and ends everything on Ctrl-C, SIGTERM, or when a part cannot start.
pub async fn run(layout: &Layout) -> Result<()> {
    let (parts, supervisor) = prepare(layout).await?;
    let mut child = supervisor.start_as_child(&layout.log("supervisord-output")).await?;
    let running = async {
        start(layout, &parts, &supervisor).await?;
        println!("Ctrl-C ends it all.");
        ended(&mut child).await
    };
    let outcome = until_signalled(running).await;
    supervisor.stop().await?;
    child.wait().await.context("waiting for supervisord")?;
    fs::remove_file(layout.endpoints()).ok();
    match outcome {
        Err(error) if error.is::<Signalled>() => {
            println!("everything has ended");
            Ok(())
        }
        outcome => outcome,
    }
}

/// Somebody wants the run to end.
#[derive(Debug)]
struct Signalled;

impl std::fmt::Display for Signalled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("interrupted")
    }
}

impl std::error::Error for Signalled {}

async fn until_signalled(work: impl Future<Output = Result<()>>) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => Err(Signalled.into()),
        _ = terminate.recv() => Err(Signalled.into()),
    }
}

async fn ended(supervisor: &mut Child) -> Result<()> {
    let status = supervisor.wait().await.context("waiting for supervisord")?;
    if status.success() { Ok(()) } else { bail!("supervisord ended by itself ({status})") }
}

async fn prepare(layout: &Layout) -> Result<(Parts, Supervisor)> {
    if let Some(pid) = running(&layout.supervisor_pid_file(), &layout.supervisor_configuration()) {
        bail!("a run is up already (supervisord, process {pid}): `make down` ends it");
    }
    layout.check_ports()?;
    // Each run begins anew; the last one's logs were there until now.
    if layout.folder.exists() {
        fs::remove_dir_all(&layout.folder).with_context(|| format!("clearing {}", layout.folder.display()))?;
    }
    fs::create_dir_all(layout.folder.join("logs")).with_context(|| format!("creating {}", layout.folder.display()))?;
    let parts = Parts::prepare(layout).await?;
    let supervisor = Supervisor::configure(layout, &parts.launches())?;
    Ok((parts, supervisor))
}

async fn start(layout: &Layout, parts: &Parts, supervisor: &Supervisor) -> Result<()> {
    let begun = Instant::now();
    let ports = layout.ports;
    let step = |what: &str| println!("{:5.1} s  {what}", begun.elapsed().as_secs_f32());

    let server = parts.postgres.url("postgres");
    let (postgres, object_store) = (supervisor.start("postgres").await?, supervisor.start("object-store").await?);
    ready("postgres", postgres, &layout.log("postgres"), async || local_parts::postgres_answers(&server).await).await?;
    step("PostgreSQL is ready");
    local_parts::create_database(&server, Parts::database()).await?;
    migrate(layout, parts).await?;
    step("the schema is up to date");
    let store = &parts.object_store.access;
    ready("object-store", object_store, &layout.log("object-store"), async || store.takes_objects().await).await?;
    store.create_bucket(BUCKET).await?;
    step("the S3 server is ready");

    let serve = supervisor.start("serve").await?;
    let readyz = format!("http://{}/readyz", local(ports.serve_admin));
    ready("serve", serve, &layout.log("serve"), async || answers(&readyz, |_| true).await).await?;
    step("the exchange serves");
    let Traders { demo, simulator: traders } = Operator { environment: parts.environment.clone() }.bootstrap().await?;
    step("markets are open and accounts have money");
    let worker = supervisor.start("worker").await?;
    let readyz = format!("http://{}/readyz", local(ports.worker_admin));
    ready("worker", worker, &layout.log("worker"), async || answers(&readyz, |_| true).await).await?;
    step("the worker works");

    let rest = format!("http://{}", local(ports.rest));
    let streams = format!("ws://{}", local(ports.rest));
    let endpoints = Endpoints {
        exchange: Exchange {
            ws_api: format!("{streams}/ws-api/v3"),
            metrics: [ports.serve_admin, ports.worker_admin].map(|port| format!("http://{}/metrics", local(port))).into(),
            pids: vec![serve, worker],
            streams,
            rest: rest.clone(),
        },
        postgres: Postgres { primary: parts.postgres.url(Parts::database()), replica: None },
        s3: S3 {
            endpoint: store.endpoint.clone(),
            access_key: store.access_key.clone(),
            secret_key: store.secret_key.clone(),
            bucket: BUCKET.into(),
        },
        prometheus: Some(parts.prometheus.url.clone()),
        alertmanager: None,
        alertbot: None,
        telegram: None,
        logship: None,
        accounts: demo,
    };
    endpoints::write(&traders, &layout.simulator_accounts())?;
    endpoints.write(&layout.simulator_endpoints())?;
    let (simulator, prometheus) = (supervisor.start("simulator").await?, supervisor.start("prometheus").await?);
    ready("prometheus", prometheus, &layout.log("prometheus"), async || parts.prometheus.is_ready().await).await?;
    step("Prometheus scrapes");
    for market in super::accounts::MARKETS {
        let trades = format!("{rest}/api/v3/trades?limit=1&symbol={}", market.symbol);
        ready("simulator", simulator, &layout.log("simulator"), async || {
            answers(&trades, |body| body.contains("\"price\"")).await
        })
        .await?;
    }
    step("the simulator trades on every market");
    endpoints.write(&layout.endpoints())?;
    tell(layout, &endpoints);
    Ok(())
}

/// `exchange migrate` is no part that stays: it runs to its end.
async fn migrate(layout: &Layout, parts: &Parts) -> Result<()> {
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

fn tell(layout: &Layout, endpoints: &Endpoints) {
    let names: Vec<_> = endpoints.accounts.iter().map(|account| account.name.as_str()).collect();
    println!("\nREST API     {}/api/v3/", endpoints.exchange.rest);
    println!("Streams      {}", endpoints.exchange.streams);
    println!("Metrics      {}", endpoints.exchange.metrics.join("  "));
    println!("PostgreSQL   {}", endpoints.postgres.primary);
    println!("S3           {}  bucket {}", endpoints.s3.endpoint, endpoints.s3.bucket);
    println!("Prometheus   {}", endpoints.prometheus.as_deref().unwrap_or("does not run"));
    println!("Accounts     {}: keys in {}", names.join(", "), layout.endpoints().display());
    println!("Logs         {}\n", layout.folder.join("logs").display());
}
