//! This module restores a backup into a database: objects with stock pg_restore, rows directly from object storage.
//!
//! - It must not write to the local disk.
//! - It must not commit a row before its hash is verified.
//! - It must not give a database its final name before the database is complete.
//! - A failed restore drops everything that it created, and does not change anything that existed before.

mod analyze;
mod database;
mod error;
mod large_objects;
mod phases;
mod preflight;
mod progress;
mod report;
mod rows;
mod schedule;
mod selection;
mod sessions;
mod tool;
mod trouble;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use crate::{
    archive,
    config::SourceSettings,
    manifest::{self, ManifestDatabase},
    reading::BackupReader,
    session::NEWER_TIMEOUTS,
};

pub use database::{RestoredNames, drop_database, quiet};
pub use error::RestoreError;
pub use large_objects::ObjectChunk;
pub use preflight::Ahead;
pub use progress::RestoreProgress;
pub use report::{Partial, RestoreReport, RestoreStage};
pub use selection::{Chosen, NotThere, PartOf, Selection, TableName};
pub use sessions::{RestoreSession, connect as connect_session};
pub use tool::{NotCreated, ToolError};
pub use trouble::{PreflightError, PreflightErrors};

use database::Databases;
use phases::Phases;
use rows::Filling;
use schedule::{How, RestoreWork};
use tool::PgRestore;

/// Options of a restore: source, destination and method.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The server, and a database on it to connect to during the restore.
    pub server: SourceSettings,
    /// Final name of the database; `None`: as in the backup.
    pub target: Option<String>,
    /// Renames an existing database of that name; otherwise it is an error.
    pub replace: bool,
    pub selection: Selection,
    pub owners: bool,
    pub privileges: bool,
    pub tablespaces: bool,
    pub analyze: bool,
    /// Concurrent sessions that write rows and build indexes.
    pub jobs: usize,
    /// Folder of pg_restore; `None`: on the path.
    pub client_folder: Option<PathBuf>,
    /// Skips and reports objects that the server refuses, and restores the rest.
    pub keep_going: bool,
    /// Restores rows and everything after them in pg_dump's order in one session, for checks and triggers that read other tables.
    pub in_order: bool,
    /// Memory of each index build (`maintenance_work_mem`), such as `256MB`; `None`: the server's setting.
    pub maintenance_memory: Option<String>,
}

/// A database of a backup, with its contents read.
pub struct Opened<'a> {
    pub database: &'a ManifestDatabase,
    pub toc: archive::Contents,
    pub contents: manifest::DatabaseContents,
}

/// Reads the contents of one of the backup's databases; `None`: of its only one.
///
/// # Errors
/// Returns an error if the database does not exist, or if its contents cannot be read or are inconsistent.
pub async fn open_database<'a>(reader: &'a BackupReader, name: Option<&str>) -> Result<Opened<'a>, RestoreError> {
    let databases = &reader.manifest().databases;
    let names = || databases.iter().map(|database| database.name.as_str()).collect::<Vec<_>>().join(", ");
    let database = match (name, databases.as_slice()) {
        (None, [only]) => only,
        (None, _) => return Err(RestoreError::WhichDatabase(names())),
        (Some(name), all) => all
            .iter()
            .find(|database| database.name == name)
            .ok_or_else(|| RestoreError::NoDatabase { name: name.to_owned(), has: names() })?,
    };
    let toc = archive::Contents::read(&mut reader.blob(&database.toc).await?.as_slice())?;
    let contents: manifest::DatabaseContents = serde_json::from_slice(&reader.blob(&database.contents).await?)
        .map_err(|error| RestoreError::Contents(format!("the list of its tables is not valid JSON: {error}")))?;
    if contents.backup != reader.manifest().id || contents.database != database.name {
        return Err(RestoreError::Contents(format!(
            "its tables are those of {} in backup {}",
            contents.database, contents.backup
        )));
    }
    Ok(Opened { database, toc, contents })
}

/// Checks everything that would stop the restore of one database, without changes. Then adds the database's rows to `ahead`.
///
/// # Errors
/// Returns every problem that was found.
pub async fn preflight(
    reader: &BackupReader,
    opened: &Opened<'_>,
    options: &RestoreOptions,
    ahead: &mut Ahead,
) -> Result<(), RestoreError> {
    let looked = prepare(reader, opened, options, ahead).await;
    ahead.row_bytes += preflight::row_bytes(opened, &options.selection.choose(&opened.toc)?);
    looked.map(drop)
}

