//! `logship watch`: looks at the cluster again and again. Drift is shown and never applied; stuck steps are repaired where that is
//! safe; budgets delete only when that is switched on; the forecast, sizes and capabilities are metrics.

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

/// Readiness says no after so many rounds without success.
const ROUNDS_WITHOUT_SUCCESS: u32 = 3;

/// Runs until the shutdown begins.
///
/// # Errors
/// When it cannot begin: faulty files, an unreadable credential, a taken address.
pub async fn run(cluster: ClusterSettings, declared: PathBuf, settings: WatchSettings, daemon: Daemon) -> anyhow::Result<()> {
    let desired = check::run(&declared)?;
    let client = Client::new(cluster, Some(ClientMetrics::register(&daemon.metrics)?))?;
    let metrics = WatchMetrics::register(&daemon.metrics)?;
    let latch = daemon.health.latch("cluster", "not looked at yet");
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
                tracing::warn!(error = %failure, "the cluster could not be looked at");
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

/// A pause of zero would leave the cluster no rest.
fn pause(every: Duration) -> Duration {
    every.max(Duration::from_millis(100))
}
