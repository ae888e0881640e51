//! This module has the rules about network policies: a default deny in every namespace with pods of ours, and tables of connections
//! that must work or must be refused. It evaluates the policies as Kubernetes defines them. `flows` derives connections from settings.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::{Facts, RuleViolation, fault};
use crate::{
    object::{Object, Pod, list, selects, text},
    world::RenderedEnvironment,
};

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum NetworkEnd {
    /// A pod of ours: namespace, name, component; an empty component matches any.
    Ours(&'static str, &'static str, &'static str),
    /// A pod of another namespace: namespace, and one label.
    Other(&'static str, (&'static str, &'static str)),
    /// An address outside the cluster.
    Outside(Ipv4Addr),
}
pub(super) use NetworkEnd::{Other, Ours, Outside};

const SERVE: NetworkEnd = Ours("exchange", "exchange", "serve");
const WORKER: NetworkEnd = Ours("exchange", "exchange", "worker");
const MIGRATE: NetworkEnd = Ours("exchange", "exchange", "migrate");
const PUBLISH: NetworkEnd = Ours("exchange", "exchange", "publish");
const PROBE: NetworkEnd = Ours("exchange", "exchange", "probe");
const ALERTBOT: NetworkEnd = Ours("exchange", "alertbot", "");
const BACKUP_RUN: NetworkEnd = Ours("exchange", "backup", "run");
const BACKUP_MONITOR: NetworkEnd = Ours("exchange", "backup", "monitor");
const SHIPPER: NetworkEnd = Ours("logging", "fluent-bit", "");
const WATCH: NetworkEnd = Ours("logging", "logship", "watch");
const APPLY: NetworkEnd = Ours("logging", "logship", "apply");
pub(super) const NGINX: NetworkEnd = Other("ingress", ("app.kubernetes.io/name", "nginx-ingress"));
pub(super) const PROMETHEUS: NetworkEnd = Other("monitoring", ("app.kubernetes.io/name", "prometheus"));
pub(super) const ALERTMANAGER: NetworkEnd = Other("monitoring", ("app.kubernetes.io/name", "alertmanager"));
const STRANGER: NetworkEnd = Other("default", ("app.kubernetes.io/name", "stranger"));
pub(super) const DATABASE: NetworkEnd = Other("database", ("app.kubernetes.io/name", "haproxy"));
pub(super) const STORE: NetworkEnd = Other("object-store", ("app.kubernetes.io/name", "object-store"));
const DNS: NetworkEnd = Other("kube-system", ("k8s-app", "kube-dns"));
pub(super) const ELASTICSEARCH: NetworkEnd = Other("logging", ("elasticsearch.k8s.elastic.co/cluster-name", "logs"));
pub(super) const INTERNET: NetworkEnd = Outside(Ipv4Addr::new(198, 51, 100, 7));
const NODE: NetworkEnd = Outside(Ipv4Addr::new(10, 0, 0, 1));
const HAPROXY: NetworkEnd = Ours("database", "haproxy", "");
const POSTGRESQL: NetworkEnd = Other("database", ("app.kubernetes.io/name", "postgresql"));
const OBJECT_STORE: NetworkEnd = Ours("object-store", "object-store", "");
const BUCKETS: NetworkEnd = Ours("object-store", "buckets", "");

/// From, to, port, whether it must work.
const CONNECTIONS: &[(NetworkEnd, NetworkEnd, u64, bool)] = &[
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
    (PROMETHEUS, PROBE, 9603, true),
    (STRANGER, PROBE, 9603, false),
    (PROBE, INTERNET, 443, true),
    // The public address may be one of the cluster's own network.
    (PROBE, NODE, 443, true),
    (PROBE, DATABASE, 5432, false),
    (PROBE, STORE, 9000, false),
    (PROBE, DNS, 53, true),
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
    // The Secret's address decides; a cluster without a standby has the primary alone.
    (BACKUP_RUN, DATABASE, 5432, true),
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
    // The Kubernetes API, by its Service's port and by that of its servers.
    (SHIPPER, NODE, 443, true),
    (SHIPPER, NODE, 6443, true),
    (WATCH, NODE, 6443, false),
    (SHIPPER, STORE, 9000, false),
    (SHIPPER, ELASTICSEARCH, 9200, true),
    (WATCH, ELASTICSEARCH, 9200, true),
    (APPLY, ELASTICSEARCH, 9200, true),
    (WATCH, INTERNET, 443, false),
];

/// Connections that a policy of a backing service decides too. They need the objects of both.
const BACKING: &[(NetworkEnd, NetworkEnd, u64, bool)] = &[
    (SERVE, HAPROXY, 5432, true),
    (SERVE, HAPROXY, 5433, true),
    (WORKER, HAPROXY, 5432, true),
    (MIGRATE, HAPROXY, 5432, true),
    (BACKUP_RUN, HAPROXY, 5432, true),
    (BACKUP_RUN, HAPROXY, 5433, true),
    (ALERTBOT, HAPROXY, 5432, false),
    (STRANGER, HAPROXY, 5432, false),
    (ALERTMANAGER, HAPROXY, 8404, false),
    (STRANGER, HAPROXY, 8404, false),
    (SERVE, HAPROXY, 8404, false),
    (PROMETHEUS, HAPROXY, 8404, true),
    (HAPROXY, POSTGRESQL, 5432, true),
    (HAPROXY, DNS, 53, true),
    (HAPROXY, INTERNET, 443, false),
    (POSTGRESQL, POSTGRESQL, 5432, true),
    (POSTGRESQL, INTERNET, 443, false),
    (PROMETHEUS, POSTGRESQL, 9187, true),
    // Past HAProxy a session could reach an old primary.
    (SERVE, POSTGRESQL, 5432, false),
    (BACKUP_RUN, POSTGRESQL, 5432, false),
    (SERVE, OBJECT_STORE, 9000, true),
    (WORKER, OBJECT_STORE, 9000, true),
    (PUBLISH, OBJECT_STORE, 9000, true),
    (BACKUP_RUN, OBJECT_STORE, 9000, true),
    (BACKUP_MONITOR, OBJECT_STORE, 9000, true),
    (ALERTBOT, OBJECT_STORE, 9000, false),
    (STRANGER, OBJECT_STORE, 9000, false),
    (ALERTMANAGER, OBJECT_STORE, 9000, false),
    (ELASTICSEARCH, OBJECT_STORE, 9000, true),
    (PROMETHEUS, OBJECT_STORE, 9000, true),
    (BUCKETS, OBJECT_STORE, 9000, true),
    (OBJECT_STORE, OBJECT_STORE, 9000, true),
    (OBJECT_STORE, DNS, 53, true),
    (OBJECT_STORE, INTERNET, 443, false),
];

pub fn connections(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    judge(world, CONNECTIONS)
}

/// The connections between an environment and its backing services, whose objects `world` must hold too.
pub fn backing_connections(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    judge(world, BACKING)
}

fn judge(world: &RenderedEnvironment, table: &[(NetworkEnd, NetworkEnd, u64, bool)]) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (from, to, port, wanted) in table {
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

/// A policy that permits more than a table needs is a hole: each peer and each port of each rule must serve a connection of the tables.
/// A port of a container that no connection uses is one too.
pub fn needed(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for policy in world.objects().map(|(_, object)| object).filter(|object| object.kind() == "NetworkPolicy") {
        for (direction, pointer, side) in [("Ingress", "/spec/ingress", "/from"), ("Egress", "/spec/egress", "/to")] {
            for (place, rule) in list(&policy.0, pointer).iter().enumerate() {
                let served: Vec<(NetworkEnd, u64)> = used()
                    .filter_map(|(from, to, port)| {
                        let (own, peer) = if direction == "Egress" { (from, to) } else { (to, from) };
                        let selected = ends(world, own).iter().any(|end| end.is_selected_by(policy));
                        let named = if direction == "Egress" { pods_ports(world, to) } else { pods_ports(world, own) };
                        let carried = carries(list(rule, "/ports"), &named, port);
                        let meets = peers(world, policy.namespace(), list(rule, side), peer);
                        (selected && carried && meets).then_some((peer, port))
                    })
                    .collect();
                let unused_peer = list(rule, side)
                    .iter()
                    .find(|peer| !served.iter().any(|(end, _)| matches(world, policy.namespace(), peer, *end)));
                let unused_port = list(rule, "/ports")
                    .iter()
                    .find(|port| !served.iter().any(|(end, number)| carried_by(world, policy, direction, port, *end, *number)));
                if served.is_empty() || unused_peer.is_some() || unused_port.is_some() {
                    let what = unused_peer.map(|peer| format!("the peer {peer}"));
                    let what = what.or_else(|| unused_port.map(|port| format!("the port {}", port["port"])));
                    let text = format!(
                        "rule {place} of {} permits {}, which no connection of the table needs; remove it, or add the connection",
                        direction.to_lowercase(),
                        what.unwrap_or_else(|| "a connection".to_owned())
                    );
                    faults.push(fault(policy.label(), text));
                }
            }
        }
    }
    faults
}

/// Connections of both tables that must work.
fn used() -> impl Iterator<Item = (NetworkEnd, NetworkEnd, u64)> {
    CONNECTIONS.iter().chain(BACKING).filter(|(.., wanted)| *wanted).map(|(from, to, port, _)| (*from, *to, *port))
}

fn carried_by(
    world: &RenderedEnvironment,
    policy: &Object,
    direction: &str,
    port: &Value,
    peer: NetworkEnd,
    number: u64,
) -> bool {
    let named: Vec<(&str, u64)> = if direction == "Egress" {
        pods_ports(world, peer)
    } else {
        let pods = world.pods().map(|(_, pod)| pod).filter(|pod| pod.owner.namespace() == policy.namespace());
        pods.filter(|pod| selects(&policy.0["spec"]["podSelector"], pod.labels())).flat_map(|pod| pod.ports()).collect()
    };
    carries(std::slice::from_ref(port), &named, number)
}

fn pods(world: &RenderedEnvironment, end: NetworkEnd) -> Vec<Pod<'_>> {
    let Ours(namespace, name, component) = end else { return Vec::new() };
    let labelled = |pod: &Pod<'_>, label: &str, value: &str| pod.labels().get(label) == Some(&Value::from(value));
    let pods = world.pods().map(|(_, pod)| pod).filter(|pod| pod.owner.namespace() == namespace);
    pods.filter(|pod| labelled(pod, "app.kubernetes.io/name", name))
        .filter(|pod| component.is_empty() || labelled(pod, "app.kubernetes.io/component", component))
        .collect()
}

/// One pod, ours or another's, as policies see it.
struct Target<'a> {
    namespace: &'a str,
    labels: Map<String, Value>,
    ports: Vec<(&'a str, u64)>,
}

impl Target<'_> {
    fn is_selected_by(&self, policy: &Object) -> bool {
        policy.namespace() == self.namespace && selects(&policy.0["spec"]["podSelector"], &self.labels)
    }
}

/// The pods of one end; none for an address outside.
fn ends(world: &RenderedEnvironment, end: NetworkEnd) -> Vec<Target<'_>> {
    match end {
        Ours(..) => pods(world, end).into_iter().map(target).collect(),
        Other(namespace, (key, value)) => {
            let labels = json!({ key: value }).as_object().cloned().unwrap_or_default();
            vec![Target { namespace, labels, ports: Vec::new() }]
        }
        Outside(_) => Vec::new(),
    }
}

