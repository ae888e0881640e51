//! This module determines when a change takes effect, and for which streams and indices. Pure.
//!
//! Sources: "Lifecycle policy updates" (a phase's definition is cached on entering it, and refreshed when the steps of the
//! phase stay the same), "Index templates" (they apply to indices created later), "Data stream lifecycle".

use serde_json::Value;

use super::PlanEffect;
use crate::{actual::Actual, canonical::Difference, desired::ObjectKind};

/// Returns when a created object takes effect.
pub fn of_creation(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Pipeline => "used by indices whose settings name it",
        ObjectKind::Repository => "used by the next snapshot",
        ObjectKind::SnapshotPolicy => "the first snapshot is taken at its next scheduled time",
        ObjectKind::LifecyclePolicy => "used by indices whose settings name it",
        ObjectKind::ComponentTemplate => "used by index templates that name it",
        ObjectKind::IndexTemplate => "used by indices and data streams created from now on",
        ObjectKind::DataStream => "accepts documents at once",
    }
}

/// Returns when an update takes effect, and the reason.
pub fn of_update(kind: ObjectKind, changes: &[Difference], from: &Value, to: &Value) -> (PlanEffect, String) {
    let told = |effect, reason: &str| (effect, reason.to_owned());
    if changes.iter().all(|change| change.path == "_meta" || change.path.starts_with("_meta.")) {
        return told(PlanEffect::Now, "only notes change");
    }
    match kind {
        ObjectKind::Pipeline => told(PlanEffect::Now, "the next document passes through it"),
        ObjectKind::Repository => told(PlanEffect::Now, "the next snapshot or restore uses it"),
        ObjectKind::SnapshotPolicy => told(PlanEffect::Now, "the next snapshot and the next clean-up follow it"),
        ObjectKind::DataStream => told(PlanEffect::Now, "the stream's own settings apply at once"),
        ObjectKind::LifecyclePolicy => of_policy(changes, from, to),
        ObjectKind::ComponentTemplate | ObjectKind::IndexTemplate => {
            told(PlanEffect::NextRollover, "existing indices do not change; the next backing index gets it")
        }
    }
}

/// Returns the latest effect of any change. A phase with other actions has other steps, and an index in that phase finishes
/// the old ones.
fn of_policy(changes: &[Difference], from: &Value, to: &Value) -> (PlanEffect, String) {
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
        return (PlanEffect::Now, reason.to_owned());
    }
    let phases = later.join(", ");
    (
        PlanEffect::NextPhase,
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
pub fn touched(actual: &Actual, kind: ObjectKind, name: &str) -> Vec<String> {
    let reached = |test: &dyn Fn(&str, &crate::actual::HeldStream) -> bool| {
        let streams = actual.streams.iter().filter(|(stream, held)| test(stream, held));
        streams.map(|(stream, held)| format!("data stream {stream} ({} indices)", held.indices.len())).collect::<Vec<_>>()
    };
    let used = || actual.objects.get(&(kind, name.to_owned())).map(|held| held.in_use_by.clone()).unwrap_or_default();
    match kind {
        ObjectKind::LifecyclePolicy => {
            let streams = reached(&|_, held| held.policy.as_deref() == Some(name));
            if streams.is_empty() { used() } else { streams }
        }
        ObjectKind::IndexTemplate => reached(&|_, held| held.template == name),
        ObjectKind::ComponentTemplate => {
            let uses = |template: &str| {
                let held = actual.objects.get(&(ObjectKind::IndexTemplate, template.to_owned()));
                held.is_some_and(|held| crate::desired::resolve::texts(&held.body["composed_of"]).contains(&name))
            };
            reached(&|_, held| uses(&held.template))
        }
        _ => used(),
    }
}
