//! This module has the rules about Jobs, CronJobs, hooks and disruption budgets.

use serde_json::Value;

use super::{Facts, RuleViolation, fault};
use crate::{
    object::{Object, list, selects, text},
    world::RenderedEnvironment,
};

const HOOK: &str = "argocd.argoproj.io/hook";
/// Digits of the commit in the name of a hook's Job.
const COMMIT_DIGITS: usize = 12;

/// A budget that forbids every eviction stops the drain of a node for ever.
pub fn budgets(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, budget) in world.objects().filter(|(_, object)| object.kind() == "PodDisruptionBudget") {
        let replicas = world.pods().filter(|(_, pod)| {
            pod.owner.namespace() == budget.namespace() && selects(&budget.0["spec"]["selector"], pod.labels())
        });
        let replicas: u64 =
            replicas.map(|(_, pod)| pod.owner.0.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(2)).sum();
        let amount = |name: &str| budget.0["spec"].get(name).map(|value| of(value, replicas));
        let permitted = match (amount("maxUnavailable"), amount("minAvailable")) {
            (Some(unavailable), _) => unavailable,
            (None, Some(available)) => replicas.saturating_sub(available),
            (None, None) => 1,
        };
        if permitted == 0 {
            faults.push(fault(budget.label(), format!("permits no eviction of {replicas} pods")));
        }
    }
    faults
}

/// A number, or a percentage of the pods, rounded up as Kubernetes does.
fn of(value: &Value, replicas: u64) -> u64 {
    match value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|percent| percent.parse::<u64>().ok()) {
        Some(percent) => (replicas * percent).div_ceil(100),
        None => value.as_u64().unwrap_or_default(),
    }
}

pub fn scheduled(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    const NEEDED: [&str; 6] = [
        "/spec/timeZone",
        "/spec/startingDeadlineSeconds",
        "/spec/successfulJobsHistoryLimit",
        "/spec/failedJobsHistoryLimit",
        "/spec/jobTemplate/spec/backoffLimit",
        "/spec/jobTemplate/spec/activeDeadlineSeconds",
    ];
    let mut faults = Vec::new();
    for (_, object) in world.objects().filter(|(_, object)| object.kind() == "CronJob") {
        for pointer in NEEDED.iter().filter(|pointer| object.0.pointer(pointer).is_none()) {
            faults.push(fault(object.label(), format!("has no {}", pointer[1..].replace('/', "."))));
        }
        if text(&object.0, "/spec/concurrencyPolicy") != "Forbid" {
            faults.push(fault(object.label(), "concurrencyPolicy is not Forbid"));
        }
    }
    faults
}

pub fn hooks(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (application, object) in world.objects().filter(|(_, object)| object.kind() == "Job") {
        let mut say = |text: String| faults.push(fault(object.label(), text));
        if object.annotation(HOOK).is_empty() {
            say("is not a hook: a Job cannot be changed once it exists".to_owned());
        }
        if object.annotation("argocd.argoproj.io/hook-delete-policy") != "BeforeHookCreation,HookSucceeded" {
            say("hook-delete-policy is not BeforeHookCreation,HookSucceeded".to_owned());
        }
        let suffix = object.name().rsplit('-').next().unwrap_or_default();
        if suffix.len() != COMMIT_DIGITS || !suffix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            say(format!(
                "its name does not end with {COMMIT_DIGITS} digits of a commit: a sync could take the old Job for its own"
            ));
        }
        for name in ["backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"] {
            if object.0["spec"].get(name).is_none() {
                say(format!("has no {name}"));
            }
        }
        if object.0["spec"]["ttlSecondsAfterFinished"] == 0 {
            say("ttlSecondsAfterFinished is 0: the Job can disappear before Argo CD reads its result".to_owned());
        }
        if text(&object.0, "/spec/template/spec/restartPolicy") != "Never" {
            say("restartPolicy is not Never".to_owned());
        }
        for option in ["Force=true", "Replace=true"] {
            let of_application = list(&application.declared.0, "/spec/syncPolicy/syncOptions").contains(&Value::from(option));
            if of_application || object.annotation("argocd.argoproj.io/sync-options").contains(option) {
                say(format!("{option} would run a finished Job again"));
            }
        }
    }
    faults
}

/// Whether the object is created before the other objects of its Application.
pub fn is_early(object: &Object) -> bool {
    object.annotation(HOOK).contains("PreSync")
}
