//! Index lifecycle management: where each index is, and what the time moves.
//!
//! An index is always in a phase, an action and a step; a phase's definition is cached on entering it and refreshed when the
//! policy changes without changing the phase's actions. A failure on purpose ([`Cluster::failures`]) puts an index into ERROR.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Cluster, Index,
    policies::{PHASES, ordered_actions},
    units::{duration, size},
};

/// Where an index is in its policy.
#[derive(Debug, Clone, PartialEq)]
pub struct LifecycleProgress {
    pub phase: String,
    pub action: String,
    pub step: String,
    pub phase_time: Timestamp,
    pub action_time: Timestamp,
    pub step_time: Timestamp,
    /// The step that failed while `step` is `ERROR`.
    pub failed_step: Option<String>,
    pub retries: u64,
    pub info: Value,
    /// The phase's definition at the time of entry.
    pub definition: Value,
    pub version: u64,
    pub modified: Timestamp,
}

/// A failure on purpose of one step of one index.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFailure {
    pub step: String,
    pub kind: String,
    pub reason: String,
    pub retryable: bool,
}

/// The step in which an action waits or works; rollover has its own way.
pub(super) fn step_of(action: &str) -> &'static str {
    match action {
        "set_priority" => "set_priority",
        "unfollow" => "wait-for-indexing-complete",
        "rollover" => "check-rollover-ready",
        "readonly" => "readonly",
        "downsample" => "wait-for-downsample-completion",
        "shrink" => "shrink",
        "forcemerge" => "forcemerge",
        "searchable_snapshot" => "wait-for-index-color",
        "allocate" => "check-allocation",
        "migrate" => "check-migration",
        "wait_for_snapshot" => "wait-for-snapshot",
        "delete" => "delete",
        _ => "complete",
    }
}

impl Cluster {
    /// Moves every managed index as far as the time lets it.
    pub(super) fn tick(&mut self, now: Timestamp) {
        if !self.lifecycle_running {
            return;
        }
        // The second time for indices that rollovers of the first have made.
        for _ in 0..2 {
            let managed = self.indices.iter().filter(|(_, index)| index.policy().is_some()).map(|(name, _)| name.clone());
            for name in managed.collect::<Vec<_>>() {
                // An index passes through each step of each phase once at most.
                for _ in 0..64 {
                    if !self.move_on(&name, now) {
                        break;
                    }
                }
            }
        }
    }

    /// One step; whether there may be another.
    fn move_on(&mut self, name: &str, now: Timestamp) -> bool {
        let Some(index) = self.indices.get(name) else { return false };
        let Some(policy) = index.policy().and_then(|policy| self.policies.get(policy)).cloned() else { return false };
        let Some(progress) = index.progress.clone() else {
            let first = PHASES.into_iter().find(|phase| policy.body["phases"][*phase].is_object());
            let Some(first) = first else { return false };
            if self.lifecycle_age(name, now) < min_age(&policy.body, first) {
                self.stand(name, "new", "complete", "complete", now);
                return false;
            }
            self.enter(name, first, &policy, now);
            return true;
        };
        if progress.step == "ERROR" {
            return false;
        }
        if progress.step == "complete" {
            let place = PHASES.iter().position(|phase| *phase == progress.phase).map_or(0, |place| place + 1);
            let next = PHASES[place..].iter().find(|phase| policy.body["phases"][**phase].is_object());
            let Some(next) = next else { return false };
            if self.lifecycle_age(name, now) < min_age(&policy.body, next) {
                return false;
            }
            self.enter(name, next, &policy, now);
            return true;
        }
        if let Some(failure) = self.failures.get(name).filter(|failure| failure.step == progress.step).cloned() {
            self.fail(name, &failure, now);
            return false;
        }
        if !self.work(name, &progress, now) {
            return false;
        }
        if self.indices.contains_key(name) {
            self.next_action(name, &progress, now);
        }
        true
    }

