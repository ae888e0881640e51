//! This module implements `backup delete`.

use super::{Output, reading::alone};
use crate::{config::Job, failure::Exit, layout::BackupId};

#[derive(Debug, Clone, clap::Args)]
pub struct DeleteArguments {
    /// Name of the backup, as `backup list` prints it
    backup: BackupId,
    /// Delete it even if it is the newest verified or the only complete backup
    #[arg(long)]
    force: bool,
}

/// # Errors
/// Returns an error if the backup was not deleted.
pub async fn delete(jobs: Vec<Job>, arguments: DeleteArguments, output: Output) -> Result<(), Exit> {
    alone(jobs, output, async |agent, _| {
        let id = &arguments.backup;
        crate::prune::delete_backup(agent, id, arguments.force).await?;
        output.say(format!("{id}  deleted"), &serde_json::json!({"id": id, "deleted": true}));
        Ok(())
    })
    .await
}
