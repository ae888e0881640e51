//! The archive taken apart into what comes before the rows, what may follow each table's rows at once, and the rest. Pure.
//!
//! pg_restore's order of passes is kept: objects and rows first, then privileges, then what must see both (refreshed
//! materialised views, event triggers). Privileges before rows would already forbid an owner what he took from himself.

use std::collections::{HashMap, HashSet};

use super::tool::is_read_first as always;
use crate::archive::{Contents, Entry, Section, Text};

/// A table with at least so many bytes of rows has its indexes built as soon as it is filled; those of smaller ones are
/// left to one pg_restore at the end, whose start costs more than they do.
pub(super) const EARLY_BYTES: u64 = 4 << 20;

/// So many entries are done by one session before a second one has begun.
const FEW_ENTRIES: usize = 100;

/// What is done in which order.
#[derive(Debug, Clone)]
pub struct Phases {
    /// Schemas, types, functions, tables, large objects without their bytes.
    pub before: Contents,
    /// By the dump id of a `TABLE DATA` entry, what may be built when those rows are there.
    pub early: HashMap<i32, Early>,
    /// Indexes that are not taken by `early` and that take their whole table in the end, one after the other.
    pub alone: Contents,
    /// Everything else without rows of its own: values of sequences, indexes, constraints, triggers, privileges, refreshes.
    pub after: Contents,
    /// Whether that is worth the start of several sessions: indexes of small tables take no time, unlike what reads large ones.
    pub after_is_much: bool,
}

/// Constraints take the whole table, so they go one after the other; indexes only share it.
#[derive(Debug, Clone, Default)]
pub struct Early {
    pub constraints: Option<Contents>,
    pub indexes: Vec<Contents>,
}

impl Phases {
    /// `raw_bytes` tells, by the dump id of a `TABLE DATA` entry, how many bytes its rows have.
    pub fn of(contents: &Contents, raw_bytes: &HashMap<i32, u64>) -> Self {
        let before = before_rows(contents);
        let mut early = HashMap::new();
        let (mut taken, mut alone) = (HashSet::new(), HashSet::new());
        let large =
            |entry: &&Entry| entry.is_table_data() && raw_bytes.get(&entry.dump_id).is_some_and(|bytes| *bytes >= EARLY_BYTES);
        let by_table: HashMap<i32, i32> =
            contents.entries.iter().filter(large).filter_map(|rows| Some((*rows.dependencies.first()?, rows.dump_id))).collect();
        let known: HashSet<i32> = contents.entries.iter().map(|entry| entry.dump_id).collect();
        for entry in &contents.entries {
            let (constraint, index) = (entry.kind == "CONSTRAINT", entry.kind == "INDEX");
            let ready = |id: &i32| before.contains(id) || !known.contains(id);
            if !(constraint || index) || !entry.dependencies.iter().all(ready) {
                continue;
            }
            let Some(rows) = entry.dependencies.iter().find_map(|id| by_table.get(id)) else {
                if index && takes_table(entry) {
                    alone.insert(entry.dump_id);
                }
                continue;
            };
            let early: &mut Early = early.entry(*rows).or_default();
            taken.insert(entry.dump_id);
            if index && !takes_table(entry) {
                early.indexes.push(contents.only(|other| always(other) || other.dump_id == entry.dump_id));
            } else {
                let more = contents.only(|other| other.dump_id == entry.dump_id).entries;
                early.constraints.get_or_insert_with(|| contents.only(always)).entries.extend(more);
            }
        }
        let after = |entry: &Entry| {
            let placed = before.contains(&entry.dump_id) || taken.contains(&entry.dump_id) || alone.contains(&entry.dump_id);
            always(entry) || !placed && !entry.has_data
        };
        let mut after_is_much = contents.entries.iter().filter(|entry| after(entry)).count() >= FEW_ENTRIES;
        let mut after = contents.only(|entry| after(entry) || entry.kind == "TABLE");
        after.entries.iter_mut().filter(|entry| entry.kind == "TABLE").for_each(leave_name_only);
        let reads_much = |entry: &Entry| {
            entry.kind == "FK CONSTRAINT"
                || entry.kind == "MATERIALIZED VIEW DATA"
                || entry.section == Section::PostData && entry.dependencies.iter().any(|id| by_table.contains_key(id))
        };
        after_is_much |= after.entries.iter().any(reads_much);
        Self {
            after_is_much,
            before: contents.only(|entry| before.contains(&entry.dump_id)),
            early,
            alone: contents.only(|entry| !alone.is_empty() && (always(entry) || alone.contains(&entry.dump_id))),
            after,
        }
    }
}

/// Whether an index's entry goes on to ALTER TABLE (`CLUSTER ON`, `REPLICA IDENTITY`) when the index is there. Two sessions that
/// share a table for their indexes and then want it for themselves wait for each other; pg_restore's own jobs do not look out
/// for it.
fn takes_table(entry: &Entry) -> bool {
    entry.definition.lossy().contains("\nALTER TABLE ")
}

/// A table that is there already: pg_restore does nothing for an entry without a definition, and derives from it which entries
/// lock the same table. Without such entries it runs policies, rules, triggers and foreign keys of one table at the same time,
/// and they wait for each other.
fn leave_name_only(entry: &mut Entry) {
    entry.definition = Text::NULL;
    entry.drop_statement = Text::NULL;
    entry.copy_statement = Text::NULL;
}

fn before_rows(contents: &Contents) -> HashSet<i32> {
    // As in pg_restore, what has no section of its own (a comment, a label) is in that of the entry before it.
    let mut section = Section::PreData;
    let mut before = HashSet::new();
    for entry in &contents.entries {
        if entry.section != Section::None {
            section = entry.section;
        }
        let privileges = entry.kind == "ACL" || entry.kind == "ACL LANGUAGE" || entry.kind == "DEFAULT ACL";
        // Since PostgreSQL 17 large objects are created by entries of the data section.
        let created = section == Section::PreData || entry.kind == "BLOB METADATA";
        if created && !privileges && !entry.has_data {
            before.insert(entry.dump_id);
        }
    }
    before
}
