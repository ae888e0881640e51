//! This module has the rules about room: quotas that fit every pod at once, and priorities that decide which pod waits when a node is lost.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Facts, RuleViolation, fault};
use crate::{
    object::{Object, Pod, list, mapping, text},
    world::RenderedEnvironment,
};

/// Pods that run while others end: the default of `maxSurge`, in percent.
const DEFAULT_SURGE: u64 = 25;

/// A quota below the sum refuses the last pods of a rollout, and only while it runs.
pub fn quotas(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, quota) in world.objects().filter(|(_, object)| object.kind() == "ResourceQuota") {
        let needed = needs(world, quota.namespace());
        for (name, hard) in mapping(&quota.0, "/spec/hard") {
            let Some(hard) = milli(hard) else {
                faults.push(fault(
                    quota.label(),
                    format!("{name}: {hard} is not a quantity; write a number such as 500m, 2 or 16Gi"),
                ));
                continue;
            };
            let Some(sum) = needed.get(name.as_str()) else {
                faults.push(fault(
                    quota.label(),
                    format!("limits {name}, which this rule does not sum; remove it or teach the rule"),
                ));
                continue;
            };
            if *sum > hard {
                let text = format!("{name} is {}, and all pods at once need {}; raise it", plain(hard), plain(*sum));
                faults.push(fault(quota.label(), text));
            }
        }
    }
    faults
}

/// What all pods of a namespace need at once, during a rollout of everything, in thousandths.
fn needs(world: &RenderedEnvironment, namespace: &str) -> BTreeMap<&'static str, u128> {
    const SUMMED: [(&str, &str); 4] = [
        ("requests.cpu", "requests/cpu"),
        ("requests.memory", "requests/memory"),
        ("limits.cpu", "limits/cpu"),
        ("limits.memory", "limits/memory"),
    ];
    let mut sums: BTreeMap<&'static str, u128> =
        ["pods", "persistentvolumeclaims", "requests.storage", "services.loadbalancers", "services.nodeports"]
            .into_iter()
            .chain(SUMMED.map(|(name, _)| name))
            .map(|name| (name, 0))
            .collect();
    let mut add = |name: &'static str, amount: u128| *sums.entry(name).or_default() += amount;
    for (_, pod) in world.pods().filter(|(_, pod)| pod.owner.namespace() == namespace) {
        let count = u128::from(pods_at_once(world, pod.owner));
        add("pods", count * 1000);
        for (name, resource) in SUMMED {
            add(name, count * of_pod(pod, resource));
        }
    }
    for (_, object) in world.objects().filter(|(_, object)| object.namespace() == namespace) {
        let replicas = u128::from(object.0.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1));
        let claims: Vec<(&Value, u128)> = match object.kind() {
            "PersistentVolumeClaim" => vec![(&object.0, 1)],
            _ => list(&object.0, "/spec/volumeClaimTemplates").iter().map(|claim| (claim, replicas)).collect(),
        };
        for (claim, count) in claims {
            add("persistentvolumeclaims", count * 1000);
            add(
                "requests.storage",
                count * claim.pointer("/spec/resources/requests/storage").and_then(milli).unwrap_or_default(),
            );
        }
        if object.kind() == "Service" {
            match text(&object.0, "/spec/type") {
                // A load balancer has a port on each node too.
                "LoadBalancer" => ["services.loadbalancers", "services.nodeports"].into_iter().for_each(|name| add(name, 1000)),
                "NodePort" => add("services.nodeports", 1000),
                _ => {}
            }
        }
    }
    sums
}

/// Pods of one workload while it is rolled out. A DaemonSet's number depends on the cluster and is not counted.
fn pods_at_once(world: &RenderedEnvironment, owner: &Object) -> u64 {
    let replicas = owner.0.pointer("/spec/replicas").and_then(Value::as_u64);
    match owner.kind() {
        "Deployment" => {
            let scaled = world.objects().map(|(_, object)| object).find(|object| {
                object.kind() == "ScaledObject"
                    && object.namespace() == owner.namespace()
                    && text(&object.0, "/spec/scaleTargetRef/name") == owner.name()
            });
            let most = scaled.and_then(|object| object.0.pointer("/spec/maxReplicaCount").and_then(Value::as_u64));
            let replicas = most.or(replicas).unwrap_or(1);
            if text(&owner.0, "/spec/strategy/type") == "Recreate" {
                return replicas;
            }
            let surge = owner.0.pointer("/spec/strategy/rollingUpdate/maxSurge");
            let percent = |percent: u64| (replicas * percent).div_ceil(100);
            replicas
                + match surge {
                    None => percent(DEFAULT_SURGE),
                    Some(surge) => surge.as_u64().unwrap_or_else(|| {
                        surge.as_str().and_then(|text| text.strip_suffix('%')?.parse().ok()).map_or(replicas, percent)
                    }),
                }
        }
        "StatefulSet" => replicas.unwrap_or(1),
        "Job" => owner.0.pointer("/spec/parallelism").and_then(Value::as_u64).unwrap_or(1),
        // A person starts one more by hand: a first backup, a drill.
        "CronJob" => 2,
        _ => 0,
    }
}

