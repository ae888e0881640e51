//! This module derives connections from what is declared elsewhere (settings, monitors, webhooks, the Ingress) and asks whether the network
//! policies allow them. A new address in a setting without a network rule is found here, not after the release.

use serde_json::Value;

use super::{
    Facts, RuleViolation,
    content::environment,
    fault,
    network::{self, ALERTMANAGER, DATABASE, ELASTICSEARCH, INTERNET, NGINX, NetworkEnd, PROMETHEUS, STORE},
};
use crate::{
    object::{Object, Pod, list, mapping, selects, text},
    world::RenderedEnvironment,
};

/// Settings that read an address from a Secret, and where it leads.
const SECRET_ADDRESSES: [(&str, NetworkEnd, u64); 4] = [
    ("EXCHANGE_DATABASE_URL", DATABASE, 5432),
    ("EXCHANGE_DATABASE_REPLICA_URL", DATABASE, 5433),
    ("BACKUP_SOURCE_URL", DATABASE, 5433),
    ("BACKUP_PRIMARY_URL", DATABASE, 5432),
];

pub fn flows(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, pod) in world.pods() {
        for (source, address) in addresses(world, pod) {
            let Some((end, port)) = address else {
                let text = format!("{source} is an address that no network rule knows; add its service to `rules/flows.rs`");
                faults.push(fault(pod.owner.label(), text));
                continue;
            };
            if !network::may_leave(world, pod, end, port) {
                faults.push(fault(
                    pod.owner.label(),
                    format!("{source} leads to {end:?} port {port}, which no NetworkPolicy allows"),
                ));
            }
        }
        if text(pod.owner.0.pointer("/spec").unwrap_or(&Value::Null), "/template/metadata/labels/app.kubernetes.io~1name")
            == "alertbot"
            && !network::may_leave(world, pod, INTERNET, 443)
        {
            faults.push(fault(pod.owner.label(), "sends to Telegram, and no NetworkPolicy allows port 443"));
        }
    }
    for (_, object) in world.objects() {
        faults.extend(incoming(world, object));
    }
    faults
}

/// Where a setting's address leads; `None` if its host is not known.
type Destination = Option<(NetworkEnd, u64)>;

/// Addresses in the settings of a pod's containers and in the configuration files that it mounts.
fn addresses(world: &RenderedEnvironment, pod: Pod<'_>) -> Vec<(String, Destination)> {
    let mut found = Vec::new();
    for container in pod.containers() {
        for (name, value) in environment(world, pod, container) {
            let plain = name.strip_suffix("_FILE").unwrap_or(&name);
            if let Some((_, end, port)) = SECRET_ADDRESSES.iter().find(|(setting, ..)| *setting == plain) {
                found.push((name.clone(), Some((*end, *port))));
            } else if value.contains("://") && !is_loopback(&value) {
                found.push((format!("{name}={value}"), destination(&value)));
            }
        }
    }
    for volume in list(pod.spec(), "/volumes") {
        let map = world.find("ConfigMap", text(volume, "/configMap/name"));
        // Fluent Bit's files name addresses of its own pod; its other addresses are settings of the relay.
        let Some(map) = map.filter(|map| map.namespace() == pod.owner.namespace() && map.name() == "alertbot") else { continue };
        for (file, content) in mapping(&map.0, "/data") {
            let lines = content.as_str().unwrap_or_default().lines().filter(|line| !line.trim_start().starts_with('#'));
            for word in lines.flat_map(str::split_whitespace).map(|word| word.trim_matches(['"', '\'', ','])) {
                if word.starts_with("http://") || word.starts_with("https://") {
                    found.push((format!("{file}: {word}"), destination(word)));
                }
            }
        }
    }
    found
}

/// An address of the pod itself, which no policy limits.
fn is_loopback(address: &str) -> bool {
    let host = host_and_port(address).split(':').next().unwrap_or_default();
    host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn host_and_port(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// Reads `scheme://host[:port]/…`. A host of the cluster is `service.namespace.svc`; any other one is outside.
fn destination(address: &str) -> Destination {
    let (scheme, _) = address.split_once("://")?;
    let authority = host_and_port(address);
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, port.parse().ok()));
    let port = port.or(match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })?;
    let labels: Vec<&str> = host.split('.').collect();
    let end = match labels.as_slice() {
        [_, "database", "svc", ..] => DATABASE,
        [_, "object-store", "svc", ..] => STORE,
        [_, "logging", "svc", ..] => ELASTICSEARCH,
        [service, "monitoring", "svc", ..] if service.starts_with("alertmanager") => ALERTMANAGER,
        [service, "monitoring", "svc", ..] if service.starts_with("prometheus") => PROMETHEUS,
        // A name of the cluster without a rule, or a short one, which only resolves inside a namespace.
        [_, _, "svc", ..] | [_] | [_, _] => return None,
        _ => INTERNET,
    };
    Some((end, port))
}

