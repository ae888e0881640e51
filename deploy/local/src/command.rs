//! This module runs a command next to parts: settings go into its environment, and its status is returned.

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Context, Result};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// The command ends with this process. A signal ends the command first: then the caller can end the parts.
pub async fn run(command: &[OsString], environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command to run")?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--"])
        .arg(program)
        .args(arguments)
        .envs(environment)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("running {}", program.display()))?;
    let status = tokio::select! {
        status = child.wait() => status.context("waiting for the command")?,
        _ = interrupt.recv() => child.wait().await.context("waiting for the interrupted command")?,
        _ = terminate.recv() => {
            child.start_kill().context("ending the command")?;
            child.wait().await.context("waiting for the ended command")?
        }
    };
    // Ended by a signal: a status that no program chooses.
    const BY_SIGNAL: u8 = 130;
    Ok(ExitCode::from(status.code().map_or(BY_SIGNAL, |code| u8::try_from(code).unwrap_or(u8::MAX))))
}
