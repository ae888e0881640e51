//! This module selects the entries of a backup to restore: all, or schemas and tables with their dependent objects. It is pure.
//!
//! A selected table includes its rows, columns' defaults, constraints, indexes, triggers, rules, policies, grants and comments.
//! It also includes the objects that those need: schemas, types, functions, sequences. Objects that only refer to it (a view,
//! another table's foreign key) are left out and listed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::archive::{Contents, Entry};

/// The requested schemas and tables; empty means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    pub schemas: Vec<String>,
    pub tables: Vec<TableName>,
}

/// `schema.table`, or `table` in any schema that has one. Parts may be in double quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    pub schema: Option<String>,
    pub name: String,
}

/// Result of a selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Dump ids of every entry to restore.
    pub entries: HashSet<i32>,
    /// Objects that refer to the selection and are left out, such as `FK CONSTRAINT public.orders orders_account_fkey`.
    pub omitted: Vec<String>,
    /// Details of a partial selection.
    pub part: Option<PartOf>,
}

/// Details of a partial selection, apart from objects that refer to it and are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOf {
    /// Requested tables and views, and their partitions.
    pub selected: Vec<String>,
    /// Objects that the selection needs, restored without content: a table without rows and indexes.
    pub brought: Vec<String>,
    /// Number of unrelated objects that were left out, by kind.
    pub left: BTreeMap<String, usize>,
}

/// Names that the backup does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the backup has no {}; list its objects with `backup export | pg_restore --list`", .0.join(", no "))]
pub struct NotThere(pub Vec<String>);

/// Kinds of entries that belong to the relation that they depend on.
const BELONGS: &[&str] = &[
    "TABLE DATA",
    "DEFAULT",
    "CONSTRAINT",
    "CHECK CONSTRAINT",
    "FK CONSTRAINT",
    "INDEX",
    "INDEX ATTACH",
    "TABLE ATTACH",
    "TRIGGER",
    "RULE",
    "POLICY",
    "ROW SECURITY",
    "COMMENT",
    "ACL",
    "SECURITY LABEL",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "STATISTICS",
    "STATISTICS DATA",
    "MATERIALIZED VIEW DATA",
];

/// Entries that every connection needs before the first object.
const ALWAYS: &[&str] = &["ENCODING", "STDSTRINGS", "SEARCHPATH"];

/// Kinds of entries that concern the whole database, and are useless for a part.
const WHOLE_ONLY: &[&str] = &["DATABASE", "DATABASE PROPERTIES", "EVENT TRIGGER", "PUBLICATION", "SUBSCRIPTION", "BLOB", "BLOBS"];

impl Selection {
    pub fn is_everything(&self) -> bool {
        self.schemas.is_empty() && self.tables.is_empty()
    }

    /// # Errors
    /// Returns every name that the backup does not have.
    pub fn choose(&self, contents: &Contents) -> Result<Chosen, NotThere> {
        if self.is_everything() {
            let entries = contents.entries.iter().map(|entry| entry.dump_id).collect();
            return Ok(Chosen { entries, ..Chosen::default() });
        }
        self.check(contents)?;
        let graph = Graph::new(contents);
        let asked = contents.entries.iter().filter(|entry| self.asks_for(contents, entry)).map(|entry| entry.dump_id);
        let mut chosen: HashSet<i32> = asked.collect();
        graph.add_partitions(&mut chosen);
        let mut entries = graph.with_needed(&chosen);
        let mut omitted = BTreeSet::new();
        // An entry that belongs to a selected one is included if it needs nothing else. Other entries may belong to it in turn.
        loop {
            let before = entries.len();
            omitted.clear();
            for entry in graph.dependents(&entries) {
                // An object that is included only because another one needs it does not include its rows and indexes.
                let of_chosen = graph.belongs_to(entry).iter().any(|id| chosen.contains(id));
                match graph.comes_along(entry, &entries) {
                    Some(more) if of_chosen => {
                        entries.extend(more);
                        chosen.insert(entry.dump_id);
                    }
                    _ if of_chosen => drop(omitted.insert((named(entry), entry.dump_id))),
                    _ => {}
                }
            }
            if entries.len() == before {
                break;
            }
        }
        entries.extend(contents.entries.iter().filter(|entry| is_one_of(entry, ALWAYS)).map(|entry| entry.dump_id));
        let (omitted, told): (Vec<String>, HashSet<i32>) = omitted.into_iter().unzip();
        let part = part(contents, &chosen, &entries, &told);
        Ok(Chosen { entries, omitted, part: Some(part) })
    }

