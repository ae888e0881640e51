//! This module has the rules about references between objects: selectors, ports, Secrets, ConfigMaps, accounts.

use serde_json::Value;

use super::{Facts, RuleViolation, fault, jobs::is_early};
use crate::{
    object::{Object, Pod, list, selects, text},
    world::RenderedEnvironment,
};

/// Secrets and ConfigMaps that an operator makes: name, and which one.
const MADE_BY_OPERATORS: [(&str, &str); 2] =
    [("logs-es-http-certs-public", "ECK, with the cluster `logs`"), ("exchange-tls", "cert-manager, for the Ingress")];

/// Labels of pods that operators and charts make: Elasticsearch's by ECK, PostgreSQL's by its chart.
const FOREIGN_PODS: [&str; 2] = ["elasticsearch.k8s.elastic.co", "\"app.kubernetes.io/name\":\"postgresql\""];

fn is_foreign(selector: &Value) -> bool {
    FOREIGN_PODS.iter().any(|label| selector.to_string().contains(label))
}

/// Selectors of an object, each with what it is called. Those of other namespaces are not ours to check.
fn selectors_of(object: &Object) -> Vec<(String, Value)> {
    let spec = &object.0["spec"];
    let mut found = Vec::new();
    match object.kind() {
        "Service" => {
            if let Some(labels) = spec.get("selector") {
                found.push(("selector".to_owned(), serde_json::json!({"matchLabels": labels})));
            }
        }
        "PodMonitor" | "PodDisruptionBudget" => found.push(("selector".to_owned(), spec["selector"].clone())),
        "NetworkPolicy" => {
            found.push(("podSelector".to_owned(), spec["podSelector"].clone()));
            for (rules, peers) in [("/ingress", "/from"), ("/egress", "/to")] {
                let peers = list(spec, rules).iter().flat_map(|rule| list(rule, peers));
                let own = peers.filter(|peer| peer.get("namespaceSelector").is_none());
                found.extend(own.filter_map(|peer| Some(("peer".to_owned(), peer.get("podSelector")?.clone()))));
            }
        }
        "Deployment" | "StatefulSet" | "DaemonSet" => found.push(("selector".to_owned(), spec["selector"].clone())),
        _ => {}
    }
    found
}

pub fn selectors(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, object) in world.objects() {
        for (name, selector) in selectors_of(object) {
            let found =
                world.pods().any(|(_, pod)| pod.owner.namespace() == object.namespace() && selects(&selector, pod.labels()));
            if !found && !is_foreign(&selector) {
                faults.push(fault(object.label(), format!("its {name} {selector} selects no pod of {}", object.namespace())));
            }
        }
        if object.kind() == "ServiceMonitor" && monitored(world, object).is_empty() {
            faults.push(fault(object.label(), "its selector selects no Service"));
        }
    }
    faults
}

fn monitored<'a>(world: &'a RenderedEnvironment, monitor: &Object) -> Vec<&'a Object> {
    let services = world.objects().map(|(_, object)| object).filter(|object| object.kind() == "Service");
    services
        .filter(|service| service.namespace() == monitor.namespace())
        .filter(|service| selects(&monitor.0["spec"]["selector"], crate::object::mapping(&service.0, "/metadata/labels")))
        .collect()
}

fn selected<'a>(world: &'a RenderedEnvironment, namespace: &str, selector: &Value) -> Vec<Pod<'a>> {
    let pods = world.pods().map(|(_, pod)| pod);
    pods.filter(|pod| pod.owner.namespace() == namespace && selects(selector, pod.labels())).collect()
}

fn has_port(pods: &[Pod<'_>], port: &Value) -> bool {
    pods.iter().flat_map(Pod::ports).any(|(name, number)| port.as_str() == Some(name) || port.as_u64() == Some(number))
}

pub fn ports(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, object) in world.objects() {
        let spec = &object.0["spec"];
        let mut missing =
            |what: &str, port: &Value| faults.push(fault(object.label(), format!("{what} {port} is not a port of its pods")));
        match object.kind() {
            "Service" => {
                let pods = selected(world, object.namespace(), &serde_json::json!({"matchLabels": spec["selector"]}));
                for port in list(spec, "/ports") {
                    let target = port.get("targetPort").unwrap_or(&port["port"]);
                    if !has_port(&pods, target) {
                        missing("targetPort", target);
                    }
                }
            }
            "PodMonitor" => {
                let pods = selected(world, object.namespace(), &spec["selector"]);
                for endpoint in list(spec, "/podMetricsEndpoints").iter().filter(|endpoint| !has_port(&pods, &endpoint["port"])) {
                    missing("endpoint", &endpoint["port"]);
                }
            }
            "ServiceMonitor" => {
                let services = monitored(world, object);
                for endpoint in list(spec, "/endpoints") {
                    let named = services.iter().flat_map(|service| list(&service.0, "/spec/ports"));
                    if !named.into_iter().any(|port| port["name"] == endpoint["port"]) {
                        missing("endpoint", &endpoint["port"]);
                    }
                }
            }
            "NetworkPolicy" => {
                let pods = selected(world, object.namespace(), &spec["podSelector"]);
                for port in list(spec, "/ingress").iter().flat_map(|rule| list(rule, "/ports")) {
                    if !has_port(&pods, &port["port"]) && !is_foreign(&spec["podSelector"]) {
                        missing("ingress port", &port["port"]);
                    }
                }
            }
            "Ingress" => {
                for (name, port) in backends(object) {
                    let known = world.find("Service", name).is_some_and(|service| {
                        list(&service.0, "/spec/ports").iter().any(|one| one["name"] == *port || one["port"] == *port)
                    });
                    if !known {
                        missing(&format!("backend {name}"), port);
                    }
                }
            }
            _ => probes(object, &mut missing),
        }
    }
    faults
}

