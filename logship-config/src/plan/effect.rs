//! This module determines when a change takes effect, and for which streams and indices. Pure.
//!
//! Sources: "Lifecycle policy updates" (a phase's definition is cached on entering it, and refreshed when the steps of the
//! phase stay the same), "Index templates" (they apply to indices created later), "Data stream lifecycle".

use serde_json::Value;

use super::Effect;
use crate::{actual::Actual, canonical::Difference, desired::Kind};

/// Returns when a created object takes effect.
pub fn of_creation(kind: Kind) -> &'static str {
    match kind {
        Kind::Pipeline => "used by indices whose settings name it",
        Kind::Repository => "used by the next snapshot",
        Kind::SnapshotPolicy => "the first snapshot is taken at its next scheduled time",
        Kind::LifecyclePolicy => "used by indices whose settings name it",
        Kind::ComponentTemplate => "used by index templates that name it",
        Kind::IndexTemplate => "used by indices and data streams created from now on",
        Kind::DataStream => "accepts documents at once",
    }
}

/// Returns when an update takes effect, and the reason.
pub fn of_update(kind: Kind, changes: &[Difference], from: &Value, to: &Value) -> (Effect, String) {
    let told = |effect, reason: &str| (effect, reason.to_owned());
    if changes.iter().all(|change| change.path == "_meta" || change.path.starts_with("_meta.")) {
        return told(Effect::Now, "only notes change");
    }
    match kind {
        Kind::Pipeline => told(Effect::Now, "the next document passes through it"),
        Kind::Repository => told(Effect::Now, "the next snapshot or restore uses it"),
        Kind::SnapshotPolicy => told(Effect::Now, "the next snapshot and the next clean-up follow it"),
        Kind::DataStream => told(Effect::Now, "the stream's own settings apply at once"),
        Kind::LifecyclePolicy => of_policy(changes, from, to),
        Kind::ComponentTemplate | Kind::IndexTemplate => {
            told(Effect::NextRollover, "existing indices do not change; the next backing index gets it")
        }
    }
}

/// Returns the latest effect of any change. A phase with other actions has other steps, and an index in that phase finishes
/// the old ones.
fn of_policy(changes: &[Difference], from: &Value, to: &Value) -> (Effect, String) {
    let mut later: Vec<&str> = Vec::new();
    for change in changes {
        let mut place = change.path.split('.');
        let (Some("phases"), Some(phase)) = (place.next(), place.next()) else { continue };
        let names = |policy: &Value| -> Option<Vec<String>> {
            Some(policy["phases"][phase]["actions"].as_object()?.keys().cloned().collect())
        };
        // An added or removed phase takes effect on entering it.
        let (before, after) = (names(from), names(to));
        let entering = change.path == format!("phases.{phase}.min_age") || before.is_none() || after.is_none();
        let same_steps = before == after && !changes_steps(&change.path);
        if !entering && !same_steps && !later.contains(&phase) {
            later.push(phase);
        }
    }
    if later.is_empty() {
        let reason = "indices apply it at the next check: the steps of their phases stay the same";
        return (Effect::Now, reason.to_owned());
    }
    let phases = later.join(", ");
    (
        Effect::NextPhase,
        format!("an index in {phases} now finishes the definition that it cached on entry; later indices use the new one"),
    )
}

/// Arguments that decide which steps an action has.
fn changes_steps(path: &str) -> bool {
    let after = |action: &str| path.split_once(&format!(".actions.{action}.")).map(|(_, argument)| argument);
    after("forcemerge").is_some_and(|argument| argument == "index_codec")
        || after("searchable_snapshot").is_some()
        || after("shrink").is_some_and(|argument| argument == "allow_write_after_shrink")
        || after("migrate").is_some()
        || after("delete").is_some()
}

/// Returns the streams and indices that an object affects.
pub fn touched(actual: &Actual, kind: Kind, name: &str) -> Vec<String> {
    let reached = |test: &dyn Fn(&str, &crate::actual::HeldStream) -> bool| {
        let streams = actual.streams.iter().filter(|(stream, held)| test(stream, held));
        streams.map(|(stream, held)| format!("data stream {stream} ({} indices)", held.indices.len())).collect::<Vec<_>>()
    };
    let used = || actual.objects.get(&(kind, name.to_owned())).map(|held| held.in_use_by.clone()).unwrap_or_default();
    match kind {
        Kind::LifecyclePolicy => {
            let streams = reached(&|_, held| held.policy.as_deref() == Some(name));
            if streams.is_empty() { used() } else { streams }
        }
        Kind::IndexTemplate => reached(&|_, held| held.template == name),
        Kind::ComponentTemplate => {
            let uses = |template: &str| {
                let held = actual.objects.get(&(Kind::IndexTemplate, template.to_owned()));
                held.is_some_and(|held| crate::desired::resolve::texts(&held.body["composed_of"]).contains(&name))
            };
            reached(&|_, held| uses(&held.template))
        }
        _ => used(),
    }
}