    fn check(&self, contents: &Contents) -> Result<(), NotThere> {
        let has_schema = |name: &str| contents.entries.iter().any(|entry| contents.decode(&entry.namespace) == name);
        let has_table =
            |table: &TableName| contents.entries.iter().any(|entry| is_relation(entry) && table.matches(contents, entry));
        let schemas = self.schemas.iter().filter(|name| !has_schema(name)).map(|name| format!("schema {name}"));
        let tables = self.tables.iter().filter(|table| !has_table(table)).map(|table| format!("table {table}"));
        let missing: Vec<_> = schemas.chain(tables).collect();
        if missing.is_empty() { Ok(()) } else { Err(NotThere(missing)) }
    }

    fn asks_for(&self, contents: &Contents, entry: &Entry) -> bool {
        let in_schema = self.schemas.iter().any(|name| {
            contents.decode(&entry.namespace) == *name || entry.kind == "SCHEMA" && contents.decode(&entry.tag) == *name
        });
        in_schema && !is_one_of(entry, WHOLE_ONLY) && !is_one_of(entry, BELONGS)
            || is_relation(entry) && self.tables.iter().any(|table| table.matches(contents, entry))
    }
}

fn named(entry: &Entry) -> String {
    format!("{} {}", entry.kind, entry.display_name())
}

fn part(contents: &Contents, chosen: &HashSet<i32>, entries: &HashSet<i32>, told: &HashSet<i32>) -> PartOf {
    let mut part = PartOf::default();
    for entry in contents.entries.iter().filter(|entry| !is_one_of(entry, ALWAYS)) {
        if chosen.contains(&entry.dump_id) {
            part.selected.extend(is_relation(entry).then(|| named(entry)));
        } else if entries.contains(&entry.dump_id) {
            // The names of a schema's objects already contain the schema.
            part.brought.extend((entry.kind != "SCHEMA").then(|| named(entry)));
        } else if !told.contains(&entry.dump_id) {
            *part.left.entry(entry.kind.to_string()).or_default() += 1;
        }
    }
    part
}

struct Graph<'a> {
    contents: &'a Contents,
    by_id: HashMap<i32, &'a Entry>,
}

impl<'a> Graph<'a> {
    fn new(contents: &'a Contents) -> Self {
        Self { contents, by_id: contents.by_id() }
    }

    /// The partitions of a partitioned table are part of it.
    fn add_partitions(&self, chosen: &mut HashSet<i32>) {
        let attached = || self.contents.entries.iter().filter(|entry| entry.kind == "TABLE ATTACH");
        loop {
            let before = chosen.len();
            for attach in attached() {
                // The dependencies of an attachment are the parent and the partition, in any order. Its name is that of the
                // partition.
                let tables = attach.dependencies.iter().filter(|id| self.by_id.get(id).is_some_and(|entry| is_relation(entry)));
                let is_partition = |id: &&i32| {
                    let table = self.by_id[*id];
                    table.tag == attach.tag && table.namespace == attach.namespace
                };
                let (partitions, parents): (Vec<&i32>, Vec<&i32>) = tables.partition(is_partition);
                if parents.into_iter().any(|parent| chosen.contains(parent)) {
                    chosen.extend(partitions);
                }
            }
            if chosen.len() == before {
                return;
            }
        }
    }

