//! This module collects the planner's statistics in several sessions. Without them the first queries after a restore are slow.

use std::collections::{HashSet, VecDeque};

use tokio::task::JoinSet;

use super::{RestoreError, sessions::Session};
use crate::wire::RawRow;

/// Every relation with statistics, the largest first, since it takes the longest.
const RELATIONS: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.pg_relation_size(c.oid) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' \
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_toast' ORDER BY 2 DESC, 1";
/// A table of at least this size gets its own statement.
const LARGE_BYTES: i64 = 1 << 20;
/// Number of small tables in one statement: they are not worth a round trip each.
const SMALL_AT_ONCE: usize = 50;

/// Analyses every table of the database except those in `done`, and returns the sessions.
pub async fn analyze(mut sessions: Vec<Session>, done: &HashSet<Vec<u8>>) -> Result<Vec<Session>, RestoreError> {
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
                one(&mut session, &batch).await.map(|()| session)
            });
        }
        match running.join_next().await {
            Some(ended) => sessions.push(ended.map_err(|_| RestoreError::Interrupted)??),
            None => return Ok(sessions),
        }
    }
}

/// Analyses relations, given as `ANALYZE` names them, separated by commas.
pub(super) async fn one(session: &mut Session, relations: &[u8]) -> Result<(), RestoreError> {
    let done = session.query([b"ANALYZE ", relations].concat()).await;
    done.map(drop).map_err(RestoreError::by_wire("analysing tables"))
}

fn batches(relations: &[(Vec<u8>, i64)]) -> VecDeque<Vec<u8>> {
    let small = relations.partition_point(|(_, bytes)| *bytes >= LARGE_BYTES);
    let (large, small) = relations.split_at(small);
    let names = |batch: &[(Vec<u8>, i64)]| batch.iter().map(|(name, _)| name.as_slice()).collect::<Vec<_>>().join(&b", "[..]);
    large.chunks(1).chain(small.chunks(SMALL_AT_ONCE)).map(names).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tables_are_analysed_alone_small_ones_together() {
        let relations: Vec<_> =
            [LARGE_BYTES * 2, LARGE_BYTES, 3, 2].iter().map(|bytes| (format!("t{bytes}").into_bytes(), *bytes)).collect();
        assert_eq!(batches(&relations), [&b"t2097152"[..], b"t1048576", b"t3, t2"]);
        assert!(batches(&[]).is_empty());
    }
}
