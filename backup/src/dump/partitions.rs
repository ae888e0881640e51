//! This module finds partitions whose rows may belong to another partition on another server.
//!
//! A hash partition accepts rows by the hash of its key. The hash of a value that contains an oid, such as that of an enum's
//! label, differs after a restore. pg_dump loads partitions by an enum through the root of their tree, which finds the right
//! partition. It does not look into arrays, composite types and ranges.

use std::collections::HashMap;

use super::coordinator::Coordinator;
use crate::{
    archive::Contents,
    failure::{Exit, Failure, Result, Stage},
};

/// Oid and qualified root of each partition with such a key in its tree: its type may contain an oid, its collation belongs to a
/// version of ICU, or its hash function is not the server's own. Loading through the root is also right for a stable key.
///
/// Types: `oid` (also of `regclass` and the like), `aclitem` (hashed with the oids of roles), `anyarray`, `record`, `anyenum`,
/// `anyrange`, `anymultirange`. Oids from 16384 on are those of users and extensions.
const UNSTABLE: &str = "SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(r.relname) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid) \
     JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace WHERE c.relispartition AND c.relkind = 'r' AND EXISTS (SELECT \
     FROM pg_catalog.pg_partition_ancestors(c.oid) a (ancestor) JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = ancestor \
     WHERE p.partstrat = 'h' AND (EXISTS (SELECT FROM pg_catalog.pg_opclass o WHERE o.oid = ANY (p.partclass::oid[]) \
     AND (o.oid >= 16384 OR o.opcintype IN (26, 1033, 2277, 2249, 3500, 3831, 4537))) \
     OR EXISTS (SELECT FROM pg_catalog.pg_collation l WHERE l.oid = ANY (p.partcollation::oid[]) AND NOT l.collisdeterministic)))";

/// Changes the COPY statements of such partitions. Returns whether anything changed.
pub(super) fn load_through_roots(coordinator: &Coordinator, contents: &mut Contents) -> Result<bool> {
    let rows = coordinator.query_raw(Stage::Contents, UNSTABLE)?;
    let root = |row: crate::wire::RawRow| {
        let mut row = row.into_iter();
        Some((row.next()??, row.next()??))
    };
    let roots: HashMap<_, _> = rows.into_iter().filter_map(root).collect();
    let wrong = |error| Failure::new(Stage::Contents, Exit::Failed, error);
    let changed = contents.load_through_roots(&roots).map_err(wrong)?;
    Ok(changed && contents.align_columns().map(|_| true).map_err(wrong)?)
}
