//! A standby of another server: its data copied by `pg_basebackup`, then streamed.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::{Postgres, PostgresOptions, PostgresPlan, plan};
use crate::{
    account::OperatingAccount,
    binaries,
    folder::Folder,
    launch::{Launch, StopSignal},
};

impl Postgres {
    /// A running standby of `primary`, streaming as `name`: the name that `synchronous_standby_names` of the primary lists.
    ///
    /// # Errors
    /// Returns the output of `pg_basebackup` if the copy fails.
    pub async fn standby_of(primary: &Self, name: &str, options: &PostgresOptions) -> Result<Self> {
        let folder = Folder::throwaway("standby")?;
        let account = OperatingAccount::unprivileged()?;
        folder.give_to(account)?;
        plan::write_private(&folder.path().join("password"), primary.plan.password(), account)?;
        let source = format!("{}?application_name={name}", primary.url());
        let launch = Launch {
            name: "pg_basebackup",
            program: binaries::find("pg_basebackup")?,
            arguments: vec![
                "--no-sync".into(),
                "--checkpoint=fast".into(),
                "--wal-method=stream".into(),
                "--write-recovery-conf".into(),
                "--dbname".into(),
                source.into(),
                "--pgdata".into(),
                folder.path().join("data").into(),
            ],
            environment: Vec::new(),
            account,
            open_input: false,
            stop_signal: StopSignal::Kill,
        };
        let words = launch.command_line();
        let output = Command::new(&words[0])
            .args(&words[1..])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .await
            .context("running pg_basebackup")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pg_basebackup failed ({}): {said}", output.status);
        let plan = PostgresPlan::prepare(&folder, options).await?;
        let mut standby = Self { process: None, plan, folder };
        standby.start_again().await?;
        Ok(standby)
    }
}
