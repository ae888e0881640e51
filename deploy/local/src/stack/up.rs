//! From nothing to live traffic: each part is started when those it needs are ready.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::{
    process::Child,
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use super::{
    backup::{self, Drills},
    endpoints::{self, Endpoints},
    exchange,
    exporters::Exporters,
    layout::{StackLayout, local},
    parts::StartedParts,
    probe,
    readiness::{Steps, answers, ready},
    supervisor::{Supervisor, running},
    viewer::Viewer,
};

/// How long a start waits for the first backup to be restored and compared; it comes later on a slow machine.
const FIRST_DRILL: Duration = Duration::from_secs(60);
/// A data stream that every run writes to.
const EXPLAINED: &str = "logs-exchange.app-default";

/// Starts everything in the background; returns when every part is ready.
pub async fn up(layout: &StackLayout) -> Result<()> {
    let (parts, supervisor) = prepare(layout).await?;
    supervisor.start_in_background().await?;
    let started = until_signalled(async { start(layout, &parts, &supervisor).await.map(drop) }).await;
    if let Err(error) = started {
        supervisor.stop().await?;
        return Err(error);
    }
    println!("Run `make down` to stop everything.");
    Ok(())
}

/// Starts everything, and ends everything on Ctrl-C, SIGTERM, or when a part cannot start.
pub async fn run(layout: &StackLayout) -> Result<()> {
    let (parts, supervisor) = prepare(layout).await?;
    let mut child = supervisor.start_as_child(&layout.log("supervisord-output")).await?;
    let running = async {
        let mut drills = start(layout, &parts, &supervisor).await?;
        println!("Press Ctrl-C to stop everything.");
        let told = async {
            loop {
                println!("{}", drills.next().await);
            }
        };
        tokio::select! {
            ended = ended(&mut child) => ended,
            never = told => never,
        }
    };
    let outcome = until_signalled(running).await;
    supervisor.stop().await?;
    child.wait().await.context("waiting for supervisord")?;
    fs::remove_file(layout.endpoints()).ok();
    match outcome {
        Err(error) if error.is::<Signalled>() => {
            println!("every part has stopped");
            Ok(())
        }
        outcome => outcome,
    }
}

/// The user asked the run to end.
#[derive(Debug)]
struct Signalled;

impl std::fmt::Display for Signalled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("interrupted")
    }
}

impl std::error::Error for Signalled {}

pub(super) async fn until_signalled<Done>(work: impl Future<Output = Result<Done>>) -> Result<Done> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => Err(Signalled.into()),
        _ = terminate.recv() => Err(Signalled.into()),
    }
}

async fn ended(supervisor: &mut Child) -> Result<()> {
    let status = supervisor.wait().await.context("waiting for supervisord")?;
    if status.success() { Ok(()) } else { bail!("supervisord ended unexpectedly ({status})") }
}

pub(super) async fn prepare(layout: &StackLayout) -> Result<(StartedParts, Supervisor)> {
    if let Some(pid) = running(&layout.supervisor_pid_file(), &layout.supervisor_configuration()) {
        bail!("an exchange is already running here (supervisord, process {pid}); stop it with `make down`");
    }
    layout.check_ports()?;
    // Each run begins with empty folders. The logs of the last run were there until now.
    if layout.folder.exists() {
        fs::remove_dir_all(&layout.folder).with_context(|| format!("clearing {}", layout.folder.display()))?;
    }
    fs::create_dir_all(layout.folder.join("logs")).with_context(|| format!("creating {}", layout.folder.display()))?;
    let parts = StartedParts::prepare(layout).await?;
    let supervisor = Supervisor::configure(layout, &parts.launches())?;
    Ok((parts, supervisor))
}

