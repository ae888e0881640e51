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
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::Changes,
        Self::Configuration,
        Self::Declared,
        Self::Unavailable,
        Self::Refused,
        Self::NotNow,
        Self::Forbidden,
        Self::Unsupported,
    ];
    /// Ends of every command that reads a cluster.
    const OF_CLUSTER: [Self; 6] =
        [Self::Failed, Self::Configuration, Self::Unavailable, Self::NotNow, Self::Forbidden, Self::Unsupported];

    /// Returns the statuses of a command that reads a cluster, with its other ones.
    pub fn of_cluster_and(others: &[Self]) -> Vec<Self> {
        let mut statuses = [&Self::OF_CLUSTER, others].concat();
        statuses.sort();
        statuses
    }

    /// The meaning of a status, for `--help` and the README.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Changes => "`plan` found changes",
            Self::Configuration => "invalid settings or command line",
            Self::Declared => "invalid files",
            Self::Unavailable => "cluster unreachable or its certificate not trusted",
            Self::Refused => "a guard refused",
            Self::NotNow => "the cluster accepts no changes now (red, read-only, overloaded)",
            Self::Forbidden => "invalid credentials or a missing privilege",
            Self::Unsupported => "unsupported Elasticsearch",
        }
    }

    /// Lists success and `statuses`, one a line.
    pub fn help(statuses: &[Self]) -> String {
        let success = if statuses.contains(&Self::Changes) { "success (`plan`: no changes)" } else { "success" };
        let failures = statuses.iter().map(|exit| format!("  {:>2}  {}\n", *exit as u8, exit.meaning()));
        format!("Exit status:\n   0  {success}\n{}", failures.collect::<String>())
    }
}

/// The reason why a command failed, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CommandFailure {
    pub exit: Exit,
    pub told: String,
}

impl CommandFailure {
    pub fn new(exit: Exit, told: impl Into<String>) -> Self {
        Self { exit, told: told.into() }
    }

    /// Prefixes the message with where, or during which action, it happened.
    #[must_use]
    pub fn during(self, place: impl fmt::Display) -> Self {
        Self { told: format!("{place}: {}", self.told), ..self }
    }
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.told)
    }
}