/// Restores one database of a backup.
///
/// # Errors
/// Returns an error if the restore fails. It has then dropped everything that it created, unless the server is unreachable; the
/// error says so.
pub async fn restore_database(
    reader: &BackupReader,
    opened: &Opened<'_>,
    options: &RestoreOptions,
    cancelled: &CancellationToken,
) -> Result<RestoreReport, RestoreError> {
    let (mut databases, tool, chosen) = prepare(reader, opened, options, &Ahead::default()).await?;
    databases.create(&opened.toc, options.tablespaces).await?;
    let done = tokio::select! {
        done = fill(&mut databases, reader, opened, chosen, options, &tool) => done,
        () = cancelled.cancelled() => Err(RestoreError::Interrupted),
    };
    match done {
        Ok(report) => Ok(report),
        Err(fault) => match databases.drop_restoring().await {
            Ok(()) => Err(fault),
            Err(also) => Err(RestoreError::LeftBehind {
                fault: Box::new(fault),
                database: databases.names.restoring.clone(),
                reason: also.to_string(),
            }),
        },
    }
}

/// Prepares a restore after its checks have passed.
async fn prepare(
    reader: &BackupReader,
    opened: &Opened<'_>,
    options: &RestoreOptions,
    ahead: &Ahead,
) -> Result<(Databases, PgRestore, Chosen), RestoreError> {
    let target = options.target.clone().unwrap_or_else(|| opened.database.name.clone());
    let unique = reader.manifest().id.as_str().rsplit('-').next().unwrap_or_default().to_owned();
    let unique = format!("{unique}_{:08x}", rand::random::<u32>());
    let chosen = options.selection.choose(&opened.toc)?;
    let names = RestoredNames::new(&opened.database.name, &target, &unique);
    let mut databases = Databases::connect(&options.server, names).await?;
    let tool = PgRestore::new(options.client_folder.as_deref(), databases.restoring.clone())
        .option("--no-owner", !options.owners)
        .option("--no-privileges", !options.privileges)
        .option("--no-tablespaces", !options.tablespaces)
        .keep_going(options.keep_going)
        // A crash of the server loses everything here anyway, until the database gets its name. That step waits for the disk.
        .setting("synchronous_commit", "off")
        // The database's own setting of these is applied before its objects are created.
        .setting("default_transaction_read_only", "off")
        .setting("default_transaction_isolation", "read committed")
        .setting("default_tablespace", "")
        .setting("IntervalStyle", "postgres")
        .setting("array_nulls", "on")
        .setting("exit_on_error", "off")
        // pg_restore itself lifts these after its first query.
        .setting("statement_timeout", "0")
        .setting("lock_timeout", "0")
        .setting("idle_in_transaction_session_timeout", "0");
    let version = databases.version_number().await?;
    let newer = NEWER_TIMEOUTS.iter().filter(|(_, since)| version >= *since);
    let tool = newer.fold(tool, |tool, (name, _)| tool.setting(name, "0"));
    let tool = match &options.maintenance_memory {
        Some(memory) => tool.setting("maintenance_work_mem", memory),
        None => tool,
    };
    preflight::check_target(&mut databases, reader, opened, &chosen, options, &tool, ahead).await?;
    Ok((databases, tool, chosen))
}

async fn fill(
    databases: &mut Databases,
    reader: &BackupReader,
    opened: &Opened<'_>,
    chosen: Chosen,
    options: &RestoreOptions,
    tool: &PgRestore,
) -> Result<RestoreReport, RestoreError> {
    let begun = Instant::now();
    let detached = detached(&opened.toc, &chosen)?;
    let toc = opened.toc.only(|entry| chosen.entries.contains(&entry.dump_id) && !detached.attachments.contains(&entry.dump_id));
    let mut raw_bytes: HashMap<i32, u64> = opened.contents.tables.iter().map(|table| (table.dump_id, table.raw_bytes)).collect();
    let jobs = if options.in_order { 1 } else { options.jobs };
    if options.in_order {
        // Nothing is built before the last row is written.
        raw_bytes.clear();
    }
    let fillings = fillings(&toc, &opened.contents, &detached)?;
    // Such a table also receives rows while other tables are filled.
    for filling in fillings.iter().filter(|filling| filling.through_root) {
        raw_bytes.remove(&filling.table.dump_id);
    }
    let phases = Phases::of(&toc, &raw_bytes);
    let large_objects = opened.contents.large_objects.clone().filter(|_| options.selection.is_everything());
    let total = fillings.iter().map(|filling| filling.table.raw_bytes).sum::<u64>();
    let progress =
        RestoreProgress::new(&databases.names.target, total + large_objects.as_ref().map_or(0, |objects| objects.raw_bytes));
    let mut report = RestoreReport::new(reader.manifest(), opened.database, &databases.names.target);

    progress.stage("objects");
    // First, as `pg_restore --create` does: a setting such as `lc_monetary` affects how constants of definitions and rows are read.
    let mut refused = databases.apply_settings(&toc, options.keep_going).await?;
    refused.extend(report.timed(RestoreStage::Objects, tool.run(&phases.before, 1)).await?);
    let sessions = sessions::connect_all(&databases.restoring, jobs, options.maintenance_memory.as_deref()).await?;

    progress.stage("rows");
    let work = RestoreWork {
        fillings,
        large_objects,
        early: phases.early,
        analyze: options.analyze,
        completed_late: phases.completed_late,
        how: How::of(options),
    };
    let (sessions, written) = report.timed(RestoreStage::Rows, schedule::run(work, sessions, reader, tool, &progress)).await?;

    progress.stage("indexes");
    let after = async {
        let mut refused = Vec::new();
        if !phases.alone.entries.is_empty() {
            refused = tool.run(&phases.alone, 1).await?;
        }
        refused.extend(tool.run(&phases.after, if phases.after_is_much { jobs } else { 1 }).await?);
        if !phases.event_triggers.entries.is_empty() {
            refused.extend(tool.run(&phases.event_triggers, 1).await?);
        }
        Ok::<_, RestoreError>(refused)
    };
    refused.extend(written.refused.iter().cloned());
    refused.extend(report.timed(RestoreStage::After, after).await?);
    if options.analyze {
        progress.stage("statistics");
        report.timed(RestoreStage::Analyze, analyze::analyze(sessions, &written.analyzed)).await?;
    } else {
        drop(sessions);
    }
    progress.stage("name");
    let privileges = options.privileges && options.selection.is_everything();
    refused.extend(databases.adopt(&toc, options.owners, privileges, options.keep_going).await?);
    report.refused = refused;
    databases.rename(options.replace).await?;
    progress.finish();
    Ok(report.finish(written, total, begun.elapsed(), chosen))
}