/// Scrapes, webhooks and the public API: who connects to pods of ours by declaration.
fn incoming(world: &RenderedEnvironment, object: &Object) -> Vec<RuleViolation> {
    let (from, ports): (NetworkEnd, Vec<(Vec<Pod<'_>>, String)>) = match object.kind() {
        "PodMonitor" => {
            let pods = selected(world, object.namespace(), &object.0["spec"]["selector"]);
            let endpoints = list(&object.0, "/spec/podMetricsEndpoints").iter();
            (PROMETHEUS, endpoints.map(|endpoint| (pods.clone(), text(endpoint, "/port").to_owned())).collect())
        }
        "ServiceMonitor" => {
            let services = world.objects().map(|(_, service)| service).filter(|service| {
                service.kind() == "Service"
                    && service.namespace() == object.namespace()
                    && selects(&object.0["spec"]["selector"], mapping(&service.0, "/metadata/labels"))
            });
            let endpoints = list(&object.0, "/spec/endpoints");
            let ports =
                services.flat_map(|service| endpoints.iter().map(move |endpoint| of_service(world, service, &endpoint["port"])));
            (PROMETHEUS, ports.collect())
        }
        "Ingress" => {
            let paths = list(&object.0, "/spec/rules").iter().flat_map(|rule| list(rule, "/http/paths"));
            let ports = paths.filter_map(|path| {
                let service = world.find("Service", text(path, "/backend/service/name"))?;
                Some(of_service(world, service, &path["backend"]["service"]["port"]["name"]))
            });
            (NGINX, ports.collect())
        }
        "AlertmanagerConfig" => {
            let hooks = list(&object.0, "/spec/receivers").iter().flat_map(|receiver| list(receiver, "/webhookConfigs"));
            let ports = hooks.filter_map(|hook| {
                let (host, port) = text(hook, "/url").split_once("://")?.1.split('/').next()?.split_once(':')?;
                let service = world.find("Service", host.split('.').next()?)?;
                let number = port.parse::<u64>().ok()?;
                let named = list(&service.0, "/spec/ports").iter().find(|one| one["port"].as_u64() == Some(number))?;
                Some(of_service(world, service, &named["name"]))
            });
            (ALERTMANAGER, ports.collect())
        }
        _ => return Vec::new(),
    };
    let mut faults = Vec::new();
    for (pods, name) in ports {
        for pod in pods {
            let Some((_, number)) = pod.ports().into_iter().find(|(known, _)| *known == name) else { continue };
            if !network::may_enter(world, from, pod, number) {
                let text = format!(
                    "{from:?} connects to port {name} ({number}) of {}, which no NetworkPolicy allows",
                    pod.owner.label()
                );
                faults.push(fault(object.label(), text));
            }
        }
    }
    faults
}

fn selected<'a>(world: &'a RenderedEnvironment, namespace: &str, selector: &Value) -> Vec<Pod<'a>> {
    let pods = world.pods().map(|(_, pod)| pod).filter(|pod| pod.owner.namespace() == namespace);
    pods.filter(|pod| selects(selector, pod.labels())).collect()
}

/// The pods of a Service, and the name of the container's port behind one of its ports.
fn of_service<'a>(world: &'a RenderedEnvironment, service: &Object, port: &Value) -> (Vec<Pod<'a>>, String) {
    let selector = serde_json::json!({"matchLabels": service.0["spec"]["selector"]});
    let found = list(&service.0, "/spec/ports").iter().find(|one| one["name"] == *port);
    let name = found.map_or("", |one| text(one, "/targetPort"));
    (selected(world, service.namespace(), &selector), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_the_service_of_its_host() {
        let known = |address: &str| destination(address).map(|(end, port)| format!("{end:?} {port}"));
        let store = known("http://object-store.object-store.svc:9000").expect("a service");
        assert!(store.contains("object-store") && store.ends_with(" 9000"), "{store}");
        assert!(known("https://user:secret@logs-es-http.logging.svc:9200/x").expect("a service").ends_with(" 9200"));
        assert!(known("https://api.example.com").expect("outside").starts_with("Outside"));
        assert!(known("https://api.example.com/v3?x=1").expect("outside").ends_with(" 443"));
        for unknown in ["http://cache.elsewhere.svc:6379", "http://redis:6379", "postgres://a.b.c/x", "http://x.svc", "nonsense"]
        {
            assert_eq!(known(unknown), None, "{unknown}");
        }
        assert!(is_loopback("postgres://postgres@127.0.0.1:5432/x") && is_loopback("http://localhost:1"));
        assert!(!is_loopback("http://127.0.0.1.example.com") && !is_loopback("https://localhost@example.com"));
    }
}
