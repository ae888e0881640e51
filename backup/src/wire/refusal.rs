//! This module converts errors of sqlx, so that sessions of both kinds report the server's errors in the same way. The text of
//! sqlx ends with a line number of PostgreSQL's own source, which readers take for a line of their statement.

use sqlx::postgres::PgDatabaseError;

use super::WireError;

/// The server's answer in an error of sqlx; `None` if the error has another cause.
pub fn refusal(error: &sqlx::Error) -> Option<WireError> {
    let error = error.as_database_error()?;
    let (mut hint, more) = (String::new(), error.try_downcast_ref::<PgDatabaseError>());
    for text in more.into_iter().flat_map(|error| [error.detail(), error.hint()]).flatten() {
        hint += "; ";
        hint += text;
    }
    let code = error.code().unwrap_or_default().into_owned();
    Some(WireError::Server { code, message: error.message().to_owned(), hint })
}

/// The text of an error of sqlx for messages.
pub fn described(error: &sqlx::Error) -> String {
    refusal(error).map_or_else(|| error.to_string(), |refusal| refusal.to_string())
}
