//! This module has the rules about network policies: a default deny in every namespace with pods of ours, and a table of connections
//! that must work or must be refused. It evaluates the policies as Kubernetes defines them.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::{Facts, RuleViolation, fault};
use crate::{
    object::{Object, Pod, list, selects, text},
    world::RenderedEnvironment,
};

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
enum End {
    /// A pod of ours: namespace, name, component; an empty component matches any.
    Ours(&'static str, &'static str, &'static str),
    /// A pod of another namespace: namespace, and one label.
    Other(&'static str, (&'static str, &'static str)),
    /// An address outside the cluster.
    Outside(Ipv4Addr),
}
use End::{Other, Ours, Outside};

const SERVE: End = Ours("exchange", "exchange", "serve");
const WORKER: End = Ours("exchange", "exchange", "worker");
const MIGRATE: End = Ours("exchange", "exchange", "migrate");
const PUBLISH: End = Ours("exchange", "exchange", "publish");
const ALERTBOT: End = Ours("exchange", "alertbot", "");
const BACKUP_RUN: End = Ours("exchange", "backup", "run");
const BACKUP_MONITOR: End = Ours("exchange", "backup", "monitor");
const SHIPPER: End = Ours("logging", "fluent-bit", "");
const WATCH: End = Ours("logging", "logship", "watch");
const APPLY: End = Ours("logging", "logship", "apply");
const NGINX: End = Other("ingress", ("app.kubernetes.io/name", "nginx-ingress"));
const PROMETHEUS: End = Other("monitoring", ("app.kubernetes.io/name", "prometheus"));
const ALERTMANAGER: End = Other("monitoring", ("app.kubernetes.io/name", "alertmanager"));
const STRANGER: End = Other("default", ("app.kubernetes.io/name", "stranger"));
const DATABASE: End = Other("database", ("app.kubernetes.io/name", "haproxy"));
const STORE: End = Other("object-store", ("app.kubernetes.io/name", "object-store"));
const DNS: End = Other("kube-system", ("k8s-app", "kube-dns"));
const ELASTICSEARCH: End = Other("logging", ("elasticsearch.k8s.elastic.co/cluster-name", "logs"));
const INTERNET: End = Outside(Ipv4Addr::new(198, 51, 100, 7));
const NODE: End = Outside(Ipv4Addr::new(10, 0, 0, 1));

/// From, to, port, whether it must work.
const CONNECTIONS: &[(End, End, u64, bool)] = &[
    (NGINX, SERVE, 8080, true),
    (STRANGER, SERVE, 8080, false),
    (STRANGER, MIGRATE, 8080, false),
    (STRANGER, PUBLISH, 8080, false),
    (STRANGER, BACKUP_RUN, 9640, false),
    (NGINX, SERVE, 9601, false),
    (NGINX, SERVE, 9600, false),
    (SERVE, SERVE, 9601, true),
    (WORKER, SERVE, 9601, false),
    (ALERTBOT, SERVE, 8080, false),
    (PROMETHEUS, SERVE, 9600, true),
    (PROMETHEUS, WORKER, 9602, true),
    (PROMETHEUS, ALERTBOT, 9096, true),
    (PROMETHEUS, BACKUP_MONITOR, 9640, true),
    (PROMETHEUS, SHIPPER, 2020, true),
    (PROMETHEUS, SHIPPER, 9650, true),
    (PROMETHEUS, WATCH, 9650, true),
    (PROMETHEUS, ALERTBOT, 9095, false),
    (ALERTMANAGER, ALERTBOT, 9095, true),
    (STRANGER, ALERTBOT, 9095, false),
    (STRANGER, SHIPPER, 2020, false),
    (SERVE, DATABASE, 5432, true),
    (SERVE, DATABASE, 5433, true),
    (WORKER, DATABASE, 5432, true),
    (WORKER, DATABASE, 5433, false),
    (MIGRATE, DATABASE, 5432, true),
    (BACKUP_RUN, DATABASE, 5433, true),
    (ALERTBOT, DATABASE, 5432, false),
    (SERVE, STORE, 9000, true),
    (WORKER, STORE, 9000, true),
    (BACKUP_RUN, STORE, 9000, true),
    (BACKUP_MONITOR, STORE, 9000, true),
    (MIGRATE, STORE, 9000, false),
    (PUBLISH, STORE, 9000, true),
    (PUBLISH, DATABASE, 5432, false),
    (ALERTBOT, STORE, 9000, false),
    (ALERTBOT, ALERTMANAGER, 9093, true),
    (ALERTBOT, PROMETHEUS, 9090, true),
    (ALERTBOT, INTERNET, 443, true),
    (ALERTBOT, NODE, 443, false),
    (SERVE, INTERNET, 443, false),
    (BACKUP_RUN, INTERNET, 443, false),
    (SERVE, DNS, 53, true),
    (WORKER, DNS, 53, true),
    (MIGRATE, DNS, 53, true),
    (PUBLISH, DNS, 53, true),
    (ALERTBOT, DNS, 53, true),
    (BACKUP_RUN, DNS, 53, true),
    (SHIPPER, DNS, 53, true),
    (WATCH, DNS, 53, true),
    (SHIPPER, ELASTICSEARCH, 9200, true),
    (WATCH, ELASTICSEARCH, 9200, true),
    (APPLY, ELASTICSEARCH, 9200, true),
    (WATCH, INTERNET, 443, false),
];

pub fn connections(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (from, to, port, wanted) in CONNECTIONS {
        for end in [from, to] {
            if matches!(end, Ours(..)) && pods(world, *end).is_empty() {
                faults.push(fault(format!("{end:?}"), "has no pod"));
            }
        }
        let works = leaves(world, *from, *to, *port) && enters(world, *from, *to, *port);
        if works != *wanted {
            let text = if *wanted { "must be allowed and is refused" } else { "must be refused and is allowed" };
            faults.push(fault(format!("{from:?} to {to:?} port {port}"), text));
        }
    }
    faults
}

fn pods(world: &RenderedEnvironment, end: End) -> Vec<Pod<'_>> {
    let Ours(namespace, name, component) = end else { return Vec::new() };
    let labelled = |pod: &Pod<'_>, label: &str, value: &str| pod.labels().get(label) == Some(&Value::from(value));
    let pods = world.pods().map(|(_, pod)| pod).filter(|pod| pod.owner.namespace() == namespace);
    pods.filter(|pod| labelled(pod, "app.kubernetes.io/name", name))
        .filter(|pod| component.is_empty() || labelled(pod, "app.kubernetes.io/component", component))
        .collect()
}

/// Policies of one direction that select a pod. Without one, everything is allowed.
fn policies<'a>(world: &'a RenderedEnvironment, pod: Pod<'_>, direction: &str) -> Vec<&'a Object> {
    let all = world.objects().map(|(_, object)| object).filter(|object| object.kind() == "NetworkPolicy");
    all.filter(|policy| policy.namespace() == pod.owner.namespace())
        .filter(|policy| selects(&policy.0["spec"]["podSelector"], pod.labels()))
        .filter(|policy| list(&policy.0, "/spec/policyTypes").contains(&Value::from(direction)))
        .collect()
}

fn leaves(world: &RenderedEnvironment, from: End, to: End, port: u64) -> bool {
    pods(world, from).into_iter().all(|pod| {
        let policies = policies(world, pod, "Egress");
        policies.is_empty()
            || policies
                .iter()
                .flat_map(|policy| list(&policy.0, "/spec/egress").iter().map(|rule| (policy.namespace(), rule)))
                .any(|(home, rule)| {
                    peers(world, home, list(rule, "/to"), to) && carries(list(rule, "/ports"), &pods_ports(world, to), port)
                })
    })
}

fn enters(world: &RenderedEnvironment, from: End, to: End, port: u64) -> bool {
    pods(world, to).into_iter().all(|pod| {
        let policies = policies(world, pod, "Ingress");
        policies.is_empty()
            || policies
                .iter()
                .flat_map(|policy| list(&policy.0, "/spec/ingress").iter().map(|rule| (policy.namespace(), rule)))
                .any(|(home, rule)| {
                    peers(world, home, list(rule, "/from"), from) && carries(list(rule, "/ports"), &pod.ports(), port)
                })
    })
}

fn pods_ports(world: &RenderedEnvironment, end: End) -> Vec<(&str, u64)> {
    pods(world, end).iter().flat_map(Pod::ports).collect()
}

/// An empty list of ports carries every port.
fn carries(ports: &[Value], named: &[(&str, u64)], port: u64) -> bool {
    ports.is_empty()
        || ports.iter().any(|one| {
            let number = one["port"]
                .as_u64()
                .or_else(|| named.iter().find(|(name, _)| Some(*name) == one["port"].as_str()).map(|(_, number)| *number));
            number == Some(port)
        })
}

/// An empty list of peers means every peer.
fn peers(world: &RenderedEnvironment, home: &str, peers: &[Value], end: End) -> bool {
    peers.is_empty() || peers.iter().any(|peer| matches(world, home, peer, end))
}

fn matches(world: &RenderedEnvironment, home: &str, peer: &Value, end: End) -> bool {
    let labels: Vec<Map<String, Value>>;
    let namespace = match end {
        Outside(address) => return peer.get("ipBlock").is_some_and(|block| contains(block, address)),
        Ours(namespace, ..) => {
            labels = pods(world, end).iter().map(|pod| pod.labels().clone()).collect();
            namespace
        }
        Other(namespace, (key, value)) => {
            labels = json!({ key: value }).as_object().cloned().into_iter().collect();
            namespace
        }
    };
    let in_namespace = match peer.get("namespaceSelector") {
        Some(selector) => {
            selects(selector, &json!({"kubernetes.io/metadata.name": namespace}).as_object().cloned().unwrap_or_default())
        }
        None => peer.get("podSelector").is_some() && namespace == home,
    };
    in_namespace
        && peer.get("podSelector").is_none_or(|selector| !labels.is_empty() && labels.iter().all(|one| selects(selector, one)))
}

fn contains(block: &Value, address: Ipv4Addr) -> bool {
    let within = |cidr: &str| {
        let (network, bits) = cidr.split_once('/')?;
        let mask = u32::MAX.checked_shl(32 - bits.parse::<u32>().ok()?).unwrap_or(0);
        Some(network.parse::<Ipv4Addr>().ok()?.to_bits() & mask == address.to_bits() & mask)
    };
    let excepted = list(block, "/except").iter().filter_map(Value::as_str).any(|cidr| within(cidr) == Some(true));
    within(text(block, "/cidr")) == Some(true) && !excepted
}

pub fn default_deny(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, pod) in world.pods() {
        for direction in ["Ingress", "Egress"] {
            if policies(world, pod, direction).is_empty() {
                faults.push(fault(pod.owner.label(), format!("no NetworkPolicy limits its {}", direction.to_lowercase())));
            }
        }
    }
    faults
}
