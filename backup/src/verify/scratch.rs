//! This module runs a temporary PostgreSQL server for one drill. It creates and starts the server, connects through a Unix socket
//! in the server's folder, kills it by its process id, and removes it. Only this module of the crate writes to the local disk.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use sqlx::{Connection, PgConnection};
use tokio::process::{Child, Command};

use super::account::DrillAccount;
use crate::config::{SourceSettings, TlsMode};

/// Debian's folder of all releases of the server, `<major>/bin` each.
const DEBIAN_SERVERS: &str = "/usr/lib/postgresql";
/// Usual name of the first superuser. A script of globals grants in its name.
const SUPERUSER: &str = "postgres";
/// Used in the name of the socket's file; the server does not listen on the network.
const PORT: u16 = 5432;
/// Longest path of a socket that the kernel accepts, less the name of its file.
const LONGEST_FOLDER: usize = 85;
const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// Prefix of the folders of drills, and the file in each folder that its drill locks.
const FOLDER: &str = "drill-";
const HELD: &str = "held";
/// Number of lines of the server's log in an error.
const LOG_LINES: usize = 12;

/// The data is temporary, so the server does not wait for the disk, writes minimal WAL, and does not vacuum.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "4GB"),
    ("checkpoint_timeout", "1h"),
    ("autovacuum", "off"),
    ("shared_buffers", "128MB"),
    ("logging_collector", "off"),
    ("timezone", "UTC"),
];

#[derive(Debug, Clone, Default)]
pub struct ScratchSettings {
    /// Folder of initdb and postgres; `None`: the newest of Debian's servers, or the path.
    pub server_folder: Option<PathBuf>,
    /// Its `shared_preload_libraries`.
    pub preload: Vec<String>,
    /// Parent folder of the data; `None`: the system's temporary folder.
    pub folder: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    #[error("failed to create the scratch server: {doing}: {reason}; {remedy}")]
    Make { doing: &'static str, reason: String, remedy: &'static str },
    #[error("the scratch server did not start: {0}")]
    Start(String),
}

/// A running scratch server. Dropping it stops it too.
pub struct ScratchServer {
    process: Child,
    folder: PathBuf,
    /// Shows other drills that this one is running. The kernel releases the lock with the process, however it ends.
    _held: fs::File,
}

impl ScratchServer {
    /// # Errors
    /// Returns an error if PostgreSQL's server programs are missing, the folder cannot be used, or the server does not start.
    pub async fn start(settings: &ScratchSettings) -> Result<Self, ScratchError> {
        let programs = settings.server_folder.clone().or_else(newest_server).unwrap_or_default();
        let account =
            DrillAccount::unprivileged().map_err(|error| making("finding an account", &error, "run as an ordinary user"))?;
        let parent = settings.folder.clone().unwrap_or_else(std::env::temp_dir);
        sweep(&parent);
        let (folder, held) = make_folder(&parent, account)?;
        let started = Self::start_in(&folder, held, &programs, account, &settings.preload).await;
        if started.is_err() {
            let _ = fs::remove_dir_all(&folder);
        }
        started
    }

