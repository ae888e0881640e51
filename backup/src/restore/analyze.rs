//! This module collects the planner's statistics in several sessions. Without them the first queries after a restore are slow.
//!
//! - A table whose statistics the server cannot collect must not fail the restore: its rows are complete.
//! - A restore or a drill must not connect to other servers, so trees with foreign tables are left to the server.

use std::collections::{HashSet, VecDeque};

use tokio::task::JoinSet;

use super::{RestoreError, sessions::RestoreSession};
use crate::wire::{RawRow, WireError};

/// Every relation with statistics, the largest first, since it takes the longest. Statistics of a parent include those of its foreign
/// tables.
const RELATIONS: &str = "WITH RECURSIVE over_foreign AS ( \
    SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class f ON f.oid = i.inhrelid WHERE f.relkind = 'f' \
    UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN over_foreign o ON o.inhparent = i.inhrelid) SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.pg_relation_size(c.oid) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' \
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_toast' AND c.oid NOT IN (SELECT inhparent FROM over_foreign) ORDER BY 2 DESC, 1";
/// A table of at least this size gets its own statement.
const LARGE_BYTES: i64 = 1 << 20;
/// Number of small tables in one statement: they are not worth a round trip each.
const SMALL_AT_ONCE: usize = 50;

/// Analyses every table of the database except those in `done`, and returns the sessions.
pub async fn analyze(mut sessions: Vec<RestoreSession>, done: &HashSet<Vec<u8>>) -> Result<Vec<RestoreSession>, RestoreError> {
    let Some(first) = sessions.first_mut() else { return Ok(sessions) };
    let rows = first.query(RELATIONS).await.map_err(RestoreError::by_wire("listing tables to analyse"))?;
    let relation = |row: RawRow| {
        let [name, bytes] = <[Option<Vec<u8>>; 2]>::try_from(row).ok()?;
        Some((name?, String::from_utf8(bytes?).ok()?.parse().ok()?))
    };
    let mut relations: Vec<(Vec<u8>, i64)> = rows.into_iter().filter_map(relation).collect();
    relations.retain(|(relation, _)| !done.contains(relation));
    let mut ahead = batches(&relations);
    let mut running = JoinSet::new();
    loop {
        while let Some(session) = sessions.pop_if(|_| !ahead.is_empty()) {
            let batch = ahead.pop_front().unwrap_or_default();
            running.spawn(async move {
                let mut session = session;
                analyze_one(&mut session, &batch).await.map(|()| session)
            });
        }
        match running.join_next().await {
            Some(ended) => sessions.push(ended.map_err(|_| RestoreError::Interrupted)??),
            None => return Ok(sessions),
        }
    }
}

/// Analyses relations. If the server refuses a statement, each of its relations gets one of its own. An index's expression may fail, or
/// a foreign table may be unreachable.
pub(super) async fn analyze_one(session: &mut RestoreSession, relations: &[Vec<u8>]) -> Result<(), RestoreError> {
    match session.query([b"ANALYZE ", relations.join(&b", "[..]).as_slice()].concat()).await {
        Ok(_) => return Ok(()),
        Err(WireError::Server { .. }) => {}
        Err(error) => return Err(RestoreError::by_wire("analysing tables")(error)),
    }
    for relation in relations {
        match session.query([b"ANALYZE ", relation.as_slice()].concat()).await {
            Ok(_) => {}
            Err(error @ WireError::Server { .. }) => warn(relation, &error),
            Err(error) => return Err(RestoreError::by_wire("analysing tables")(error)),
        }
    }
    Ok(())
}

fn warn(relation: &[u8], error: &WireError) {
    let object = String::from_utf8_lossy(relation);
    tracing::warn!(%object, error = error.to_string(), "the table has no statistics for the planner; correct the cause and run ANALYZE");
}

fn batches(relations: &[(Vec<u8>, i64)]) -> VecDeque<Vec<Vec<u8>>> {
    let small = relations.partition_point(|(_, bytes)| *bytes >= LARGE_BYTES);
    let (large, small) = relations.split_at(small);
    let names = |batch: &[(Vec<u8>, i64)]| batch.iter().map(|(name, _)| name.clone()).collect();
    large.chunks(1).chain(small.chunks(SMALL_AT_ONCE)).map(names).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tables_are_analysed_alone_small_ones_together() {
        let relations: Vec<_> =
            [LARGE_BYTES * 2, LARGE_BYTES, 3, 2].iter().map(|bytes| (format!("t{bytes}").into_bytes(), *bytes)).collect();
        let names: Vec<Vec<Vec<u8>>> =
            vec![vec![b"t2097152".to_vec()], vec![b"t1048576".to_vec()], vec![b"t3".to_vec(), b"t2".to_vec()]];
        assert_eq!(batches(&relations), names);
        assert!(batches(&[]).is_empty());
    }
}
