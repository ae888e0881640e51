//! This module names the sessions that hold the locks which another session waits for. It must not end a session.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, PgConnection, postgres::PgConnectOptions};

use super::session;

/// Interval between two checks of what a session waits for.
const POLL: Duration = Duration::from_millis(200);
/// A wait that was last seen longer ago has nothing to do with a failure: several polls on a slow machine.
const RECENT: Duration = Duration::from_secs(3);

/// Describes the sessions of `pg_stat_activity` for which `condition` holds. No statement: it may contain a secret.
fn holders(condition: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT string_agg(format('session %s (user %s, application %s, from %s, %s, transaction open for %s s)', pid,
             coalesce(usename::text, 'unknown'), coalesce(nullif(application_name, ''), 'unnamed'),
             coalesce(host(client_addr), 'a local socket'), coalesce(state, 'state unknown'),
             coalesce(round(extract(epoch FROM clock_timestamp() - xact_start))::text, '?')), ', ' ORDER BY xact_start)
         FROM pg_stat_activity WHERE {condition}"
    ))
}

/// Runs `work`, whose statements run in the sessions `pids`. If it fails while one of them waits for a lock, the error names the
/// sessions that hold it.
///
/// # Errors
/// Returns the error of `work`.
pub async fn name_on_failure<T>(
    options: &PgConnectOptions,
    pids: &Mutex<Vec<i32>>,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut seen = None;
    let done = tokio::select! {
        biased;
        done = work => done,
        () = watch(options, pids, &mut seen) => unreachable!("it watches until it is dropped"),
    };
    done.map_err(|error| match seen {
        Some((holders, at)) if at.elapsed() < RECENT => error.context(format!(
            "it waited for a lock of {holders}; wait until that session is finished or end it with pg_terminate_backend, \
             then run `exchange migrate` again"
        )),
        _ => error,
    })
}

/// Records who blocks one of the sessions. An unreachable database is the failure of the work itself.
async fn watch(options: &PgConnectOptions, pids: &Mutex<Vec<i32>>, seen: &mut Option<(String, Instant)>) {
    loop {
        if let Ok(mut connection) = session::open_session(options).await {
            loop {
                let waiting = pids.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let sql = holders("pid IN (SELECT unnest(pg_blocking_pids(one)) FROM unnest($1::int[]) AS one)");
                match sqlx::query_scalar(sql).bind(waiting).fetch_one(&mut connection).await {
                    Ok(Some(holders)) => *seen = Some((holders, Instant::now())),
                    Ok(None) => {}
                    Err(_) => break,
                }
                tokio::time::sleep(POLL).await;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The sessions that hold the advisory lock `key`.
///
/// # Errors
/// Returns the database's error.
pub async fn of_advisory(connection: &mut PgConnection, key: i64) -> sqlx::Result<Option<String>> {
    let sql = holders(
        "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
             AND (classid::bigint << 32 | objid::bigint) = $1
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    );
    sqlx::query_scalar(sql).bind(key).fetch_one(connection).await
}
