//! This module checks index lifecycle policies.
//!
//! Sources: TimeseriesLifecycleType.validate and the constructors of the actions (Elasticsearch 9.x), "Index lifecycle
//! actions". It is stricter than Elasticsearch in two points: `min_age` must not shrink from phase to phase, and `freeze`,
//! which has no effect since 8.0, is not an action. Elasticsearch answers these with a warning or silence.

use super::{
    Checked,
    checked::{At, join},
};
use crate::desired::resolve::PHASES;

const PHASE_ACTIONS: [(&str, &[&str]); 5] = [
    ("hot", &["set_priority", "unfollow", "rollover", "readonly", "downsample", "shrink", "forcemerge", "searchable_snapshot"]),
    ("warm", &["set_priority", "unfollow", "readonly", "downsample", "allocate", "migrate", "shrink", "forcemerge"]),
    ("cold", &["set_priority", "unfollow", "readonly", "downsample", "searchable_snapshot", "allocate", "migrate"]),
    ("frozen", &["unfollow", "searchable_snapshot"]),
    ("delete", &["wait_for_snapshot", "delete"]),
];
const NEED_ROLLOVER: [&str; 5] = ["readonly", "downsample", "shrink", "forcemerge", "searchable_snapshot"];
const NOT_AFTER_MOUNTING: [&str; 3] = ["forcemerge", "shrink", "downsample"];
/// As JSON: Elasticsearch reads an empty text as false.
const OFF: [&str; 3] = ["false", "\"false\"", "\"\""];
const SAMPLING_METHODS: [&str; 2] = ["aggregate", "last_value"];
const ROLLOVER_SIZES: [&str; 4] = ["max_size", "max_primary_shard_size", "min_size", "min_primary_shard_size"];
const ROLLOVER_COUNTS: [&str; 4] = ["max_docs", "max_primary_shard_docs", "min_docs", "min_primary_shard_docs"];
const ROLLOVER_AGES: [&str; 2] = ["max_age", "min_age"];

pub fn check_lifecycle_policy(checked: &mut Checked) {
    checked.no_nulls(&[], &[&["_meta", "**"], &["phases", "*", "actions", "set_priority", "priority"]]);
    checked.known(&[], &["phases", "_meta", "deprecated"]);
    checked.boolean(&["deprecated"]);
    checked.section(&["_meta"]);
    let Some(phases) = checked.required_section(&["phases"]) else { return };
    checked.known(&["phases"], &PHASES);
    for phase in PHASES.iter().filter(|phase| phases.contains_key(**phase)) {
        let at = ["phases", *phase];
        if checked.section(&at).is_some() {
            checked.known(&at, &["min_age", "actions"]);
            checked.duration(&join(&at, "min_age"));
            checked.required_section(&join(&at, "actions"));
            actions(phase, checked);
        }
    }
    ages_grow(checked);
    searchable_snapshots(checked);
    downsampling(checked);
}

fn has(checked: &Checked, phase: &str, action: &str) -> bool {
    checked.value(&["phases", phase, "actions"]).is_some_and(|actions| actions.get(action).is_some())
}

fn actions(phase: &str, checked: &mut Checked) {
    let at = ["phases", phase, "actions"];
    let Some(section) = checked.section(&at) else { return };
    let allowed = PHASE_ACTIONS.iter().find(|(name, _)| *name == phase).map_or(&[][..], |(_, actions)| *actions);
    for action in section.keys() {
        let here = join(&at, action);
        if action == "freeze" {
            checked.fault(&here, "has no effect since Elasticsearch 8.0", "remove it");
        } else if !allowed.contains(&action.as_str()) {
            let elsewhere: Vec<_> =
                PHASE_ACTIONS.iter().filter(|(_, actions)| actions.contains(&action.as_str())).map(|(name, _)| *name).collect();
            let remedy = if elsewhere.is_empty() {
                format!("allowed in {phase}: {}", allowed.join(", "))
            } else {
                format!("it is allowed in {}", elsewhere.join(", "))
            };
            checked.fault(&here, format!("is not an action of the {phase} phase"), remedy);
        } else if phase == "hot" && NEED_ROLLOVER.contains(&action.as_str()) && !section.contains_key("rollover") {
            checked.fault(&here, "needs a rollover action in the hot phase", "add rollover, or move it to a later phase");
        }
        if checked.section(&here).is_some() {
            arguments(action, &here, checked);
        }
    }
    let rules = ["include", "exclude", "require"].iter().any(|rule| {
        checked.value(&join(&join(&at, "allocate"), rule)).and_then(|value| value.as_object()).is_some_and(|map| !map.is_empty())
    });
    let migrates = section.get("migrate").is_some_and(|migrate| !OFF.contains(&migrate["enabled"].to_string().as_str()));
    if migrates && rules {
        let remedy = "use only one way to move data: migrate, or allocate with include, exclude or require";
        checked.fault(&join(&at, "migrate"), "conflicts with an allocate action that has allocation rules", remedy);
    }
}