/// Returns with what drills of the backup agent will say.
async fn start<'a>(layout: &StackLayout, parts: &'a StartedParts, supervisor: &Supervisor) -> Result<Drills<'a>> {
    let steps = Steps::begin();
    let (mut endpoints, traders) = exchange::start_exchange(layout, parts, supervisor, &steps).await?;
    endpoints.prometheus = Some(parts.prometheus.url.clone());
    parts.alerting.start(layout, supervisor, &steps, &mut endpoints).await?;
    parts.logging.start(layout, supervisor, &steps, &mut endpoints).await?;
    endpoints::write(&traders.simulator, &layout.simulator_accounts())?;
    endpoints.write(&layout.simulator_endpoints())?;
    Exporters::start(layout, supervisor).await?;
    Viewer::start(layout, supervisor).await?;
    endpoints.viewer = Some(Viewer::url(layout));
    let (simulator, prometheus) = (supervisor.start("simulator").await?, supervisor.start("prometheus").await?);
    ready("prometheus", prometheus, &layout.log("prometheus"), async || parts.prometheus.is_ready().await).await?;
    steps.step("Prometheus scrapes");
    for market in super::accounts::MARKETS {
        let trades = format!("{}/api/v3/trades?limit=1&symbol={}", endpoints.exchange.rest, market.symbol);
        ready("simulator", simulator, &layout.log("simulator"), async || {
            answers(&trades, |body| body.contains("\"price\"")).await
        })
        .await?;
    }
    steps.step("the simulator trades on every market");
    endpoints.exchange.pids.push(probe::start_probe(layout, supervisor, &traders.probe).await?);
    endpoints.exchange.metrics.push(probe::metrics(layout));
    endpoints.metrics.entry("exchange".into()).or_default().push(probe::metrics(layout));
    steps.step("the probe's orders are acknowledged");
    parts.object_store.access.create_bucket(backup::BUCKET).await?;
    let agent = supervisor.start("backup").await?;
    let admin = local(layout.ports.backup_admin);
    let readyz = format!("http://{admin}/readyz");
    ready("backup", agent, &layout.log("backup"), async || answers(&readyz, |_| true).await).await?;
    endpoints.metrics.insert("backup".into(), vec![format!("http://{admin}/metrics")]);
    // A script that waits for the file does not wait for the first drill.
    endpoints.write(&layout.endpoints())?;
    let mut drills = Drills::new(layout, &parts.backup);
    if let Ok(told) = timeout(FIRST_DRILL, drills.next()).await {
        steps.step(&told);
    } else {
        steps.step("the first backup is not verified yet");
    }
    tell(layout, &endpoints);
    Ok(drills)
}

fn tell(layout: &StackLayout, endpoints: &Endpoints) {
    let names: Vec<_> = endpoints.accounts.iter().map(|account| account.name.as_str()).collect();
    println!("\nREST API     {}/api/v3/", endpoints.exchange.rest);
    println!("Metrics      {}", endpoints.exchange.metrics.join("  "));
    println!("PostgreSQL   {}", endpoints.postgres.primary);
    println!("S3           {}  bucket {}", endpoints.s3.endpoint, endpoints.s3.bucket);
    println!("Backups      {}", backup::said());
    println!("Prometheus   {}", endpoints.prometheus.as_deref().unwrap_or("does not run"));
    println!("Viewer       {}  (boards, runbooks, logs, traces)", endpoints.viewer.as_deref().unwrap_or("does not run"));
    println!("Alertmanager {}", endpoints.alertmanager.as_deref().unwrap_or("does not run"));
    println!(
        "Telegram     {}  (emulated: open it; `make alert` provokes an alert)",
        endpoints.telegram.as_deref().unwrap_or("does not run")
    );
    if let Some(logship) = &endpoints.logship {
        println!(
            "Elasticsearch {} (a fake; the programs' logs come through the relay at {})",
            logship.elasticsearch, logship.relay
        );
        println!("             LOGSHIP_ELASTICSEARCH_URL={} logship explain {EXPLAINED}", logship.elasticsearch);
    }
    println!("Accounts     {}: keys in {}", names.join(", "), layout.endpoints().display());
    println!("Logs         {}\n", layout.folder.join("logs").display());
}
