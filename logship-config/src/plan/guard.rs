//! What a plan must not do. Pure.

use serde_json::Value;

use super::{Allowed, Plan, Refusal};
use crate::{
    actual::{Actual, Capability, Held, used_by},
    desired::{
        Desired, Kind,
        resolve::{self, Retention},
    },
    units,
};

/// The flag that lets a retention shrink, for one policy or stream by name.
pub const SHORTER_RETENTION: &str = "--allow-shorter-retention";

/// What others manage is left alone.
pub fn foreign(actual: &Actual, kind: Kind, name: &str, held: &Held) -> Option<Refusal> {
    let why = if actual.reserved.contains(&(kind, name.to_owned())) {
        "the operator manages it in files (reserved state), and Elasticsearch takes no other change; change it there".to_owned()
    } else if held.managed {
        "Elasticsearch manages it itself (_meta.managed); declare one of another name".to_owned()
    } else {
        return None;
    };
    Some(Refusal { kind: kind.name(), name: name.to_owned(), why, flag: None })
}

/// An action that the cluster's licence has not.
pub fn licence(actual: &Actual, kind: Kind, body: &Value) -> Option<String> {
    if kind != Kind::LifecyclePolicy || actual.capability == Capability::Enterprise {
        return None;
    }
    let phase = resolve::PHASES.into_iter().find(|phase| !body["phases"][phase]["actions"]["searchable_snapshot"].is_null())?;
    Some(format!("searchable_snapshot in {phase} needs an Enterprise licence, and this cluster has Basic; remove the action"))
}

/// Deletes nothing that is used by what stays.
pub fn in_use(desired: &Desired, actual: &Actual, plan: &Plan, kind: Kind, name: &str, held: &Held) -> Option<Refusal> {
    // A user that is this program's and goes with it, or that will be declared without it, is none.
    let goes = |by: &str| {
        actual.objects.iter().any(|((of, user), held)| {
            by == format!("{} {user}", of.name().replace('_', " "))
                && match desired.body(*of, user) {
                    Some(body) => !used_by(*of, body).contains(&(kind, name.to_owned())),
                    // Users of another kind were looked at before.
                    None => held.owned && (*of == kind || plan.deletes(*of, user)),
                }
        })
    };
    let users: Vec<_> = held.in_use_by.iter().filter(|by| !goes(by)).cloned().collect();
    if users.is_empty() {
        return None;
    }
    let why = format!("it is declared no longer, and {} still uses it; let that go first", users.join(", "));
    Some(Refusal { kind: kind.name(), name: name.to_owned(), why, flag: None })
}

/// A policy that would keep data, or snapshots, for a shorter time or fewer of them.
pub fn shorter(
    desired: &Desired,
    actual: &Actual,
    allowed: &Allowed,
    kind: Kind,
    name: &str,
    from: &Value,
    to: &Value,
) -> Option<Refusal> {
    let protected = kind == Kind::LifecyclePolicy && protected_policies(desired, actual).any(|policy| policy == name);
    let shrinks = match kind {
        Kind::LifecyclePolicy => {
            let kept = shrinks("retention", resolve::policy_retention(from), resolve::policy_retention(to));
            kept.or_else(|| earlier_end(from, to))
        }
        Kind::SnapshotPolicy => {
            let kept = shrinks("retention", snapshot_retention(from), snapshot_retention(to));
            kept.or_else(|| fewer_snapshots(from, to))
        }
        _ => None,
    };
    refuse(allowed, kind, name, shrinks?, protected)
}

/// What is written as an index begins is kept for the time until the rollover and the delete phase's `min_age` together. An index
/// that rolls over by size alone has no such time.
fn earlier_end(from: &Value, to: &Value) -> Option<String> {
    let whole = |policy: &Value| match resolve::policy_retention(policy) {
        Retention::Forever => None,
        Retention::Millis(kept) => {
            let age = policy["phases"]["hot"]["actions"]["rollover"]["max_age"].as_str().and_then(units::millis)?;
            Some(Retention::Millis(kept.saturating_add(age)))
        }
    };
    let sooner = shrinks("retention of what is written as an index begins", whole(from)?, whole(to)?)?;
    Some(format!("{sooner} (rollover max_age and delete min_age together)"))
}

