//! This module computes the retention of a lifecycle, and whether another lifecycle would delete data sooner. Pure.
//!
//! Sources: "Index lifecycle" (a phase's age is counted from the rollover, or from the creation where there is none, and a phase is
//! entered after those before it), "Rollover" (any `max_*` and every `min_*` condition; 200 million documents in a shard always),
//! "Wait for snapshot", "Delete", and of a data stream lifecycle DataStreamLifecycle's `cluster.lifecycle.default.rollover` with
//! RolloverConfiguration's `max_age=auto`.

use serde_json::{Value, json};

use crate::{
    desired::resolve::{self, DataRetention, PHASES},
    units::{self, MILLIS_PER_DAY},
};

/// A shard never holds more documents, whatever the policy states.
const MOST_SHARD_DOCUMENTS: u64 = 200_000_000;
/// Any of these rolls an index over: a smaller value does so sooner, an absent one never. `max_age` is checked separately.
const ROLLS_OVER: [&str; 4] = ["max_docs", "max_size", "max_primary_shard_docs", "max_primary_shard_size"];
/// Each of these delays the rollover: a smaller or absent value delays it for a shorter time.
const HOLDS_UP: [&str; 5] = ["min_age", "min_docs", "min_size", "min_primary_shard_docs", "min_primary_shard_size"];
/// Rollover ages of a data stream lifecycle, by its retention in days: an index covers so many hours. Beyond the table, 30
/// days.
const AUTOMATIC_AGES: [(i64, i64); 3] = [(1, 1), (14, 24), (90, 7 * 24)];
const LONGEST_AUTOMATIC_HOURS: i64 = 30 * 24;

/// The life of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// From its rollover, or from its creation if it has no rollover.
    kept: DataRetention,
    /// Conditions. `None` if nothing rolls it over.
    rollover: Option<Value>,
    /// Snapshot policy that must run before the index is deleted.
    waits_for: Option<String>,
    /// Whether the snapshot from which it is mounted is deleted with it. `None` if unspecified.
    takes_snapshot: Option<bool>,
    /// Time until its documents are replaced by summaries.
    whole: DataRetention,
}

impl Life {
    /// Nothing manages it.
    pub const UNMANAGED: Self = Self {
        kept: DataRetention::Forever,
        rollover: None,
        waits_for: None,
        takes_snapshot: None,
        whole: DataRetention::Forever,
    };

    /// The life under an index lifecycle policy.
    pub fn of_policy(policy: &Value) -> Self {
        let hot = &policy["phases"]["hot"];
        let mut rollover = Some(hot["actions"]["rollover"].clone()).filter(Value::is_object);
        // An index that is too young for the hot phase is not rolled over either.
        let young = measure("min_age", &hot["min_age"]).filter(|young| *young > 0);
        if let (Some(conditions), Some(young)) = (&mut rollover, young) {
            let later = measure("min_age", &conditions["min_age"]).unwrap_or(0).max(young);
            conditions["min_age"] = json!(units::duration_text(i128::from(later) * units::NANOS_PER_MILLI));
        }
        let actions = &policy["phases"]["delete"]["actions"];
        let takes = &actions["delete"]["delete_searchable_snapshot"];
        let sampled = PHASES.into_iter().find(|phase| policy["phases"][*phase]["actions"].get("downsample").is_some());
        Self {
            kept: resolve::policy_retention(policy),
            rollover,
            waits_for: actions["wait_for_snapshot"]["policy"].as_str().map(str::to_owned),
            takes_snapshot: Some(takes != false && takes != "false"),
            whole: sampled.map_or(DataRetention::Forever, |phase| DataRetention::Millis(resolve::phase_age(policy, phase))),
        }
    }

    /// The life under a data stream lifecycle that is switched on.
    pub fn of_lifecycle(lifecycle: &Value) -> Self {
        let kept = resolve::lifecycle_retention(lifecycle);
        let automatic = AUTOMATIC_AGES.iter().find(|(days, _)| kept <= DataRetention::Millis(days * MILLIS_PER_DAY));
        let hours = automatic.map_or(LONGEST_AUTOMATIC_HOURS, |(_, hours)| *hours);
        let rounds = lifecycle["downsampling"].as_array().into_iter().flatten();
        let sampled = rounds.filter_map(|round| round["after"].as_str().and_then(units::millis)).min();
        Self {
            kept,
            rollover: Some(json!({"max_age": format!("{hours}h"), "max_primary_shard_size": "50gb"})),
            waits_for: None,
            takes_snapshot: None,
            whole: sampled.map_or(DataRetention::Forever, DataRetention::Millis),
        }
    }

