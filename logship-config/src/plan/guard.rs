//! This module refuses the dangerous steps of a plan. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Allowed, Plan, PlanRefusal, foreign,
    keeping::{self, Life, shrinks},
    outlook::Outlook,
};
use crate::{
    actual::{Actual, Capability, Held, used_by},
    desired::{
        Desired, ObjectKind, Stream,
        resolve::{self, DataRetention, LivesBy},
    },
    units,
};

/// The flag that lets a retention shrink, for one policy or stream by name.
pub const SHORTER_RETENTION: &str = "--allow-shorter-retention";

/// Refuses an action that the cluster's licence does not include.
pub fn licence(actual: &Actual, kind: ObjectKind, body: &Value) -> Option<String> {
    if kind != ObjectKind::LifecyclePolicy || actual.capability == Capability::Enterprise {
        return None;
    }
    let phase = resolve::PHASES.into_iter().find(|phase| !body["phases"][phase]["actions"]["searchable_snapshot"].is_null())?;
    Some(format!("searchable_snapshot in {phase} needs an Enterprise licence, and this cluster has Basic; remove the action"))
}

/// Refuses the deletion of an object that a remaining object or index uses.
pub fn in_use(
    desired: &Desired,
    actual: &Actual,
    allowed: &Allowed,
    plan: &Plan,
    kind: ObjectKind,
    name: &str,
    held: &Held,
) -> Option<PlanRefusal> {
    // A user does not count if this program deletes it too, or if it will be declared without the reference.
    let goes = |by: &str| {
        actual.objects.iter().any(|((of, user), held)| {
            by == format!("{} {user}", of.name().replace('_', " "))
                && match desired.body(*of, user) {
                    Some(body) => !used_by(*of, body).contains(&(kind, name.to_owned())),
                    // Users of another kind were checked before.
                    None => foreign::owned(desired, allowed, held) && (*of == kind || plan.deletes(*of, user)),
                }
        })
    };
    let users: Vec<_> = held.in_use_by.iter().filter(|by| !goes(by)).cloned().collect();
    if users.is_empty() {
        return None;
    }
    let why = format!("it is declared no longer, but {} still uses it; remove that use first", users.join(", "));
    Some(PlanRefusal { kind: kind.name(), name: name.to_owned(), why, flag: None })
}

/// Refuses a policy that would delete data or snapshots sooner, or retain fewer snapshots.
pub fn shorter(
    desired: &Desired,
    actual: &Actual,
    allowed: &Allowed,
    kind: ObjectKind,
    name: &str,
    from: &Value,
    to: &Value,
) -> Option<PlanRefusal> {
    let protected = kind == ObjectKind::LifecyclePolicy && protected_policies(desired, actual).any(|policy| policy == name);
    let sooner = match kind {
        ObjectKind::LifecyclePolicy => keeping::sooner(&Life::of_policy(from), &Life::of_policy(to)),
        ObjectKind::SnapshotPolicy => {
            let kept = shrinks("retention", snapshot_retention(from), snapshot_retention(to));
            kept.or_else(|| fewer_snapshots(from, to))
        }
        _ => None,
    };
    refuse(allowed, kind, name, sooner?, protected)
}

