//! This module plans the reads: the tables of pg_dump's contents, with large ones split into page ranges. It is pure except for
//! its initial queries.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{DumpInput, Read, columns, coordinator::Coordinator};
use crate::{
    archive::{Contents, CopyTarget},
    failure::{Exit, Failure, Result, Stage},
    manifest,
};

const PAGE_BYTES: u64 = 8192;
/// A table is split if it is this many times larger than a range. Two almost empty halves would save no time.
const WORTH_CUTTING: u64 = 2;
/// Number of large objects in one task.
const LARGE_OBJECTS_AT_ONCE: usize = 1000;

/// Oid, access method, bytes of the table's own pages, bytes including its long values.
const SIZES: &str = "SELECT c.oid, COALESCE(a.amname, ''), pg_catalog.pg_relation_size(c.oid), pg_catalog.pg_table_size(c.oid) \
     FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam \
     WHERE c.relkind = 'r' AND c.relpersistence <> 't'";

/// Extensions define which rows of their configuration tables belong to the user.
const FILTERS: &str = "SELECT pg_catalog.unnest(extconfig), pg_catalog.unnest(extcondition) FROM pg_catalog.pg_extension";

/// A table to read.
#[derive(Debug)]
pub(super) struct PlannedTable {
    pub dump_id: i32,
    pub oid: u32,
    schema: String,
    name: String,
    pub target: CopyTarget,
    /// The table itself, qualified and quoted. pg_dump's statement may name the root of its partitions instead.
    pub relation: Vec<u8>,
    /// `WHERE …` if an extension defines one; empty: every row.
    condition: String,
    pub stretches: Vec<Stretch>,
    bytes: u64,
    through_root: bool,
    /// The target's columns, for messages.
    column_names: String,
}

/// Page range of a table: first page, and the page after the last; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    from: Option<u64>,
    to: Option<u64>,
    bytes: u64,
}

/// A task of a worker.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// A page range of a table, both by index.
    Rows { table: usize, stretch: usize },
    /// Start index in the list of large objects.
    LargeObjects { from: usize },
}

#[derive(Debug)]
pub(super) struct DumpPlan {
    pub tables: Vec<PlannedTable>,
    pub large_objects: Vec<u32>,
    pub bytes: u64,
}

impl DumpPlan {
    /// Largest tasks first, so that no worker ends with a large one alone.
    pub fn tasks(&self) -> VecDeque<Task> {
        let rows = |table: usize| {
            let stretches = &self.tables[table].stretches;
            (0..stretches.len()).map(move |stretch| (stretches[stretch].bytes, Task::Rows { table, stretch }))
        };
        let mut tasks: Vec<_> = (0..self.tables.len()).flat_map(rows).collect();
        tasks.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let large_objects = (0..self.large_objects.len()).step_by(LARGE_OBJECTS_AT_ONCE);
        let large_objects = large_objects.map(|from| Task::LargeObjects { from });
        large_objects.chain(tasks.into_iter().map(|(_, task)| task)).collect()
    }

    pub fn large_objects_of(&self, from: usize) -> &[u32] {
        &self.large_objects[from..self.large_objects.len().min(from + LARGE_OBJECTS_AT_ONCE)]
    }
}

impl PlannedTable {
    pub fn display_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The statement that reads a page range.
    pub fn copy_statement(&self, stretch: usize) -> Vec<u8> {
        let Stretch { from, to, .. } = self.stretches[stretch];
        let bound = |sign: &str, page: Option<u64>| page.map(|page| format!("ctid {sign} '({page},0)'::pg_catalog.tid"));
        let bounds: Vec<_> = [bound(">=", from), bound("<", to)].into_iter().flatten().collect();
        let only = [b"ONLY ", self.relation.as_slice()].concat();
        let of = |condition: &str| [b"COPY (", self.target.select_from(&only, condition).as_slice(), b") TO STDOUT"].concat();
        match (self.condition.as_str(), bounds.is_empty()) {
            ("", true) => [b"COPY ", self.relation.as_slice(), b" ", &self.target.columns, b" TO STDOUT"].concat(),
            (condition, true) => of(condition),
            (_, false) => of(&format!("WHERE {}", bounds.join(" AND "))),
        }
    }

    /// Relation and columns of the statement that restores the rows, in the database's encoding and hexadecimal, if they cannot
    /// be derived from the names.
    fn copied_to(&self) -> Option<String> {
        let ascii = self.target.relation.is_ascii() && self.target.columns.is_ascii();
        (self.through_root || !ascii).then(|| hex::encode([self.target.relation.as_slice(), b" ", &self.target.columns].concat()))
    }

    pub fn record(&self, read: Read) -> manifest::Table {
        manifest::Table {
            dump_id: self.dump_id,
            oid: self.oid,
            schema: self.schema.clone(),
            name: self.name.clone(),
            columns: columns::names(&self.column_names),
            copied_to: self.copied_to(),
            rows: read.checksum.rows,
            raw_bytes: read.raw_bytes,
            checksum: read.checksum.text(),
            pieces: read.pieces,
        }
    }
}