/// A bound that lets fewer snapshots stay: without `max_count` all may, without `min_count` none must.
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

/// A stream whose own lifecycle or failure store, or the policy that it is about to get, keeps for a shorter time.
pub fn shorter_stream(
    desired: &Desired,
    actual: &Actual,
    allowed: &Allowed,
    name: &str,
    from: &Value,
    to: &Value,
) -> Option<Refusal> {
    let stream = &desired.streams[name];
    let held = &actual.streams[name];
    let policy_of = |policy: Option<&String>, declared: bool| {
        let key = (Kind::LifecyclePolicy, policy?.clone());
        let body = if declared { desired.objects.get(&key) } else { actual.objects.get(&key).map(|held| &held.body) };
        body.map(resolve::policy_retention)
    };
    let failures = |value: &Value| resolve::failure_retention(&value["failure_store"]);
    let had_failures = from["failure_store"].is_object();
    if let Some(told) = shrinks("retention of its failure store", failures(from), failures(to)).filter(|_| had_failures) {
        return refuse(allowed, Kind::DataStream, name, told, stream.protected);
    }
    let of = |value: &Value| value["lifecycle"].is_object().then(|| resolve::lifecycle_retention(&value["lifecycle"]));
    let resolved = resolve::stream(desired, name, stream);
    let holds = |policy: Option<Retention>, own: Option<Retention>, own_first: bool| {
        let (first, second) = if own_first { (own, policy) } else { (policy, own) };
        first.or(second).unwrap_or(Retention::Forever)
    };
    let before = holds(policy_of(held.policy.as_ref(), false), of(from), held.prefers_lifecycle);
    let after = holds(policy_of(resolved.policy.as_ref(), true), of(to), resolved.prefers_lifecycle);
    // The policy that it lives by and keeps is guarded where that policy changes.
    let by_policy =
        |policy: &Option<String>, own: &Value, own_first: bool| policy.is_some() && !(own_first && own["lifecycle"].is_object());
    let keeps = resolved.policy == held.policy && by_policy(&resolved.policy, to, resolved.prefers_lifecycle);
    if keeps && by_policy(&held.policy, from, held.prefers_lifecycle) {
        return None;
    }
    refuse(allowed, Kind::DataStream, name, shrinks("retention", before, after)?, stream.protected)
}

fn shrinks(what: &str, before: Retention, after: Retention) -> Option<String> {
    (after < before).then(|| format!("{what} would shrink from {before} to {after}"))
}

fn refuse(allowed: &Allowed, kind: Kind, name: &str, shrinks: String, protected: bool) -> Option<Refusal> {
    if protected {
        let why = format!("{shrinks}, and a protected stream lives by it: that is never done by this program");
        return Some(Refusal { kind: kind.name(), name: name.to_owned(), why, flag: None });
    }
    if allowed.shorter_retention.contains(name) {
        return None;
    }
    let why = format!("{shrinks}, and older data would be deleted");
    Some(Refusal { kind: kind.name(), name: name.to_owned(), why, flag: Some(format!("{SHORTER_RETENTION} {name}")) })
}

/// Policies that protected streams live by, now or as declared.
fn protected_policies<'a>(desired: &'a Desired, actual: &'a Actual) -> impl Iterator<Item = String> + 'a {
    let protected = desired.streams.iter().filter(|(_, stream)| stream.protected);
    protected.flat_map(|(name, stream)| {
        let now = actual.streams.get(name).and_then(|held| held.policy.clone());
        [resolve::stream(desired, name, stream).policy, now].into_iter().flatten()
    })
}

fn snapshot_retention(policy: &Value) -> Retention {
    match policy["retention"]["expire_after"].as_str().and_then(units::millis) {
        Some(millis) => Retention::Millis(millis),
        None => Retention::Forever,
    }
}