/// What the scheduler counts: containers that last, or the largest of the earlier ones.
fn of_pod(pod: Pod<'_>, resource: &str) -> u128 {
    let amount = |value: &Value| value.pointer(&format!("/resources/{resource}")).and_then(milli).unwrap_or_default();
    let lasting = |value: &Value| text(value, "/restartPolicy") == "Always";
    let (sidecars, first): (Vec<&Value>, Vec<&Value>) = list(pod.spec(), "/initContainers").iter().partition(|one| lasting(one));
    let beside: u128 = sidecars.into_iter().map(amount).sum();
    let main: u128 = list(pod.spec(), "/containers").iter().map(amount).sum();
    beside + main.max(first.into_iter().map(amount).max().unwrap_or_default())
}

/// A quantity in thousandths: `250m`, `2`, `512Mi`, `1.5`.
fn milli(value: &Value) -> Option<u128> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u128 = match unit {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let digits: u128 = format!("{whole}{part}").parse().ok()?;
    digits.checked_mul(factor).map(|amount| amount / scale)
}

/// Thousandths as a person writes them.
fn plain(amount: u128) -> String {
    const UNITS: [(u128, &str); 2] = [(1000 << 30, "Gi"), (1000 << 20, "Mi")];
    match UNITS.iter().find(|(unit, _)| amount >= *unit) {
        Some((unit, name)) => format!("{}{name}", amount.div_ceil(*unit)),
        None if amount.is_multiple_of(1000) => (amount / 1000).to_string(),
        None => format!("{amount}m"),
    }
}

/// Batch work waits when room is short: each of its pods names a class below the servers', which must exist earlier.
pub fn priorities(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    let class = |name: &str| world.find("PriorityClass", name);
    let value = |pod: Pod<'_>| {
        let class = class(text(pod.spec(), "/priorityClassName"));
        class.and_then(|class| class.0.pointer("/value").and_then(Value::as_i64)).unwrap_or_default()
    };
    let servers = world.pods().find(|(_, pod)| pod.owner.name() == "exchange-serve").map_or(0, |(_, pod)| value(pod));
    for (application, pod) in world.pods() {
        let name = text(pod.spec(), "/priorityClassName");
        if !name.is_empty() && !name.starts_with("system-") {
            let earlier = world
                .objects()
                .any(|(made, object)| object.kind() == "PriorityClass" && object.name() == name && made.wave < application.wave);
            if !earlier {
                faults.push(fault(
                    pod.owner.label(),
                    format!("names the priority class {name:?}, which no earlier Application makes"),
                ));
            }
        }
        if pod.owner.kind() == "CronJob" && value(pod) >= servers {
            let text = format!("has priority {}, the servers have {servers}; name a class below: exchange-batch", value(pod));
            faults.push(fault(pod.owner.label(), text));
        }
    }
    for (_, object) in world.objects().filter(|(_, object)| object.kind() == "PriorityClass") {
        if object.0["globalDefault"] == Value::Bool(true) {
            faults.push(fault(object.label(), "is the default of the whole cluster; other namespaces must not change"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_exactly() {
        let rows =
            [("250m", 250), ("2", 2000), ("1.5", 1500), ("1Ki", 1_024_000), ("0.5Gi", 536_870_912_000), ("10k", 10_000_000)];
        for (text, amount) in rows {
            assert_eq!(milli(&json!(text)), Some(amount), "{text}");
        }
        assert_eq!(milli(&json!(3)), Some(3000));
        for wrong in ["", "m", "two", "1GiB", "-1", "1,5"] {
            assert_eq!(milli(&json!(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn a_pod_counts_its_largest_phase() {
        let owner = Object(json!({"kind": "Job", "spec": {"template": {"spec": {
            "initContainers": [
                {"resources": {"requests": {"cpu": "3"}}},
                {"restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
            ],
            "containers": [{"resources": {"requests": {"cpu": "1"}}}, {"resources": {"requests": {"cpu": "500m"}}}],
        }}}}));
        assert_eq!(of_pod(owner.pod().unwrap(), "requests/cpu"), 3100);
    }

    #[test]
    fn a_rollout_counts_its_surge() {
        let world = RenderedEnvironment { environment: String::new(), applications: Vec::new() };
        let pods = |spec: Value| pods_at_once(&world, &Object(json!({"kind": "Deployment", "spec": spec})));
        assert_eq!(pods(json!({"replicas": 2, "strategy": {"rollingUpdate": {"maxSurge": 1}}})), 3);
        assert_eq!(pods(json!({"replicas": 2, "strategy": {"rollingUpdate": {"maxSurge": "50%"}}})), 3);
        assert_eq!(pods(json!({"replicas": 2})), 3);
        assert_eq!(pods(json!({"replicas": 1, "strategy": {"type": "Recreate"}})), 1);
    }
}