/// Compares the limits of snapshots. A missing `max_count` is unlimited, a missing `min_count` is 0.
fn fewer_snapshots(from: &Value, to: &Value) -> Option<String> {
    let count = |policy: &Value, key: &str| {
        let value = &policy["retention"][key];
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    [("max_count", u64::MAX), ("min_count", 0)].into_iter().find_map(|(key, silent)| {
        let (before, after) = (count(from, key), count(to, key));
        let told = |count: Option<u64>| count.map_or_else(|| "none".to_owned(), |count| count.to_string());
        (after.unwrap_or(silent) < before.unwrap_or(silent))
            .then(|| format!("the {key} of snapshots would shrink from {} to {}", told(before), told(after)))
    })
}

/// Settings that change the date from which an index's ages are counted; the default is its rollover.
const AGE_SETTINGS: [&str; 3] =
    ["index.lifecycle.origination_date", "index.lifecycle.parse_origination_date", "index.lifecycle.indexing_complete"];
/// If true, Elasticsearch does not run the index's policy.
const SKIP_SETTING: &str = "index.lifecycle.skip";

/// Refuses a stream whose own lifecycle, failure store or next index would delete data sooner. For a stream that is declared
/// no longer, only the next index is checked.
pub fn shorter_stream(
    desired: &Desired,
    actual: &Actual,
    outlook: &Outlook,
    allowed: &Allowed,
    name: &str,
    from: &Value,
    to: &Value,
) -> Option<PlanRefusal> {
    let declared = desired.streams.get(name);
    let held = &actual.streams[name];
    let protected = declared.is_some_and(|stream| stream.protected);
    let failures = |value: &Value| resolve::failure_retention(&value["failure_store"]);
    let had_failures = from["failure_store"].is_object();
    if let Some(told) = shrinks("retention of its failure store", failures(from), failures(to)).filter(|_| had_failures) {
        return refuse(allowed, ObjectKind::DataStream, name, told, protected);
    }
    let undeclared = Stream::default();
    let resolved = |world: &Desired| resolve::stream(world, name, declared.unwrap_or(&undeclared));
    let next = resolved(&outlook.after);
    // For a declared stream, Elasticsearch reports its current policy. For other streams, both sides are computed the same
    // way.
    let now = match declared {
        Some(_) => (held.policy.clone(), held.prefers_lifecycle),
        None => {
            let now = resolved(&outlook.before);
            (now.policy, now.prefers_lifecycle)
        }
    };
    let body = |world: &Desired, managed: LivesBy| match managed {
        LivesBy::Policy(policy) => world.body(ObjectKind::LifecyclePolicy, policy).map_or(Life::UNMANAGED, Life::of_policy),
        LivesBy::Lifecycle(lifecycle) => Life::of_lifecycle(lifecycle),
        LivesBy::Nothing => Life::UNMANAGED,
    };
    let was = resolve::lives_by(now.0.as_deref(), from.get("lifecycle"), now.1);
    let becomes = resolve::lives_by(next.policy.as_deref(), to.get("lifecycle"), next.prefers_lifecycle);
    let indices = held.indices.iter().map(|index| {
        let by = |lifecycle| resolve::lives_by(index.policy.as_deref(), lifecycle, index.prefers_lifecycle);
        (by(from.get("lifecycle")), by(to.get("lifecycle")))
    });
    // An unchanged use of a policy is guarded where that policy changes.
    let moved = [(was, becomes)]
        .into_iter()
        .chain(indices)
        .filter(|(was, becomes)| !matches!((was, becomes), (LivesBy::Policy(one), LivesBy::Policy(other)) if one == other));
    let mut lives = moved.map(|(was, becomes)| (body(&outlook.before, was), body(&outlook.after, becomes)));
    let sooner = lives.find_map(|(was, becomes)| keeping::sooner(&was, &becomes)).or_else(|| {
        let deletes = body(&outlook.after, becomes).deletes();
        by_settings(&outlook.settings(&outlook.before, name), &outlook.settings(&outlook.after, name)).filter(|_| deletes)
    });
    refuse(allowed, ObjectKind::DataStream, name, sooner?, protected)
}

/// Returns how settings of the next index affect a lifecycle that deletes.
fn by_settings(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Option<String> {
    let skips = |settings: &BTreeMap<String, String>| settings.get(SKIP_SETTING).is_some_and(|skips| skips == "true");
    if skips(before) && !skips(after) {
        return Some(format!("its next index would be deleted, which {SKIP_SETTING} prevented"));
    }
    let said = AGE_SETTINGS.into_iter().find(|setting| {
        let value = after.get(*setting).filter(|value| !["false", "-1"].contains(&value.as_str()));
        value.is_some() && value != before.get(*setting)
    });
    said.map(|setting| format!("ages of its next index would be counted by {setting}"))
}

fn refuse(allowed: &Allowed, kind: ObjectKind, name: &str, sooner: String, protected: bool) -> Option<PlanRefusal> {
    if protected {
        let why = format!("{sooner}, and a protected stream uses it: this program never does that");
        return Some(PlanRefusal { kind: kind.name(), name: name.to_owned(), why, flag: None });
    }
    if allowed.shorter_retention.contains(name) {
        return None;
    }
    let why = format!("{sooner}, and data would be deleted sooner");
    Some(PlanRefusal { kind: kind.name(), name: name.to_owned(), why, flag: Some(format!("{SHORTER_RETENTION} {name}")) })
}

/// Returns the policies of protected streams: the declared and the current one, and those of their indices created under
/// others.
fn protected_policies<'a>(desired: &'a Desired, actual: &'a Actual) -> impl Iterator<Item = String> + 'a {
    let protected = desired.streams.iter().filter(|(_, stream)| stream.protected);
    protected.flat_map(|(name, stream)| {
        let held = actual.streams.get(name);
        let indices = held.into_iter().flat_map(|held| held.indices.iter().map(|index| index.policy.clone()));
        let next = [resolve::stream(desired, name, stream).policy, held.and_then(|held| held.policy.clone())];
        indices.chain(next).flatten().collect::<Vec<_>>()
    })
}

fn snapshot_retention(policy: &Value) -> DataRetention {
    match policy["retention"]["expire_after"].as_str().and_then(units::millis) {
        Some(millis) => DataRetention::Millis(millis),
        None => DataRetention::Forever,
    }
}
