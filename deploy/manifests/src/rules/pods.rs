//! This module has the rules about containers: images, probes, resources, stopping, rolling out.

use serde_json::Value;

use super::{Facts, RuleViolation, fault, seconds};
use crate::{
    object::{Container, Pod, list, text},
    world::RenderedEnvironment,
};

/// Seconds between the last deadline of a program and the kill.
const MARGIN: u64 = 5;

pub fn images(world: &RenderedEnvironment, facts: &Facts) -> Vec<RuleViolation> {
    let registry = &facts.registry;
    let mut faults = Vec::new();
    for (_, pod) in world.pods() {
        for container in pod.containers() {
            let image = text(container.value, "/image");
            let (name, digest) = image.split_once('@').unwrap_or((image, ""));
            let hexadecimal = digest.strip_prefix("sha256:").unwrap_or_default();
            if hexadecimal.len() != 64 || !hexadecimal.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                let text =
                    format!("container {} names its image {image:?} without a digest; write name@sha256:…", container.name());
                faults.push(fault(pod.owner.label(), text));
            }
            if registry.is_empty() || !name.starts_with(&format!("{registry}/")) {
                let text = format!("container {} takes {image:?} from another registry than {registry:?}", container.name());
                faults.push(fault(pod.owner.label(), text));
            }
        }
    }
    faults
}

/// Containers that run as long as their pod: the main ones, and init containers that restart.
fn lasting(pod: Pod<'_>) -> Vec<Container<'_>> {
    let mut containers = pod.containers();
    containers.retain(|container| !container.init || text(container.value, "/restartPolicy") == "Always");
    containers
}

/// Seconds that a container may take to answer its first probe. A node that is busy starts slowly.
const LEAST_START: u64 = 30;
/// Seconds without an answer before a restart: a pause of the node must not end a server.
const LEAST_SILENCE: u64 = 10;

pub fn probes(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, pod) in world.pods().filter(|(_, pod)| pod.owner.runs_forever()) {
        for container in lasting(pod) {
            faults.extend(probes_of(container).into_iter().map(|text| fault(pod.owner.label(), text)));
        }
    }
    faults
}

fn probes_of(container: Container<'_>) -> Vec<String> {
    let name = container.name();
    let mut faults = Vec::new();
    for (probe, route) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let Some(value) = container.value.get(probe) else {
            faults.push(format!("container {name} has no {probe}"));
            continue;
        };
        let path = text(value, "/httpGet/path");
        if value.get("exec").is_some() {
            faults.push(format!("container {name}: {probe} runs a command; the images have no shell: use httpGet"));
        } else if crate::PROGRAMS.contains(&container.image_name()) && path != route {
            faults.push(format!("container {name}: {probe} asks {path:?}; our programs answer it at {route}"));
        }
        if probe == "livenessProbe" && path == "/readyz" {
            // An unready dependency would restart every pod.
            faults.push(format!("container {name} is restarted when it is not ready"));
        }
        let number = |field: &str, default: u64| value.get(field).and_then(Value::as_u64).unwrap_or(default);
        // Kubernetes' defaults.
        let budget = number("periodSeconds", 10) * number("failureThreshold", 3);
        let least = match probe {
            "startupProbe" => LEAST_START,
            "livenessProbe" => LEAST_SILENCE,
            _ => 0,
        };
        if budget < least {
            faults.push(format!(
                "container {name}: {probe} allows {budget} s; periodSeconds times failureThreshold must be {least} or more"
            ));
        }
    }
    faults
}

pub fn resources(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    const NEEDED: [&str; 3] = ["/resources/requests/cpu", "/resources/requests/memory", "/resources/limits/memory"];
    let mut faults = Vec::new();
    for (_, pod) in world.pods() {
        for container in pod.containers() {
            for pointer in NEEDED.iter().filter(|pointer| container.value.pointer(pointer).is_none()) {
                faults.push(fault(pod.owner.label(), format!("container {} has no {}", container.name(), &pointer[1..])));
            }
        }
        for volume in list(pod.spec(), "/volumes") {
            if volume.get("emptyDir").is_some() && volume.pointer("/emptyDir/sizeLimit").is_none() {
                faults.push(fault(pod.owner.label(), format!("the volume {} has no sizeLimit", text(volume, "/name"))));
            }
        }
    }
    faults
}