fn arguments(action: &str, at: At, checked: &mut Checked) {
    match action {
        "rollover" => rollover(at, checked),
        "set_priority" => {
            checked.known(at, &["priority"]);
            let stands = checked.section(at).is_some_and(|section| section.contains_key("priority"));
            if !stands {
                checked.fault(at, "has no priority", "write priority: 0 or more, or null for the default");
            }
            checked.integer(&join(at, "priority"), 0..=i64::from(i32::MAX));
        }
        "forcemerge" => {
            checked.known(at, &["max_num_segments", "index_codec"]);
            if checked.value(&join(at, "max_num_segments")).is_none() {
                checked.fault(at, "has no max_num_segments", "write max_num_segments: 1 or more");
            }
            checked.integer(&join(at, "max_num_segments"), 1..=i64::from(i32::MAX));
            checked.one_of(&join(at, "index_codec"), &["best_compression"]);
        }
        "shrink" => {
            checked.known(at, &["number_of_shards", "max_primary_shard_size", "allow_write_after_shrink"]);
            let shards = checked.integer(&join(at, "number_of_shards"), 1..=1024);
            let size = checked.size(&join(at, "max_primary_shard_size"));
            let given = |key| checked.value(&join(at, key)).is_some();
            if given("number_of_shards") == given("max_primary_shard_size") {
                let wrong = "needs either number_of_shards or max_primary_shard_size";
                checked.fault(at, wrong, "write exactly one of them");
            } else if shards.is_none() && size == Some(0) {
                checked.fault(&join(at, "max_primary_shard_size"), "is 0", "choose a larger size");
            }
            checked.boolean(&join(at, "allow_write_after_shrink"));
        }
        "allocate" => allocate(at, checked),
        "migrate" => {
            checked.known(at, &["enabled"]);
            checked.boolean(&join(at, "enabled"));
        }
        "searchable_snapshot" => {
            let known =
                ["snapshot_repository", "force_merge_index", "force_merge_on_clone", "total_shards_per_node", "replicate_for"];
            checked.known(at, &known);
            checked.required_text(&join(at, "snapshot_repository"));
            let merges = checked.boolean(&join(at, "force_merge_index"));
            checked.boolean(&join(at, "force_merge_on_clone"));
            checked.integer(&join(at, "total_shards_per_node"), 1..=i64::from(i32::MAX));
            if checked.duration(&join(at, "replicate_for")) == Some(0) {
                checked.fault(&join(at, "replicate_for"), "is 0", "set a longer time, or remove it");
            }
            if merges == Some(false) && checked.value(&join(at, "force_merge_on_clone")).is_some() {
                let remedy = "remove it, or set force_merge_index: true";
                checked.fault(&join(at, "force_merge_on_clone"), "is set although force_merge_index is false", remedy);
            }
        }
        "downsample" => {
            checked.known(at, &["fixed_interval", "wait_timeout", "sampling_method", "force_merge_index"]);
            checked.required_text(&join(at, "fixed_interval"));
            if checked.duration(&join(at, "fixed_interval")) == Some(0) {
                checked.fault(&join(at, "fixed_interval"), "is 0", "choose an interval, such as 1h");
            }
            checked.duration(&join(at, "wait_timeout"));
            // Elasticsearch reads it in any case.
            let method = join(at, "sampling_method");
            let lower = checked.text(&method).map(str::to_lowercase);
            if lower.as_deref().is_some_and(|method| !SAMPLING_METHODS.contains(&method)) {
                let wrong = format!("is {:?}", lower.unwrap_or_default());
                checked.fault(&method, wrong, format!("choose {}", SAMPLING_METHODS.join(" or ")));
            }
            checked.boolean(&join(at, "force_merge_index"));
        }
        "wait_for_snapshot" => {
            checked.known(at, &["policy"]);
            checked.required_text(&join(at, "policy"));
        }
        "delete" => {
            checked.known(at, &["delete_searchable_snapshot"]);
            checked.boolean(&join(at, "delete_searchable_snapshot"));
        }
        "readonly" | "unfollow" => checked.known(at, &[]),
        _ => {}
    }
}

