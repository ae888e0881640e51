//! This module is the embedded database: SQLite with a write-ahead log and `synchronous=FULL`, so that an answered commit is on
//! disk. It contains all SQL, one file per table, and no decisions.
//!
//! - One connection writes. The writer owns it and commits many commands at once. Other connections read.
//! - `VACUUM INTO` or SQLite's backup API can copy the file while the program runs. A plain copy must include the `-wal` file of
//!   the same moment.

pub mod audit;
pub mod continuations;
pub mod facts;
pub mod housekeeping;
pub mod incidents;
pub mod lanes;
pub mod outbox;
pub mod owners;
pub mod threads;

use std::{path::Path, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

static SCHEMA: Migrator = sqlx::migrate!("src/store/schema");

/// Commands and the reconciliation read at the same time.
const READERS: u32 = 2;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A checkpoint copies the log into the database after this many pages (8 MiB).
const CHECKPOINT_PAGES: &str = "2000";
const PAGE_BYTES: u64 = 4096;
/// Page cache of a reader, in KiB. Few queries read the same pages again.
const READER_CACHE: &str = "-256";

/// The open database.
#[derive(Debug)]
pub struct Store {
    /// For the writer only.
    pub writer: SqliteConnection,
    pub readers: SqlitePool,
    /// Held while this program writes.
    pub lock: Lock,
}

/// The exclusive right to write a database. The system releases it when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: std::fs::File,
}

impl Store {
    /// Opens the database and migrates its schema. Creates the file and its folder if they are missing. Above `bytes` every write
    /// fails as on a full disk.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, is not a database, or was written by a newer release.
    pub async fn open(path: &Path, bytes: u64) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("failed to create the folder {}", folder.display()))?;
        }
        let lock = lock(path).await?;
        let options =
            SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).foreign_keys(true).disable_statement_logging();
        let writing = options
            .clone()
            .create_if_missing(true)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("max_page_count", (bytes / PAGE_BYTES).max(1).to_string());
        let opening = || format!("failed to open the database {}", path.display());
        let mut writer = writing.connect().await.with_context(opening)?;
        // `run` needs a connection of any lifetime, which a task cannot provide.
        SCHEMA.run_direct(None, &mut writer, false).await.with_context(opening)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true).pragma("cache_size", READER_CACHE))
            .await
            .with_context(opening)?;
        Ok(Self { writer, readers, lock })
    }
}

/// A restart may overlap with the end of the previous process, so the lock is tried for ten seconds.
const LOCK_TRIES: u32 = 200;
const LOCK_AGAIN: Duration = Duration::from_millis(50);

async fn lock(database: &Path) -> anyhow::Result<Lock> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let path = std::path::PathBuf::from(name);
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    let mut tries = 0;
    loop {
        tries += 1;
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) if tries < LOCK_TRIES => {
                tokio::time::sleep(LOCK_AGAIN).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => anyhow::bail!(
                "another alertbot writes {}, so every message would be sent twice; stop it, or set store.path to another file",
                database.display()
            ),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
    }
}

pub(crate) fn milliseconds(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

/// A time out of range becomes the earliest time. Only a damaged row has one.
pub(crate) fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Written values are always valid JSON. Read values may be damaged.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
