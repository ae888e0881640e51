//! This module names the steps of a command. Failures and metrics share the names.

use std::fmt;

/// The steps of a command, in order. A label of metrics, so their names are an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Lease,
    Catalogue,
    Start,
    Hook,
    Connect,
    Versions,
    Globals,
    Locks,
    Contents,
    Rows,
    LargeObjects,
    Upload,
    Limit,
    Commit,
    Retention,
    Read,
    Restore,
    Verify,
}

impl Stage {
    pub const ALL: [Self; 18] = [
        Self::Lease,
        Self::Catalogue,
        Self::Start,
        Self::Hook,
        Self::Connect,
        Self::Versions,
        Self::Globals,
        Self::Locks,
        Self::Contents,
        Self::Rows,
        Self::LargeObjects,
        Self::Upload,
        Self::Limit,
        Self::Commit,
        Self::Retention,
        Self::Read,
        Self::Restore,
        Self::Verify,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Catalogue => "catalogue",
            Self::Start => "start",
            Self::Hook => "hook",
            Self::Connect => "connect",
            Self::Versions => "versions",
            Self::Globals => "globals",
            Self::Locks => "locks",
            Self::Contents => "contents",
            Self::Rows => "rows",
            Self::LargeObjects => "large_objects",
            Self::Upload => "upload",
            Self::Limit => "limit",
            Self::Commit => "commit",
            Self::Retention => "retention",
            Self::Read => "read",
            Self::Restore => "restore",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
