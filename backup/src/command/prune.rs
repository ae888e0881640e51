//! This module implements `backup prune`.

use super::{Leaves, Output, each};
use crate::{config::Job, failure::Exit};

/// # Errors
/// Returns an error with the reason if retention refused.
pub async fn prune(jobs: Vec<Job>, dry_run: bool, output: Output) -> Result<(), Exit> {
    each(jobs, output, Leaves::Metrics, async |agent| {
        let plan = crate::prune::prune_backups(agent, dry_run).await?;
        for kept in &plan.keep {
            let reasons = kept.reasons.iter().map(|reason| reason.name()).collect::<Vec<_>>().join(", ");
            output.say(format!("{}  stays: {reasons}", kept.id), &serde_json::json!({"id": kept.id, "stays": kept.reasons}));
        }
        let verb = if dry_run { "would go" } else { "removed" };
        for id in &plan.remove {
            output.say(format!("{id}  {verb}"), &serde_json::json!({"id": id, "removed": !dry_run}));
        }
        Ok(())
    })
    .await
}