/// The pod is killed only after preStop and the program's own deadline.
pub fn grace(world: &RenderedEnvironment, facts: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, pod) in world.pods() {
        let granted = pod.spec().pointer("/terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(30);
        for container in lasting(pod) {
            let stop = container.value.pointer("/lifecycle/preStop/sleep/seconds").and_then(Value::as_u64).unwrap_or_default();
            let Some(deadline) = deadline(world, facts, pod, container) else { continue };
            let needed = stop + deadline + MARGIN;
            if granted < needed {
                let text = format!(
                    "terminationGracePeriodSeconds is {granted}; preStop {stop} s, shutdown deadline {deadline} s and {MARGIN} s need {needed}"
                );
                faults.push(fault(pod.owner.label(), text));
            }
            if list(pod.spec(), "/containers").iter().any(|container| container.pointer("/lifecycle/preStop/exec").is_some()) {
                faults.push(fault(pod.owner.label(), "preStop runs a command; the images have no shell: use sleep"));
            }
        }
    }
    faults
}

/// `<PROGRAM>_SHUTDOWN_DEADLINE` of a container of ours: set, or the default of `--help`.
fn deadline(world: &RenderedEnvironment, facts: &Facts, pod: Pod<'_>, container: Container<'_>) -> Option<u64> {
    let program = container.image_name();
    if !crate::PROGRAMS.contains(&program) {
        return None;
    }
    let name = format!("{}_SHUTDOWN_DEADLINE", program.to_uppercase());
    let set = super::content::environment(world, pod, container).into_iter().find(|(variable, _)| *variable == name);
    match set {
        Some((_, value)) => seconds(&value),
        None => facts
            .settings
            .iter()
            .find(|((of, _), _)| of == program)
            .and_then(|(_, settings)| seconds(settings.default_of(&name)?)),
    }
}

pub fn rollout(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, pod) in world.pods().filter(|(_, pod)| matches!(pod.owner.kind(), "Deployment" | "StatefulSet")) {
        let spec = &pod.owner.0["spec"];
        // Absent: the HorizontalPodAutoscaler owns it.
        let replicas = spec.get("replicas").and_then(Value::as_u64).unwrap_or(2);
        if replicas < 2 {
            continue;
        }
        if pod.owner.kind() == "Deployment" {
            let unavailable = &spec["strategy"]["rollingUpdate"]["maxUnavailable"];
            if unavailable != &Value::from(0) {
                faults.push(fault(
                    pod.owner.label(),
                    format!("maxUnavailable is {unavailable}; a rollout must add a pod before it ends one: 0"),
                ));
            }
            if spec.get("minReadySeconds").is_none() {
                faults.push(fault(pod.owner.label(), "has no minReadySeconds"));
            }
        }
        for key in ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] {
            if !is_spread(pod, key) {
                faults.push(fault(pod.owner.label(), format!("its pods are not spread over {key}")));
            }
        }
        let budget = world.objects().any(|(_, object)| {
            object.kind() == "PodDisruptionBudget"
                && object.namespace() == pod.owner.namespace()
                && crate::object::selects(&object.0["spec"]["selector"], pod.labels())
        });
        if !budget {
            faults.push(fault(pod.owner.label(), "has no PodDisruptionBudget"));
        }
    }
    faults
}

/// Whether a constraint or an anti-affinity keeps the pods of a workload apart. A selector of other labels spreads nothing.
fn is_spread(pod: Pod<'_>, key: &str) -> bool {
    let about = |one: &Value| text(one, "/topologyKey") == key && crate::object::selects(&one["labelSelector"], pod.labels());
    let anti = "/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    list(pod.spec(), "/topologySpreadConstraints").iter().chain(list(pod.spec(), anti)).any(about)
}

/// A Service named `exchange` would set `EXCHANGE_PORT` in every pod.
pub fn links(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let enabled = world.pods().filter(|(_, pod)| pod.spec().get("enableServiceLinks") != Some(&Value::Bool(false)));
    enabled.map(|(_, pod)| fault(pod.owner.label(), "enableServiceLinks is not false")).collect()
}