fn target(pod: Pod<'_>) -> Target<'_> {
    Target { namespace: pod.owner.namespace(), labels: pod.labels().clone(), ports: pod.ports() }
}

/// Policies of one direction that select a pod. Without one, everything is allowed.
fn policies<'a>(world: &'a RenderedEnvironment, pod: &Target<'_>, direction: &str) -> Vec<&'a Object> {
    let all = world.objects().map(|(_, object)| object).filter(|object| object.kind() == "NetworkPolicy");
    all.filter(|policy| pod.is_selected_by(policy))
        .filter(|policy| list(&policy.0, "/spec/policyTypes").contains(&Value::from(direction)))
        .collect()
}

pub(super) fn leaves(world: &RenderedEnvironment, from: NetworkEnd, to: NetworkEnd, port: u64) -> bool {
    ends(world, from).iter().all(|pod| pod_leaves(world, pod, to, port))
}

fn pod_leaves(world: &RenderedEnvironment, pod: &Target<'_>, to: NetworkEnd, port: u64) -> bool {
    let policies = policies(world, pod, "Egress");
    policies.is_empty()
        || policies.iter().flat_map(|policy| list(&policy.0, "/spec/egress").iter().map(|rule| (policy.namespace(), rule))).any(
            |(home, rule)| {
                peers(world, home, list(rule, "/to"), to) && carries(list(rule, "/ports"), &pods_ports(world, to), port)
            },
        )
}

/// Whether one pod of ours may open a connection.
pub(super) fn may_leave(world: &RenderedEnvironment, pod: Pod<'_>, to: NetworkEnd, port: u64) -> bool {
    pod_leaves(world, &target(pod), to, port)
}

pub(super) fn enters(world: &RenderedEnvironment, from: NetworkEnd, to: NetworkEnd, port: u64) -> bool {
    ends(world, to).iter().all(|pod| pod_enters(world, from, pod, port))
}

fn pod_enters(world: &RenderedEnvironment, from: NetworkEnd, pod: &Target<'_>, port: u64) -> bool {
    let policies = policies(world, pod, "Ingress");
    policies.is_empty()
        || policies
            .iter()
            .flat_map(|policy| list(&policy.0, "/spec/ingress").iter().map(|rule| (policy.namespace(), rule)))
            .any(|(home, rule)| peers(world, home, list(rule, "/from"), from) && carries(list(rule, "/ports"), &pod.ports, port))
}

/// Whether one pod of ours accepts a connection.
pub(super) fn may_enter(world: &RenderedEnvironment, from: NetworkEnd, pod: Pod<'_>, port: u64) -> bool {
    pod_enters(world, from, &target(pod), port)
}

fn pods_ports(world: &RenderedEnvironment, end: NetworkEnd) -> Vec<(&str, u64)> {
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
fn peers(world: &RenderedEnvironment, home: &str, peers: &[Value], end: NetworkEnd) -> bool {
    peers.is_empty() || peers.iter().any(|peer| matches(world, home, peer, end))
}

fn matches(world: &RenderedEnvironment, home: &str, peer: &Value, end: NetworkEnd) -> bool {
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
            if policies(world, &target(pod), direction).is_empty() {
                faults.push(fault(pod.owner.label(), format!("no NetworkPolicy limits its {}", direction.to_lowercase())));
            }
        }
    }
    faults
}
