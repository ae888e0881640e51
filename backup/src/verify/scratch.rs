//! A PostgreSQL server for one drill: made, started, used through a Unix socket in its own folder, ended by its process id,
//! removed. The only thing of this program that touches the local disk.

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

use super::account::Account;
use crate::config::{Source, TlsMode};

/// Where Debian keeps the servers of every release, `<major>/bin` each.
const DEBIAN_SERVERS: &str = "/usr/lib/postgresql";
/// Who the globals of most servers call their first superuser; a script of globals grants in its name.
const SUPERUSER: &str = "postgres";
/// Names the socket's file; nothing listens on the network.
const PORT: u16 = 5432;
/// Longest path of a socket that the kernel takes, less the name of its file.
const LONGEST_FOLDER: usize = 85;
const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);
/// What folders of drills are called, and the file in each that its drill holds a lock on.
const FOLDER: &str = "drill-";
const HELD: &str = "held";
/// Lines of the server's log that a fault shows.
const LOG_LINES: usize = 12;

/// Nothing here must survive, so nothing waits for the disk, nothing is logged ahead, and nobody vacuums meanwhile.
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
    /// Where initdb and postgres are; `None`: the newest of Debian's servers, or the path.
    pub server_folder: Option<PathBuf>,
    /// Its `shared_preload_libraries`.
    pub preload: Vec<String>,
    /// Below which folder the data lies meanwhile; `None`: the system's temporary one.
    pub folder: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ScratchFault {
    #[error("the scratch server cannot be made: {doing}: {reason}; {remedy}")]
    Make { doing: &'static str, reason: String, remedy: &'static str },
    #[error("the scratch server did not start: {0}")]
    Start(String),
}

/// A running scratch server. Dropping it ends it too.
pub struct ScratchServer {
    process: Child,
    folder: PathBuf,
    /// Says to other drills that this one lives: the kernel gives the lock back with the process, however that ends.
    _held: fs::File,
}

impl ScratchServer {
    /// # Errors
    /// When PostgreSQL's server programs are missing, or the folder cannot be used, or the server does not come up.
    pub async fn start(settings: &ScratchSettings) -> Result<Self, ScratchFault> {
        let programs = settings.server_folder.clone().or_else(newest_server).unwrap_or_default();
        let account = Account::unprivileged().map_err(|error| making("finding an account", &error, "run as an ordinary user"))?;
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
        account: Option<Account>,
        preload: &[String],
    ) -> Result<Self, ScratchFault> {
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
            return Err(ScratchFault::Make { doing: "running initdb", reason, remedy: "look whether the folder has room" });
        }
        let log = folder.join("log");
        let output =
            fs::File::create(&log).map_err(|error| making("opening its log", &error, "look whether the folder has room"))?;
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

    async fn ready(&mut self, log: &Path) -> Result<(), ScratchFault> {
        let (end, options) = (Instant::now() + START_DEADLINE, self.source().options());
        loop {
            if let Ok(connection) = PgConnection::connect_with(&options).await {
                let _ = connection.close().await;
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(ScratchFault::Start(format!("it ended ({status}):\n{}", tail(log))));
            }
            if Instant::now() > end {
                return Err(ScratchFault::Start(format!("it is not ready after {} s:\n{}", START_DEADLINE.as_secs(), tail(log))));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its database `postgres`, for the superuser.
    pub fn source(&self) -> Source {
        Source {
            host: self.folder.to_string_lossy().into_owned(),
            port: PORT,
            user: SUPERUSER.into(),
            password: None,
            database: "postgres".into(),
            tls: TlsMode::Disable,
            root_certificates: None,
        }
    }

    /// Ends the server and removes its folder.
    pub async fn stop(mut self) {
        self.signal();
        if tokio::time::timeout(STOP_DEADLINE, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }

    /// Immediate shutdown: what it holds is thrown away.
    fn signal(&self) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that is gone is as good as ended.
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

fn making(doing: &'static str, error: &io::Error, remedy: &'static str) -> ScratchFault {
    ScratchFault::Make { doing, reason: error.to_string(), remedy }
}

/// A drill that was killed could not remove its folder, and a whole database lies in it in plain.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_string_lossy().starts_with(FOLDER) {
            continue;
        }
        let folder = entry.path();
        // Another's, or one that is just being made.
        let Ok(held) = fs::File::open(folder.join(HELD)) else { continue };
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        match fs::remove_dir_all(&folder) {
            Ok(()) => tracing::warn!(folder = %folder.display(), "a drill was killed: the database that it left was removed"),
            Err(error) => {
                let error = error.to_string();
                tracing::error!(folder = %folder.display(), error, "a drill was killed and has left a database: remove it");
            }
        }
    }
}

fn make_folder(parent: &Path, account: Option<Account>) -> Result<(PathBuf, fs::File), ScratchFault> {
    let remedy = "set BACKUP_DRILL_FOLDER to a folder that everybody may enter, with room for the database, and a short path";
    let folder = parent.join(format!("{FOLDER}{}-{:08x}", std::process::id(), rand::random::<u32>()));
    if folder.as_os_str().len() > LONGEST_FOLDER {
        return Err(making("making its folder", &io::Error::other("the path is too long for a socket"), remedy));
    }
    let failed = |error: io::Error| making("making its folder", &error, remedy);
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    // Under its name only once it is locked: a sweep in between would take it for a dead one's.
    let making = folder.join("making");
    let held = fs::File::create(&making).map_err(failed)?;
    flock(&held, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
    fs::rename(making, folder.join(HELD)).map_err(failed)?;
    account.map_or(Ok(()), |account| account.own(&folder)).map_err(failed)?;
    Ok((folder, held))
}

/// `setpriv` (util-linux) lends the account and ends the server with this process, also when that one is killed. The thread
/// that calls this must live as long as the server: the kernel's signal follows the thread.
fn command(program: &Path, account: Option<Account>) -> Command {
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
