//! Whether a role may read a database, asked without reading it.

use sqlx::{Connection, PgConnection, Row};

use crate::{
    config::Source,
    failure::{Exit, Failure, Outcome, Stage},
};

/// Tables that a backup reads and the role may not, or sees through a policy only.
const UNREADABLE: &str = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
     has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
     AND (NOT has_table_privilege(c.oid, 'SELECT') OR NOT has_schema_privilege(n.oid, 'USAGE') OR row_security_active(c.oid)) \
     ORDER BY 1 LIMIT 20";

/// # Errors
/// Naming the tables and the right that is missing.
pub async fn readable(source: &Source) -> Outcome<()> {
    let failed = |error| Failure::database(Stage::Connect, error);
    let mut session = PgConnection::connect_with(&source.options()).await.map_err(failed)?;
    let rows = sqlx::query(UNREADABLE).fetch_all(&mut session).await.map_err(failed)?;
    let named = |granted: bool| -> Vec<String> {
        rows.iter().filter(|row| row.get::<bool, _>(1) == granted).map(|row| row.get(0)).collect()
    };
    let (forbidden, hidden) = (named(false), named(true));
    if !forbidden.is_empty() {
        let told = format!(
            "in {} the role {} may not read {}; grant it pg_read_all_data (PostgreSQL 14 and newer) or SELECT",
            source.database,
            source.user,
            forbidden.join(", ")
        );
        return Err(Failure::told(Stage::Connect, Exit::Forbidden, told));
    }
    if !hidden.is_empty() {
        let told = format!(
            "in {} a policy hides rows of {} from the role {}; give the role BYPASSRLS, or every backup fails rather than miss rows",
            source.database,
            hidden.join(", "),
            source.user
        );
        return Err(Failure::told(Stage::Connect, Exit::Forbidden, told));
    }
    Ok(())
}
