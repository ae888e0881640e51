//! This module generates templates with one index setting each: every setting of Elasticsearch, with values of every type.

use serde_json::{Value, json};

use super::Case;

fn values() -> Vec<Value> {
    let texts = [
        "",
        "x",
        "true",
        "True",
        "false",
        "-1",
        "0",
        "1",
        "2",
        "5",
        "1.5",
        "5.5",
        "9",
        "55b",
        "56b",
        "0b",
        "1gb",
        "1.5gb",
        "50%",
        "0ms",
        "5s",
        "99ms",
        "100ms",
        "1h",
        "30M",
        "1w",
        "1d",
        "1024",
        "1025",
        "2147483648",
        "all",
        "none",
        "false",
        "0-1",
        "1-2",
        "2-1",
        "0-all",
        "async",
        "Request",
        "default",
        "best_compression",
        "logsdb",
        "time_series",
        "synthetic",
        "Stored",
        "arrays",
        "tiered",
        "primaries",
        "Replicas",
        "checksum",
        "native",
        "asc",
        "DESC",
        "asc,desc",
        "min",
        "_last",
        "_LAST",
        "data_hot",
        "data_hot,data_warm",
        "data",
        "2026-11-27T00:00:00Z",
        "2026-11-27T00:00:00",
        "2026-11-27",
        "now",
        "acorn",
        "node",
        "points_and_doc_values",
    ];
    let others = [
        Value::Null,
        json!(0),
        json!(1),
        json!(-1),
        json!(2),
        json!(1025),
        json!(1.5),
        json!(20.5),
        json!(2_147_483_648_i64),
        json!(true),
        json!(false),
        json!(["a"]),
        json!(["asc", "desc"]),
        json!(["_first"]),
        json!({"a": 1}),
        json!({}),
    ];
    texts.into_iter().map(Value::from).chain(others).collect()
}

/// Faults that `check` alone reports, on purpose, each with the reason.
const DELIBERATE: &[(&str, &str)] = &[
    ("index.analysis.", "the parts of an analysis have types"),
    ("not declared", "a pipeline must exist"),
    ("is [], which", "an empty list of words has no effect"),
    ("is \"\", which", "an empty text is a mistake"),
    ("is \"True\", which", "Elasticsearch reads a boolean in capitals only here"),
    ("is \"1d\", which", "Java reads 1d as a number"),
];

pub fn is_deliberate(fault: &str) -> bool {
    DELIBERATE.iter().any(|(part, _)| fault.contains(part))
}

/// Returns one case for each name and value. A name that ends with a dot is a group.
pub fn cases(names: &[&str]) -> Vec<Case> {
    let mut cases = Vec::new();
    for name in names {
        let name = if name.ends_with('.') { format!("{name}a") } else { (*name).to_owned() };
        for value in values() {
            let body = json!({"template": {"settings": {&name: value}}});
            cases.push(Case { kind: "component_template", name: format!("c{}", cases.len()), body });
        }
    }
    // Names that no release had.
    for name in ["index.merge.enabled", "index.store.allow_mmap", "index.numbr_of_shards", "index.blocks", "index.translog.x"] {
        let body = json!({"template": {"settings": {name: "1"}}});
        cases.push(Case { kind: "component_template", name: format!("c{}", cases.len()), body });
    }
    cases
}
