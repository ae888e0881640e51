//! This module has the rules about Argo CD: what must not be deleted, retries, custom resources.

use super::{Facts, RuleViolation, fault};
use crate::{
    object::{Object, list, text},
    world::RenderedEnvironment,
};

/// Kinds whose deletion deletes data.
const DATA: [&str; 5] = ["Namespace", "PersistentVolumeClaim", "Elasticsearch", "Cluster", "Tenant"];
/// API groups that Kubernetes itself serves.
const OWN_GROUPS: [&str; 10] = [
    "apps",
    "batch",
    "policy",
    "autoscaling",
    "networking.k8s.io",
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "storage.k8s.io",
    "scheduling.k8s.io",
    "v1",
];

/// `Prune=false` alone does not protect from the deletion of the Application.
pub fn data(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, object) in world.objects() {
        if DATA.contains(&object.kind()) {
            faults.extend(protected(&object.label(), object.annotation("argocd.argoproj.io/sync-options")));
        }
        for claim in list(&object.0, "/spec/volumeClaimTemplates") {
            let claim = Object(claim.clone());
            faults.extend(protected(&object.label(), claim.annotation("argocd.argoproj.io/sync-options")));
            for when in ["whenDeleted", "whenScaled"] {
                if text(&object.0, &format!("/spec/persistentVolumeClaimRetentionPolicy/{when}")) != "Retain" {
                    faults.push(fault(object.label(), format!("persistentVolumeClaimRetentionPolicy.{when} is not Retain")));
                }
            }
        }
    }
    faults
}

fn protected(object: &str, options: &str) -> Vec<RuleViolation> {
    ["Prune", "Delete"]
        .into_iter()
        .filter(|option| !options.contains(&format!("{option}=false")) && !options.contains(&format!("{option}=confirm")))
        .map(|option| fault(object, format!("holds data and has neither {option}=false nor {option}=confirm")))
        .collect()
}

pub fn applications(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for application in &world.applications {
        let declared = &application.declared;
        let limit = declared.0.pointer("/spec/syncPolicy/retry/limit").and_then(serde_json::Value::as_i64);
        if !limit.is_some_and(|limit| (1..=50).contains(&limit)) {
            faults.push(fault(declared.label(), "retries without a limit, or not at all"));
        }
        let options = list(&declared.0, "/spec/syncPolicy/syncOptions");
        if !options.contains(&"ServerSideApply=true".into()) {
            faults.push(fault(declared.label(), "lacks ServerSideApply=true: dashboards exceed the size of an annotation"));
        }
        // A selective sync skips hooks.
        for option in ["ApplyOutOfSyncOnly=true", "Validate=false", "Force=true", "Replace=true"] {
            if options.contains(&option.into()) {
                faults.push(fault(declared.label(), format!("has {option}")));
            }
        }
        if text(&declared.0, "/metadata/finalizers/0").contains("resources-finalizer") {
            faults.push(fault(declared.label(), "deletes its objects with itself"));
        }
        if !text(&declared.0, "/spec/source/path").contains(&format!("/{}/", world.environment)) {
            faults.push(fault(declared.label(), "takes another environment's folder"));
        }
        if text(&declared.0, "/spec/destination/name") != world.environment {
            faults.push(fault(declared.label(), "goes to another environment's cluster"));
        }
    }
    faults
}

/// A custom resource whose definition is not installed yet must not fail the dry run of the whole Application.
pub fn custom_resources(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, object) in world.objects() {
        let group = text(&object.0, "/apiVersion").split('/').next().unwrap_or_default();
        let options = object.annotation("argocd.argoproj.io/sync-options");
        if !OWN_GROUPS.contains(&group) && !options.contains("SkipDryRunOnMissingResource=true") {
            faults.push(fault(object.label(), "lacks SkipDryRunOnMissingResource=true"));
        }
    }
    faults
}
