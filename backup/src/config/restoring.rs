//! This module defines the settings of restores and drills.

use std::path::PathBuf;

use service_kit::config::SettingsReader;

use super::SourceSettings;

/// Concurrent sessions of a restore if the number of processors is unknown.
const FALLBACK_JOBS: usize = 2;

/// `restore`.
#[derive(Debug, Clone)]
pub struct Restoring {
    /// `None`: the source.
    pub target: Option<SourceSettings>,
    /// Concurrent sessions that write rows and build indexes, in restores and drills.
    pub jobs: usize,
    /// `maintenance_work_mem` of each session; `None`: the server's setting.
    pub maintenance_memory: Option<String>,
}

/// `verify`.
#[derive(Debug, Clone)]
pub struct Drill {
    /// Server to restore into; `None`: a scratch server.
    pub server: Option<SourceSettings>,
    /// Folder of initdb and postgres; `None`: the newest of Debian's, or the path.
    pub server_folder: Option<PathBuf>,
    /// Parent folder of the scratch server's data; `None`: the system's temporary folder.
    pub folder: Option<PathBuf>,
    /// Libraries that the scratch server loads when it starts.
    pub preload: Vec<String>,
    /// Files of SQL assertions.
    pub assertions: Vec<PathBuf>,
}

impl Restoring {
    pub(super) fn read(env: &mut SettingsReader) -> Self {
        const MEMORY: &str = "BACKUP_RESTORE_MAINTENANCE_MEMORY";
        let jobs = std::thread::available_parallelism().map_or(FALLBACK_JOBS, usize::from);
        let target = SourceSettings::read(
            env,
            "BACKUP_TARGET_URL",
            false,
            "server to restore to, with a role that may create databases; unset: the source",
        );
        let jobs = env.or_within(
            "BACKUP_RESTORE_JOBS",
            jobs,
            1..=64,
            "concurrent sessions that write rows and build indexes, in restores and drills",
        );
        let memory: Option<String> =
            env.optional(MEMORY, "maintenance_work_mem of each session of a restore, such as 256MB; unset: the server's setting");
        if memory.as_deref().is_some_and(|memory| !is_memory(memory)) {
            env.fault(MEMORY, "is not an amount of memory", "write it as 64MB or 1GB");
        }
        Self { target, jobs, maintenance_memory: memory }
    }
}

impl Drill {
    pub(super) fn read(env: &mut SettingsReader) -> Self {
        Self {
            server: SourceSettings::read(
                env,
                "BACKUP_DRILL_URL",
                false,
                "server of drills; unset: a temporary server that `verify` starts and removes",
            ),
            server_folder: env.optional(
                "BACKUP_SERVER_FOLDER",
                "folder of initdb and postgres; unset: /usr/lib/postgresql/<newest>/bin, or on the path",
            ),
            folder: env.optional(
                "BACKUP_DRILL_FOLDER",
                "parent folder of the scratch server's data; unset: the system's temporary folder",
            ),
            preload: env.list(
                "BACKUP_DRILL_PRELOAD_LIBRARIES",
                "shared_preload_libraries of the scratch server, for extensions that need it (timescaledb, pg_cron)",
            ),
            assertions: env.list("BACKUP_ASSERTIONS", "files of SQL assertions that `verify` runs in the restored databases"),
        }
    }
}

/// A number and a unit in PostgreSQL's format.
fn is_memory(text: &str) -> bool {
    let unit = text.trim_start_matches(|character: char| character.is_ascii_digit());
    unit.len() < text.len() && matches!(unit, "kB" | "MB" | "GB")
}
