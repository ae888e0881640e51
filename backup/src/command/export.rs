//! This module implements `backup export`. It writes a custom archive to standard output, for stock `pg_restore`.

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use super::{
    Output,
    reading::{DatabasePart, Which, alone, open_backup, restore_failed},
};
use crate::{
    config::Job,
    export::{self, ExportError},
    failure::{Exit, Failure, Result, Stage},
    restore::{self, Partial},
    run::{Agent, count_stage},
};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, clap::Args)]
pub struct ExportArguments {
    #[command(flatten)]
    which: Which,
    /// Database in the backup (default: its only database)
    #[arg(long)]
    database: Option<String>,
    #[command(flatten)]
    part: DatabasePart,
}

/// # Errors
/// Returns an error if the archive was not written completely.
pub async fn export(jobs: Vec<Job>, arguments: ExportArguments, output: Output) -> Result<(), Exit> {
    alone(jobs, output, async |agent, shutdown| {
        let counted = |failure: &Failure| match failure.exit {
            Exit::Unread => {}
            _ => count_stage(agent, failure.stage),
        };
        run(agent, arguments, output, shutdown).await.inspect_err(counted)
    })
    .await
}

async fn run(agent: &Agent, arguments: ExportArguments, output: Output, shutdown: CancellationToken) -> Result<()> {
    if io::stdout().is_terminal() {
        let told = "standard output is a terminal; pipe the archive into pg_restore or a file";
        return Err(Failure::told(Stage::Read, Exit::Configuration, told));
    }
    let reader = open_backup(agent, &arguments.which, None).await?;
    let opened = restore::open_database(&reader, arguments.database.as_deref()).await.map_err(restore_failed)?;
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(|stdout| tokio::fs::File::from_std(File::from(stdout)));
    let stdout =
        stdout.map_err(|error| Failure::new(Stage::Read, Exit::Failed, error).context("failed to open standard output"))?;
    let chosen = arguments.part.selection().choose(&opened.toc).map_err(|fault| restore_failed(fault.into()))?;
    let written = tokio::select! {
        written = export::export_backup(&reader, &opened, &chosen, stdout) => written,
        () = shutdown.cancelled() => Err(restore::RestoreError::Interrupted.into()),
    };
    written.map_err(|fault| match fault {
        ExportError::Backup(fault) => restore_failed(fault),
        ExportError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => Failure::new(Stage::Read, Exit::Unread, error),
        ExportError::Write(error) => Failure::new(Stage::Read, Exit::Failed, error).context("failed to write the archive"),
    })?;
    if let Some(part) = &chosen.part {
        let partial = Partial { part, omitted: &chosen.omitted };
        output.remark(format_args!("the archive contains a part of {}{partial}", opened.database.name), &partial);
    }
    Ok(())
}
