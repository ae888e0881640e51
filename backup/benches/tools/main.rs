//! This benchmark compares the agent with common tools: time, processor time, bytes stored, memory. It prints a table and merges
//! its keys into `target/bench.json`.
//!
//! `cargo bench -p backup --bench tools`; `-- --quick` for a short run, `-- --only easy,hard,3gb,many` for parts. Definitions:
//! - All tools use the same server (durable, default settings except memory) and the same store. The other tools use the agent's
//!   uploader. Rounds alternate between the tools, after a warm-up round. A figure is a ratio of medians.
//! - Processor time is that of the client's processes, the server with its sessions, and the store.
//! - Memory is the highest sum of the proportional set sizes (PSS) of the client's processes, including pg_dump.

mod measure;
mod place;
mod tables;
mod transfer;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use backup::{
    config::{Checksums, ObjectStoreSettings},
    metrics::ObjectStoreMetrics,
    store::Store,
};
use clap::{Parser, Subcommand};
use local_parts::{S3Access, find_program};
use measure::Cost;
use place::{BUCKET, Place};
use service_kit::metrics::Metrics;

const SIGNING_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const MIB: f64 = (1 << 20) as f64;

#[derive(Parser)]
struct Arguments {
    /// Small data, two rounds: a short run without figures.
    #[arg(long)]
    quick: bool,
    #[arg(long, value_delimiter = ',', default_value = "easy,hard,3gb,many")]
    only: Vec<String>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Skip restores and drills.
    #[arg(long)]
    no_restores: bool,
    /// Cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    transfer: Option<Transfer>,
}

/// The role of this program in a pipe of another tool.
#[derive(Subcommand)]
enum Transfer {
    Upload { key: String },
    Download { key: String },
    UploadFolder { key: String, folder: PathBuf },
    DownloadFolder { key: String, folder: PathBuf },
}

/// Store settings for the parts of a pipe.
const ACCESS_VARIABLE: &str = "BENCH_STORE";

fn settings(access: &S3Access) -> ObjectStoreSettings {
    ObjectStoreSettings {
        endpoint: Some(access.endpoint.clone()),
        region: access.region.clone(),
        bucket: BUCKET.into(),
        prefix: "backups".into(),
        credentials: backup::config::Credentials::Keys {
            access: access.access_key.clone(),
            secret: access.secret_key.clone().into(),
            session_token: None,
        },
        checksums: Checksums::default(),
        path_style: true,
        lock_bucket: None,
        object_lock: None,
        storage_class: None,
        encryption: None,
        part_bytes: 6 << 20,
        parts_per_object: 900,
        attempts: 3,
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(60),
    }
}

fn store(settings: &ObjectStoreSettings) -> Result<Store> {
    Ok(Store::new(settings, ObjectStoreMetrics::register(&Metrics::new("bench", "0", None))?))
}

