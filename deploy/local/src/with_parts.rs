//! One PostgreSQL and one S3 server for a whole run of tests.

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Context, Result};
use local_parts::{ObjectStore, Postgres, SharedPostgres, TEST_POSTGRES_URL, TEST_S3};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

/// Ends with the command's status. A signal ends the command and then the servers.
pub async fn run(command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command to run")?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    eprintln!("starting PostgreSQL and the S3 server for the tests");
    let (postgres, store) = tokio::try_join!(Postgres::start(SharedPostgres::options()), ObjectStore::start())?;
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--"])
        .arg(program)
        .args(arguments)
        .env(TEST_POSTGRES_URL, postgres.url())
        .env(TEST_S3, serde_json::to_string(store.access())?)
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
