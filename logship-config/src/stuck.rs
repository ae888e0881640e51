//! This module finds stuck lifecycle steps: their class, the remedy and the allowed repair. Pure.
//!
//! Sources: "Fix index lifecycle management errors", "Index lifecycle actions", the steps of each action in Elasticsearch
//! 9.x. Not stuck:
//!
//! - a write index that waits for its rollover, empty or not;
//! - `complete`, which waits for the next phase;
//! - a retry counter above zero on a step that makes progress (it is never cleared).

use crate::{
    observe::{ClusterObservation, IndexFacts},
    units,
};

/// The class of a fault. A label of metrics, so the names are an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StuckClass {
    /// The policy does not exist.
    PolicyMissing,
    /// A rollover fails because the index no longer accepts writes.
    NotWriteIndex,
    /// A step failed and Elasticsearch does not retry it.
    Failed,
    /// A step failed, and Elasticsearch has retried it for too long.
    FailsAgain,
    /// Shards have no node: a tier without nodes, a full disk, or a rule that no node matches.
    Allocation,
    /// Deletion waits for a snapshot that does not exist.
    Snapshot,
    /// A rollover's condition is met, but the rollover does not happen.
    RolloverOverdue,
    /// Another step takes too long.
    OverAge,
}

impl StuckClass {
    pub const ALL: [Self; 8] = [
        Self::PolicyMissing,
        Self::NotWriteIndex,
        Self::Failed,
        Self::FailsAgain,
        Self::Allocation,
        Self::Snapshot,
        Self::RolloverOverdue,
        Self::OverAge,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::PolicyMissing => "policy_missing",
            Self::NotWriteIndex => "not_write_index",
            Self::Failed => "failed",
            Self::FailsAgain => "fails_again",
            Self::Allocation => "allocation",
            Self::Snapshot => "snapshot",
            Self::RolloverOverdue => "rollover_overdue",
            Self::OverAge => "over_age",
        }
    }

    /// The remedy for a person.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::PolicyMissing => "declare the policy and run `logship apply`, or set another one in the template",
            Self::NotWriteIndex => "the index is already rolled over: the watch moves it to the end of its phase",
            Self::Failed => "remove the cause named in the error; the watch then retries the step",
            Self::FailsAgain => "remove the cause named in the error; Elasticsearch retries automatically",
            Self::Allocation => "add a node of the tier or free disk space (GET _cluster/allocation/explain states which)",
            Self::Snapshot => "check GET _slm/policy and GET _slm/stats: the policy has not run, or its repository fails",
            Self::RolloverOverdue => "check whether ILM runs (GET _ilm/status), and indices.lifecycle.poll_interval",
            Self::OverAge => "check GET _cat/tasks and the node's load; a large index needs more time",
        }
    }
}

/// The allowed repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// `POST /<index>/_ilm/retry`.
    Retry,
    /// `POST /_ilm/move/<index>` from the current step to the end of its phase.
    MoveToEnd { phase: String, action: String, step: String },
}

impl Repair {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::MoveToEnd { .. } => "move",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    pub index: String,
    pub stream: String,
    pub class: StuckClass,
    /// The current step, its duration and Elasticsearch's message.
    pub told: String,
    pub repair: Option<Repair>,
}

/// Returns stuck indices. A step is over age after `limit_millis`.
pub fn find(observation: &ClusterObservation, now_millis: i64, limit_millis: i64) -> Vec<Stuck> {
    observation.indices.iter().filter_map(|index| classify(index, now_millis, limit_millis)).collect()
}

/// Returns the class of one index. `None` if it is not stuck.
pub fn classify(index: &IndexFacts, now_millis: i64, limit_millis: i64) -> Option<Stuck> {
    let at = index.lifecycle.as_ref()?;
    let age = now_millis - at.step_millis;
    let over_age = at.step_millis > 0 && age > limit_millis;
    let (class, repair) = if at.told.starts_with("policy [") && at.told.ends_with("does not exist") {
        (StuckClass::PolicyMissing, None)
    } else if at.step == "ERROR" {
        error(index, over_age)?
    } else {
        waiting(index, now_millis, limit_millis, over_age)?
    };
    let step = at.failed_step.as_deref().unwrap_or(&at.step);
    let place = format!("{}/{}/{step}", at.phase, at.action);
    let since = units::rough_duration(age);
    let told =
        if at.told.is_empty() { format!("in {place} for {since}") } else { format!("in {place} for {since}: {}", at.told) };
    Some(Stuck { index: index.name.clone(), stream: index.stream.clone(), class, told, repair })
}

fn error(index: &IndexFacts, over_age: bool) -> Option<(StuckClass, Option<Repair>)> {
    let at = index.lifecycle.as_ref()?;
    let rolled = at.action == "rollover" && !index.write;
    if rolled {
        let (phase, action, step) = (at.phase.clone(), at.action.clone(), "ERROR".to_owned());
        return Some((StuckClass::NotWriteIndex, Some(Repair::MoveToEnd { phase, action, step })));
    }
    match (at.retried_by_elasticsearch, over_age) {
        (false, _) => Some((StuckClass::Failed, Some(Repair::Retry))),
        // Elasticsearch retries; report it only if that has failed for long.
        (true, true) => Some((StuckClass::FailsAgain, None)),
        (true, false) => None,
    }
}

