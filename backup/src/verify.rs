//! This module runs drills: it restores a backup and compares every row. It uses a temporary PostgreSQL server that it starts and
//! removes, or a given server.
//!
//! The expected values were counted under the backup's own snapshot. A difference is therefore a fault of the backup, not of
//! later changes. The verdict must come only from restored data.

mod account;
mod assertion;
mod compare;
mod globals;
mod large_objects;
mod scratch;

use std::{path::PathBuf, time::Instant};

use futures::TryFutureExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    config::SourceSettings,
    manifest::{Assertion, FORMAT, Verification},
    reading::{BackupReader, ReadError},
    restore::{self, Opened, RestoreError, Selection},
};

pub use assertion::{AssertionError, AssertionFile};
pub use globals::{apply as apply_globals, made_by as made_by_globals};
pub use scratch::{ScratchError, ScratchServer, ScratchSettings};

/// The server of a drill.
#[derive(Debug, Clone)]
pub enum DrillPlace {
    /// A temporary server.
    Scratch(ScratchSettings),
    /// A given server. The drill drops its databases at the end.
    Given(SourceSettings),
}

#[derive(Debug, Clone)]
pub struct VerifyOptions {
    pub place: DrillPlace,
    pub assertions: Vec<AssertionFile>,
    /// Concurrent sessions.
    pub jobs: usize,
    pub client_folder: Option<PathBuf>,
}

/// Reason why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// A failure outside the backup: the store, the scratch server, the tools.
    #[error("failed to run the drill: {0}")]
    Restore(RestoreError),
}

/// Restores and compares every database of the backup. Returns a verdict, or an error if there is none.
///
/// # Errors
/// Returns an error if the drill itself failed.
pub async fn verify_backup(
    reader: &BackupReader,
    options: &VerifyOptions,
    cancelled: &CancellationToken,
) -> Result<Verification, DrillError> {
    drill(reader, options, cancelled)
        .inspect_ok(|verification| {
            if !verification.passed {
                service_kit::trace::failed("verification", verification.faults.join("; "));
            }
        })
        .inspect_err(|fault| service_kit::trace::failed("drill", fault.to_string()))
        .instrument(tracing::error_span!("verify"))
        .await
}

async fn drill(
    reader: &BackupReader,
    options: &VerifyOptions,
    cancelled: &CancellationToken,
) -> Result<Verification, DrillError> {
    let (begun, started_at) = (Instant::now(), Timestamp::now());
    let scratch = match &options.place {
        DrillPlace::Scratch(settings) => Some(ScratchServer::start(settings).await?),
        DrillPlace::Given(_) => None,
    };
    let server = match (&scratch, &options.place) {
        (Some(scratch), _) => scratch.source(),
        (None, DrillPlace::Given(source)) => source.clone(),
        (None, DrillPlace::Scratch(_)) => unreachable!("a scratch place was started"),
    };
    let mut drill = RunningDrill { reader, options, server, verdict: Verdict::default(), made: Vec::new() };
    let done = drill.run(cancelled).await;
    let done = done.and(drill.drop_made().await);
    let server_version = drill.server_version().await.unwrap_or_default();
    let verdict = drill.verdict;
    if let Some(scratch) = scratch {
        scratch.stop().await;
    }
    done?;
    tracing::info!(seconds = begun.elapsed().as_secs_f64(), passed = verdict.faults.is_empty(), "drill finished");
    Ok(Verification {
        format: FORMAT,
        id: reader.manifest().id.clone(),
        started_at,
        finished_at: Timestamp::now(),
        passed: verdict.faults.is_empty(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        server_version,
        restore_seconds: verdict.restore_seconds,
        rows_compared: verdict.rows,
        tables_compared: verdict.tables,
        assertions: verdict.assertions,
        faults: verdict.faults,
        left_out: reader.manifest().not_in_it(),
    })
}

/// Findings so far.
#[derive(Default)]
struct Verdict {
    restore_seconds: f64,
    rows: u64,
    tables: u64,
    assertions: Vec<Assertion>,
    faults: Vec<String>,
}

struct RunningDrill<'a> {
    reader: &'a BackupReader,
    options: &'a VerifyOptions,
    server: SourceSettings,
    verdict: Verdict,
    /// Databases that the drill created on a given server.
    made: Vec<String>,
}

