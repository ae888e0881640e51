//! This module splits the archive into objects before the rows, objects that can follow each table's rows at once, and the rest.
//! It is pure.
//!
//! It preserves pg_restore's order of passes: objects and rows first, then privileges, then objects that depend on both
//! (refreshed materialised views, event triggers). If privileges came before the rows, an owner who revoked his own rights could
//! not write them.

use std::collections::{HashMap, HashSet};

use super::tool::is_read_first as always;
use crate::archive::{Contents, DumpSection, DumpText, Entry};

/// A table with at least this many bytes of rows gets its indexes as soon as it is filled. Indexes of smaller tables wait for one
/// pg_restore at the end, whose start takes longer than they do.
pub(super) const EARLY_BYTES: u64 = 4 << 20;

/// Up to this many entries, one session finishes before a second one has started.
const FEW_ENTRIES: usize = 100;

/// The phases of a restore, in order.
#[derive(Debug, Clone)]
pub struct Phases {
    /// Schemas, types, functions, tables, large objects without their bytes.
    pub before: Contents,
    /// Objects to build after a table's rows, by the dump id of the `TABLE DATA` entry.
    pub early: HashMap<i32, Early>,
    /// Indexes outside `early` that lock their whole table at the end, one at a time.
    pub alone: Contents,
    /// Everything else without rows: values of sequences, indexes, constraints, triggers, privileges, refreshes.
    pub after: Contents,
    /// Event triggers. They run at every later statement that changes an object, and may refuse it. pg_dump lists them before the
    /// refreshes of materialised views.
    pub event_triggers: Contents,
    /// Whether `after` justifies several sessions. Indexes of small tables take no time, unlike objects that read large tables.
    pub after_is_much: bool,
    /// Large tables that get indexes or statistics objects in `after`, by the dump id of their rows. Statistics for the planner
    /// that were collected before would lack those of expressions and of statistics objects.
    pub completed_late: HashSet<i32>,
}

/// Constraints lock the whole table and run one at a time; indexes share it.
#[derive(Debug, Clone, Default)]
pub struct Early {
    pub constraints: Option<Contents>,
    pub indexes: Vec<Contents>,
}

