//! This module defines why a restore failed, with messages that state the next action.

use crate::{
    archive::ArchiveError,
    config::SourceSettings,
    reading::ReadError,
    wire::{WireError, described},
};

use super::{preflight_error::PreflightErrors, selection::NotThere, tool::ToolError};

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("failed to read the backup's table of contents: {0}")]
    Archive(#[from] ArchiveError),
    #[error("the backup is inconsistent: {0}; restore another backup, and retain this one for the investigation")]
    Contents(String),
    #[error("the backup contains several databases ({0}); select one with --database")]
    WhichDatabase(String),
    #[error("the backup has no database {name:?}; it has {has}")]
    NoDatabase { name: String, has: String },
    #[error(transparent)]
    Selection(#[from] NotThere),
    #[error("no database was restored:{0}")]
    Preflight(PreflightErrors),
    /// `refused`: the server rejected this role or its password.
    #[error("{place} rejected the connection: {reason}")]
    Connect { place: String, reason: String, refused: bool },
    #[error("{doing}: {reason}")]
    Server { doing: &'static str, reason: String },
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// `condition`: the server or the connection failed, so that the rows are not to blame.
    #[error("failed to write rows of {table}: {reason}")]
    Rows { table: String, reason: String, condition: bool },
    #[error("{table} has {found} rows, but the backup has {expected}")]
    Count { table: String, expected: u64, found: u64 },
    #[error("the restore was interrupted")]
    Interrupted,
    #[error("{fault}; failed to drop the unfinished database {database} ({reason}); drop it when the server is back")]
    LeftBehind { fault: Box<RestoreError>, database: String, reason: String },
}

impl RestoreError {
    /// For `map_err` on sqlx errors.
    pub fn asking(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |error| Self::Server { doing, reason: described(&error) }
    }

    /// For `map_err` in a session with the database's own encoding.
    pub fn by_wire(doing: &'static str) -> impl FnOnce(WireError) -> Self {
        move |error| Self::Server { doing, reason: error.to_string() }
    }

    /// For `map_err` on rows that were not written.
    pub fn writing(table: &str) -> impl FnOnce(WireError) -> Self {
        move |error| Self::Rows { table: table.to_owned(), reason: error.to_string(), condition: is_condition(&error) }
    }

    pub fn connecting_by_wire(server: &SourceSettings, error: &WireError) -> Self {
        let refused = error.code().is_some_and(is_refusal);
        Self::Connect { place: server.place(), reason: error.to_string(), refused }
    }

    pub fn connecting(server: &SourceSettings, error: &sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let refused = code.is_some_and(|code| is_refusal(&code));
        Self::Connect { place: server.place(), reason: described(error), refused }
    }

    /// Whether the server rejected the request, so that a retry cannot succeed.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::WhichDatabase(_) | Self::NoDatabase { .. } | Self::Selection(_) | Self::Preflight(_) | Self::Connect { .. }
        )
    }
}

/// Whether the server's condition is the cause, instead of the data: a full disk, no memory, a lost connection, a shutdown.
fn is_condition(error: &WireError) -> bool {
    /// SQLSTATE classes: connection, resources, intervention by an operator, error outside PostgreSQL.
    const CLASSES: [&str; 4] = ["08", "53", "57", "58"];
    match error {
        WireError::Connect { .. } | WireError::Broken(_) | WireError::Protocol(_) => true,
        WireError::Server { code, .. } => CLASSES.iter().any(|class| code.starts_with(class)),
        WireError::Refused(_) => false,
    }
}

fn is_refusal(code: &str) -> bool {
    matches!(code, "28P01" | "28000" | "42501")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_does_not_blame_the_rows() {
        let written = |error: WireError| match RestoreError::writing("public.orders")(error) {
            RestoreError::Rows { condition, .. } => condition,
            other => panic!("{other}"),
        };
        let server = |code: &str| WireError::Server { code: code.into(), message: String::new(), hint: String::new() };
        for condition in ["53100", "53200", "57P01", "58030", "08006"] {
            assert!(written(server(condition)), "{condition}");
        }
        for data in ["22P02", "23514", "42501", "XX001"] {
            assert!(!written(server(data)), "{data}");
        }
        assert!(written(WireError::Broken(std::io::ErrorKind::ConnectionReset.into())));
    }
}
