//! This module reports this replica's request weights to its links. It must not count.

use std::{sync::Weak, time::Duration};

use tokio::time::{sleep, timeout};

use super::{shared::Shared, weights::WeightReport};

/// Interval between two reports.
const INTERVAL: Duration = Duration::from_millis(200);
/// Pause after a report, so that a busy address does not fill the links.
const PAUSE: Duration = Duration::from_millis(5);

/// Reports this replica's weights while the engine has an owner.
pub(super) async fn report_weights(shared: Weak<Shared>) {
    loop {
        let table = {
            let Some(shared) = shared.upgrade() else { return };
            let table = shared.weights.table();
            if let Some(table) = &table
                && shared.weights.reports.receiver_count() > 0
            {
                let changed = table.changed();
                if !changed.is_empty() {
                    // Fails without a link.
                    let _ = shared.weights.reports.send(WeightReport { from: None, weights: changed.into() });
                }
            }
            table
        };
        match table {
            Some(table) => {
                sleep(PAUSE).await;
                let _ = timeout(INTERVAL - PAUSE, table.urgent().notified()).await;
            }
            None => sleep(INTERVAL).await,
        }
    }
}
