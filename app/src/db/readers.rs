//! This module lists the sessions that read the journal, and the feature level that each supports. It must not need a table.
//!
//! - A session declares its level by a shared advisory lock, which ends with the session. A release without levels declares none.
//! - A stopped server has no session and does not appear.

use sqlx::{PgConnection, PgPool};

/// First half of the lock's key; the second is the level.
const LEVELS: i32 = 0x0078_4c56;

/// Declares that this session reads events up to `level`, until it ends.
pub async fn state_level(connection: &mut PgConnection, level: u32) -> sqlx::Result<()> {
    let level = i32::try_from(level).unwrap_or(i32::MAX);
    sqlx::query("SELECT pg_advisory_lock_shared($1, $2)").bind(LEVELS).bind(level).execute(connection).await.map(drop)
}

/// Connected servers and workers that do not read `level`, each with its address and process.
pub async fn behind(pool: &PgPool, level: u32) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT format('%s at %s, database process %s', application_name, coalesce(host(client_addr), 'a local socket'), pid) \
         FROM pg_stat_activity AS session \
         WHERE datname = current_database() AND application_name IN ('exchange journal', 'exchange-projector') \
           AND NOT EXISTS (SELECT FROM pg_locks AS held WHERE held.pid = session.pid AND held.locktype = 'advisory' \
                           AND held.database = session.datid AND held.objsubid = 2 \
                           AND held.classid = $1::bigint::oid AND held.objid >= $2::bigint::oid) \
         ORDER BY 1",
    )
    .bind(i64::from(LEVELS))
    .bind(i64::from(level))
    .fetch_all(pool)
    .await
}
