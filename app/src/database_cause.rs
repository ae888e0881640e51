//! This module sorts failures of PostgreSQL by their cause, which decides the remedy. It must not retry.
//!
//! - The label of a cause is bounded: metrics and alerts read it.
//! - A cause that only an operator or time removes is temporary for a client: nothing was executed, so a repeat is safe.

use std::{fmt, io};

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Why a statement or a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseCause {
    /// No disk space for a table, an index or a temporary file.
    DiskFull,
    /// No session is left.
    Connections,
    /// Out of memory, or above a limit such as `temp_file_limit`.
    Resources,
    /// A hot standby, or a server that was set to read-only, as hosted servers do when their disk is nearly full.
    ReadOnly,
    /// The role, its password or the database is refused.
    Access,
    /// Not reachable, starting or shutting down.
    Unreachable,
    /// No answer within the time limit.
    Timeout,
    Other,
}

impl DatabaseCause {
    pub const ALL: [Self; 8] = [
        Self::DiskFull,
        Self::Connections,
        Self::Resources,
        Self::ReadOnly,
        Self::Access,
        Self::Unreachable,
        Self::Timeout,
        Self::Other,
    ];

    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(fault) => fault.code().map_or(Self::Other, |code| Self::of_code(&code)),
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::Timeout,
            sqlx::Error::PoolTimedOut => Self::Timeout,
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Unreachable,
            _ => Self::Other,
        }
    }

    /// By SQLSTATE.
    fn of_code(code: &str) -> Self {
        match code {
            "53100" => Self::DiskFull,
            "53300" => Self::Connections,
            "25006" => Self::ReadOnly,
            // 57014: canceled, by `statement_timeout` or an operator.
            "57014" => Self::Timeout,
            "3D000" | "42501" => Self::Access,
            _ if code.starts_with("53") || code.starts_with("58") => Self::Resources,
            _ if code.starts_with("28") => Self::Access,
            _ if code.starts_with("57P") || code.starts_with("08") => Self::Unreachable,
            _ => Self::Other,
        }
    }

    /// Value of the metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Connections => "connections",
            Self::Resources => "resources",
            Self::ReadOnly => "read_only",
            Self::Access => "access",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }

    /// Whether the same request may succeed later without a change of this program.
    pub const fn is_temporary(self) -> bool {
        !matches!(self, Self::Access | Self::Other)
    }

    /// Whether the server answered that it cannot write now: the session continues, and reads succeed.
    pub const fn refuses_writes(self) -> bool {
        matches!(self, Self::DiskFull | Self::ReadOnly | Self::Resources)
    }

    /// What failed, and the remedy of an operator.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::DiskFull => "PostgreSQL's disk is full; free space or enlarge its volume",
            Self::Connections => {
                "PostgreSQL has no free connection; raise max_connections or the role's limit, or end sessions of other programs"
            }
            Self::Resources => "PostgreSQL lacks memory or another resource; see its log",
            Self::ReadOnly => {
                "PostgreSQL is read-only; point EXCHANGE_DATABASE_URL at the primary, or unset default_transaction_read_only"
            }
            Self::Access => "PostgreSQL refuses the role or the database; see EXCHANGE_DATABASE_URL",
            Self::Unreachable | Self::Timeout | Self::Other => "PostgreSQL is unavailable",
        }
    }
}

/// Whether the server certainly rolled the failed statement back: it reported an error, and the session continues. The end of a
/// session proves nothing, since the commit may have preceded it.
pub fn rolled_back(error: &sqlx::Error) -> bool {
    let fault = error.as_database_error().and_then(|fault| fault.try_downcast_ref::<PgDatabaseError>());
    fault.is_some_and(|fault| matches!(fault.severity(), PgSeverity::Error)) && DatabaseCause::of(error).refuses_writes()
}

/// An error with its cause and remedy, for logs and readiness.
pub struct Explained<'a>(pub &'a sqlx::Error);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", DatabaseCause::of(self.0).explain(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlstate_has_one_cause() {
        let rows = [
            ("53100", DatabaseCause::DiskFull),
            ("53300", DatabaseCause::Connections),
            ("53200", DatabaseCause::Resources),
            ("53400", DatabaseCause::Resources),
            ("25006", DatabaseCause::ReadOnly),
            ("28P01", DatabaseCause::Access),
            ("3D000", DatabaseCause::Access),
            ("57P03", DatabaseCause::Unreachable),
            ("08006", DatabaseCause::Unreachable),
            ("57014", DatabaseCause::Timeout),
            ("23505", DatabaseCause::Other),
            ("25001", DatabaseCause::Other),
        ];
        for (code, cause) in rows {
            assert_eq!(DatabaseCause::of_code(code), cause, "{code}");
        }
        assert_eq!(DatabaseCause::of(&sqlx::Error::Io(io::ErrorKind::TimedOut.into())), DatabaseCause::Timeout);
        assert_eq!(DatabaseCause::of(&sqlx::Error::Io(io::ErrorKind::ConnectionRefused.into())), DatabaseCause::Unreachable);
        assert_eq!(DatabaseCause::of(&sqlx::Error::RowNotFound), DatabaseCause::Other);
        let names: std::collections::BTreeSet<_> = DatabaseCause::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), DatabaseCause::ALL.len());
    }
}
