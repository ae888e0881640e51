//! This module checks whether a role may read a database, without reading its rows.

use super::coordinator::of_the_users;
use crate::{
    config::SourceSettings,
    failure::{Exit, Failure, Result, Stage},
    session::pin_rows,
    wire::{Connection, Row, WireError},
};

/// Tables and sequences of a backup that the role may not read, or that a policy hides rows of.
const UNREADABLE: &str = concat!(
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
     has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'S') \
     AND (NOT has_table_privilege(c.oid, 'SELECT') OR NOT has_schema_privilege(n.oid, 'USAGE') OR row_security_active(c.oid)) AND ",
    of_the_users!(),
    " ORDER BY 1 LIMIT 20"
);

/// Large objects that the role may not read. They have their own owners and grants, and servers before 18 have no function for
/// this check.
const UNREADABLE_LARGE_OBJECTS: &str = "SELECT l.oid::text FROM pg_catalog.pg_largeobject_metadata l \
     WHERE NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) \
     AND NOT current_setting('lo_compat_privileges')::bool AND NOT pg_has_role(l.lomowner, 'USAGE') \
     AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) a WHERE a.privilege_type = 'SELECT' \
     AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))) ORDER BY l.oid LIMIT 20";

/// # Errors
/// Returns an error that names the unreadable objects and the missing right.
pub async fn readable(source: &SourceSettings) -> Result<()> {
    let forbidden = |told| Err(Failure::told(Stage::Connect, Exit::Forbidden, told));
    let place = source.clone();
    // As the backup itself does, in the database's own encoding.
    let asked = tokio::task::spawn_blocking(move || ask(&place)).await;
    let asked = asked.map_err(|error| Failure::new(Stage::Connect, Exit::Failed, error))?;
    let (tables, objects) = asked.map_err(|error| Failure::wire(Stage::Connect, error))?;
    let named = |granted: &str| -> Vec<String> {
        let rows = tables.iter().filter(|row| row.get(1).and_then(Option::as_deref) == Some(granted));
        rows.filter_map(|row| row.first()?.clone()).collect()
    };
    let (unreadable, hidden) = (named("f"), named("t"));
    let (database, role) = (&source.database, &source.user);
    if !unreadable.is_empty() {
        return forbidden(format!(
            "database {database}: the role {role} may not read {}; grant it pg_read_all_data (PostgreSQL 14 and newer) or SELECT",
            unreadable.join(", ")
        ));
    }
    if !hidden.is_empty() {
        return forbidden(format!(
            "database {database}: a policy hides rows of {} from the role {role}; grant it BYPASSRLS, since a backup fails rather than miss rows",
            hidden.join(", ")
        ));
    }
    let objects: Vec<String> = objects.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    if !objects.is_empty() {
        return forbidden(format!(
            "database {database}: the role {role} may not read the large objects {}; GRANT SELECT ON LARGE OBJECT … to it, make it a member of \
             their owner, or set lo_compat_privileges for it",
            objects.join(", ")
        ));
    }
    Ok(())
}

/// Unreadable tables, and unreadable large objects.
fn ask(source: &SourceSettings) -> std::result::Result<(Vec<Row>, Vec<Row>), WireError> {
    let mut connection = Connection::open(source, |_| ())?;
    connection.query(&pin_rows())?;
    Ok((connection.query(UNREADABLE)?, connection.query(UNREADABLE_LARGE_OBJECTS)?))
}