    pub fn deletes(&self) -> bool {
        self.kept != DataRetention::Forever
    }
}

/// Returns how `to` would delete data sooner than `from`. `None` if it would not.
pub fn sooner(from: &Life, to: &Life) -> Option<String> {
    let deleted = shrinks("retention", from.kept, to.kept).or_else(|| match (from.kept, to.kept) {
        (DataRetention::Millis(before), DataRetention::Millis(after)) => {
            rollover(from, to, before, after).or_else(|| snapshots(from, to))
        }
        _ => None,
    });
    deleted.or_else(|| shrinks("time until documents are downsampled", from.whole, to.whole))
}

pub fn shrinks(what: &str, before: DataRetention, after: DataRetention) -> Option<String> {
    (after < before).then(|| format!("{what} would shrink from {before} to {after}"))
}

/// Ages are counted from the rollover, so an earlier rollover deletes sooner. `before` and `after` are the ages at which an
/// index is deleted.
fn rollover(from: &Life, to: &Life, before: i64, after: i64) -> Option<String> {
    let from = from.rollover.as_ref()?;
    let Some(to) = &to.rollover else {
        return Some("the rollover would be removed, and ages would be counted from an index's creation".to_owned());
    };
    let age = |conditions: &Value| conditions["max_age"].as_str().and_then(units::millis);
    let longer = after - before;
    match (age(from), age(to)) {
        // The longer retention covers the longest time that a rollover can take.
        (Some(most), _) if most <= longer => return None,
        (Some(most), Some(now)) => {
            let (most, now) = (most.saturating_add(before), now.saturating_add(after));
            let what = "retention of the first documents of an index";
            if let Some(told) = shrinks(what, DataRetention::Millis(most), DataRetention::Millis(now)) {
                return Some(format!("{told} (rollover max_age and delete min_age together)"));
            }
        }
        (None, Some(_)) => return Some(comes_sooner(from, to, "max_age")),
        (_, None) => {}
    }
    let most = |conditions: &Value, key: &str| {
        let limit = if key == "max_primary_shard_docs" { MOST_SHARD_DOCUMENTS } else { u64::MAX };
        measure(key, &conditions[key]).map_or(limit, |said| said.min(limit))
    };
    let least = |conditions: &Value, key: &str| measure(key, &conditions[key]).unwrap_or(0);
    let rolls = ROLLS_OVER.into_iter().find(|key| most(to, key) < most(from, key));
    let held = HOLDS_UP.into_iter().find(|key| least(to, key) < least(from, key));
    rolls.or(held).map(|key| comes_sooner(from, to, key))
}

fn comes_sooner(from: &Value, to: &Value, key: &str) -> String {
    let said = |conditions: &Value| match &conditions[key] {
        Value::Null => "none".to_owned(),
        value => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    };
    format!("the rollover would come sooner ({key} from {} to {})", said(from), said(to))
}

fn snapshots(from: &Life, to: &Life) -> Option<String> {
    if let Some(policy) = from.waits_for.as_ref().filter(|_| from.waits_for != to.waits_for) {
        return Some(format!("an index would be deleted without waiting for a snapshot by {policy}"));
    }
    let goes = (from.takes_snapshot, to.takes_snapshot) == (Some(false), Some(true));
    goes.then(|| "a searchable snapshot would be deleted with its index (delete_searchable_snapshot)".to_owned())
}

/// A condition in milliseconds, bytes or documents.
fn measure(key: &str, value: &Value) -> Option<u64> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match key {
        _ if key.ends_with("_age") => units::millis(&text).and_then(|millis| u64::try_from(millis).ok()),
        _ if key.ends_with("_size") => units::size(&text),
        _ => text.parse().ok(),
    }
}
