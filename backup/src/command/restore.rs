//! This module implements `backup restore`.

use std::collections::BTreeSet;

use super::{
    Output,
    reading::{DatabasePart, Which, alone, open_backup, restore_failed},
};
use crate::{
    config::Job,
    failure::{Exit, Failure, Result, Stage},
    reading::BackupReader,
    restore::{self, Ahead, RestoreError, RestoreOptions, RestoreReport, Troubles},
    run::{Agent, count_stage},
    verify::{apply_globals, made_by_globals},
};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, clap::Args)]
pub struct RestoreArguments {
    #[command(flatten)]
    which: Which,
    /// Database in the backup (default: its only database)
    #[arg(long)]
    database: Option<String>,
    /// Restore every database of the backup
    #[arg(long, conflicts_with_all = ["database", "to"])]
    all: bool,
    /// With --all, skip this database, such as `postgres` that has connected sessions; repeatable
    #[arg(long, value_name = "NAME", requires = "all")]
    exclude: Vec<String>,
    /// Final name of the database (default: as in the backup)
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// Rename an existing database of that name to …_replaced_… and retain it
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    part: DatabasePart,
    /// First create roles, memberships and tablespaces of the backup; existing ones are not changed
    #[arg(long)]
    globals: bool,
    /// Make the restoring role the owner of all objects
    #[arg(long)]
    no_owner: bool,
    /// Skip grants and revokes
    #[arg(long)]
    no_privileges: bool,
    /// Use the default tablespace for all objects
    #[arg(long)]
    no_tablespaces: bool,
    /// If the server refuses an object or a table's rows, continue, list the refused objects, and exit with 74
    #[arg(long)]
    keep_going: bool,
    /// Write and index rows in pg_dump's order in one session, for checks that read other tables
    #[arg(long)]
    in_order: bool,
    /// Leave the planner's statistics to autovacuum
    #[arg(long)]
    no_analyze: bool,
}

/// # Errors
/// Returns an error if the restore failed. It has then removed everything that it created.
pub async fn restore(jobs: Vec<Job>, arguments: RestoreArguments, output: Output) -> Result<(), Exit> {
    alone(jobs, output, async |agent, shutdown| {
        run(agent, arguments, output, shutdown).await.inspect_err(|failure| count_stage(agent, failure.stage))
    })
    .await
}

async fn run(agent: &Agent, arguments: RestoreArguments, output: Output, shutdown: CancellationToken) -> Result<()> {
    let reader = open_backup(agent, &arguments.which, Some(output)).await?;
    let options = options(&agent.job, &arguments)?;
    let names: Vec<Option<String>> = match arguments.all {
        true => all_except(&reader, &arguments.exclude)?.into_iter().map(Some).collect(),
        false => vec![arguments.database],
    };
    // Check all of them before creating anything. Otherwise the problem of the last database appears only after the others are
    // restored.
    if arguments.globals {
        let script = globals(&reader).await?;
        preflight(&reader, &names, &options, made_by_globals(&script, options.tablespaces)).await?;
        apply(&reader, &script, &options, output).await?;
    }
    // The restore of a single database runs its own checks before it creates anything.
    if arguments.globals || names.len() > 1 {
        preflight(&reader, &names, &options, BTreeSet::new()).await.map_err(|failure| match arguments.globals {
            true => {
                failure.context("roles and tablespaces of the backup were created before, except those listed above; they remain")
            }
            false => failure,
        })?;
    }
    let (mut done, mut refused): (Vec<String>, usize) = (Vec::new(), 0);
    for name in names {
        let restored = async {
            let opened = restore::open_database(&reader, name.as_deref()).await?;
            restore::restore_database(&reader, &opened, &options, &shutdown).await
        };
        let report: RestoreReport = restored.await.map_err(|fault| match &name {
            None => restore_failed(fault),
            Some(name) if done.is_empty() => restore_failed(fault).context(format!("database {name:?}")),
            Some(name) => restore_failed(fault)
                .context(format!("database {name:?}, after others that are restored and remain ({})", done.join(", "))),
        })?;
        output.say(&report, &report);
        refused += report.refused.len();
        done.push(report.target);
    }
    if refused > 0 {
        let told = format!("the server refused {refused} objects, listed above; everything else is restored");
        return Err(Failure::told(Stage::Restore, Exit::Partial, told));
    }
    Ok(())
}

