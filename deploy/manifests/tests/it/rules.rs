//! Every rule finds the object that breaks it. The world without the fault has none.

use serde_json::{Value, json};

use crate::source::{STAGING, WHOLE, facts, repository};
use manifests::{
    rules::{self, RULES, RuleScope},
    world::RenderedEnvironment,
};

/// What a row does to the rendered objects.
#[derive(Clone, Copy)]
enum Change {
    /// Kind, name, JSON pointer, value as JSON; `null` removes the member.
    Set(&'static str, &'static str, &'static str, &'static str),
    /// Kind and name.
    Remove(&'static str, &'static str),
    /// Kind and name: twice in the world.
    Repeat(&'static str, &'static str),
}
use Change::{Remove, Repeat, Set};

const SERVE: &str = "exchange-serve";

/// Rule, change, a part of the fault's text.
const BAD: &[(&str, Change, &str)] = &[
    (
        "images by digest from one registry",
        Set("Deployment", SERVE, "/spec/template/spec/containers/0/image", "\"registry.example.com/exchange/exchange:1.0\""),
        "without a digest",
    ),
    (
        "images by digest from one registry",
        Set(
            "Deployment",
            SERVE,
            "/spec/template/spec/containers/0/image",
            "\"registry.example.com/exchange/exchange@sha256:abc\"",
        ),
        "without a digest",
    ),
    (
        "images by digest from one registry",
        Set(
            "CronJob",
            "backup-verify",
            "/spec/jobTemplate/spec/template/spec/initContainers/0/image",
            "\"docker.io/postgres@sha256:0000000000000000000000000000000000000000000000000000000000000000\"",
        ),
        "another registry",
    ),
    (
        "images by digest from one registry",
        Set(
            "Deployment",
            SERVE,
            "/spec/template/spec/containers/0/image",
            "\"registry.example.com.evil/exchange@sha256:0000000000000000000000000000000000000000000000000000000000000000\"",
        ),
        "another registry",
    ),
    ("probes", Set("StatefulSet", "alertbot", "/spec/template/spec/containers/0/readinessProbe", "null"), "no readinessProbe"),
    (
        "probes",
        Set("Deployment", SERVE, "/spec/template/spec/containers/0/livenessProbe/httpGet/path", "\"/readyz\""),
        "restarted when it is not ready",
    ),
    (
        "probes",
        Set("Deployment", SERVE, "/spec/template/spec/containers/0/readinessProbe/httpGet/path", "\"/livez\""),
        "our programs answer it at /readyz",
    ),
    (
        "probes",
        Set("Deployment", SERVE, "/spec/template/spec/containers/0/readinessProbe", r#"{"exec": {"command": ["true"]}}"#),
        "no shell",
    ),
    ("probes", Set("Deployment", SERVE, "/spec/template/spec/containers/0/startupProbe/failureThreshold", "10"), "allows 10 s"),
    ("probes", Set("DaemonSet", "fluent-bit", "/spec/template/spec/containers/1/livenessProbe/periodSeconds", "1"), "allows 6 s"),
    (
        "requests and memory limit",
        Set("CronJob", "backup-run", "/spec/jobTemplate/spec/template/spec/containers/0/resources/limits", "null"),
        "limits/memory",
    ),
    ("requests and memory limit", Set("Deployment", SERVE, "/spec/template/spec/volumes/0/emptyDir", "{}"), "no sizeLimit"),
    ("time to stop", Set("Deployment", SERVE, "/spec/template/spec/terminationGracePeriodSeconds", "30"), "need 35"),
    ("time to stop", Set("Deployment", "exchange-worker", "/spec/template/spec/terminationGracePeriodSeconds", "20"), "need 25"),
    (
        "time to stop",
        Set(
            "Deployment",
            SERVE,
            "/spec/template/spec/containers/0/lifecycle/preStop",
            r#"{"exec": {"command": ["sleep", "5"]}}"#,
        ),
        "no shell",
    ),
    ("rollout without a gap", Set("Deployment", SERVE, "/spec/strategy/rollingUpdate/maxUnavailable", "1"), "before it ends one"),
    ("rollout without a gap", Set("Deployment", SERVE, "/spec/template/spec/topologySpreadConstraints", "[]"), "not spread"),
    ("rollout without a gap", Remove("PodDisruptionBudget", "exchange-worker"), "no PodDisruptionBudget"),
    ("rollout without a gap", Set("StatefulSet", "alertbot", "/spec/replicas", "2"), "no PodDisruptionBudget"),
    (
        "rollout without a gap",
        Set(
            "Deployment",
            SERVE,
            "/spec/template/spec/topologySpreadConstraints/0/labelSelector/matchLabels/app.kubernetes.io~1component",
            "\"worker\"",
        ),
        "not spread over kubernetes.io/hostname",
    ),
    ("service links disabled", Set("Deployment", SERVE, "/spec/template/spec/enableServiceLinks", "null"), "enableServiceLinks"),
    ("restricted pods", Set("Deployment", SERVE, "/spec/template/spec/securityContext/runAsUser", "0"), "numeric user"),
    ("restricted pods", Set("Deployment", SERVE, "/spec/template/spec/securityContext/runAsNonRoot", "false"), "runAsNonRoot"),
    (
        "restricted pods",
        Set("Deployment", SERVE, "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem", "null"),
        "readOnlyRootFilesystem",
    ),
    (
        "restricted pods",
        Set("Deployment", SERVE, "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation", "true"),
        "allowPrivilegeEscalation",
    ),
    (
        "restricted pods",
        Set(
            "Deployment",
            SERVE,
            "/spec/template/spec/containers/0/securityContext/capabilities",
            r#"{"drop": ["ALL"], "add": ["NET_ADMIN"]}"#,
        ),
        "NET_ADMIN",
    ),
    (
        "restricted pods",
        Set("Deployment", SERVE, "/spec/template/spec/automountServiceAccountToken", "null"),
        "automountServiceAccountToken",
    ),
    (
        "restricted pods",
        Set("Deployment", SERVE, "/spec/template/spec/volumes/0", r#"{"name": "tmp", "hostPath": {"path": "/"}}"#),
        "hostPath",
    ),
    ("restricted pods", Set("Job", "exchange-migrate-000000000000", "/spec/template/spec/hostNetwork", "true"), "hostNetwork"),
    (
        "namespace enforces restricted",
        Set("Namespace", "exchange", "/metadata/labels/pod-security.kubernetes.io~1enforce", "\"baseline\""),
        "enforces baseline",
    ),
    ("no Secret in the repository", Set("ServiceAccount", "exchange", "/kind", "\"Secret\""), "declare an ExternalSecret"),
    ("disruption budgets permit evictions", Set("PodDisruptionBudget", SERVE, "/spec/maxUnavailable", "0"), "no eviction"),
    (
        "disruption budgets permit evictions",
        Set(
            "PodDisruptionBudget",
            SERVE,
            "/spec",
            r#"{"minAvailable": "100%", "selector": {"matchLabels": {"app.kubernetes.io/component": "serve"}}}"#,
        ),
        "no eviction",
    ),
    ("scheduled jobs are bounded", Set("CronJob", "backup-run", "/spec/concurrencyPolicy", "\"Allow\""), "Forbid"),
    ("scheduled jobs are bounded", Set("CronJob", "backup-prune", "/spec/timeZone", "null"), "timeZone"),
    (
        "scheduled jobs are bounded",
        Set("CronJob", "backup-run", "/spec/jobTemplate/spec/activeDeadlineSeconds", "null"),
        "activeDeadlineSeconds",
    ),
    (
        "hooks are bounded and named by commit",
        Set("Job", "exchange-migrate-000000000000", "/metadata/name", "\"exchange-migrate\""),
        "digits of a commit",
    ),
    (
        "hooks are bounded and named by commit",
        Set("Job", "exchange-migrate-000000000000", "/spec/ttlSecondsAfterFinished", "0"),
        "disappear",
    ),
    (
        "hooks are bounded and named by commit",
        Set("Job", "exchange-migrate-000000000000", "/metadata/annotations/argocd.argoproj.io~1hook", "null"),
        "not a hook",
    ),
    (
        "hooks are bounded and named by commit",
        Set("Job", "exchange-migrate-000000000000", "/spec/activeDeadlineSeconds", "null"),
        "activeDeadlineSeconds",
    ),
    (
        "selectors match pods",
        Set("Service", "exchange", "/spec/selector/app.kubernetes.io~1component", "\"server\""),
        "selects no pod",
    ),
    (
        "selectors match pods",
        Set("PodMonitor", "exchange-worker", "/spec/selector/matchLabels/app.kubernetes.io~1name", "\"exchang\""),
        "selects no pod",
    ),
    (
        "selectors match pods",
        Set("NetworkPolicy", "exchange-migrate", "/spec/podSelector/matchLabels/app.kubernetes.io~1component", "\"migration\""),
        "selects no pod",
    ),
    (
        "selectors match pods",
        Set("ServiceMonitor", "alertbot", "/spec/selector/matchLabels/app.kubernetes.io~1name", "\"bot\""),
        "no Service",
    ),
    ("named ports exist", Set("Service", "exchange", "/spec/ports/0/targetPort", "\"web\""), "targetPort"),
    ("named ports exist", Set("PodMonitor", "backup", "/spec/podMetricsEndpoints/0/port", "\"metrics\""), "endpoint"),
    (
        "named ports exist",
        Set("Ingress", "exchange", "/spec/rules/0/http/paths/0/backend/service/port/name", "\"https\""),
        "backend",
    ),
    (
        "named ports exist",
        Set("Deployment", SERVE, "/spec/template/spec/containers/0/readinessProbe/httpGet/port", "\"ready\""),
        "readinessProbe",
    ),
    ("Secrets and ConfigMaps exist earlier", Remove("ExternalSecret", "exchange-database"), "which nothing makes"),
    ("Secrets and ConfigMaps exist earlier", Remove("ConfigMap", "alertbot"), "which nothing makes"),
    (
        "Secrets and ConfigMaps exist earlier",
        Set("Job", "exchange-migrate-000000000000", "/spec/template/spec/volumes/1/secret/secretName", "\"registery\""),
        "registery",
    ),
    ("accounts exist", Set("Deployment", SERVE, "/spec/template/spec/serviceAccountName", "\"exchang\""), "exchang"),
    (
        "settings are known and complete",
        Set("Deployment", "exchange-worker", "/spec/template/spec/containers/0/env/0/name", "\"EXCHANGE_ADMIN_LISTN\""),
        "does not list",
    ),
    (
        "settings are known and complete",
        Set("Job", "exchange-migrate-000000000000", "/spec/template/spec/containers/0/env", "[]"),
        "EXCHANGE_DATABASE_URL, which exchange requires",
    ),
    (
        "settings are known and complete",
        Set("Job", "exchange-migrate-000000000000", "/spec/template/spec/containers/0/args/0", "\"migrat\""),
        "no role",
    ),
    ("scrape jobs are expected targets", Remove("PodMonitor", "exchange-worker"), "expected and not scraped"),
    (
        "scrape jobs are expected targets",
        Set("PodMonitor", "logship-watch", "/spec/podMetricsEndpoints/0/relabelings", "[]"),
        "not expected",
    ),
    ("dashboards and rules arrive once", Remove("PrometheusRule", "alerts-backup"), "arrives 0 times"),
    ("dashboards and rules arrive once", Repeat("PrometheusRule", "alerts-backup"), "arrives 2 times"),
    ("dashboards and rules arrive once", Remove("ConfigMap", "dashboard-exchange"), "arrives 0 times"),
    (
        "one major version of PostgreSQL",
        Set(
            "CronJob",
            "backup-prune",
            "/spec/jobTemplate/spec/template/spec/containers/0/env/2/value",
            "\"/usr/lib/postgresql/15/bin\"",
        ),
        "different majors",
    ),
    ("default deny both ways", Remove("NetworkPolicy", "fluent-bit"), "no NetworkPolicy"),
    ("connections", Remove("NetworkPolicy", "default-deny"), "must be refused and is allowed"),
    ("connections", Remove("NetworkPolicy", "dns"), "must be allowed and is refused"),
    ("connections", Set("NetworkPolicy", "exchange-serve", "/spec/ingress/0/from", "[]"), "must be refused and is allowed"),
    (
        "connections",
        Set("NetworkPolicy", "alertbot", "/spec/egress/2/to/0/ipBlock/except", "[]"),
        "must be refused and is allowed",
    ),
    (
        "connections",
        Set("NetworkPolicy", "exchange-worker", "/spec/egress/0/ports/0/port", "5433"),
        "must be allowed and is refused",
    ),
    (
        "declared connections are allowed",
        Set(
            "Deployment",
            "exchange-worker",
            "/spec/template/spec/containers/0/env/3/value",
            "\"http://object-store.object-store.svc:9001\"",
        ),
        "port 9001, which no NetworkPolicy allows",
    ),
    (
        "declared connections are allowed",
        Set(
            "Deployment",
            "exchange-worker",
            "/spec/template/spec/containers/0/env/3/value",
            "\"http://cache.elsewhere.svc:6379\"",
        ),
        "no network rule knows",
    ),
    (
        "declared connections are allowed",
        Set(
            "Deployment",
            "exchange-worker",
            "/spec/template/spec/containers/0/env/2/name",
            "\"EXCHANGE_DATABASE_REPLICA_URL_FILE\"",
        ),
        "port 5433, which no NetworkPolicy allows",
    ),
    (
        "declared connections are allowed",
        Set("ConfigMap", "alertbot", "/data/alertbot.yaml", "\"prometheus: http://prometheus-operated.monitoring.svc:9091\""),
        "port 9091, which no NetworkPolicy allows",
    ),
    (
        "declared connections are allowed",
        Set("NetworkPolicy", "alertbot", "/spec/egress/2/ports/0/port", "8443"),
        "sends to Telegram",
    ),
    (
        "declared connections are allowed",
        Set("NetworkPolicy", "exchange-worker", "/spec/ingress/0/ports/0/port", "\"http\""),
        "connects to port admin (9602)",
    ),
    (
        "declared connections are allowed",
        Set("NetworkPolicy", "alertbot", "/spec/ingress/1/from", "[{\"podSelector\": {}}]"),
        "connects to port admin (9096)",
    ),
    (
        "declared connections are allowed",
        Set("NetworkPolicy", "alertbot", "/spec/ingress/0/ports/0/port", "\"admin\""),
        "connects to port webhook (9095)",
    ),
    (
        "declared connections are allowed",
        Set("NetworkPolicy", "exchange-serve", "/spec/ingress/0/ports/0/port", "\"admin\""),
        "connects to port http (8080)",
    ),
    (
        "connections to backing services",
        Set("NetworkPolicy", "haproxy", "/spec/ingress/0/ports/1/port", "\"admin\""),
        "must be allowed and is refused",
    ),
    (
        "connections to backing services",
        Set("NetworkPolicy", "postgresql", "/spec/ingress/0/from", "[]"),
        "must be refused and is allowed",
    ),
    (
        "connections to backing services",
        Set("NetworkPolicy", "object-store", "/spec/ingress/0/from/3/podSelector", "{}"),
        "must be refused and is allowed",
    ),
    (
        "network rules are needed",
        Set("NetworkPolicy", "exchange-migrate", "/spec/egress/0/ports", r#"[{"port": 5432}, {"port": 5433}]"#),
        "the port 5433",
    ),
    (
        "network rules are needed",
        Set(
            "NetworkPolicy",
            "exchange-publish",
            "/spec/egress/0/to",
            r#"[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "object-store"}}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}]"#,
        ),
        "the peer",
    ),
    (
        "network rules are needed",
        Set("NetworkPolicy", "exchange-serve", "/spec/ingress/2/ports/0/port", "\"internal\""),
        "rule 2 of ingress",
    ),
    ("network rules are needed", Set("NetworkPolicy", "haproxy", "/spec/egress/0/ports/0/port", "5434"), "rule 0 of egress"),
    ("quotas have room", Set("ResourceQuota", "exchange", "/spec/hard/requests.cpu", "\"3\""), "all pods at once need"),
    ("quotas have room", Set("ResourceQuota", "exchange", "/spec/hard/limits.memory", "\"4Gi\""), "limits.memory is 4Gi"),
    ("quotas have room", Set("ResourceQuota", "exchange", "/spec/hard/pods", "\"9\""), "pods is 9"),
    ("quotas have room", Set("ResourceQuota", "exchange", "/spec/hard/requests.memory", "\"many\""), "is not a quantity"),
    ("quotas have room", Set("ResourceQuota", "exchange", "/spec/hard/count~1jobs.batch", "\"1\""), "does not sum"),
    (
        "quotas have room",
        Set("StatefulSet", "alertbot", "/spec/volumeClaimTemplates/0/spec/resources/requests/storage", "\"1Ti\""),
        "requests.storage",
    ),
    ("quotas have room", Set("Service", "exchange", "/spec/type", "\"LoadBalancer\""), "services.loadbalancers"),
    ("quotas have room", Set("Deployment", SERVE, "/spec/replicas", "40"), "pods is"),
    (
        "batch work has a lower priority",
        Set("CronJob", "backup-verify", "/spec/jobTemplate/spec/template/spec/priorityClassName", "null"),
        "name a class below",
    ),
    ("batch work has a lower priority", Set("PriorityClass", "exchange-batch", "/value", "1"), "name a class below"),
    ("batch work has a lower priority", Set("PriorityClass", "exchange-batch", "/globalDefault", "true"), "the whole cluster"),
    ("batch work has a lower priority", Remove("PriorityClass", "exchange-batch"), "which no earlier Application makes"),
    (
        "data is never pruned",
        Set("Namespace", "exchange", "/metadata/annotations/argocd.argoproj.io~1sync-options", "\"Prune=false\""),
        "Delete=false",
    ),
    (
        "data is never pruned",
        Set("StatefulSet", "alertbot", "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", "\"Delete\""),
        "whenDeleted",
    ),
    (
        "custom resources may come later",
        Set("PodMonitor", "backup", "/metadata/annotations", "{}"),
        "SkipDryRunOnMissingResource",
    ),
];

#[test]
fn every_rule_finds_what_breaks_it() {
    let facts = facts();
    let mut wrong = Vec::new();
    for (rule, change, part) in BAD {
        let rule_of = RULES.iter().find(|one| one.name == *rule).unwrap_or_else(|| panic!("no rule {rule:?}"));
        let sound = if rule_of.scope == RuleScope::Whole { &*WHOLE } else { &*STAGING };
        let mut world = sound.clone();
        apply(&mut world, *change);
        let before = (rule_of.find)(sound, &facts);
        let after = (rule_of.find)(&world, &facts);
        let new = after.iter().any(|fault| fault.text.contains(part) && !before.contains(fault));
        if !new {
            wrong.push(format!("{rule}: {part:?} is not among {after:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_row() {
    let without: Vec<_> = RULES.iter().map(|rule| rule.name).filter(|name| !BAD.iter().any(|(rule, ..)| rule == name)).collect();
    // The Applications are outside the rendered objects; the next test breaks them.
    assert_eq!(without, ["Applications retry with a limit"]);
}

#[test]
fn an_application_that_retries_for_ever_is_found() {
    for (pointer, value, part) in [
        ("/spec/syncPolicy/retry/limit", json!(-1), "without a limit"),
        ("/spec/syncPolicy/syncOptions", json!([]), "ServerSideApply"),
        ("/spec/syncPolicy/syncOptions/0", json!("ApplyOutOfSyncOnly=true"), "ApplyOutOfSyncOnly"),
        ("/spec/source/path", json!("overlays/production/exchange"), "another environment's folder"),
        ("/spec/destination/name", json!("production"), "another environment's cluster"),
        ("/metadata/finalizers", json!(["resources-finalizer.argocd.argoproj.io"]), "deletes its objects"),
    ] {
        let mut world = STAGING.clone();
        set(&mut world.applications[0].declared.0, pointer, value);
        let rule = RULES.iter().find(|rule| rule.name == "Applications retry with a limit").expect("the rule");
        let faults = (rule.find)(&world, &facts());
        assert!(faults.iter().any(|fault| fault.text.contains(part)), "{pointer}: {faults:?}");
    }
}

#[test]
fn a_difference_outside_the_list_is_found() {
    let mut other = STAGING.clone();
    other.environment = "production".to_owned();
    assert_eq!(rules::overlays::differences(&STAGING, &other, &[]), []);
    apply(&mut other, Set("Deployment", SERVE, "/spec/template/spec/containers/0/env/2/value", "\"0.0.0.0:80\""));
    let faults = rules::overlays::differences(&STAGING, &other, &[]);
    assert!(faults.iter().any(|fault| fault.text.contains("EXCHANGE_HTTP_LISTEN/value")), "{faults:?}");
}

#[test]
fn waivers_have_a_reason() {
    let waivers = rules::waivers(&repository().join("deploy/manifests/waivers.yaml")).expect("valid waivers");
    assert!(waivers.iter().all(|waiver| RULES.iter().any(|rule| rule.name == waiver.rule)));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "- {rule: probes, object: Deployment x, contains: y, reason: ' '}").expect("written");
    assert!(rules::waivers(file.path()).unwrap_err().to_string().contains("has no reason"));
}

fn apply(world: &mut RenderedEnvironment, change: Change) {
    match change {
        Set(kind, name, pointer, value) => {
            let object = world.find_mut(kind, name).unwrap_or_else(|| panic!("no {kind} {name}"));
            set(object, pointer, serde_json::from_str(value).expect("JSON"));
        }
        Remove(kind, name) => {
            let mut found = false;
            for application in &mut world.applications {
                let before = application.objects.len();
                application.objects.retain(|object| object.kind() != kind || object.name() != name);
                found |= application.objects.len() < before;
            }
            assert!(found, "no {kind} {name}");
        }
        Repeat(kind, name) => {
            let object = world.find(kind, name).unwrap_or_else(|| panic!("no {kind} {name}")).clone();
            world.applications[0].objects.push(object);
        }
    }
}

/// Sets or removes one member. The member's parent must exist: a row with a wrong path is a fault of the test.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let member = member.replace("~1", "/").replace("~0", "~");
    match object.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Array(items) => items[member.parse::<usize>().expect("a place")] = value,
        Value::Object(members) if value.is_null() => {
            assert!(members.remove(&member).is_some(), "no {pointer}");
        }
        Value::Object(members) => {
            members.insert(member, value);
        }
        other => panic!("{parent} is {other}"),
    }
}