    fn fail(&mut self, name: &str, failure: &StepFailure, now: Timestamp) {
        if let Some(progress) = self.indices.get_mut(name).and_then(|index| index.progress.as_mut()) {
            progress.failed_step = Some(failure.step.clone());
            progress.step = "ERROR".into();
            progress.step_time = now;
            progress.info = json!({"type": failure.kind, "reason": failure.reason});
        }
    }

    pub(super) fn stand(&mut self, name: &str, phase: &str, action: &str, step: &str, now: Timestamp) {
        let Some(index) = self.indices.get_mut(name) else { return };
        let old = index.progress.take();
        let kept = |time: fn(&LifecycleProgress) -> Timestamp, same: bool| old.as_ref().filter(|_| same).map_or(now, time);
        let same_phase = old.as_ref().is_some_and(|old| old.phase == phase);
        let same_action = same_phase && old.as_ref().is_some_and(|old| old.action == action);
        index.progress = Some(LifecycleProgress {
            phase: phase.to_owned(),
            action: action.to_owned(),
            step: step.to_owned(),
            phase_time: kept(|old| old.phase_time, same_phase),
            action_time: kept(|old| old.action_time, same_action),
            step_time: now,
            failed_step: None,
            retries: 0,
            info: Value::Null,
            definition: old.as_ref().map_or(Value::Null, |old| old.definition.clone()),
            version: old.as_ref().map_or(1, |old| old.version),
            modified: old.as_ref().map_or(now, |old| old.modified),
        });
    }

    pub(super) fn enter(&mut self, name: &str, phase: &str, policy: &super::Policy, now: Timestamp) {
        self.stand(name, phase, "complete", "complete", now);
        if let Some(progress) = self.indices.get_mut(name).and_then(|index| index.progress.as_mut()) {
            progress.definition = policy.body["phases"][phase].clone();
            (progress.version, progress.modified) = (policy.version, policy.modified);
            let at_start = LifecycleProgress { action: String::new(), ..progress.clone() };
            self.next_action(name, &at_start, now);
        }
    }

    fn next_action(&mut self, name: &str, at: &LifecycleProgress, now: Timestamp) {
        let order = ordered_actions(&at.phase);
        let from = order.iter().position(|action| *action == at.action).map_or(0, |place| place + 1);
        match order[from..].iter().find(|action| at.definition["actions"].get(**action).is_some()) {
            Some(action) => self.stand(name, &at.phase, action, step_of(action), now),
            None => self.stand(name, &at.phase, "complete", "complete", now),
        }
    }

    /// Does what the step does; false while it waits.
    fn work(&mut self, name: &str, at: &LifecycleProgress, now: Timestamp) -> bool {
        let arguments = &at.definition["actions"][&at.action];
        match at.action.as_str() {
            "rollover" => return self.try_rollover(name, arguments, now),
            "migrate" | "allocate" if self.allocation_stuck.contains(name) => {
                self.inform(
                    name,
                    json!({
                        "message": "Waiting for [1] shards to be allocated to nodes matching the given filters",
                        "shards_left_to_allocate": 1, "all_shards_active": true, "number_of_replicas": 1,
                    }),
                );
                return false;
            }
            "wait_for_snapshot" => {
                let policy = arguments["policy"].as_str().unwrap_or_default();
                let taken = self.snapshot_policies.get(policy).and_then(|held| held.last_success);
                if taken.is_none_or(|taken| taken < at.action_time) {
                    self.inform(
                        name,
                        json!({"message": format!("waiting for policy '{policy}' to be executed since {}", at.action_time)}),
                    );
                    return false;
                }
            }
            "set_priority" => {
                let priority = arguments["priority"].as_i64().map(|priority| priority.to_string());
                self.set(name, "index.priority", priority.as_deref());
            }
            "readonly" => self.set(name, "index.blocks.write", Some("true")),
            "allocate" => {
                if let Some(replicas) = arguments["number_of_replicas"].as_i64() {
                    self.set(name, "index.number_of_replicas", Some(&replicas.to_string()));
                }
            }
            "migrate" => {
                let tiers = if at.phase == "cold" { "data_cold,data_warm,data_hot" } else { "data_warm,data_hot" };
                self.set(name, "index.routing.allocation.include._tier_preference", Some(tiers));
            }
            "delete" => {
                let stream = self.indices.get(name).and_then(|index| index.data_stream.clone());
                if let Some(stream) = stream.and_then(|stream| self.data_streams.get_mut(&stream)) {
                    if stream.indices.last().is_some_and(|write| write == name) {
                        return false;
                    }
                    stream.indices.retain(|index| index != name);
                }
                self.indices.remove(name);
            }
            _ => {}
        }
        true
    }

