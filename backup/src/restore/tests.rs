//! Tests of pure code: selection and phases.

use std::collections::HashMap;

use super::{phases::Phases, selection::*};
use crate::archive::{Contents, DataOffset, DumpSection, DumpText, Entry, Header, Version};

fn entry(dump_id: i32, kind: &str, name: &str, dependencies: &[i32]) -> Entry {
    let section = match kind {
        "TABLE DATA" | "BLOBS" | "SEQUENCE SET" => DumpSection::Data,
        "INDEX" | "CONSTRAINT" | "FK CONSTRAINT" | "TRIGGER" => DumpSection::PostData,
        "ACL" | "COMMENT" => DumpSection::None,
        _ => DumpSection::PreData,
    };
    let (namespace, tag) = name.split_once('.').unwrap_or(("", name));
    Entry {
        dump_id,
        has_data: kind == "TABLE DATA" || kind == "BLOBS",
        catalogue_oid: "0".into(),
        oid: "0".into(),
        tag: tag.into(),
        kind: kind.into(),
        section,
        definition: DumpText::NULL,
        drop_statement: DumpText::NULL,
        copy_statement: DumpText::NULL,
        namespace: namespace.into(),
        tablespace: DumpText::NULL,
        access_method: DumpText::NULL,
        relation_kind: None,
        owner: "owner".into(),
        with_oids: "false".into(),
        dependencies: dependencies.to_vec(),
        offset: DataOffset::NoData,
    }
}

/// Two schemas; orders refers to accounts, and a view reads both.
fn shop() -> Contents {
    let header = Header {
        version: Version(1, 14, 0),
        integer_size: 4,
        offset_size: 8,
        created: [0; 7],
        database: "shop".into(),
        server_version: DumpText::NULL,
        pg_dump_version: DumpText::NULL,
    };
    let entries = vec![
        entry(1, "ENCODING", "ENCODING", &[]),
        entry(2, "SCHEMA", "a", &[]),
        entry(3, "SCHEMA", "b", &[]),
        entry(4, "TYPE", "b.state", &[3]),
        entry(10, "TABLE", "a.accounts", &[2, 4]),
        entry(11, "COMMENT", "a.TABLE accounts", &[10]),
        entry(12, "TABLE", "a.orders", &[2]),
        entry(13, "SEQUENCE", "a.orders_id", &[12]),
        entry(14, "DEFAULT", "a.orders id", &[13, 12]),
        entry(15, "VIEW", "b.both", &[10, 12]),
        entry(16, "TABLE", "a.parted", &[2]),
        entry(17, "TABLE", "a.parted_1", &[2]),
        entry(18, "TABLE ATTACH", "a.parted_1", &[16, 17]),
        entry(20, "TABLE DATA", "a.accounts", &[10]),
        entry(21, "TABLE DATA", "a.orders", &[12]),
        entry(22, "TABLE DATA", "a.parted_1", &[17]),
        entry(23, "SEQUENCE SET", "a.orders_id", &[13]),
        entry(30, "CONSTRAINT", "a.accounts accounts_pkey", &[10]),
        entry(31, "CONSTRAINT", "a.orders orders_pkey", &[12]),
        entry(32, "INDEX", "a.orders_state", &[12, 4]),
        entry(33, "INDEX", "a.orders_late", &[12, 31]),
        entry(34, "FK CONSTRAINT", "a.orders orders_account_fkey", &[12, 30, 10]),
        entry(35, "ACL", "a.TABLE orders", &[12]),
    ];
    Contents { header, entries }
}

fn chosen(selection: &Selection) -> (Vec<i32>, Vec<String>) {
    let chosen = selection.choose(&shop()).unwrap();
    let mut entries: Vec<_> = chosen.entries.into_iter().collect();
    entries.sort_unstable();
    (entries, chosen.omitted)
}

fn tables(names: &[&str]) -> Selection {
    Selection { tables: names.iter().map(|name| name.parse().unwrap()).collect(), ..Selection::default() }
}

#[test]
fn a_table_includes_its_objects_and_lists_the_rest() {
    let (entries, omitted) = chosen(&tables(&["a.orders"]));
    assert_eq!(entries, [1, 2, 3, 4, 12, 13, 14, 21, 23, 31, 32, 33, 35]);
    assert_eq!(omitted, ["FK CONSTRAINT a.orders orders_account_fkey", "VIEW b.both"]);
}

