//! Settings of the commands that read backups: where a restore goes, and how a drill is done.

use std::path::PathBuf;

use service_kit::config::Reader;

use super::Source;

/// Sessions of a restore at a time, where this machine does not tell how many it can do.
const FALLBACK_JOBS: usize = 2;

/// `restore`.
#[derive(Debug, Clone)]
pub struct Restoring {
    /// `None`: the source.
    pub target: Option<Source>,
    /// Sessions that write rows and build indexes at a time; of a drill too.
    pub jobs: usize,
    /// `maintenance_work_mem` of each session; `None`: the server's own.
    pub maintenance_memory: Option<String>,
}

/// `verify`.
#[derive(Debug, Clone)]
pub struct Drill {
    /// A server to restore into for a try; `None`: one of the drill's own.
    pub server: Option<Source>,
    /// Where initdb and postgres are; `None`: the newest of Debian's, or the path.
    pub server_folder: Option<PathBuf>,
    /// Below which folder the scratch server's data lies meanwhile; `None`: the system's temporary one.
    pub folder: Option<PathBuf>,
    /// Libraries that the scratch server loads when it starts.
    pub preload: Vec<String>,
    /// Files of SQL assertions.
    pub assertions: Vec<PathBuf>,
}

impl Restoring {
    pub(super) fn read(env: &mut Reader) -> Self {
        const MEMORY: &str = "BACKUP_RESTORE_MAINTENANCE_MEMORY";
        let jobs = std::thread::available_parallelism().map_or(FALLBACK_JOBS, usize::from);
        let target = Source::read(
            env,
            "BACKUP_TARGET_URL",
            false,
            "the server that `restore` writes to, as a role that may create databases; unset: the source",
        );
        let jobs = env.or_within(
            "BACKUP_RESTORE_JOBS",
            jobs,
            1..=64,
            "sessions that write rows and build indexes at a time, in restores and drills",
        );
        let memory: Option<String> =
            env.optional(MEMORY, "maintenance_work_mem of each session of a restore, as 256MB; unset: the server's own");
        if memory.as_deref().is_some_and(|memory| !is_memory(memory)) {
            env.fault(MEMORY, "is no amount of memory", "write it as 64MB or 1GB");
        }
        Self { target, jobs, maintenance_memory: memory }
    }
}

impl Drill {
    pub(super) fn read(env: &mut Reader) -> Self {
        Self {
            server: Source::read(
                env,
                "BACKUP_DRILL_URL",
                false,
                "a server to restore into for `verify`; unset: one that is started for it and thrown away",
            ),
            server_folder: env.optional(
                "BACKUP_SERVER_FOLDER",
                "where initdb and postgres are; unset: /usr/lib/postgresql/<newest>/bin, or on the path",
            ),
            folder: env.optional(
                "BACKUP_DRILL_FOLDER",
                "where the scratch server's data lies meanwhile; unset: the system's temporary folder",
            ),
            preload: env.list(
                "BACKUP_DRILL_PRELOAD_LIBRARIES",
                "shared_preload_libraries of the scratch server, for extensions that need it (as timescaledb, pg_cron)",
            ),
            assertions: env.list("BACKUP_ASSERTIONS", "files of SQL assertions that `verify` runs in what it restored"),
        }
    }
}

/// A number and a unit, as PostgreSQL reads it.
fn is_memory(text: &str) -> bool {
    let unit = text.trim_start_matches(|character: char| character.is_ascii_digit());
    unit.len() < text.len() && matches!(unit, "kB" | "MB" | "GB")
}
