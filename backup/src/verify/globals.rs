//! This module creates roles, memberships and tablespaces from a script of pg_dumpall. It does not change existing ones: the
//! server's superuser retains its password.

use std::collections::{BTreeSet, HashSet};

use sqlx::{AssertSqlSafe, Executor};

use crate::{
    config::SourceSettings,
    restore::{RestoreError, connect_session},
    sql,
};

/// Runs the script, statement by statement. Returns the failed statements, one line each.
///
/// # Errors
/// Returns an error if the connection to the server fails.
pub async fn apply(server: &SourceSettings, globals: &str, tablespaces: bool) -> Result<Vec<String>, RestoreError> {
    let mut session = connect_session(server).await?;
    let listed = "SELECT rolname::text FROM pg_catalog.pg_roles UNION ALL SELECT spcname::text FROM pg_catalog.pg_tablespace";
    let there: Vec<String> =
        sqlx::query_scalar(listed).fetch_all(&mut session).await.map_err(RestoreError::asking("listing roles"))?;
    let there: HashSet<String> = there.into_iter().collect();
    let mut errors = Vec::new();
    for statement in sql::statements(globals) {
        if !wanted(&statement, &there, tablespaces) {
            continue;
        }
        if let Err(error) = session.execute(AssertSqlSafe(statement.clone())).await {
            // Not the statement itself, which may contain a password.
            let subject = sql::words(&statement, 3).join(" ");
            errors.push(format!("{subject}: {}", crate::wire::described(&error)));
        }
    }
    Ok(errors)
}

/// Names of the roles that the script creates if they do not exist, and of the tablespaces if they are wanted.
pub fn made_by(globals: &str, tablespaces: bool) -> BTreeSet<String> {
    let made = sql::statements(globals).into_iter().filter_map(|statement| {
        let words = sql::words(&statement, 3);
        let [verb, kind, name] = words.as_slice() else { return None };
        let kind = kind.eq_ignore_ascii_case("ROLE") || tablespaces && kind.eq_ignore_ascii_case("TABLESPACE");
        (verb.eq_ignore_ascii_case("CREATE") && kind).then(|| name.clone())
    });
    made.collect()
}

fn wanted(statement: &str, there: &HashSet<String>, tablespaces: bool) -> bool {
    let words = sql::words(statement, 3);
    let upper: Vec<_> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
    match upper.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["CREATE" | "ALTER", "ROLE", ..] => words.get(2).is_none_or(|name| !there.contains(name)),
        ["CREATE" | "ALTER", "TABLESPACE", ..] => tablespaces && words.get(2).is_none_or(|name| !there.contains(name)),
        ["COMMENT" | "SECURITY", ..] if statement.contains("TABLESPACE") => tablespaces,
        ["GRANT" | "REVOKE", ..] if statement.contains(" ON TABLESPACE ") => tablespaces,
        // The session's settings are pinned.
        ["SET", ..] => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_objects_are_not_changed() {
        let there = HashSet::from(["postgres".to_owned(), "a b".to_owned()]);
        let rows = [
            ("CREATE ROLE postgres", false),
            ("ALTER ROLE postgres WITH SUPERUSER PASSWORD 'x'", false),
            ("ALTER ROLE \"a b\" SET work_mem TO '1MB'", false),
            ("CREATE ROLE shop", true),
            ("ALTER ROLE shop WITH LOGIN PASSWORD 'x'", true),
            ("GRANT shop TO postgres", true),
            ("SET client_encoding = 'UTF8'", false),
            ("CREATE TABLESPACE fast OWNER shop LOCATION '/x'", false),
            ("GRANT ALL ON TABLESPACE fast TO shop", false),
        ];
        for (statement, expected) in rows {
            assert_eq!(wanted(statement, &there, false), expected, "{statement}");
        }
        let script = rows.map(|(statement, _)| format!("{statement};\n")).concat();
        assert_eq!(made_by(&script, false).into_iter().collect::<Vec<_>>(), ["postgres", "shop"]);
        assert_eq!(made_by(&script, true).into_iter().collect::<Vec<_>>(), ["fast", "postgres", "shop"]);
        assert!(wanted("CREATE TABLESPACE fast OWNER shop LOCATION '/x'", &there, true));
    }
}
