//! How a command ends: its exit status, and the one line that says why and what to do.

use std::fmt;

/// What the process exits with (`sysexits.h` where it has a word for it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// 1: it failed for a reason without a status of its own.
    Failed = 1,
    /// 2: `plan` found changes.
    Changes = 2,
    /// 64: settings or command line are wrong; nothing was done.
    Configuration = 64,
    /// 65: the declared files are wrong; nothing was done.
    Declared = 65,
    /// 69: Elasticsearch cannot be reached, or its certificate is not trusted.
    Unavailable = 69,
    /// 73: a guard refused; nothing was done.
    Refused = 73,
    /// 75: the cluster takes no changes now (red, read-only, overloaded); later it may.
    NotNow = 75,
    /// 77: credentials are wrong or a privilege is missing.
    Forbidden = 77,
    /// 78: a kind or release of Elasticsearch that this program does not manage.
    Unsupported = 78,
}

impl Exit {
    /// For `--help`.
    pub const HELP: &str = "Exit status: 0 done (plan: no changes), 1 failed, 2 plan found changes, 64 wrong settings or command \
        line, 65 wrong declared files, 69 Elasticsearch unreachable or its certificate not trusted, 73 a guard refused, 75 the \
        cluster takes no changes now, 77 wrong credentials or missing privilege, 78 unsupported Elasticsearch";
}

/// Why a command did not do what it was asked to: what is wrong, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    pub exit: Exit,
    pub told: String,
}

impl Failure {
    pub fn new(exit: Exit, told: impl Into<String>) -> Self {
        Self { exit, told: told.into() }
    }

    /// The same with where or while what it happened in front.
    #[must_use]
    pub fn during(self, place: impl fmt::Display) -> Self {
        Self { told: format!("{place}: {}", self.told), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.told)
    }
}
