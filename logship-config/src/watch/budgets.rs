//! This module applies budgets, or logs their deletions. It must not delete from a protected stream, or delete a write
//! index.

use std::collections::BTreeMap;

use crate::{
    budget::{self, BudgetVerdict},
    client::{Client, Method, segment},
    desired::Desired,
    metrics::WatchMetrics,
    observe::ClusterObservation,
};

/// The last log line of each stream, so that each is logged once.
#[derive(Debug, Default)]
pub struct Budgets {
    logged: BTreeMap<String, Vec<String>>,
}

impl Budgets {
    pub async fn enforce(
        &mut self,
        client: &Client,
        desired: &Desired,
        observation: &ClusterObservation,
        now_millis: i64,
        switched_on: bool,
        metrics: &WatchMetrics,
    ) {
        metrics.budget_bytes.reset();
        metrics.budget_due.reset();
        metrics.budget_excess.reset();
        let disk: u64 = observation.disks.iter().map(|disk| disk.total).sum();
        let mut verdicts = Vec::new();
        for (stream, declared) in &desired.streams {
            // Validation refuses both together; this check protects the deletion as well.
            let Some(budget) = declared.budget.filter(|_| !declared.protected) else { continue };
            let verdict = budget::verdict(&budget, disk, observation.of(stream), now_millis);
            metrics.budget_bytes.with_label_values(&[stream, "allowed"]).set(verdict.allowed as f64);
            metrics.budget_bytes.with_label_values(&[stream, "used"]).set(verdict.used as f64);
            metrics.budget_excess.with_label_values(&[stream]).set(verdict.excess as f64);
            metrics.budget_due.with_label_values(&[stream]).set(verdict.delete.len() as i64);
            for outcome in ["done", "failed"] {
                metrics.budget_deleted.with_label_values(&[stream, outcome]);
            }
            verdicts.push((stream, verdict));
        }
        // Every value is set before the first request, so that no scrape misses one.
        for (stream, verdict) in verdicts {
            if switched_on {
                delete(client, stream, &verdict, metrics).await;
            } else if self.logged.get(stream) != Some(&verdict.delete) && !verdict.delete.is_empty() {
                let (indices, used, allowed) = (verdict.delete.join(", "), verdict.used, verdict.allowed);
                tracing::info!(
                    data_stream = stream.as_str(),
                    indices,
                    used,
                    allowed,
                    "a budget would delete indices, but LOGSHIP_BUDGET_DELETES is off"
                );
            }
            self.logged.insert(stream.clone(), verdict.delete);
        }
    }
}

async fn delete(client: &Client, stream: &str, verdict: &BudgetVerdict, metrics: &WatchMetrics) {
    for index in &verdict.delete {
        let outcome = match client.send(Method::Delete, &format!("/{}", segment(index)), &[], None).await {
            Ok(_) => {
                tracing::warn!(
                    data_stream = stream,
                    index,
                    used = verdict.used,
                    allowed = verdict.allowed,
                    "a budget deleted an index"
                );
                "done"
            }
            Err(error) => {
                tracing::error!(data_stream = stream, index, %error, "failed to delete an index for a budget");
                "failed"
            }
        };
        metrics.budget_deleted.with_label_values(&[stream, outcome]).inc();
        if outcome == "failed" {
            // Indices are deleted strictly in order of age, so a failure ends the round for this stream.
            return;
        }
    }
}