fn waiting(index: &IndexFacts, now_millis: i64, limit_millis: i64, over_age: bool) -> Option<(StuckClass, Option<Repair>)> {
    let at = index.lifecycle.as_ref()?;
    match (at.action.as_str(), at.step.as_str()) {
        (_, "complete" | "") => None,
        ("rollover", "check-rollover-ready") => {
            // An empty index is never rolled over.
            let empty = index.documents == 0;
            let overdue = !empty && rollover_due_for(index, now_millis).is_some_and(|due| due > limit_millis);
            overdue.then_some((StuckClass::RolloverOverdue, None))
        }
        _ if !over_age => None,
        ("migrate", "check-migration")
        | ("shrink", "check-shrink-allocation" | "shrunk-shards-allocated")
        | ("allocate", "check-allocation") => Some((StuckClass::Allocation, None)),
        ("searchable_snapshot", "wait-for-index-color") => Some((StuckClass::Allocation, None)),
        ("wait_for_snapshot", _) => Some((StuckClass::Snapshot, None)),
        _ => Some((StuckClass::OverAge, None)),
    }
}

/// Returns how long an age condition has been met. Size conditions have no time.
fn rollover_due_for(index: &IndexFacts, now_millis: i64) -> Option<i64> {
    let conditions = &index.lifecycle.as_ref()?.definition["actions"]["rollover"];
    let max_age = units::millis(conditions["max_age"].as_str()?)?;
    Some(now_millis - index.created_millis - max_age)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::observe::Lifecycle;

    const HOUR: i64 = 3_600_000;
    const LIMIT: i64 = 12 * HOUR;
    const NOW: i64 = 1000 * HOUR;

    fn index(action: &str, step: &str, since_hours: i64) -> IndexFacts {
        let lifecycle = Lifecycle {
            policy: "p".into(),
            phase: "hot".into(),
            action: action.into(),
            step: step.into(),
            step_millis: NOW - since_hours * HOUR,
            definition: json!({"actions": {"rollover": {"max_age": "1d"}}}),
            ..Lifecycle::default()
        };
        IndexFacts {
            name: "i".into(),
            write: true,
            documents: 5,
            created_millis: NOW - HOUR,
            lifecycle: Some(lifecycle),
            ..IndexFacts::default()
        }
    }

    fn class(index: &IndexFacts) -> Option<StuckClass> {
        classify(index, NOW, LIMIT).map(|stuck| stuck.class)
    }

    fn error(change: impl FnOnce(&mut IndexFacts, &mut Lifecycle)) -> IndexFacts {
        let mut index = index("forcemerge", "ERROR", 1);
        let mut lifecycle = index.lifecycle.take().unwrap();
        lifecycle.failed_step = Some("forcemerge".into());
        change(&mut index, &mut lifecycle);
        index.lifecycle = Some(lifecycle);
        index
    }

    #[test]
    fn an_index_that_waits_normally_is_not_stuck() {
        assert_eq!(class(&index("complete", "complete", 900)), None);
        assert_eq!(class(&index("rollover", "check-rollover-ready", 900)), None, "its age condition is not met");
        assert_eq!(class(&index("forcemerge", "segment-count", 11)), None);
        let mut empty = index("rollover", "check-rollover-ready", 900);
        (empty.documents, empty.created_millis) = (0, NOW - 900 * HOUR);
        assert_eq!(class(&empty), None, "an empty write index waits for its first document");
        assert_eq!(class(&IndexFacts::default()), None, "no policy, no lifecycle");
        assert_eq!(class(&error(|_, at| at.retried_by_elasticsearch = true)), None, "Elasticsearch retries");
    }

    #[test]
    fn each_class_with_its_repair() {
        let mut overdue = index("rollover", "check-rollover-ready", 900);
        overdue.created_millis = NOW - 40 * HOUR;
        assert_eq!(class(&overdue), Some(StuckClass::RolloverOverdue));
        assert_eq!(class(&index("migrate", "check-migration", 13)), Some(StuckClass::Allocation));
        assert_eq!(class(&index("allocate", "check-allocation", 13)), Some(StuckClass::Allocation));
        assert_eq!(class(&index("shrink", "check-shrink-allocation", 13)), Some(StuckClass::Allocation));
        assert_eq!(class(&index("wait_for_snapshot", "wait-for-snapshot", 13)), Some(StuckClass::Snapshot));
        assert_eq!(class(&index("forcemerge", "segment-count", 13)), Some(StuckClass::OverAge));
        let missing = error(|_, at| at.told = "policy [p] does not exist".into());
        assert_eq!(class(&missing), Some(StuckClass::PolicyMissing));

        let failed = classify(&error(|_, at| at.told = "disk full".into()), NOW, LIMIT).unwrap();
        assert_eq!((failed.class, failed.repair), (StuckClass::Failed, Some(Repair::Retry)));
        assert_eq!(failed.told, "in hot/forcemerge/forcemerge for 1h: disk full");
        let again = error(|_, at| (at.retried_by_elasticsearch, at.step_millis) = (true, NOW - 13 * HOUR));
        assert_eq!(classify(&again, NOW, LIMIT).map(|stuck| (stuck.class, stuck.repair)), Some((StuckClass::FailsAgain, None)));
        let rolled = error(|index, at| (index.write, at.action) = (false, "rollover".into()));
        let expected = Repair::MoveToEnd { phase: "hot".into(), action: "rollover".into(), step: "ERROR".into() };
        assert_eq!(
            classify(&rolled, NOW, LIMIT).map(|stuck| (stuck.class, stuck.repair)),
            Some((StuckClass::NotWriteIndex, Some(expected)))
        );
    }
}
