//! This module reads every restored row and compares it with the backup's counts. It compares number and checksum of each table,
//! and reads large tables in ranges with several sessions.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use super::large_objects;
use crate::{
    archive::CopyTarget,
    checksum::RowChecksum,
    config::SourceSettings,
    manifest::Table,
    restore::{Opened, RestoreError, RestoreSession},
    session::pin_rows,
    wire::{Connection, RawRow, WireError},
};

/// Pages that one COPY reads: 64 MiB of standard pages. A smaller table is read as a whole.
const RANGE_PAGES: i64 = 8192;

/// Result of the comparison.
#[derive(Debug, Default)]
pub struct ComparedRows {
    pub tables: u64,
    pub rows: u64,
    /// One line for each table that differs.
    pub differences: Vec<String>,
}

/// A range of a table.
struct Reading {
    what: What,
    query: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    /// By the dump id of its rows.
    Table(i32),
    LargeObjects,
}

/// Tables whose rows are compared together: partitions loaded through one root, or a single table.
struct Group<'a> {
    tables: Vec<&'a Table>,
}

/// Reads every table of the restored database with `sessions` connections.
pub async fn compare(opened: &Opened<'_>, place: &SourceSettings, sessions: usize) -> Result<ComparedRows, RestoreError> {
    let mut session = RestoreSession::open(place).await?;
    let conditions = extension_conditions(&mut session).await?;
    let sizes = heap_pages(&mut session).await?;
    drop(session);
    let (mut readings, mut groups) = (Vec::new(), Vec::new());
    let mut roots: HashMap<Vec<u8>, usize> = HashMap::new();
    for table in &opened.contents.tables {
        let entry = opened.toc.entry(table.dump_id);
        let entry = entry.ok_or_else(|| {
            RestoreError::Contents(format!("{}.{} is missing from the table of contents", table.schema, table.name))
        })?;
        let target = entry.copy_target()?;
        if target.is_root_of(entry) {
            let group = *roots.entry(target.relation.clone()).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Group { tables: Vec::new() });
            }
            groups[group].tables.push(table);
            let first = groups[group].tables[0].dump_id;
            let relation = [b"ONLY ".to_vec(), entry.own_relation()].concat();
            readings.push(Reading { what: What::Table(first), query: copy(&target, &relation, "") });
            continue;
        }
        groups.push(Group { tables: vec![table] });
        let name = (entry.namespace.bytes().to_vec(), entry.tag.bytes().to_vec());
        let condition = conditions.get(&name).map_or("", String::as_str);
        let relation = [b"ONLY ".to_vec(), entry.own_relation()].concat();
        readings.extend(ranges(table, &target, &relation, condition, sizes.get(&name).copied().unwrap_or(0)));
    }
    if opened.contents.large_objects.is_some() {
        readings.push(Reading { what: What::LargeObjects, query: large_objects::query().into_bytes() });
    }
    // The longest reads begin first; ranges of one table have the same size.
    let queue = Arc::new(Mutex::new(VecDeque::from(readings)));
    let readers: Vec<_> = (0..sessions.max(1))
        .map(|_| {
            let (queue, place) = (Arc::clone(&queue), place.clone());
            tokio::task::spawn_blocking(move || read_all(&queue, &place))
        })
        .collect();
    let mut found: HashMap<What, RowChecksum> = HashMap::new();
    for reader in readers {
        let read = reader.await.map_err(|_| RestoreError::Interrupted)?.map_err(|error| reading_failed(&error))?;
        read.into_iter().for_each(|(what, checksum)| found.entry(what).or_default().merge(checksum));
    }
    let mut compared = judge(&groups, &found);
    if let Some(objects) = &opened.contents.large_objects {
        let now = found.get(&What::LargeObjects).copied().unwrap_or_default();
        if now.text() != objects.checksum {
            let told = format!("the {} large objects differ from the backup: their checksum is different", objects.objects);
            compared.differences.push(told);
        }
    }
    Ok(compared)
}

fn reading_failed(error: &WireError) -> RestoreError {
    RestoreError::Server { doing: "reading restored rows", reason: error.to_string() }
}

fn judge(groups: &[Group<'_>], found: &HashMap<What, RowChecksum>) -> ComparedRows {
    let mut compared = ComparedRows::default();
    for Group { tables } in groups {
        let Some(first) = tables.first() else { continue };
        let now = found.get(&What::Table(first.dump_id)).copied().unwrap_or_default();
        compared.tables += tables.len() as u64;
        compared.rows += now.rows;
        let name = tables.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect::<Vec<_>>().join(" with ");
        let expected = tables.iter().try_fold(RowChecksum::default(), |mut sum, table| {
            sum.merge(RowChecksum::parse(table.rows, &table.checksum)?);
            Some(sum)
        });
        let rows: u64 = tables.iter().map(|table| table.rows).sum();
        if now.rows != rows {
            compared.differences.push(format!("{name} has {} rows, but had {rows} in the backup", now.rows));
        } else if Some(now) != expected {
            compared.differences.push(format!("{name} has different rows than the backup: their checksum differs"));
        }
    }
    compared
}

fn read_all(queue: &Mutex<VecDeque<Reading>>, place: &SourceSettings) -> Result<Vec<(What, RowChecksum)>, WireError> {
    let mut found = Vec::new();
    let mut connection = None;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(reading) = next else { return Ok(found) };
        let connection = match &mut connection {
            Some(connection) => connection,
            none => {
                let mut fresh = Connection::open(place, drop)?;
                fresh.query(&pin_rows())?;
                none.insert(fresh)
            }
        };
        let checksum = match reading.what {
            What::Table(_) => connection.copy_out::<WireError>(&reading.query, &[], &mut |_| Ok(()))?.checksum,
            What::LargeObjects => large_objects::checksum(connection, &reading.query)?,
        };
        found.push((reading.what, checksum));
    }
}