/// The databases of the backup without the excluded ones.
fn all_except(reader: &BackupReader, excluded: &[String]) -> Result<Vec<String>> {
    let all: Vec<&str> = reader.manifest().databases.iter().map(|database| database.name.as_str()).collect();
    if let Some(unknown) = excluded.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(restore_failed(RestoreError::NoDatabase { name: unknown.clone(), has: all.join(", ") }));
    }
    let left: Vec<String> = all.into_iter().filter(|name| !excluded.iter().any(|out| out == name)).map(str::to_owned).collect();
    if left.is_empty() {
        let told = "every database of the backup is excluded; remove an --exclude";
        return Err(Failure::told(Stage::Restore, Exit::Configuration, told));
    }
    Ok(left)
}

/// Returns the problems of all databases. `made`: roles and tablespaces that will exist before the databases are restored.
async fn preflight(
    reader: &BackupReader,
    names: &[Option<String>],
    options: &RestoreOptions,
    made: BTreeSet<String>,
) -> Result<()> {
    let (mut troubles, mut ahead) = (Vec::new(), Ahead { made, row_bytes: 0 });
    for name in names {
        let opened = restore::open_database(reader, name.as_deref()).await.map_err(restore_failed)?;
        let name = opened.database.name.clone();
        match restore::preflight(reader, &opened, options, &mut ahead).await {
            Ok(()) => troubles.push((name, Troubles::default())),
            Err(RestoreError::Preflight(found)) => troubles.push((name, found)),
            Err(fault) => return Err(restore_failed(fault).context(format!("database {name:?} of the backup"))),
        }
    }
    let all = Troubles::of_all(&troubles);
    if all.0.is_empty() { Ok(()) } else { Err(restore_failed(RestoreError::Preflight(all))) }
}

fn options(job: &Job, arguments: &RestoreArguments) -> Result<RestoreOptions> {
    let server = job.restoring.target.clone().or_else(|| job.source.clone()).ok_or_else(|| {
        let told = "no target server is configured; set BACKUP_TARGET_URL, or BACKUP_SOURCE_URL to restore next to the original";
        Failure::told(Stage::Restore, Exit::Configuration, told)
    })?;
    Ok(RestoreOptions {
        server,
        target: arguments.to.clone(),
        replace: arguments.replace,
        selection: arguments.part.clone().selection(),
        owners: !arguments.no_owner,
        privileges: !arguments.no_privileges,
        tablespaces: !arguments.no_tablespaces,
        analyze: !arguments.no_analyze,
        jobs: job.restoring.jobs,
        keep_going: arguments.keep_going,
        in_order: arguments.in_order,
        client_folder: job.shape.client_folder.clone(),
        maintenance_memory: job.restoring.maintenance_memory.clone(),
    })
}

/// The script with the backup's globals.
async fn globals(reader: &BackupReader) -> Result<String> {
    let Some(globals) = &reader.manifest().globals else {
        return Err(Failure::told(
            Stage::Globals,
            Exit::NoBackup,
            "the backup contains no globals; omit --globals and create the roles",
        ));
    };
    let script = reader.blob(&globals.script).await.map_err(|fault| restore_failed(fault.into()))?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

async fn apply(reader: &BackupReader, script: &str, options: &RestoreOptions, output: Output) -> Result<()> {
    let applied = apply_globals(&options.server, script, options.tablespaces).await;
    for trouble in applied.map_err(restore_failed)? {
        output.say(format!("not created: {trouble}"), &serde_json::json!({ "not_created": trouble }));
    }
    if reader.manifest().globals.as_ref().is_some_and(|globals| !globals.role_passwords) {
        let told = "the backup contains no passwords; set the passwords of roles that log in";
        output.say(told, &serde_json::json!({ "warning": told }));
    }
    Ok(())
}
