//! The end of a run in the background.

use std::fs;

use anyhow::Result;

use super::{
    layout::StackLayout,
    supervisor::{running, stop},
};

/// Ends what `up` started, by process id. Logs and data stay until the next run.
pub async fn down(layout: &StackLayout) -> Result<()> {
    let Some(pid) = running(&layout.supervisor_pid_file(), &layout.supervisor_configuration()) else {
        println!("nothing is up");
        return Ok(());
    };
    stop(pid).await?;
    fs::remove_file(layout.endpoints()).ok();
    println!("every part has stopped; logs are in {}", layout.folder.join("logs").display());
    Ok(())
}