fn backends(ingress: &Object) -> Vec<(&str, &Value)> {
    let paths = list(&ingress.0, "/spec/rules").iter().flat_map(|rule| list(rule, "/http/paths"));
    paths
        .map(|path| {
            let port = &path["backend"]["service"]["port"];
            (text(path, "/backend/service/name"), port.get("name").unwrap_or(&port["number"]))
        })
        .collect()
}

fn probes(object: &Object, missing: &mut impl FnMut(&str, &Value)) {
    let Some(pod) = object.pod() else { return };
    for container in pod.containers() {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let Some(port) = container.value.pointer(&format!("/{probe}/httpGet/port")) else { continue };
            let known = list(container.value, "/ports").iter().any(|one| one["name"] == *port || one["containerPort"] == *port);
            if !known {
                missing(probe, port);
            }
        }
    }
}

/// A hook before the sync needs its Secrets from an earlier Application; other pods may wait for objects of their own.
pub fn made_earlier(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (application, object) in world.objects() {
        for (kind, name) in references(object) {
            if MADE_BY_OPERATORS.iter().any(|(made, _)| *made == name) {
                continue;
            }
            match world.made_in(kind, object.namespace(), &name) {
                None => faults.push(fault(object.label(), format!("needs the {kind} {name}, which nothing makes"))),
                Some(wave) if wave > application.wave => {
                    faults.push(fault(object.label(), format!("needs the {kind} {name}, which a later Application makes")));
                }
                Some(wave) if wave == application.wave && is_early(object) => {
                    let text = format!("is a hook before the sync and needs the {kind} {name} of its own Application");
                    faults.push(fault(object.label(), text));
                }
                Some(_) => {}
            }
        }
    }
    faults
}

fn references(object: &Object) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut collect = |kind: &'static str, name: &str| {
        if !name.is_empty() {
            found.push((kind, name.to_owned()));
        }
    };
    if let Some(pod) = object.pod() {
        for volume in list(pod.spec(), "/volumes") {
            collect("Secret", text(volume, "/secret/secretName"));
            collect("ConfigMap", text(volume, "/configMap/name"));
        }
        for secret in list(pod.spec(), "/imagePullSecrets") {
            collect("Secret", text(secret, "/name"));
        }
        for container in pod.containers() {
            for source in list(container.value, "/envFrom") {
                collect("Secret", text(source, "/secretRef/name"));
                collect("ConfigMap", text(source, "/configMapRef/name"));
            }
            for variable in list(container.value, "/env") {
                collect("Secret", text(variable, "/valueFrom/secretKeyRef/name"));
                collect("ConfigMap", text(variable, "/valueFrom/configMapKeyRef/name"));
            }
        }
    }
    match object.kind() {
        "ServiceAccount" => {
            list(&object.0, "/imagePullSecrets").iter().for_each(|secret| collect("Secret", text(secret, "/name")))
        }
        "Ingress" => list(&object.0, "/spec/tls").iter().for_each(|tls| collect("Secret", text(tls, "/secretName"))),
        "AlertmanagerConfig" => {
            for receiver in list(&object.0, "/spec/receivers") {
                for webhook in list(receiver, "/webhookConfigs") {
                    collect("Secret", text(webhook, "/httpConfig/authorization/credentials/name"));
                }
                for telegram in list(receiver, "/telegramConfigs") {
                    collect("Secret", text(telegram, "/botToken/name"));
                }
            }
        }
        _ => {}
    }
    found
}

pub fn accounts(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (application, pod) in world.pods() {
        let name = text(pod.spec(), "/serviceAccountName");
        let made = world.made_in("ServiceAccount", pod.owner.namespace(), name);
        let early = is_early(pod.owner) && made == Some(application.wave);
        if made.is_none() || early || made > Some(application.wave) {
            faults.push(fault(pod.owner.label(), format!("the ServiceAccount {name:?} does not exist when its pod starts")));
        }
    }
    faults
}