fn rollover(at: At, checked: &mut Checked) {
    let known: Vec<_> = ROLLOVER_SIZES.iter().chain(&ROLLOVER_COUNTS).chain(&ROLLOVER_AGES).copied().collect();
    checked.known(at, &known);
    for key in ROLLOVER_SIZES {
        checked.size(&join(at, key));
        with_unit(&join(at, key), checked);
    }
    for key in ROLLOVER_COUNTS {
        checked.integer(&join(at, key), 0..=i64::MAX);
    }
    for key in ROLLOVER_AGES {
        checked.duration(&join(at, key));
        with_unit(&join(at, key), checked);
    }
    let bounded = known.iter().any(|key| key.starts_with("max_") && checked.value(&join(at, key)).is_some());
    if !bounded {
        let remedy = "set at least one max_* condition, such as max_primary_shard_size: 50gb";
        checked.fault(at, "has no max_* condition", remedy);
    }
}

/// Elsewhere 0 needs no unit, and may be a number.
fn with_unit(at: At, checked: &mut Checked) {
    if checked.value(at).is_some_and(serde_json::Value::is_number) {
        checked.fault(at, "is a number without a unit", "write 0ms, 0b or another value with its unit");
    }
}

fn allocate(at: At, checked: &mut Checked) {
    checked.known(at, &["number_of_replicas", "total_shards_per_node", "include", "exclude", "require"]);
    checked.integer(&join(at, "number_of_replicas"), 0..=i64::from(i32::MAX));
    checked.integer(&join(at, "total_shards_per_node"), -1..=i64::from(i32::MAX));
    let mut says = ["number_of_replicas", "total_shards_per_node"].iter().any(|key| checked.value(&join(at, key)).is_some());
    for rule in ["include", "exclude", "require"] {
        let here = join(at, rule);
        for attribute in checked.section(&here).into_iter().flat_map(|map| map.keys()) {
            says = true;
            checked.word(&join(&here, attribute));
        }
    }
    if !says {
        let remedy = "set number_of_replicas, total_shards_per_node, include, exclude or require";
        checked.fault(at, "is empty", remedy);
    }
}

/// A phase with an age below that of an earlier phase would be entered at once. An age of 0 counts as unset.
fn ages_grow(checked: &mut Checked) {
    let age = |checked: &Checked, phase: &str| {
        let text = checked.value(&["phases", phase, "min_age"])?.as_str()?;
        crate::units::duration(text).filter(|age| *age > 0)
    };
    let ages: Vec<_> = PHASES.iter().filter_map(|phase| Some((*phase, age(checked, phase)?))).collect();
    for (place, (phase, age)) in ages.iter().enumerate() {
        if let Some((earlier, _)) = ages[..place].iter().find(|(_, before)| before > age) {
            let wrong = format!("is less than that of the {earlier} phase");
            checked.fault(&["phases", phase, "min_age"], wrong, "use increasing values of min_age from phase to phase");
        }
    }
}