    fn with_needed(&self, chosen: &HashSet<i32>) -> HashSet<i32> {
        let needed = self.contents.closure(chosen.iter().copied());
        let real = needed.into_iter().filter(|id| self.by_id.contains_key(id));
        let mut entries: HashSet<i32> = real.collect();
        // Not every version lists the schema among the dependencies of its objects.
        let schemas: HashSet<&[u8]> = entries.iter().map(|id| self.by_id[id].namespace.bytes()).collect();
        let schemas = self.contents.entries.iter().filter(|entry| entry.kind == "SCHEMA" && schemas.contains(entry.tag.bytes()));
        entries.extend(schemas.map(|entry| entry.dump_id));
        entries
    }

    /// Entries outside `entries` that depend on an entry inside.
    fn dependents(&self, entries: &HashSet<i32>) -> Vec<&'a Entry> {
        let outside = self.contents.entries.iter().filter(|entry| !entries.contains(&entry.dump_id));
        outside.filter(|entry| entry.dependencies.iter().any(|id| entries.contains(id))).collect()
    }

    /// The relations among its dependencies, and objects of relations; all its dependencies if there are none.
    fn belongs_to(&self, entry: &Entry) -> Vec<i32> {
        let of_relation = |id: &&i32| self.by_id.get(id).is_some_and(|entry| !may_be_brought(entry));
        let relations: Vec<i32> = entry.dependencies.iter().filter(of_relation).copied().collect();
        if relations.is_empty() { entry.dependencies.clone() } else { relations }
    }

    /// The entries that `entry` includes, with itself; `None` if it does not belong, or would include another relation or index.
    fn comes_along(&self, entry: &Entry, entries: &HashSet<i32>) -> Option<HashSet<i32>> {
        if !is_one_of(entry, BELONGS) {
            return None;
        }
        let needed = self.contents.closure([entry.dump_id]);
        let new = needed.into_iter().filter(|id| !entries.contains(id));
        let new: HashSet<i32> = new.filter(|id| self.by_id.contains_key(id)).collect();
        let stranger = |id: &i32| *id != entry.dump_id && !may_be_brought(self.by_id[id]);
        (!new.iter().any(stranger)).then_some(new)
    }
}

/// Whether a partial restore may include the entry because another entry needs it.
fn may_be_brought(entry: &Entry) -> bool {
    const KINDS: &[&str] = &[
        "SCHEMA",
        "EXTENSION",
        "TYPE",
        "DOMAIN",
        "SHELL TYPE",
        "FUNCTION",
        "AGGREGATE",
        "OPERATOR",
        "OPERATOR CLASS",
        "OPERATOR FAMILY",
        "COLLATION",
        "CAST",
        "SEQUENCE",
        "ACCESS METHOD",
        "PROCEDURAL LANGUAGE",
        "TEXT SEARCH CONFIGURATION",
        "TEXT SEARCH DICTIONARY",
        "TEXT SEARCH PARSER",
        "TEXT SEARCH TEMPLATE",
    ];
    is_one_of(entry, KINDS)
}

fn is_one_of(entry: &Entry, kinds: &[&str]) -> bool {
    kinds.iter().any(|kind| entry.kind == *kind)
}

fn is_relation(entry: &Entry) -> bool {
    is_one_of(entry, &["TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE"])
}

impl TableName {
    fn matches(&self, contents: &Contents, entry: &Entry) -> bool {
        contents.decode(&entry.tag) == self.name
            && self.schema.as_ref().is_none_or(|schema| contents.decode(&entry.namespace) == *schema)
    }
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused =
            || format!("{text:?} is not a table's name; write schema.table, with \"double quotes\" around special names");
        let mut parts = vec![String::new()];
        let (mut quoted, mut characters) = (false, text.chars().peekable());
        while let Some(character) = characters.next() {
            let part = parts.last_mut().ok_or_else(refused)?;
            match character {
                '"' if quoted && characters.peek() == Some(&'"') => part.extend(characters.next()),
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                other => part.push(other),
            }
        }
        let name = parts.pop().filter(|name| !name.is_empty()).ok_or_else(refused)?;
        let schema = parts.pop();
        if quoted || !parts.is_empty() || schema.as_ref().is_some_and(String::is_empty) {
            return Err(refused());
        }
        Ok(Self { schema, name })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(formatter, "{schema}.")?;
        }
        formatter.write_str(&self.name)
    }
}
