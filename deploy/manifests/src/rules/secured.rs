//! This module has the rules about privileges: what Pod Security's level `restricted` requires, and what it does not ask about.

use serde_json::Value;

use super::{Facts, RuleViolation, fault};
use crate::{
    object::{Container, Pod, list, mapping, text},
    world::RenderedEnvironment,
};

/// Kinds of volumes that `restricted` permits.
const VOLUMES: [&str; 6] = ["configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"];

pub fn pods(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, pod) in world.pods() {
        let mut found = of_pod(pod);
        for container in pod.containers() {
            found.extend(of_container(pod, container).into_iter().map(|text| format!("container {}: {text}", container.name())));
        }
        faults.extend(found.into_iter().map(|text| fault(pod.owner.label(), text)));
    }
    faults
}

fn of_pod(pod: Pod<'_>) -> Vec<String> {
    let spec = pod.spec();
    let mut found = Vec::new();
    for member in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec.get(member) == Some(&Value::Bool(true)) {
            found.push(format!("{member} is true"));
        }
    }
    if spec.get("automountServiceAccountToken") != Some(&Value::Bool(false)) {
        found.push("automountServiceAccountToken is not false: no program calls the Kubernetes API".to_owned());
    }
    for volume in list(spec, "/volumes") {
        for kind in mapping(volume, "").keys().filter(|key| *key != "name" && !VOLUMES.contains(&key.as_str())) {
            found.push(format!("the volume {} is a {kind}", text(volume, "/name")));
        }
    }
    found
}

fn of_container(pod: Pod<'_>, container: Container<'_>) -> Vec<String> {
    let own = &container.value["securityContext"];
    let shared = &pod.spec()["securityContext"];
    let either = |name: &str| own.get(name).or_else(|| shared.get(name)).cloned().unwrap_or(Value::Null);
    let mut found = Vec::new();
    if either("runAsNonRoot") != Value::Bool(true) {
        found.push("runAsNonRoot is not true".to_owned());
    }
    if either("runAsUser").as_u64().is_none_or(|user| user == 0) {
        found.push(format!("runAsUser is {}; a numeric user above 0 is required", either("runAsUser")));
    }
    if text(&either("seccompProfile"), "/type") != "RuntimeDefault" {
        found.push("seccompProfile is not RuntimeDefault".to_owned());
    }
    if own.get("allowPrivilegeEscalation") != Some(&Value::Bool(false)) {
        found.push("allowPrivilegeEscalation is not false".to_owned());
    }
    if own.get("privileged") == Some(&Value::Bool(true)) {
        found.push("privileged is true".to_owned());
    }
    if !list(own, "/capabilities/drop").contains(&Value::from("ALL")) {
        found.push("capabilities.drop lacks ALL".to_owned());
    }
    for added in list(own, "/capabilities/add") {
        found.push(format!("the capability {added} is added"));
    }
    // Pod Security does not ask about this one.
    if own.get("readOnlyRootFilesystem") != Some(&Value::Bool(true)) {
        found.push("readOnlyRootFilesystem is not true".to_owned());
    }
    found
}

pub fn namespaces(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, object) in world.objects().filter(|(_, object)| object.kind() == "Namespace") {
        let level = mapping(&object.0, "/metadata/labels").get("pod-security.kubernetes.io/enforce");
        if level != Some(&Value::from("restricted")) {
            let level = level.and_then(Value::as_str).unwrap_or("nothing");
            faults.push(fault(object.label(), format!("enforces {level}, not restricted")));
        }
    }
    faults
}

pub fn secrets(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let found = world.objects().filter(|(_, object)| object.kind() == "Secret");
    found.map(|(_, object)| fault(object.label(), "is in the repository; declare an ExternalSecret")).collect()
}