#[expect(clippy::disallowed_methods, reason = "a pipe of the benchmark has no configuration file")]
fn access_of_pipe() -> Result<S3Access> {
    Ok(serde_json::from_str(&std::env::var(ACCESS_VARIABLE)?)?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(transfer) = arguments.transfer {
        let settings = settings(&access_of_pipe()?);
        let store = store(&settings)?;
        return match transfer {
            Transfer::Upload { key } => transfer::upload(&store, &settings, &key, io::stdin()).await,
            Transfer::Download { key } => transfer::download(&store, &settings, &key, &mut io::stdout()).await,
            Transfer::UploadFolder { key, folder } => transfer::upload_folder(&store, &settings, &key, &folder).await,
            Transfer::DownloadFolder { key, folder } => transfer::download_folder(&store, &settings, &key, &folder).await,
        };
    }
    let (size, rounds) = if arguments.quick { (150.0, 2) } else { (1000.0, arguments.rounds) };
    let bench = Bench::start().await?;
    let mut keys = BTreeMap::new();
    for part in &arguments.only {
        match part.as_str() {
            "easy" => {
                bench.place.compressible("easy", size).await?;
                bench.sides("easy", "", rounds, !arguments.no_restores, &mut keys).await?;
            }
            "hard" => {
                bench.place.hard("hard", size).await?;
                bench.sides("hard", ".hard", rounds, true, &mut keys).await?;
            }
            "3gb" => {
                bench.place.compressible("large", 3.0 * size).await?;
                bench.sides("large", ".3gb", 1, true, &mut keys).await?;
            }
            "many" => {
                let share = if arguments.quick { 10 } else { 1 };
                bench.place.many("many", 10_000 / share, 100_000 / share).await?;
                bench.sides("many", ".many", rounds.min(2), false, &mut keys).await?;
            }
            other => anyhow::bail!("part {other} does not exist"),
        }
    }
    println!("\nchecksums of requests: as shipped (when_supported)");
    merge(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench.json"), &keys)
}

/// Selected parts, and settings of the commands.
pub struct Bench {
    place: Place,
    access: S3Access,
    store: Store,
    own: PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn start() -> Result<Self> {
        let place = Place::start().await?;
        let access = place.store.access().clone();
        let store = store(&settings(&access))?;
        Ok(Self { place, access, store, own: std::env::current_exe()?, folder: tempfile::tempdir()? })
    }

    /// A pipe of stock tools; `upload` and `download` refer to this program.
    fn pipe(&self, script: &str) -> Result<Command> {
        let own = self.own.display();
        let script = script.replace("upload", &format!("{own} upload")).replace("download", &format!("{own} download"));
        let mut command = Command::new("bash");
        command.args(["-c", &format!("set -euo pipefail; {script}")]);
        command.envs([
            ("RESTIC_REPOSITORY", format!("s3:{}/{BUCKET}/restic", self.access.endpoint)),
            ("RESTIC_PASSWORD", "bench".to_owned()),
            ("RESTIC_CACHE_DIR", self.folder.path().join("restic").display().to_string()),
            ("AWS_ACCESS_KEY_ID", self.access.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.access.secret_key.clone()),
        ]);
        command.env(ACCESS_VARIABLE, serde_json::to_string(&self.access)?).current_dir(self.folder.path());
        Ok(command)
    }

    /// The agent, started as a user would start it.
    fn agent(&self, database: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backup"));
        command.args(arguments).env_clear().envs([
            ("BACKUP_SOURCE_URL", self.place.postgres.url_of(database)),
            ("BACKUP_DATABASES", database.to_owned()),
            ("BACKUP_STORE_ENDPOINT", self.access.endpoint.clone()),
            ("BACKUP_STORE_BUCKET", BUCKET.to_owned()),
            ("BACKUP_STORE_ACCESS_KEY", self.access.access_key.clone()),
            ("BACKUP_STORE_SECRET_KEY", self.access.secret_key.clone()),
            ("BACKUP_SIGNING_KEY", SIGNING_SEED.to_owned()),
            ("BACKUP_PRUNE_AFTER_RUN", "false".to_owned()),
            // The same number as in the `pg_restore -j2` of the other tool, on any machine.
            ("BACKUP_RESTORE_JOBS", "2".to_owned()),
            ("BACKUP_CLIENT_FOLDER", self.place.tools.display().to_string()),
            ("PATH", "/usr/bin:/bin".to_owned()),
        ]);
        command
    }

    fn measured(&self, command: Command) -> Result<Cost> {
        measure::run(command, &self.place.servers())
    }

    async fn memory(&self, database: &str, suffix: &str, keys: &mut BTreeMap<String, f64>) -> Result<()> {
        let peak = measure::peak_memory(self.agent(database, &["run"]))?;
        transfer::remove(&self.store, "backups/").await?;
        println!("memory of a backup of {database}: {peak:.1} MiB");
        keys.insert(format!("backup.pss_mb{suffix}"), peak);
        Ok(())
    }

    /// Backs up one database with every tool, in turns.
    async fn sides(
        &self,
        database: &str,
        suffix: &str,
        rounds: usize,
        restores: bool,
        keys: &mut BTreeMap<String, f64>,
    ) -> Result<()> {
        println!("\n{database}: {:.0} MiB of tables, {rounds} rounds", self.place.table_bytes(database).await? as f64 / MIB);
        let mut costs: BTreeMap<&str, Vec<Cost>> = BTreeMap::new();
        let mut stored: BTreeMap<&str, f64> = BTreeMap::new();
        for round in 0..=rounds {
            let mut tools = tables::BACKUPS.to_vec();
            tools.retain(|(tool, _)| restores || *tool != tables::FOLDER);
            let turn = round % tools.len();
            tools.rotate_left(turn);
            for (tool, script) in tools {
                let url = self.place.postgres.url_of(database);
                if script.is_some_and(|script| script.contains("restic")) && find_program("restic").is_err() {
                    println!("restic is not installed: not measured");
                    continue;
                }
                let command = match script {
                    None => self.agent(database, &["run"]),
                    Some(script) => self.pipe(&script.replace("URL", &url))?,
                };
                let cost = self.measured(command).with_context(|| format!("{tool} of {database}"))?;
                let prefix = if script.is_none() { "backups/" } else { tool };
                stored.insert(tool, transfer::stored(&self.store, prefix).await? as f64);
                // The backups of the last round are retained for the restores.
                if round < rounds {
                    transfer::remove(&self.store, prefix).await?;
                    let _ = std::fs::remove_dir_all(self.folder.path().join("fd"));
                }
                if round > 0 {
                    costs.entry(tool).or_default().push(cost);
                }
            }
        }
        tables::print("backup", &costs, &stored);
        let (seconds, cpu) = tables::medians(&costs);
        keys.insert(format!("backup.vs_pg_dump_fc{suffix}"), seconds["pg_dump -Fc"] / seconds["backup"]);
        keys.insert(format!("backup.vs_zstd_pipe{suffix}"), seconds["pg_dump | zstd"] / seconds["backup"]);
        keys.insert(format!("backup.cpu_over_fc{suffix}"), cpu["backup"] / cpu["pg_dump -Fc"]);
        keys.insert(format!("backup.stored_over_fc{suffix}"), stored["backup"] / stored["pg_dump -Fc"]);
        if restores {
            self.restores(database, suffix, rounds, keys).await?;
        }
        for (tool, script) in tables::BACKUPS {
            transfer::remove(&self.store, if script.is_none() { "backups/" } else { tool }).await?;
        }
        self.memory(database, suffix, keys).await?;
        self.place.drop_database(database).await
    }

    async fn restores(&self, database: &str, suffix: &str, rounds: usize, keys: &mut BTreeMap<String, f64>) -> Result<()> {
        let mut costs: BTreeMap<&str, Vec<Cost>> = BTreeMap::new();
        for round in 0..=rounds {
            let mut tools = tables::RESTORES.to_vec();
            let turn = round % tools.len();
            tools.rotate_left(turn);
            for (tool, script) in tools {
                let _ = std::fs::remove_dir_all(self.folder.path().join("fd"));
                self.place.drop_database("back").await?;
                let command = match script {
                    None if tool == "backup verify" => self.agent(database, &["verify", "--no-record"]),
                    None => self.agent(database, &["restore", "--to", "back"]),
                    Some(script) => {
                        let (server, back) = (self.place.postgres.url_of("postgres"), self.place.postgres.url_of("back"));
                        self.pipe(&script.replace("SERVER", &server).replace("URL", &back))?
                    }
                };
                let cost = self.measured(command).with_context(|| tool.to_owned())?;
                if round > 0 {
                    costs.entry(tool).or_default().push(cost);
                }
            }
        }
        self.place.drop_database("back").await?;
        tables::print("restore", &costs, &BTreeMap::new());
        let (seconds, _) = tables::medians(&costs);
        keys.insert(format!("restore.vs_pg_restore_stream{suffix}"), seconds["pg_restore, streamed"] / seconds["backup restore"]);
        keys.insert(format!("restore.vs_fd_j2{suffix}"), seconds["pg_restore -j2"] / seconds["backup restore"]);
        keys.insert(format!("verify.over_restore{suffix}"), seconds["backup verify"] / seconds["backup restore"]);
        Ok(())
    }
}

/// Keys of other benchmarks are preserved.
fn merge(path: &Path, keys: &BTreeMap<String, f64>) -> Result<()> {
    let before = std::fs::read_to_string(path).unwrap_or_else(|_| "{}".into());
    let mut all: BTreeMap<String, serde_json::Value> = serde_json::from_str(&before)?;
    for (key, value) in keys {
        println!("{key:36} {value:.3}");
        all.insert(key.clone(), serde_json::json!((value * 1000.0).round() / 1000.0));
    }
    std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
    Ok(())
}
