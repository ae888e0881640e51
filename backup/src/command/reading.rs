//! This module contains the common part of `restore`, `verify` and `export`: select one job and one of its backups, and open it.

use service_kit::shutdown::Shutdown;
use tokio_util::sync::CancellationToken;

use super::{Left, Output};
use crate::{
    catalogue::{Catalogue, PassedOver},
    config::Job,
    failure::{Exit, Failure, Result, Stage},
    layout::BackupId,
    manifest::Manifest,
    reading::{BackupReader, Identities, ReadError},
    restore::{RestoreError, Selection, TableName, ToolError},
    run::Agent,
};

/// Selects the backup.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Name of the backup (default: the newest)
    pub backup: Option<BackupId>,
    /// Use the newest verified backup instead of the newest
    #[arg(long, conflicts_with = "backup")]
    pub verified: bool,
}

impl Which {
    pub fn newest() -> Self {
        Self { backup: None, verified: false }
    }
}

/// Selects a part of a database.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DatabasePart {
    /// Select only this schema and objects that it needs; repeatable
    #[arg(long = "schema")]
    schemas: Vec<String>,
    /// Select only this table (schema.table) with its dependent objects and objects that it needs; repeatable
    #[arg(long = "table")]
    tables: Vec<TableName>,
}

impl DatabasePart {
    pub fn selection(self) -> Selection {
        Selection { schemas: self.schemas, tables: self.tables }
    }
}

/// Runs a command of one job. The command is notified of a shutdown.
pub(super) async fn alone(
    jobs: Vec<Job>,
    output: Output,
    act: impl AsyncFnOnce(&Agent, CancellationToken) -> Result<()>,
) -> Result<(), Exit> {
    let deadline = jobs[0].process.shutdown_deadline;
    let ended = async {
        if jobs.len() != 1 {
            let names = jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Failure::told(
                Stage::Read,
                Exit::Configuration,
                format!("several jobs are configured ({names}); select one with --job"),
            ));
        }
        let (agents, metrics) = super::agents(jobs)?;
        let shutdown = Shutdown::new(deadline);
        let heard = shutdown.on_signals();
        heard.map_err(|error| Failure::new(Stage::Read, Exit::Failed, error).context("failed to install signal handlers"))?;
        let part = shutdown.part("backup");
        let mut left = Left::begin(&agents, metrics);
        let ended = act(&agents[0], shutdown.token()).await;
        left.after(&agents[0]).await;
        drop(part);
        ended
    };
    ended.await.map_err(|failure| {
        output.fail("", &failure);
        failure.exit
    })
}

/// Opens the selected backup, with its signature verified and its objects readable. `answers`: the output format, unless the
/// command's output is raw bytes.
pub(crate) async fn open_backup(agent: &Agent, which: &Which, answers: Option<Output>) -> Result<BackupReader> {
    let catalogue = agent.catalogue().await?;
    let (manifest, _) = match which.verified {
        true => catalogue.newest_verified().ok_or_else(|| {
            Failure::told(Stage::Catalogue, Exit::NoBackup, "no backup is verified yet; verify one with `backup verify`")
        })?,
        false => catalogue.find(which.backup.as_ref())?,
    };
    if which.backup.is_none()
        && let Some(passed_over) = passed_over(&catalogue, manifest, which.verified)
        && answers == Some(Output::Json)
    {
        Output::Json.say("", &serde_json::json!({"warning": passed_over.to_string(), "passed_over": passed_over}));
    }
    let identities = Identities::parse(agent.job.encryption.identities.as_ref()).map_err(read_failed)?;
    BackupReader::new(agent.store.clone(), identities, manifest.clone()).map_err(read_failed)
}

/// Logs and reports a newer, untrusted backup if the user named no backup.
pub(super) fn passed_over(catalogue: &Catalogue, taken: &Manifest, verified: bool) -> Option<PassedOver> {
    let passed_over = catalogue.passed_over(taken, verified)?;
    tracing::warn!(
        backup = passed_over.taken.as_str(),
        newer = passed_over.newer.as_str(),
        error = passed_over.to_string(),
        "skipped a newer backup that is not trusted"
    );
    Some(passed_over)
}

pub(crate) fn read_failed(fault: ReadError) -> Failure {
    match fault {
        ReadError::Store(error) => Failure::store(Stage::Read, error),
        ReadError::Damaged { .. } => Failure::new(Stage::Read, Exit::Damaged, fault),
        ReadError::NoKey | ReadError::WrongKey { .. } | ReadError::NoIdentity => {
            Failure::new(Stage::Read, Exit::Configuration, fault)
        }
    }
}

pub(crate) fn restore_failed(fault: RestoreError) -> Failure {
    let exit = match fault {
        RestoreError::Read(read) => return read_failed(read),
        RestoreError::Archive(_) | RestoreError::Contents(_) | RestoreError::Count { .. } => Exit::Damaged,
        RestoreError::NoDatabase { .. } => Exit::NoBackup,
        RestoreError::Preflight(ref troubles) if troubles.is_about_rights() => Exit::Forbidden,
        RestoreError::WhichDatabase(_) | RestoreError::Selection(_) | RestoreError::Preflight(_) => Exit::Configuration,
        RestoreError::Connect { refused: true, .. } => Exit::Forbidden,
        RestoreError::Connect { .. } => Exit::Unavailable,
        RestoreError::Tool(ToolError::NoProgram(_)) => Exit::Versions,
        _ => Exit::Failed,
    };
    Failure::new(Stage::Restore, exit, fault)
}
