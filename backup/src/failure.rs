//! This module describes failures of an attempt: the stage, whether a retry may succeed, and the exit status of the process.
//! Every message must contain a remedy. The cause supplies it, and its text is preserved.

use std::fmt;

use crate::{
    store::StoreError,
    wire::{self, WireError},
};

pub use crate::stage::Stage;

/// Exit status of the process (from `sysexits.h` where one fits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// 1: failed for any other reason.
    Failed = 1,
    /// 64: the configuration or the command line is wrong; no work was done.
    Configuration = 64,
    /// 65: data is damaged, forged, or differs from the original.
    Damaged = 65,
    /// 66: the backup does not exist.
    NoBackup = 66,
    /// 69: PostgreSQL or the object store cannot be reached.
    Unavailable = 69,
    /// 73: retention refused to remove anything.
    Refused = 73,
    /// 74: partly done; the rest is listed.
    Partial = 74,
    /// 75: another run holds the lease; retry later.
    Busy = 75,
    /// 76: a time limit was reached.
    Limit = 76,
    /// 77: a right is missing, in PostgreSQL or in the store.
    Forbidden = 77,
    /// 78: versions do not match: client tools older than the server, or a format newer than this program.
    Versions = 78,
    /// 141: the reader of an archive closed the pipe before its end, like a program that SIGPIPE ends.
    Unread = 141,
}

impl Exit {
    /// Text for `--help`.
    pub const HELP: &str = "Exit status: 0 success, 1 failed, 64 wrong configuration, 65 damaged or forged, 66 no such backup, \
        69 PostgreSQL or store unavailable, 73 retention refused, 74 partly done (the rest is listed), 75 another run is active, \
        76 time limit reached, 77 missing right, 78 incompatible versions, 141 reader of the archive of `export` closed early";
}

/// Reason why a command did not succeed.
#[derive(Debug)]
pub struct Failure {
    pub stage: Stage,
    pub exit: Exit,
    /// The failure can be temporary: a retry may succeed.
    pub passing: bool,
    /// The standby cannot provide a backup, but the primary may.
    pub standby: bool,
    /// The failure concerns more than one database, so the attempt must not continue with the next one.
    pub whole: bool,
    pub error: anyhow::Error,
}

pub type Result<T, Error = Failure> = std::result::Result<T, Error>;

impl Failure {
    pub fn new(stage: Stage, exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { stage, exit, passing: false, standby: false, whole: false, error: error.into() }
    }

    /// A failure whose message already contains the remedy.
    pub fn told(stage: Stage, exit: Exit, message: impl Into<String>) -> Self {
        Self::new(stage, exit, anyhow::Error::msg(message.into()))
    }

    #[must_use]
    pub fn passing(mut self) -> Self {
        self.passing = true;
        self
    }

    #[must_use]
    pub fn context(mut self, context: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.error = self.error.context(context);
        self
    }

    /// The server's SQLSTATE, if it refused a statement.
    pub fn sqlstate(&self) -> Option<&str> {
        self.error.chain().find_map(|cause| cause.downcast_ref::<WireError>()?.code())
    }

    pub fn store(stage: Stage, error: StoreError) -> Self {
        let exit = match &error {
            StoreError::Unavailable { .. } => Exit::Unavailable,
            StoreError::Forbidden { .. }
            | StoreError::NoCredentials { .. }
            | StoreError::Expired { .. }
            | StoreError::Clock { .. } => Exit::Forbidden,
            StoreError::NoBucket { .. } => Exit::Configuration,
            _ => Exit::Failed,
        };
        Self::new(stage, exit, error)
    }

    pub fn wire(stage: Stage, error: WireError) -> Self {
        let (exit, passing, standby) = match &error {
            // A standby that is down, or went down, cannot provide a backup either.
            WireError::Connect { .. } | WireError::Broken(_) => (Exit::Unavailable, true, true),
            WireError::Server { code, .. } => by_sqlstate(code),
            _ => (Exit::Failed, false, false),
        };
        Self { stage, exit, passing, standby, whole: false, error: error.into() }
    }

    pub fn database(stage: Stage, error: sqlx::Error) -> Self {
        let (exit, passing, standby) = match &error {
            sqlx::Error::Database(error) => by_sqlstate(&error.code().unwrap_or_default()),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) => (Exit::Unavailable, true, true),
            _ => (Exit::Failed, false, false),
        };
        let error = wire::refusal(&error).map_or_else(|| error.into(), anyhow::Error::new);
        Self { stage, exit, passing, standby, whole: false, error }
    }
}

/// Exit status, whether a retry may succeed, whether the primary may succeed.
fn by_sqlstate(code: &str) -> (Exit, bool, bool) {
    match code {
        // Wrong or missing password, unknown role, missing right.
        "28P01" | "28000" | "42501" => (Exit::Forbidden, false, false),
        // A recovery conflict cancelled a statement or the whole session.
        "40001" | "40P01" | "57P04" => (Exit::Failed, true, true),
        // A table, schema or snapshot was dropped in between, or a lock was refused.
        "42P01" | "3F000" | "55P03" | "22023" | "XX000" => (Exit::Failed, true, false),
        // The server is stopping or starting, or has no free connection.
        "57P01" | "57P02" | "57P03" | "53300" => (Exit::Unavailable, true, true),
        _ if code.starts_with("08") => (Exit::Unavailable, true, true),
        "57014" => (Exit::Failed, true, true),
        _ => (Exit::Failed, false, false),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {:#}", self.stage, self.error)
    }
}

impl std::error::Error for Failure {}
