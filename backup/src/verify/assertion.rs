//! This module runs assertions on restored databases. An assertion is an SQL query for invalid rows. It passes if the query
//! returns none.
//!
//! ```sql
//! -- name: no balance is negative
//! -- needs: public.balances
//! SELECT account, asset, free FROM public.balances WHERE free < 0;
//! ```
//! `needs` lists the relations that the assertion requires in a database (separated by commas; optional). An assertion fails if
//! no database of the backup has them. Otherwise a skipped assertion would remain unnoticed.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{config::SourceSettings, manifest};

/// Number of offending rows that a failed assertion shows.
const SHOWN_ROWS: usize = 3;

/// The assertions of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionFile {
    assertions: Vec<One>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct One {
    name: String,
    needs: Vec<String>,
    query: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid assertion file {file}: {wrong}")]
pub struct AssertionError {
    pub file: String,
    pub wrong: String,
}

impl AssertionFile {
    /// # Errors
    /// Returns an error if the file cannot be read or contains no assertion.
    pub fn read(path: &Path) -> Result<Self, AssertionError> {
        let fault = |wrong: String| AssertionError { file: path.display().to_string(), wrong };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        Self::parse(&text).map_err(fault)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut assertions: Vec<One> = Vec::new();
        for line in text.lines() {
            let comment = line.trim().strip_prefix("--").map(str::trim);
            if let Some(name) = comment.and_then(|comment| comment.strip_prefix("name:")) {
                assertions.push(One { name: name.trim().to_owned(), needs: Vec::new(), query: String::new() });
            } else if let Some(needs) = comment.and_then(|comment| comment.strip_prefix("needs:")) {
                let assertion = assertions.last_mut().ok_or("`-- needs:` precedes the first `-- name:`")?;
                assertion.needs = needs.split(',').map(|name| name.trim().to_owned()).collect();
                if assertion.needs.iter().any(String::is_empty) {
                    return Err(format!(
                        "{:?} has an empty name in `-- needs:`; separate names by single commas",
                        assertion.name
                    ));
                }
            } else if comment.is_none() && !line.trim().is_empty() {
                let assertion = assertions.last_mut().ok_or("a query precedes the first `-- name:`")?;
                assertion.query += line;
                assertion.query += "\n";
            }
        }
        if assertions.is_empty() {
            return Err("it contains no assertion; each begins with a line `-- name: …`".into());
        }
        for assertion in &mut assertions {
            assertion.query = assertion.query.trim().trim_end_matches(';').to_owned();
            if assertion.query.is_empty() {
                return Err(format!("{:?} has no query", assertion.name));
            }
        }
        Ok(Self { assertions })
    }
}

/// Runs every assertion in every database with its relations. `restored`: the name in the backup, and the address of the restored
/// database.
pub(super) async fn run(file: &AssertionFile, restored: &[(String, SourceSettings)]) -> Vec<manifest::Assertion> {
    let mut results = Vec::new();
    for assertion in &file.assertions {
        let before = results.len();
        for (database, place) in restored {
            let told = match ask(assertion, place).await {
                Ok(None) => continue,
                Ok(Some(rows)) if rows.is_empty() => None,
                Ok(Some(rows)) => Some(rows.join(", ")),
                Err(error) => Some(crate::wire::described(&error)),
            };
            let (name, database) = (assertion.name.clone(), database.clone());
            results.push(manifest::Assertion { database, name, passed: told.is_none(), detail: told });
        }
        if results.len() == before {
            results.push(manifest::Assertion {
                database: String::new(),
                name: assertion.name.clone(),
                passed: false,
                detail: Some(format!("no restored database has {}", assertion.needs.join(", "))),
            });
        }
    }
    results
}

/// The offending rows; `None` if the database lacks the assertion's relations.
async fn ask(assertion: &One, place: &SourceSettings) -> sqlx::Result<Option<Vec<String>>> {
    let mut session = PgConnection::connect_with(&place.options()).await?;
    session.execute("SET default_transaction_read_only = on").await?;
    for relation in &assertion.needs {
        let there = sqlx::query_scalar("SELECT pg_catalog.to_regclass($1) IS NOT NULL").bind(relation);
        if !there.fetch_one(&mut session).await? {
            return Ok(None);
        }
    }
    // The line feed ends a comment that can come last.
    let query =
        format!("SELECT pg_catalog.to_jsonb(offending)::text FROM ({}\n) AS offending LIMIT {SHOWN_ROWS}", assertion.query);
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut session).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_parsed_into_names_needs_and_queries() {
        let file = AssertionFile::parse(
            "-- Some words.\n\n-- name: none is negative\n-- needs: a.b, c\nSELECT 1 -- why\nFROM x;\n\n-- name: two\nSELECT 2\n",
        );
        let assertions = file.unwrap().assertions;
        assert_eq!(assertions.len(), 2);
        assert_eq!(assertions[0].needs, ["a.b", "c"]);
        assert_eq!(assertions[0].query, "SELECT 1 -- why\nFROM x");
        assert_eq!((assertions[1].name.as_str(), assertions[1].query.as_str()), ("two", "SELECT 2"));
    }

    #[test]
    fn an_invalid_assertion_file_is_rejected() {
        for (text, part) in [
            ("", "contains no assertion"),
            ("SELECT 1", "precedes the first"),
            ("-- needs: a\n", "precedes the first"),
            ("-- name: a\n-- name: b\nSELECT 1", "\"a\" has no query"),
        ] {
            let told = AssertionFile::parse(text).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
    }

    /// The assertions in this repository are valid.
    #[test]
    fn the_exchange_assertions_are_parsed() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assertions/exchange.sql");
        assert!(AssertionFile::read(&shipped).unwrap().assertions.len() >= 8);
    }
}
