//! This module defines how a command ends: its exit status, and one line with the reason and the remedy.

use std::fmt;

/// Exit statuses of the process (from `sysexits.h` where it has a matching one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// 1: a failure without its own status.
    Failed = 1,
    /// 2: `plan` found changes.
    Changes = 2,
    /// 64: settings or command line are invalid; nothing was done.
    Configuration = 64,
    /// 65: the declared files are invalid; nothing was done.
    Declared = 65,
    /// 69: Elasticsearch cannot be reached, or its certificate is not trusted.
    Unavailable = 69,
    /// 73: a guard refused; nothing was done.
    Refused = 73,
    /// 75: the cluster accepts no changes now (red, read-only, overloaded); retry later.
    NotNow = 75,
    /// 77: credentials are wrong or a privilege is missing.
    Forbidden = 77,
    /// 78: an unsupported kind or release of Elasticsearch.
    Unsupported = 78,
}

impl Exit {
    /// For `--help`.
    pub const HELP: &str = "Exit status: 0 success (plan: no changes), 1 failed, 2 plan found changes, 64 invalid settings \
        or command line, 65 invalid declared files, 69 Elasticsearch unreachable or its certificate not trusted, 73 a guard \
        refused, 75 the cluster accepts no changes now, 77 invalid credentials or missing privilege, 78 unsupported \
        Elasticsearch";
}

/// The reason why a command failed, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    pub exit: Exit,
    pub told: String,
}

impl Failure {
    pub fn new(exit: Exit, told: impl Into<String>) -> Self {
        Self { exit, told: told.into() }
    }

    /// Prefixes the message with where, or during which action, it happened.
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