/// A partial restore lists its objects, the empty ones among them, and the number of others.
#[test]
fn a_part_lists_selected_empty_and_omitted_objects() {
    let part = |selection: &Selection| selection.choose(&shop()).unwrap().part.unwrap();
    let count = |counts: &[(&str, usize)]| counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
    let left = count(&[("COMMENT", 1), ("CONSTRAINT", 1), ("TABLE", 3), ("TABLE ATTACH", 1), ("TABLE DATA", 2)]);
    let expected = PartOf { selected: vec!["TABLE a.orders".into()], brought: vec!["TYPE b.state".into()], left };
    assert_eq!(part(&tables(&["a.orders"])), expected);
    let schema = part(&Selection { schemas: vec!["b".into()], ..Selection::default() });
    assert_eq!(schema.selected, ["VIEW b.both"]);
    assert_eq!(schema.brought, ["TABLE a.accounts", "TABLE a.orders"]);
    assert_eq!(schema.left["TABLE DATA"], 3);
    assert_eq!(Selection::default().choose(&shop()).unwrap().part, None);
}

#[test]
fn a_foreign_key_is_included_with_both_its_tables() {
    let (entries, omitted) = chosen(&tables(&["orders", "accounts"]));
    assert!([20, 21, 30, 31, 34].iter().all(|id| entries.contains(id)), "{entries:?}");
    assert_eq!(omitted, ["VIEW b.both"]);
}

#[test]
fn a_partitioned_table_includes_its_partitions() {
    assert_eq!(chosen(&tables(&["a.parted"])).0, [1, 2, 16, 17, 18, 22]);
}

#[test]
fn a_schema_includes_its_objects_and_their_needs() {
    let (entries, omitted) = chosen(&Selection { schemas: vec!["b".into()], ..Selection::default() });
    // The view needs both tables, but the selection does not include their rows.
    assert_eq!(entries, [1, 2, 3, 4, 10, 12, 15]);
    assert_eq!(omitted, [""; 0]);
}

#[test]
fn every_unknown_name_is_reported_at_once() {
    let selection =
        Selection { schemas: vec!["c".into()], tables: vec!["a.nothing".parse().unwrap(), "orders".parse().unwrap()] };
    let told = selection.choose(&shop()).unwrap_err().to_string();
    assert!(told.contains("no schema c, no table a.nothing;"), "{told}");
}

#[test]
fn quoted_and_unquoted_table_names_are_parsed() {
    for (text, schema, name) in [
        ("orders", None, "orders"),
        ("a.orders", Some("a"), "orders"),
        ("\"a.b\".\"c \"\" d\"", Some("a.b"), "c \" d"),
        ("ü.面", Some("ü"), "面"),
    ] {
        let parsed: TableName = text.parse().unwrap();
        assert_eq!((parsed.schema.as_deref(), parsed.name.as_str()), (schema, name));
    }
    for wrong in ["", ".", "a.", ".a", "a.b.c", "\"a", "a.\"\""] {
        assert!(wrong.parse::<TableName>().is_err(), "{wrong}");
    }
}

fn ids(contents: &Contents) -> Vec<i32> {
    contents.entries.iter().map(|entry| entry.dump_id).collect()
}

/// Without the tables, which have only their names left.
fn created(contents: &Contents) -> Vec<i32> {
    contents.entries.iter().filter(|entry| entry.kind != "TABLE").map(|entry| entry.dump_id).collect()
}

