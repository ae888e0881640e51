//! Where benchmarks leave their figures: `target/bench.json`, which all of them share.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};

/// Where everything that is measured in this workspace is collected.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench.json");

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Keeps the keys of others.
pub fn merge(keys: &BTreeMap<&str, f64>) -> Result<()> {
    let path = Path::new(RESULTS);
    let mut all: serde_json::Map<String, serde_json::Value> = match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?,
        Err(_) => Default::default(),
    };
    all.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())));
    // The folder does not exist if Cargo builds elsewhere.
    std::fs::create_dir_all(path.parent().context("no folder")?).context("making the folder of the results")?;
    std::fs::write(path, serde_json::to_string_pretty(&all)?).with_context(|| format!("writing {}", path.display()))
}
