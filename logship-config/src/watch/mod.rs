//! This module runs `logship watch`, which checks the cluster at an interval. It reports drift and must not apply it. It
//! repairs stuck steps where that is safe, deletes for budgets only if switched on, and exports the forecast, sizes and
//! capabilities as metrics.

mod budgets;
mod repair;
mod round;

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    check,
    client::Client,
    config::{ClusterSettings, WatchSettings},
    daemon::Daemon,
    metrics::{ClientMetrics, WatchMetrics},
};

pub use round::Watcher;

/// Readiness fails after this number of rounds without success.
const ROUNDS_WITHOUT_SUCCESS: u32 = 3;

/// Runs until the shutdown begins.
///
/// # Errors
/// Returns an error if it cannot start: faulty files, an unreadable credential, a taken address.
pub async fn run(cluster: ClusterSettings, declared: PathBuf, settings: WatchSettings, daemon: Daemon) -> anyhow::Result<()> {
    let desired = check::run(&declared)?;
    let client = Client::new(cluster, Some(ClientMetrics::register(&daemon.metrics)?))?;
    let metrics = WatchMetrics::register(&daemon.metrics)?;
    let latch = daemon.health.latch("cluster", "not checked yet");
    daemon.serve_admin().await?;
    let (every, stop) = (settings.every, daemon.shutdown.token());
    tracing::info!(repairs = settings.repairs, budget_deletes = settings.budget_deletes, "watching");
    let mut watcher = Watcher::new(Arc::new(client), declared, desired, settings, metrics);
    let mut failed = 0;
    loop {
        match stop.run_until_cancelled(watcher.round(Timestamp::now())).await {
            None => return Ok(()),
            Some(Ok(())) => {
                failed = 0;
                latch.open();
            }
            Some(Err(failure)) => {
                failed += 1;
                tracing::warn!(error = %failure, "failed to read the cluster");
                if failed >= ROUNDS_WITHOUT_SUCCESS {
                    latch.close(failure.told);
                }
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause(every))).await.is_none() {
            return Ok(());
        }
    }
}

/// A pause of zero would send requests without a break.
fn pause(every: Duration) -> Duration {
    every.max(Duration::from_millis(100))
}