#[test]
fn large_tables_get_indexes_early_and_every_entry_runs_once() {
    let shop = shop();
    let phases = Phases::of(&shop, &HashMap::from([(20, 1), (21, 1 << 30)]));
    assert_eq!(ids(&phases.before), [1, 2, 3, 4, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
    let early = &phases.early[&21];
    assert_eq!(ids(early.constraints.as_ref().unwrap()), [1, 31]);
    assert_eq!(early.indexes.iter().map(ids).collect::<Vec<_>>(), [[1, 32]]);
    assert!(!phases.early.contains_key(&20));
    // An index that depends on another one waits for the end, and so do privileges.
    assert_eq!(created(&phases.after), [1, 23, 30, 33, 34, 35]);
}

/// The function may read tables whose rows come later. An operator class and a domain can lead to a function too.
#[test]
fn an_index_that_calls_a_function_waits_for_all_rows() {
    let large = HashMap::from([(21, 1 << 30), (22, 1 << 30)]);
    for (kind, needs, waits) in [
        ("FUNCTION", [2, 2], true),
        ("OPERATOR CLASS", [2, 51], true),
        ("DOMAIN", [51, 2], true),
        ("TYPE", [2, 2], false),
        ("COLLATION", [2, 2], false),
        ("EXTENSION", [2, 2], false),
    ] {
        let mut shop = shop();
        shop.entries.insert(4, entry(51, "FUNCTION", "a.function", &[2]));
        shop.entries.insert(5, entry(50, kind, "a.needed", &needs));
        for index in shop.entries.iter_mut().filter(|entry| [31, 32].contains(&entry.dump_id)) {
            index.dependencies.push(50);
        }
        let phases = Phases::of(&shop, &large);
        assert_eq!(phases.early.contains_key(&21), !waits, "{kind}");
        assert_eq!([31, 32].iter().all(|id| phases.after.entry(*id).is_some()), waits, "{kind}");
        // Index 33 depends on the constraint, so it is built last in any case.
        assert!(phases.completed_late.contains(&21) && !phases.completed_late.contains(&22), "{kind}");
        if kind == "EXTENSION" {
            shop.entries.push(entry(52, "TABLE DATA", "a.spatial_ref_sys", &[50]));
            let phases = Phases::of(&shop, &large);
            assert!(!phases.early.contains_key(&21), "the extension's functions may read its configuration table");
        }
    }
}

#[test]
fn without_large_tables_all_indexes_are_built_last() {
    let phases = Phases::of(&shop(), &HashMap::new());
    assert!(phases.early.is_empty() && phases.alone.entries.is_empty());
    assert_eq!(created(&phases.after), [1, 23, 30, 31, 32, 33, 34, 35]);
}

#[test]
fn several_sessions_start_if_entries_read_large_tables() {
    let (none, large) = (HashMap::new(), HashMap::from([(21, 1 << 30)]));
    let mut shop = shop();
    assert!(Phases::of(&shop, &none).after_is_much, "a foreign key reads tables of any size");
    shop.entries.retain(|entry| entry.kind != "FK CONSTRAINT");
    assert!(Phases::of(&shop, &large).after_is_much, "an index of a large table remains");
    assert!(!Phases::of(&shop, &none).after_is_much);
    let many = (100..300).map(|id| entry(id, "INDEX", "a.some", &[10]));
    shop.entries.extend(many);
    assert!(Phases::of(&shop, &none).after_is_much);
}

/// Index 32 also runs ALTER TABLE. Together with another index of its table, the two would deadlock.
#[test]
fn an_index_that_locks_its_table_runs_alone() {
    let mut shop = shop();
    for entry in shop.entries.iter_mut().filter(|entry| entry.dump_id == 32) {
        entry.definition =
            "CREATE INDEX orders_state ON a.orders (state);\n\nALTER TABLE a.orders CLUSTER ON orders_state;\n".into();
    }
    let phases = Phases::of(&shop, &HashMap::new());
    assert_eq!(ids(&phases.alone), [1, 32]);
    assert_eq!(created(&phases.after), [1, 23, 30, 31, 33, 34, 35]);
    let phases = Phases::of(&shop, &HashMap::from([(21, 1 << 30)]));
    let early = &phases.early[&21];
    assert_eq!(ids(early.constraints.as_ref().unwrap()), [1, 31, 32]);
    assert!(early.indexes.is_empty() && phases.alone.entries.is_empty());
}

/// pg_restore derives from the tables' entries which other entries lock the same table. The archive must contain all of these
/// entries, without definitions, and the dependencies as pg_dump wrote them.
#[test]
fn pg_restore_sees_which_tables_an_entry_locks() {
    let shop = shop();
    let phases = Phases::of(&shop, &HashMap::new());
    for table in shop.entries.iter().filter(|entry| entry.kind == "TABLE") {
        let left = phases.after.entry(table.dump_id).unwrap();
        assert!(left.definition.is_empty() && left.copy_statement.is_empty() && !left.has_data, "{left:?}");
        assert_eq!(left.dependencies, table.dependencies);
    }
    for entry in shop.entries.iter().filter(|entry| entry.section == DumpSection::PostData) {
        assert_eq!(phases.after.entry(entry.dump_id).map(|left| &left.dependencies), Some(&entry.dependencies));
    }
}

/// An event trigger may refuse a refresh, so it is created when nothing follows. pg_dump lists it before the refreshes.
#[test]
fn event_triggers_are_created_last() {
    let mut shop = shop();
    let post = |entry: Entry| Entry { section: DumpSection::PostData, ..entry };
    shop.entries.extend([
        post(entry(40, "EVENT TRIGGER", "guard", &[])),
        entry(41, "COMMENT", "EVENT TRIGGER guard", &[40]),
        post(entry(42, "MATERIALIZED VIEW DATA", "b.totals", &[12])),
    ]);
    let phases = Phases::of(&shop, &HashMap::new());
    assert_eq!(ids(&phases.event_triggers), [1, 40, 41]);
    assert!(created(&phases.after).contains(&42) && !created(&phases.after).contains(&40));
    let last = shop.event_triggers_last();
    let names: Vec<_> = last.entries.iter().rev().take(3).map(|entry| entry.dump_id).collect();
    assert_eq!(names, [41, 40, 42]);
    assert!(last.entry(40).unwrap().dependencies.contains(&42));
    let without = Phases::of(&self::shop(), &HashMap::new());
    assert!(without.event_triggers.entries.is_empty());
}