impl RunningDrill<'_> {
    async fn run(&mut self, cancelled: &CancellationToken) -> Result<(), DrillError> {
        // A given server already has its roles.
        if let (DrillPlace::Scratch(_), Some(globals)) = (&self.options.place, &self.reader.manifest().globals) {
            match self.reader.blob(&globals.script).await {
                Ok(script) => {
                    // Tablespaces have folders on another machine.
                    const TABLESPACES: bool = false;
                    let applied = globals::apply(&self.server, &String::from_utf8_lossy(&script), TABLESPACES).await;
                    let troubles = applied.map_err(DrillError::Restore)?;
                    troubles.iter().for_each(|trouble| tracing::warn!(trouble, "failed to create a global object for the drill"));
                }
                Err(fault) => return self.judge("globals", fault.into()),
            }
        }
        let names: Vec<String> = self.reader.manifest().databases.iter().map(|database| database.name.clone()).collect();
        let mut restored = Vec::new();
        for name in &names {
            restored.extend(self.database(name, cancelled).await?);
        }
        for file in &self.options.assertions {
            let ran = cancelled.run_until_cancelled(assertion::run(file, &restored)).await;
            self.verdict.assertions.extend(ran.ok_or(DrillError::Restore(RestoreError::Interrupted))?);
        }
        let failed = self.verdict.assertions.iter().filter(|assertion| !assertion.passed);
        let failed: Vec<_> = failed
            .map(|assertion| {
                let detail = assertion.detail.as_deref().unwrap_or("no detail");
                format!("{}: assertion {:?} failed: {detail}", assertion.database, assertion.name)
            })
            .collect();
        self.verdict.faults.extend(failed);
        Ok(())
    }

    /// Runs after the drill, whatever its result.
    async fn drop_made(&self) -> Result<(), DrillError> {
        let mut dropped = Ok(());
        for name in &self.made {
            let gone = async {
                let mut session = restore::connect_session(&self.server).await?;
                restore::drop_database(&mut session, &self.server, name).await
            };
            dropped = dropped.and(gone.await.map_err(DrillError::Restore));
        }
        dropped
    }

    /// Restores and compares one database. Returns its name and place if assertions can use it.
    async fn database(
        &mut self,
        name: &str,
        cancelled: &CancellationToken,
    ) -> Result<Option<(String, SourceSettings)>, DrillError> {
        let opened = match restore::open_database(self.reader, Some(name)).await {
            Ok(opened) => opened,
            Err(fault) => return self.judge(name, fault).map(|()| None),
        };
        let begun = Instant::now();
        let target = match self.options.place {
            DrillPlace::Scratch(_) => name.to_owned(),
            DrillPlace::Given(_) => {
                restore::RestoredNames::new(name, name, &format!("drill_{:08x}", rand::random::<u32>())).restoring
            }
        };
        let how = self.restore_options(&target);
        if let Err(fault) = restore::restore_database(self.reader, &opened, &how, cancelled).await {
            return self.judge(name, fault).map(|()| None);
        }
        self.verdict.restore_seconds += begun.elapsed().as_secs_f64();
        let place = self.quiet(&target).await.map_err(DrillError::Restore)?;
        if let DrillPlace::Given(_) = self.options.place {
            self.made.push(target);
        }
        let compared = cancelled.run_until_cancelled(self.compare(&opened, &place)).await;
        compared.ok_or(DrillError::Restore(RestoreError::Interrupted))??;
        Ok(Some((name.to_owned(), place)))
    }

    async fn quiet(&self, target: &str) -> Result<SourceSettings, RestoreError> {
        restore::quiet(&mut restore::connect_session(&self.server).await?, self.server.with_database(target)).await
    }

    async fn compare(&mut self, opened: &Opened<'_>, place: &SourceSettings) -> Result<(), DrillError> {
        let found = compare::compare(opened, place, self.options.jobs).await.map_err(DrillError::Restore)?;
        self.verdict.rows += found.rows;
        self.verdict.tables += found.tables;
        self.verdict.faults.extend(found.differences.into_iter().map(|what| format!("{}: {what}", opened.database.name)));
        Ok(())
    }

    fn restore_options(&self, target: &str) -> restore::RestoreOptions {
        restore::RestoreOptions {
            server: self.server.clone(),
            target: Some(target.to_owned()),
            // The database `postgres` of the backup replaces that of the scratch server.
            replace: matches!(self.options.place, DrillPlace::Scratch(_)),
            selection: Selection::default(),
            owners: matches!(self.options.place, DrillPlace::Scratch(_)),
            privileges: matches!(self.options.place, DrillPlace::Scratch(_)),
            tablespaces: false,
            analyze: false,
            jobs: self.options.jobs,
            client_folder: self.options.client_folder.clone(),
            keep_going: false,
            in_order: false,
            maintenance_memory: None,
        }
    }

    /// Adds a fault of the backup to the verdict; any other fault ends the drill.
    fn judge(&mut self, what: &str, fault: RestoreError) -> Result<(), DrillError> {
        if !is_the_backups(&fault) {
            return Err(DrillError::Restore(fault));
        }
        self.verdict.faults.push(format!("{what}: {fault}"));
        Ok(())
    }

    async fn server_version(&self) -> Option<String> {
        let mut session = restore::connect_session(&self.server).await.ok()?;
        sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(&mut session).await.ok()
    }
}

fn is_the_backups(fault: &RestoreError) -> bool {
    match fault {
        RestoreError::Read(read) => {
            matches!(read, ReadError::Damaged { .. } | ReadError::Store(crate::store::StoreError::NotFound { .. }))
        }
        RestoreError::Archive(_) | RestoreError::Contents(_) | RestoreError::Count { .. } => true,
        RestoreError::Rows { condition, .. } => !condition,
        RestoreError::Tool(tool) => tool.is_refusal_of_contents(),
        _ => false,
    }
}