fn copy(target: &CopyTarget, relation: &[u8], condition: &str) -> Vec<u8> {
    [b"COPY (", target.select_from(relation, condition).as_slice(), b") TO STDOUT"].concat()
}

fn ranges(table: &Table, target: &CopyTarget, relation: &[u8], condition: &str, pages: i64) -> Vec<Reading> {
    let reading = |condition: &str| Reading { what: What::Table(table.dump_id), query: copy(target, relation, condition) };
    if pages <= RANGE_PAGES || !condition.is_empty() {
        return vec![reading(condition)];
    }
    let starts = (0..pages).step_by(usize::try_from(RANGE_PAGES).unwrap_or(1));
    let ranges = starts.map(|start| {
        let end = start + RANGE_PAGES;
        // The last range is open, so it includes rows beyond the measured size.
        if end >= pages {
            format!("WHERE ctid >= '({start},0)'")
        } else {
            format!("WHERE ctid >= '({start},0)' AND ctid < '({end},0)'")
        }
    });
    ranges.map(|range| reading(&range)).collect()
}

/// Schema and name, in the database's encoding.
type Name = (Vec<u8>, Vec<u8>);

/// Pages of each heap that can be read by ranges.
async fn heap_pages(session: &mut RestoreSession) -> Result<HashMap<Name, i64>, RestoreError> {
    const HEAPS: &str = "SELECT n.nspname, c.relname, \
        pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8 \
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_am a ON a.oid = c.relam \
        WHERE c.relkind = 'r' AND a.amname = 'heap' AND pg_catalog.current_setting('server_version_num')::int4 >= 140000";
    let sizes = named(session, HEAPS, "asking how large tables are").await?;
    Ok(sizes.into_iter().filter_map(|(name, pages)| Some((name, pages.parse().ok()?))).collect())
}

/// Conditions for the user's rows in an extension's tables: only those are backed up.
async fn extension_conditions(session: &mut RestoreSession) -> Result<HashMap<Name, String>, RestoreError> {
    const CONDITIONS: &str = "SELECT n.nspname, c.relname, e.condition \
        FROM pg_catalog.pg_extension x, ROWS FROM (pg_catalog.unnest(x.extconfig), pg_catalog.unnest(x.extcondition)) AS e (relation, condition) \
        JOIN pg_catalog.pg_class c ON c.oid = e.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE e.condition <> ''";
    Ok(named(session, CONDITIONS, "asking about extensions' tables").await?.into_iter().collect())
}

/// Rows of schema, name, and one more value.
async fn named(session: &mut RestoreSession, query: &str, doing: &'static str) -> Result<Vec<(Name, String)>, RestoreError> {
    let rows = session.query(query).await.map_err(RestoreError::by_wire(doing))?;
    let row = |row: RawRow| {
        let [schema, name, value] = <[Option<Vec<u8>>; 3]>::try_from(row).ok()?;
        Some(((schema?, name?), String::from_utf8_lossy(&value?).into_owned()))
    };
    Ok(rows.into_iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: u64, checksum: &str) -> Table {
        Table {
            dump_id: 1,
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            columns: vec!["a".into()],
            copied_to: None,
            rows,
            raw_bytes: 0,
            checksum: checksum.into(),
            pieces: Vec::new(),
        }
    }

    #[test]
    fn ranges_cover_every_page_of_a_large_table() {
        let target = CopyTarget { relation: b"public.t".to_vec(), columns: b"(a)".to_vec() };
        let queries = |pages| {
            ranges(&table(0, ""), &target, b"ONLY public.t", "", pages)
                .into_iter()
                .map(|reading| String::from_utf8(reading.query).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(queries(RANGE_PAGES), ["COPY (SELECT a FROM ONLY public.t) TO STDOUT"]);
        assert_eq!(
            queries(RANGE_PAGES + 1),
            [
                "COPY (SELECT a FROM ONLY public.t WHERE ctid >= '(0,0)' AND ctid < '(8192,0)') TO STDOUT",
                "COPY (SELECT a FROM ONLY public.t WHERE ctid >= '(8192,0)') TO STDOUT"
            ]
        );
    }

    #[test]
    fn a_missing_row_and_a_changed_row_are_reported() {
        let mut checksum = RowChecksum::default();
        checksum.add(b"1\n");
        let told = |table: Table, found: RowChecksum| {
            judge(&[Group { tables: vec![&table] }], &HashMap::from([(What::Table(1), found)])).differences.join(" ")
        };
        assert_eq!(told(table(1, &checksum.text()), checksum), "");
        assert!(told(table(2, &checksum.text()), checksum).contains("has 1 rows, but had 2 in the backup"));
        assert!(told(table(1, &RowChecksum::default().text()), checksum).contains("checksum differs"));
        // A table that was not read counts as a table without rows.
        assert!(!judge(&[Group { tables: vec![&table(1, "")] }], &HashMap::new()).differences.is_empty());
    }
}