    fn set(&mut self, name: &str, setting: &str, value: Option<&str>) {
        let Some(index) = self.indices.get_mut(name) else { return };
        match value {
            Some(value) => drop(index.settings.insert(setting.to_owned(), value.to_owned())),
            None => drop(index.settings.remove(setting)),
        }
    }

    fn inform(&mut self, name: &str, info: Value) {
        if let Some(progress) = self.indices.get_mut(name).and_then(|index| index.progress.as_mut()) {
            progress.info = info;
        }
    }

    fn try_rollover(&mut self, name: &str, conditions: &Value, now: Timestamp) -> bool {
        let Some(index) = self.indices.get(name) else { return false };
        let stream = index.data_stream.clone().filter(|stream| {
            self.data_streams.get(stream).is_some_and(|stream| stream.indices.last().is_some_and(|write| write == name))
        });
        let Some(stream) = stream else {
            // Another client rolled it over: the condition is met.
            return index.data_stream.is_some();
        };
        if !met(index, conditions, now) {
            return false;
        }
        self.roll(&stream, now);
        true
    }

    /// Milliseconds since the rollover, or since the index was made.
    pub(super) fn lifecycle_age(&self, name: &str, now: Timestamp) -> i64 {
        let Some(index) = self.indices.get(name) else { return 0 };
        let began = index.rolled_over.unwrap_or(index.created);
        now.as_millisecond() - began.as_millisecond()
    }

    /// A changed policy reaches an index in a phase whose actions are the same.
    pub(super) fn refresh_phases(&mut self, policy: &str) {
        let Some(held) = self.policies.get(policy).cloned() else { return };
        for index in self.indices.values_mut().filter(|index| index.policy() == Some(policy)) {
            let Some(progress) = index.progress.as_mut() else { continue };
            let fresh = &held.body["phases"][&progress.phase];
            let names = |definition: &Value| -> Option<Vec<String>> {
                Some(definition["actions"].as_object()?.keys().cloned().collect())
            };
            if fresh.is_object() && names(fresh) == names(&progress.definition) {
                progress.definition = fresh.clone();
                (progress.version, progress.modified) = (held.version, held.modified);
            }
        }
    }
}

fn min_age(policy: &Value, phase: &str) -> i64 {
    policy["phases"][phase]["min_age"].as_str().and_then(duration).unwrap_or(0)
}

/// Whether a rollover's conditions hold: one max_* and every min_*. An empty index is never rolled over.
fn met(index: &Index, conditions: &Value, now: Timestamp) -> bool {
    let (documents, bytes) = (index.document_count(), index.size());
    let age = now.as_millisecond() - index.created.as_millisecond();
    let reaches = |key: &str| {
        let limit = &conditions[key];
        let count = || limit.as_u64().unwrap_or(u64::MAX);
        match key.split_once('_').map(|(_, what)| what) {
            Some("age") => limit.as_str().and_then(duration).is_some_and(|limit| age >= limit),
            Some("size" | "primary_shard_size") => limit.as_str().and_then(size).is_some_and(|limit| bytes >= limit),
            _ => documents >= count(),
        }
    };
    let keys: Vec<&str> = conditions.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
    documents > 0
        && keys.iter().any(|key| key.starts_with("max_") && reaches(key))
        && keys.iter().filter(|key| key.starts_with("min_")).all(|key| reaches(key))
}