/// Partitions that pg_dump loads through their root, in a selection with only a part of their tree. The root would not accept
/// every row, and their own bounds may reject them on this server. They become standalone tables.
#[derive(Default)]
struct Detached {
    rows: HashSet<i32>,
    attachments: HashSet<i32>,
}

fn detached(toc: &archive::Contents, chosen: &Chosen) -> Result<Detached, RestoreError> {
    let mut trees: HashMap<Vec<u8>, Vec<&archive::Entry>> = HashMap::new();
    for entry in toc.entries.iter().filter(|entry| entry.is_table_data()) {
        let target = entry.copy_target()?;
        if target.is_root_of(entry) {
            trees.entry(target.relation).or_default().push(entry);
        }
    }
    let whole = |rows: &&Vec<&archive::Entry>| rows.iter().all(|entry| chosen.entries.contains(&entry.dump_id));
    let parts = trees.values().filter(|rows| !whole(rows)).flatten();
    let mut detached = Detached::default();
    let mut tables: HashSet<i32> = HashSet::new();
    for entry in parts {
        detached.rows.insert(entry.dump_id);
        tables.extend(&entry.dependencies);
    }
    if detached.rows.is_empty() {
        return Ok(detached);
    }
    let names: HashSet<_> =
        toc.entries.iter().filter(|entry| tables.contains(&entry.dump_id)).map(|entry| (&entry.namespace, &entry.tag)).collect();
    let of_table = |entry: &&archive::Entry| entry.dependencies.iter().any(|id| tables.contains(id));
    let indexes: HashSet<i32> = toc.entries.iter().filter(of_table).map(|entry| entry.dump_id).collect();
    let attached = toc.entries.iter().filter(|entry| {
        entry.kind == "TABLE ATTACH" && names.contains(&(&entry.namespace, &entry.tag))
            || entry.kind == "INDEX ATTACH" && entry.dependencies.iter().any(|id| indexes.contains(id))
    });
    detached.attachments.extend(attached.map(|entry| entry.dump_id));
    Ok(detached)
}

/// The tables whose rows are restored. The backup must contain the rows of every such table in the table of contents.
fn fillings(
    toc: &archive::Contents,
    contents: &manifest::DatabaseContents,
    detached: &Detached,
) -> Result<Vec<Filling>, RestoreError> {
    let tables: HashMap<i32, &manifest::Table> = contents.tables.iter().map(|table| (table.dump_id, table)).collect();
    let by_id = toc.by_id();
    let wanted = toc.entries.iter().filter(|entry| entry.is_table_data());
    wanted
        .map(|entry| {
            let table = tables.get(&entry.dump_id);
            let table =
                table.ok_or_else(|| RestoreError::Contents(format!("the rows of {} are missing", entry.display_name())))?;
            let created = entry.dependencies.iter().any(|id| by_id.get(id).is_some_and(|parent| parent.kind == "TABLE"));
            let after = entry.dependencies.iter().filter(|id| by_id.get(id).is_some_and(|other| other.is_table_data()));
            let mut target = entry.copy_target()?;
            let through_root = target.is_root_of(entry) && !detached.rows.contains(&entry.dump_id);
            if !through_root {
                // Also if only the partition was selected, without the tree that it belongs to.
                target.relation = entry.own_relation();
            }
            Ok(Filling {
                table: (*table).clone(),
                target,
                created: created && !through_root,
                through_root,
                after: after.copied().collect(),
            })
        })
        .collect()
}
