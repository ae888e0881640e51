//! This module checks `streams.yaml`, which lists every data stream by name.

use std::collections::BTreeMap;

use super::{Checked, index, names};
use crate::desired::{DiskBudget, ObjectKind, Stream};

/// Returns the streams.
pub fn streams(checked: &mut Checked) -> BTreeMap<String, Stream> {
    checked.no_nulls(&[], &[&["streams", "*"]]);
    checked.known(&[], &["streams"]);
    let mut streams = BTreeMap::new();
    for (name, _) in checked.required_section(&["streams"]).into_iter().flatten() {
        let at = ["streams", name.as_str()];
        if let Some((wrong, remedy)) = names::wrong(ObjectKind::DataStream, name) {
            checked.fault(&at, format!("has a name that {wrong}"), remedy);
        }
        checked.section(&at);
        checked.known(&at, &["lifecycle", "failure_store", "protected", "budget"]);
        index::check_lifecycle(&["streams", name, "lifecycle"], checked);
        index::failure_store(&["streams", name, "failure_store"], checked);
        let protected = checked.boolean(&["streams", name, "protected"]).unwrap_or(false);
        let budget = budget(name, checked);
        if protected && budget.is_some() {
            let remedy = "remove the budget, or remove protected if its data need not be retained";
            checked.fault(&["streams", name, "budget"], "would delete from a protected stream", remedy);
        }
        let value = |key| checked.value(&["streams", name, key]).cloned();
        let (lifecycle, failure_store) = (value("lifecycle"), value("failure_store"));
        streams.insert(name.clone(), Stream { lifecycle, failure_store, protected, budget });
    }
    let total: f64 = streams.values().filter_map(|stream| Some(stream.budget?.disk_percent)).sum();
    if total > WHOLE_PERCENT + ROUNDING {
        let wrong = format!("have budgets of {total} % of the disks together");
        checked.fault(&["streams"], wrong, "lower disk_percent of some streams until the sum is at most 100");
    }
    streams
}

/// All data disks.
const WHOLE_PERCENT: f64 = 100.0;
/// Sums of fractions are not exact.
const ROUNDING: f64 = 1e-6;

fn budget(name: &str, checked: &mut Checked) -> Option<DiskBudget> {
    let at = ["streams", name, "budget"];
    checked.section(&at)?;
    checked.known(&at, &["disk_percent", "floor"]);
    let share = ["streams", name, "budget", "disk_percent"];
    let disk_percent = checked.value(&share).and_then(serde_json::Value::as_f64);
    if !disk_percent.is_some_and(|percent| percent > 0.0 && percent <= 95.0) {
        checked.fault(&share, "is not a share of the disk", "write a number above 0 and up to 95, such as disk_percent: 80");
    }
    let floor = ["streams", name, "budget", "floor"];
    if checked.value(&floor).is_none() {
        checked.fault(&floor, "is missing", "write the age below which nothing is deleted, such as floor: 3d");
    }
    let floor_millis = checked.duration(&floor)?;
    Some(DiskBudget { disk_percent: disk_percent?, floor_millis })
}