    async fn start_in(
        folder: &Path,
        held: fs::File,
        programs: &Path,
        account: Option<DrillAccount>,
        preload: &[String],
    ) -> Result<Self, ScratchError> {
        let data = folder.join("data");
        let mut initdb = command(&programs.join("initdb"), account);
        initdb
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username", SUPERUSER, "--pgdata"])
            .arg(&data);
        let made = initdb.current_dir(folder).output().await;
        let remedy = "install PostgreSQL's server package, or set BACKUP_SERVER_FOLDER to the folder of initdb and postgres";
        let made = made.map_err(|error| making("running initdb", &error, remedy))?;
        if !made.status.success() {
            let reason = String::from_utf8_lossy(&made.stderr).trim().to_owned();
            return Err(ScratchError::Make { doing: "running initdb", reason, remedy: "check that the folder has free space" });
        }
        let log = folder.join("log");
        let output =
            fs::File::create(&log).map_err(|error| making("opening its log", &error, "check that the folder has free space"))?;
        let mut postgres = command(&programs.join("postgres"), account);
        postgres.arg("-D").arg(&data).arg("-k").arg(folder).arg("-p").arg(PORT.to_string());
        postgres.args(SETTINGS.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]));
        if !preload.is_empty() {
            postgres.arg("-c").arg(format!("shared_preload_libraries={}", preload.join(",")));
        }
        let output_too = output.try_clone().map_err(|error| making("opening its log", &error, remedy))?;
        let process = postgres.current_dir(folder).stdout(output).stderr(output_too).spawn();
        let process = process.map_err(|error| making("running postgres", &error, remedy))?;
        let mut server = Self { process, folder: folder.to_owned(), _held: held };
        server.ready(&log).await?;
        Ok(server)
    }

    async fn ready(&mut self, log: &Path) -> Result<(), ScratchError> {
        let (end, options) = (Instant::now() + START_DEADLINE, self.source().options());
        loop {
            if let Ok(connection) = PgConnection::connect_with(&options).await {
                let _ = connection.close().await;
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(ScratchError::Start(format!("it ended ({status}):\n{}", tail(log))));
            }
            if Instant::now() > end {
                return Err(ScratchError::Start(format!("it is not ready after {} s:\n{}", START_DEADLINE.as_secs(), tail(log))));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Address of its database `postgres`, for the superuser.
    pub fn source(&self) -> SourceSettings {
        SourceSettings {
            host: self.folder.to_string_lossy().into_owned(),
            port: PORT,
            user: SUPERUSER.into(),
            password: None,
            database: "postgres".into(),
            tls: TlsMode::Disable,
            root_certificates: None,
            client_certificate: None,
            startup: Vec::new(),
        }
    }

    /// Stops the server and removes its folder.
    pub async fn stop(mut self) {
        self.signal();
        if tokio::time::timeout(STOP_DEADLINE, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }

    /// Immediate shutdown, since its data is discarded.
    fn signal(&self) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // The process may have ended already.
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
}

impl Drop for ScratchServer {
    fn drop(&mut self) {
        self.signal();
        let end = Instant::now() + STOP_DEADLINE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(POLL);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn making(doing: &'static str, error: &io::Error, remedy: &'static str) -> ScratchError {
    ScratchError::Make { doing, reason: error.to_string(), remedy }
}

/// Removes the folders of killed drills: each contains a whole unencrypted database.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_string_lossy().starts_with(FOLDER) {
            continue;
        }
        let folder = entry.path();
        // The folder belongs to another program, or is being created.
        let Ok(held) = fs::File::open(folder.join(HELD)) else { continue };
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        match fs::remove_dir_all(&folder) {
            Ok(()) => tracing::warn!(folder = %folder.display(), "removed the database of a killed drill"),
            Err(error) => {
                let error = error.to_string();
                tracing::error!(folder = %folder.display(), error, "failed to remove the database of a killed drill; remove the folder");
            }
        }
    }
}

fn make_folder(parent: &Path, account: Option<DrillAccount>) -> Result<(PathBuf, fs::File), ScratchError> {
    let remedy = "set BACKUP_DRILL_FOLDER to a folder with a short path, accessible to every user, with room for the database";
    let folder = parent.join(format!("{FOLDER}{}-{:08x}", std::process::id(), rand::random::<u32>()));
    if folder.as_os_str().len() > LONGEST_FOLDER {
        return Err(making("creating its folder", &io::Error::other("the path is too long for a socket"), remedy));
    }
    let failed = |error: io::Error| making("creating its folder", &error, remedy);
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    // Renamed only after it is locked. Otherwise a concurrent cleanup would treat it as the folder of a killed drill.
    let making = folder.join("making");
    let held = fs::File::create(&making).map_err(failed)?;
    flock(&held, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
    fs::rename(making, folder.join(HELD)).map_err(failed)?;
    account.map_or(Ok(()), |account| account.own(&folder)).map_err(failed)?;
    Ok((folder, held))
}

/// `setpriv` (util-linux) switches the account, and ends the server with this process, even if that is killed. The calling thread
/// must live as long as the server, since the kernel's signal is tied to the thread.
fn command(program: &Path, account: Option<DrillAccount>) -> Command {
    let mut words: Vec<OsString> = vec!["--pdeathsig".into(), "QUIT".into()];
    if let Some(account) = account {
        let who = [format!("--reuid={}", account.user), format!("--regid={}", account.group), "--clear-groups".into()];
        words.extend(who.map(OsString::from));
    }
    words.extend(["--".into(), program.into()]);
    let mut command = Command::new("setpriv");
    command.args(words).stdin(Stdio::null()).env_remove("PGDATA").env("LC_ALL", "C");
    command
}

fn newest_server() -> Option<PathBuf> {
    let releases = fs::read_dir(DEBIAN_SERVERS).into_iter().flatten().flatten();
    let majors =
        releases.filter_map(|release| Some((release.file_name().to_str()?.parse::<u32>().ok()?, release.path().join("bin"))));
    majors.filter(|(_, folder)| folder.join("postgres").is_file()).max().map(|(_, folder)| folder)
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