pub(super) fn make(reading: &DumpInput, coordinator: &Coordinator, contents: &Contents) -> Result<DumpPlan> {
    let sizes = sizes(coordinator)?;
    let filters = filters(coordinator)?;
    let version = server_version(coordinator)?;
    let mut tables = Vec::new();
    let mut unlisted = BTreeSet::new();
    for entry in contents.entries.iter().filter(|entry| entry.is_table_data()) {
        let oid = entry.oid.utf8().and_then(|oid| oid.parse().ok());
        let target = entry.copy_target().map_err(|error| Failure::new(Stage::Contents, Exit::Failed, error))?;
        let Some((oid, size)) = oid.and_then(|oid| Some((oid, sizes.get(&oid)?))) else {
            unlisted.insert(entry.display_name());
            continue;
        };
        let condition = filters.get(&oid).cloned().unwrap_or_default();
        // Page bounds are fast from version 14 on. In older versions, each range would read the whole table.
        let cut = size.heap && condition.is_empty() && version >= 140_000;
        tables.push(PlannedTable {
            dump_id: entry.dump_id,
            oid,
            schema: contents.decode(&entry.namespace),
            name: contents.decode(&entry.tag),
            relation: entry.own_relation(),
            through_root: target.is_root_of(entry),
            column_names: contents.decode_bytes(&target.columns),
            target,
            condition,
            stretches: if cut {
                stretches(size, reading.shape.range_bytes)
            } else {
                vec![Stretch { from: None, to: None, bytes: size.bytes }]
            },
            bytes: size.bytes,
        });
    }
    if !unlisted.is_empty() {
        let names = super::coordinator::some_of(&unlisted);
        let told = format!("pg_dump lists tables with rows that are not ordinary tables of this database: {names}");
        return Err(Failure::told(Stage::Contents, Exit::Failed, told).passing());
    }
    let has_large_objects = contents.entries.iter().any(crate::archive::Entry::is_large_objects);
    let large_objects = if has_large_objects { large_objects(coordinator)? } else { Vec::new() };
    let bytes = tables.iter().map(|table| table.bytes).sum();
    Ok(DumpPlan { tables, large_objects, bytes })
}

/// Sizes of one table.
struct Size {
    heap: bool,
    own_bytes: u64,
    bytes: u64,
}

fn sizes(coordinator: &Coordinator) -> Result<HashMap<u32, Size>> {
    let rows = coordinator.query(Stage::Contents, SIZES)?;
    let size = |row: crate::wire::Row| {
        let [oid, method, own_bytes, bytes] = <[Option<String>; 4]>::try_from(row).ok()?;
        let size = Size { heap: method? == "heap", own_bytes: own_bytes?.parse().ok()?, bytes: bytes?.parse().ok()? };
        Some((oid?.parse().ok()?, size))
    };
    Ok(rows.into_iter().filter_map(size).collect())
}

fn filters(coordinator: &Coordinator) -> Result<HashMap<u32, String>> {
    let rows = coordinator.query(Stage::Contents, FILTERS)?;
    let filter = |row: crate::wire::Row| {
        let mut row = row.into_iter();
        Some((row.next()??.parse().ok()?, row.next()?.unwrap_or_default()))
    };
    Ok(rows.into_iter().filter_map(filter).collect())
}

fn large_objects(coordinator: &Coordinator) -> Result<Vec<u32>> {
    let rows = coordinator.query(Stage::LargeObjects, "SELECT oid FROM pg_catalog.pg_largeobject_metadata ORDER BY oid")?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next()??.parse().ok()).collect())
}

fn server_version(coordinator: &Coordinator) -> Result<u32> {
    let rows = coordinator.query(Stage::Contents, "SHOW server_version_num")?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()??.parse().ok()).unwrap_or(0))
}

/// Ranges of `stretch_bytes`, including long values. The last one is open, since the table may have grown after the measurement.
fn stretches(size: &Size, stretch_bytes: u64) -> Vec<Stretch> {
    let pages = size.own_bytes.div_ceil(PAGE_BYTES);
    let count = if size.bytes < WORTH_CUTTING * stretch_bytes { 1 } else { (size.bytes / stretch_bytes).min(pages).max(1) };
    let border = |number: u64| (number > 0 && number < count).then(|| number * pages / count);
    (0..count).map(|number| Stretch { from: border(number), to: border(number + 1), bytes: size.bytes / count }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(own: u64, all: u64) -> Size {
        Size { heap: true, own_bytes: own, bytes: all }
    }

    #[test]
    fn ranges_are_adjacent_and_open_at_the_end() {
        const STRETCH: u64 = 64 << 20;
        for (own, all) in [
            (0, 0),
            (1, 1),
            (STRETCH, STRETCH),
            (3 * STRETCH, 3 * STRETCH),
            (PAGE_BYTES * 3, 10 * STRETCH),
            (STRETCH * 1000, STRETCH * 1007),
        ] {
            let stretches = stretches(&size(own, all), STRETCH);
            assert!(stretches.first().unwrap().from.is_none() && stretches.last().unwrap().to.is_none());
            for pair in stretches.windows(2) {
                assert!(pair[0].to == pair[1].from && pair[0].to.is_some() && pair[0].from < pair[0].to, "{own} {all}: {pair:?}");
            }
            assert!(stretches.len() as u64 <= own.div_ceil(PAGE_BYTES).max(1));
        }
        assert_eq!(stretches(&size(STRETCH, STRETCH), STRETCH).len(), 1);
        assert_eq!(stretches(&size(10 * STRETCH, 10 * STRETCH), STRETCH).len(), 10);
    }
}