fn searchable_snapshots(checked: &mut Checked) {
    if checked.value(&["phases", "frozen"]).is_some() && !has(checked, "frozen", "searchable_snapshot") {
        let remedy = "add searchable_snapshot (an Enterprise feature), or remove the phase";
        checked.fault(&["phases", "frozen"], "has no searchable_snapshot action", remedy);
    }
    let mounting: Vec<_> = PHASES.into_iter().filter(|phase| has(checked, phase, "searchable_snapshot")).collect();
    // As in Elasticsearch: only mounting in hot excludes these actions from warm and cold. The frozen phase never allows
    // them.
    if mounting.first() == Some(&"hot") {
        for phase in &PHASES[1..] {
            for action in NOT_AFTER_MOUNTING.iter().filter(|action| has(checked, phase, action)).collect::<Vec<_>>() {
                let wrong = "follows a searchable_snapshot in the hot phase, after which it is not possible";
                checked.fault(&["phases", phase, "actions", action], wrong, "remove it, or mount the snapshot later");
            }
        }
    }
    let repository = |checked: &Checked, phase: &str| {
        checked
            .value(&["phases", phase, "actions", "searchable_snapshot", "snapshot_repository"])
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    let first = mounting.first().and_then(|phase| repository(checked, phase));
    for phase in mounting.iter().skip(1) {
        let at = ["phases", phase, "actions", "searchable_snapshot"];
        if repository(checked, phase) != first {
            let remedy = format!("use {:?} in every phase", first.clone().unwrap_or_default());
            checked.fault(&join(&at, "snapshot_repository"), "differs from that of an earlier phase", remedy);
        }
        if checked.value(&join(&at, "replicate_for")).is_some() {
            let remedy = "write it only in the first phase with a searchable_snapshot";
            checked.fault(&join(&at, "replicate_for"), "is set in a later searchable_snapshot", remedy);
        }
    }
    if let Some(first) = mounting.first() {
        replicated_until_next_phase(first, checked);
    }
}

/// Replicas are retained at most until the next phase with an age begins.
fn replicated_until_next_phase(first: &str, checked: &mut Checked) {
    let at = ["phases", first, "actions", "searchable_snapshot", "replicate_for"];
    let millis = |checked: &Checked, at: At| checked.value(at).and_then(|value| crate::units::millis(value.as_str()?));
    let Some(kept) = millis(checked, &at) else { return };
    let place = PHASES.iter().position(|phase| *phase == first).unwrap_or_default();
    let mut begins = 0;
    for phase in &PHASES[..=place] {
        let age = if has(checked, phase, "rollover") { 0 } else { millis(checked, &["phases", phase, "min_age"]).unwrap_or(0) };
        begins = if age == 0 { begins } else { age };
    }
    for phase in &PHASES[place + 1..] {
        let age = millis(checked, &["phases", phase, "min_age"]).filter(|age| *age > 0);
        if age.is_some_and(|age| age - begins < kept) {
            let wrong = format!("is longer than the time until the {phase} phase");
            checked.fault(&at, wrong, "shorten it, or let that phase begin later");
        }
    }
}

/// Each later interval is a larger multiple of the previous one, with the same method.
fn downsampling(checked: &mut Checked) {
    let mut before: Option<(&str, i64, String)> = None;
    for phase in PHASES {
        let at = ["phases", phase, "actions", "downsample"];
        if !has(checked, phase, "downsample") {
            continue;
        }
        let interval = checked.value(&join(&at, "fixed_interval")).and_then(|value| crate::units::millis(value.as_str()?));
        let Some(interval) = interval.filter(|interval| *interval > 0) else { continue };
        let method =
            checked.value(&join(&at, "sampling_method")).and_then(|value| value.as_str()).unwrap_or("aggregate").to_lowercase();
        if let Some((earlier, smaller, same)) = &before {
            if interval <= *smaller || interval % smaller != 0 {
                let wrong = format!("is not a larger multiple of the interval of the {earlier} phase");
                checked.fault(&join(&at, "fixed_interval"), wrong, "choose a multiple of that interval");
            }
            if method != *same {
                let wrong = format!("differs from that of the {earlier} phase");
                checked.fault(&join(&at, "sampling_method"), wrong, "use one method in all phases");
            }
        }
        before = Some((phase, interval, method));
    }
}