impl Phases {
    /// `raw_bytes` contains the size of rows, by the dump id of a `TABLE DATA` entry.
    pub fn of(contents: &Contents, raw_bytes: &HashMap<i32, u64>) -> Self {
        let before = before_rows(contents);
        let mut early = HashMap::new();
        let (mut taken, mut alone) = (HashSet::new(), HashSet::new());
        let large =
            |entry: &&Entry| entry.is_table_data() && raw_bytes.get(&entry.dump_id).is_some_and(|bytes| *bytes >= EARLY_BYTES);
        let by_table: HashMap<i32, i32> =
            contents.entries.iter().filter(large).filter_map(|rows| Some((*rows.dependencies.first()?, rows.dump_id))).collect();
        let known: HashSet<i32> = contents.entries.iter().map(|entry| entry.dump_id).collect();
        let by_id = contents.by_id();
        // A configuration table of an extension is no entry itself, so its rows depend on the extension.
        let configured: HashSet<i32> = contents
            .entries
            .iter()
            .filter(|entry| entry.is_table_data())
            .flat_map(|rows| rows.dependencies.iter().copied())
            .collect();
        for entry in &contents.entries {
            let (constraint, index) = (entry.kind == "CONSTRAINT", entry.kind == "INDEX");
            let ready = |id: &i32| before.contains(id) || !known.contains(id);
            if !(constraint || index) || !entry.dependencies.iter().all(ready) {
                continue;
            }
            let rows = entry
                .dependencies
                .iter()
                .find_map(|id| by_table.get(id))
                .filter(|_| !calls_functions(entry, &by_id, &configured));
            let Some(rows) = rows else {
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
        let triggers: HashSet<i32> =
            contents.entries.iter().filter(|entry| entry.is_about_event_trigger()).map(|entry| entry.dump_id).collect();
        let after = |entry: &Entry| {
            let placed = [&before, &taken, &alone, &triggers].iter().any(|place| place.contains(&entry.dump_id));
            always(entry) || !placed && !entry.has_data
        };
        let mut after_is_much = contents.entries.iter().filter(|entry| after(entry)).count() >= FEW_ENTRIES;
        let mut after = contents.only(|entry| after(entry) || entry.kind == "TABLE");
        after.entries.iter_mut().filter(|entry| entry.kind == "TABLE").for_each(leave_name_only);
        let reads_much = |entry: &Entry| {
            entry.kind == "FK CONSTRAINT"
                || entry.kind == "MATERIALIZED VIEW DATA"
                || entry.section == DumpSection::PostData && entry.dependencies.iter().any(|id| by_table.contains_key(id))
        };
        after_is_much |= after.entries.iter().any(reads_much);
        let completes = |entry: &&Entry| matches!(&*entry.kind.lossy(), "INDEX" | "CONSTRAINT" | "STATISTICS");
        let late = after.entries.iter().filter(completes).flat_map(|entry| &entry.dependencies);
        Self {
            completed_late: late.filter_map(|table| by_table.get(table).copied()).collect(),
            after_is_much,
            before: contents.only(|entry| before.contains(&entry.dump_id)),
            early,
            alone: contents.only(|entry| !alone.is_empty() && (always(entry) || alone.contains(&entry.dump_id))),
            event_triggers: contents.only(|entry| !triggers.is_empty() && (always(entry) || triggers.contains(&entry.dump_id))),
            after,
        }
    }
}

/// Whether building an index may call a function of the database. Such a function can read other tables, even if it is declared
/// immutable, so every row must exist first. Functions of an extension can read its configuration tables.
fn calls_functions(index: &Entry, by_id: &HashMap<i32, &Entry>, configured: &HashSet<i32>) -> bool {
    let (mut seen, mut ahead) = (HashSet::new(), index.dependencies.clone());
    while let Some(id) = ahead.pop() {
        let Some(entry) = by_id.get(&id).filter(|_| seen.insert(id)) else { continue };
        match &*entry.kind.lossy() {
            "FUNCTION" | "AGGREGATE" | "PROCEDURE" => return true,
            "EXTENSION" if configured.contains(&id) => return true,
            // A table's own defaults and checks do not run while its index is built.
            "TABLE" | "MATERIALIZED VIEW" | "EXTENSION" => {}
            _ => ahead.extend(&entry.dependencies),
        }
    }
    false
}

/// Whether an index's entry also runs ALTER TABLE (`CLUSTER ON`, `REPLICA IDENTITY`) after the index is built. Two sessions that
/// share a table for their indexes and then lock it exclusively would deadlock. pg_restore's own jobs do not prevent that.
fn takes_table(entry: &Entry) -> bool {
    entry.definition.lossy().contains("\nALTER TABLE ")
}

/// A table that already exists. pg_restore skips an entry without a definition, but derives from it which entries lock the same
/// table. Without such entries, it would run policies, rules, triggers and foreign keys of one table at the same time, and they
/// would deadlock.
fn leave_name_only(entry: &mut Entry) {
    entry.definition = DumpText::NULL;
    entry.drop_statement = DumpText::NULL;
    entry.copy_statement = DumpText::NULL;
}

fn before_rows(contents: &Contents) -> HashSet<i32> {
    // As in pg_restore, an entry without a section (a comment, a label) belongs to the section of the entry before it.
    let mut section = DumpSection::PreData;
    let mut before = HashSet::new();
    for entry in &contents.entries {
        if entry.section != DumpSection::None {
            section = entry.section;
        }
        let privileges = entry.kind == "ACL" || entry.kind == "ACL LANGUAGE" || entry.kind == "DEFAULT ACL";
        // Since PostgreSQL 17, entries of the data section create large objects.
        let created = section == DumpSection::PreData || entry.kind == "BLOB METADATA";
        if created && !privileges && !entry.has_data && !entry.is_about_event_trigger() {
            before.insert(entry.dump_id);
        }
    }
    before
}
