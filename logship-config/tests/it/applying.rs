//! This module tests plan and apply: the platform's set, effects, guards, and failures in the middle of a run.

use elasticsearch_fake::{Cluster, FaultKind, InjectedFault, Mode, ReceivedCall};
use logship::{
    actual, apply,
    client::{Method, segment},
    desired::ObjectKind,
    exit::Exit,
    plan::{self, Allowed, Plan, PlanAction, PlanEffect, PlanStep},
};
use serde_json::json;

use crate::place::{Place, apply as applied, declared, plan, platform};

fn step<'a>(plan: &'a Plan, kind: ObjectKind, name: &str) -> &'a PlanStep {
    plan.steps.iter().find(|step| step.kind == kind && step.name == name).unwrap_or_else(|| panic!("{}", plan::plan_text(plan)))
}

#[tokio::test]
async fn the_platforms_set_is_applied_and_settles_for_every_kind() {
    let (client, fake) = Place::fake().await;
    let desired = platform();
    let first = plan(&client, &desired).await;
    for kind in ObjectKind::ALL {
        assert!(first.steps.iter().any(|step| step.kind == kind && step.action == PlanAction::Create), "{kind}");
    }
    assert_eq!(applied(&client, &desired).await, first.steps.len());
    let second = plan(&client, &desired).await;
    assert!(second.is_empty() && second.left_alone.is_empty(), "{}", plan::plan_text(&second));
    assert_eq!(plan::plan_json(&second)["changes"], false);
    assert_eq!(applied(&client, &desired).await, 0);
    fake.look(|cluster| {
        let audit = &cluster.indices[cluster.data_streams["logs-exchange.audit-default"].indices.last().unwrap()];
        assert_eq!(audit.settings["index.lifecycle.name"], "logs-audit");
        assert_eq!(audit.mappings["dynamic"], "false");
        assert!(cluster.data_streams["logs-exchange.app-default"].failure_store);
    });
}

const TEMPLATE: &str = "{index_patterns: [logs-shop-*], priority: 200, data_stream: {}, composed_of: [c], template: \
    {settings: {index.lifecycle.name: p}}}";
const COMPONENT: &str = "{template: {settings: {number_of_replicas: 1}}}";
const POLICY: &str = "{phases: {hot: {actions: {rollover: {max_age: 1d}}}, warm: {min_age: 2d, actions: {set_priority: \
    {priority: 5}}}, delete: {min_age: 30d, actions: {delete: {}}}}}";
const STREAMS: &str = "streams: {logs-shop-a: {}}";

fn shop(policy: &str, template: &str, component: &str, streams: &str) -> logship::desired::Desired {
    declared(&[
        ("policies/p.yaml", policy),
        ("templates/index/t.yaml", template),
        ("templates/components/c.yaml", component),
        ("streams.yaml", streams),
    ])
}

#[tokio::test]
async fn each_change_states_its_effect_and_affected_streams() {
    let place = Place::any().await;
    let (client, first) = (&place.client, shop(POLICY, TEMPLATE, COMPONENT, STREAMS));
    applied(client, &first).await;
    let touched = ["data stream logs-shop-a (1 indices)".to_owned()];

    let threshold = plan(client, &shop(&POLICY.replace("max_age: 1d", "max_age: 2d"), TEMPLATE, COMPONENT, STREAMS)).await;
    let changed = step(&threshold, ObjectKind::LifecyclePolicy, "p");
    assert_eq!((changed.effect, &changed.touches[..]), (PlanEffect::Now, &touched[..]));
    assert_eq!(changed.changes[0].path, "phases.hot.actions.rollover.max_age");

    let actions = POLICY.replace("{set_priority: {priority: 5}}", "{set_priority: {priority: 5}, readonly: {}}");
    let another = plan(client, &shop(&actions, TEMPLATE, COMPONENT, STREAMS)).await;
    assert_eq!(step(&another, ObjectKind::LifecyclePolicy, "p").effect, PlanEffect::NextPhase);
    let later = plan(client, &shop(&POLICY.replace("min_age: 2d", "min_age: 3d"), TEMPLATE, COMPONENT, STREAMS)).await;
    assert_eq!(step(&later, ObjectKind::LifecyclePolicy, "p").effect, PlanEffect::Now);

    let settings = plan(client, &shop(POLICY, TEMPLATE, &COMPONENT.replace('1', "0"), STREAMS)).await;
    let changed = step(&settings, ObjectKind::ComponentTemplate, "c");
    assert_eq!((changed.effect, &changed.touches[..]), (PlanEffect::NextRollover, &touched[..]));
    let told = plan::plan_text(&settings);
    assert!(
        told.contains("template.settings.index.number_of_replicas: 1 -> 0") && told.contains("takes effect: next rollover"),
        "{told}"
    );
    let machine = plan::plan_json(&settings);
    assert_eq!(machine["steps"][0]["effect"], "next_rollover");
    place.clean(&first).await;
}

#[tokio::test]
async fn retention_shrinks_only_by_name_and_not_if_protected() {
    let (client, fake) = Place::fake().await;
    applied(&client, &shop(POLICY, TEMPLATE, COMPONENT, STREAMS)).await;
    let shorter = POLICY.replace("min_age: 30d", "min_age: 7d");
    let desired = shop(&shorter, TEMPLATE, COMPONENT, STREAMS);
    fake.forget_calls();
    let refused = apply::run(&client, &desired, &Allowed::default(), &|_, _| {}).await.unwrap_err();
    assert_eq!(refused.exit, Exit::Refused);
    assert!(refused.told.contains("shrink from 30d to 7d") && refused.told.contains("--allow-shorter-retention p"), "{refused}");
    assert!(fake.calls().iter().all(|(call, _)| call.method == "GET"), "nothing was sent");
    let allowed = Allowed { shorter_retention: ["p".to_owned()].into(), ..Allowed::default() };
    assert_eq!(apply::run(&client, &desired, &allowed, &|_, _| {}).await.unwrap(), 1);

    let protected = "streams: {logs-shop-a: {protected: true}}";
    let shortest = shop(&shorter.replace("min_age: 7d", "min_age: 3d"), TEMPLATE, COMPONENT, protected);
    let refused = apply::run(&client, &shortest, &allowed, &|_, _| {}).await.unwrap_err();
    assert!(refused.told.contains("protected") && refused.told.contains("no flag allows it"), "{refused}");
    // Another policy for its template is refused as well.
    let moved = declared(&[
        ("policies/p.yaml", &shorter),
        (
            "policies/q.yaml",
            "{phases: {hot: {actions: {rollover: {max_age: 1d}}}, delete: {min_age: 1d, actions: {delete: {}}}}}",
        ),
        ("templates/index/t.yaml", &TEMPLATE.replace("name: p", "name: q")),
        ("templates/components/c.yaml", COMPONENT),
        ("streams.yaml", protected),
    ]);
    let refused = plan::plan(&moved, &actual::read_cluster(&client).await.unwrap(), &allowed).refusals;
    assert!(refused.iter().any(|refusal| refusal.kind == "data_stream" && refusal.flag.is_none()), "{refused:?}");
    // A lifecycle of its own that takes precedence over the policy is refused as well.
    let preferred = declared(&[
        ("policies/p.yaml", &shorter),
        (
            "templates/index/t.yaml",
            &TEMPLATE.replace("{index.lifecycle.name: p}", "{index.lifecycle.name: p, index.lifecycle.prefer_ilm: false}"),
        ),
        ("templates/components/c.yaml", COMPONENT),
        ("streams.yaml", "streams: {logs-shop-a: {protected: true, lifecycle: {data_retention: 1d}}}"),
    ]);
    let refused = plan::plan(&preferred, &actual::read_cluster(&client).await.unwrap(), &allowed).refusals;
    assert!(refused.iter().any(|refusal| refusal.kind == "data_stream" && refusal.flag.is_none()), "{refused:?}");
    // So is a shorter lifecycle of the stream itself.
    let own = |kept: &str| {
        let template = "{index_patterns: [logs-own-*], priority: 200, data_stream: {}, template: {lifecycle: {}}}";
        let streams = format!("streams: {{logs-own-a: {{lifecycle: {{data_retention: {kept}}}}}}}");
        declared(&[("templates/index/o.yaml", template), ("streams.yaml", &streams)])
    };
    let (client, _fake) = Place::fake().await;
    applied(&client, &own("30d")).await;
    assert_eq!(plan(&client, &own("7d")).await.refusals[0].flag.as_deref(), Some("--allow-shorter-retention logs-own-a"));
    assert!(plan(&client, &own("60d")).await.refusals.is_empty());
}

/// Settings that retain data for a shorter time, although the delete phase's age or the stream's own lifecycle does not
/// change.
#[tokio::test]
async fn any_setting_that_shortens_retention_needs_the_name() {
    let policy = |age: &str, delete: &str| {
        POLICY.replace("max_age: 1d", &format!("max_age: {age}")).replace("min_age: 30d", &format!("min_age: {delete}"))
    };
    let snapshots = |retention: &str| {
        let policy = format!("{{schedule: 1d, name: n, repository: r, retention: {{{retention}}}}}");
        declared(&[
            ("snapshots/repositories/r.yaml", "{type: s3, settings: {bucket: b}}"),
            ("snapshots/policies/s.yaml", &policy),
        ])
    };
    let failures = |stream: &str| {
        let options = "data_stream_options: {failure_store: {enabled: true, lifecycle: {data_retention: 60d}}}";
        let template = format!(
            "{{index_patterns: [logs-own-*], priority: 200, data_stream: {{}}, template: {{lifecycle: {{}}, {options}}}}}"
        );
        declared(&[("templates/index/o.yaml", &template), ("streams.yaml", &format!("streams: {{logs-own-a: {{{stream}}}}}"))])
    };
    let store = |lifecycle: &str| failures(&format!("failure_store: {{enabled: true, lifecycle: {{{lifecycle}}}}}"));
    let in_policy = |age, delete| shop(&policy(age, delete), TEMPLATE, COMPONENT, STREAMS);
    let counted = "expire_after: 30d, min_count: 5, max_count: 50";
    // State before and after, the name that allows it, and the message. No name: the retention does not shrink.
    for (was, shall, name, part) in [
        (in_policy("30d", "30d"), in_policy("1d", "30d"), "p", "first documents of an index would shrink from 60d to 31d"),
        (in_policy("30d", "30d"), in_policy("1d", "59d"), "", ""),
        (in_policy("1d", "30d"), in_policy("30d", "30d"), "", ""),
        (in_policy("1d", "30d"), in_policy("30d", "29d"), "p", "retention would shrink from 30d to 29d"),
        (snapshots(counted), snapshots(&counted.replace("30d", "7d")), "s", "retention would shrink from 30d to 7d"),
        (snapshots("max_count: 50"), snapshots(counted), "s", "retention would shrink from for ever to 30d"),
        (snapshots(counted), snapshots(&counted.replace("50", "10")), "s", "max_count of snapshots would shrink from 50 to 10"),
        (
            snapshots("min_count: 5"),
            snapshots("min_count: 5, max_count: 9"),
            "s",
            "max_count of snapshots would shrink from none to 9",
        ),
        (
            snapshots(counted),
            snapshots(&counted.replace("min_count: 5, ", "")),
            "s",
            "min_count of snapshots would shrink from 5 to none",
        ),
        (snapshots(counted), snapshots(&counted.replace("50", "60")), "", ""),
        (failures(""), store("data_retention: 7d"), "logs-own-a", "failure store would shrink from 60d to 7d"),
        (failures(""), store(""), "logs-own-a", "failure store would shrink from 60d to 30d"),
        (failures(""), store("enabled: false"), "", ""),
        (failures(""), store("data_retention: 90d"), "", ""),
    ] {
        let (client, _fake) = Place::fake().await;
        applied(&client, &was).await;
        let told = plan(&client, &shall).await;
        let flags: Vec<_> = told.refusals.iter().filter_map(|refusal| refusal.flag.as_deref()).collect();
        if name.is_empty() {
            assert!(told.refusals.is_empty() && !told.is_empty(), "{}", plan::plan_text(&told));
            continue;
        }
        assert_eq!(flags, [format!("--allow-shorter-retention {name}")], "{part}");
        assert!(told.refusals[0].why.contains(part), "{part}: {told:?}");
        let allowed = Allowed { shorter_retention: [name.to_owned()].into(), ..Allowed::default() };
        assert_eq!(apply::run(&client, &shall, &allowed, &|_, _| {}).await.unwrap(), 1, "{part}");
    }
    // The rollover's age and the failure store of a protected stream: no name allows it.
    for (was, shall) in [
        (in_policy("30d", "30d"), shop(&policy("1d", "30d"), TEMPLATE, COMPONENT, "streams: {logs-shop-a: {protected: true}}")),
        (failures(""), failures("protected: true, failure_store: {enabled: true, lifecycle: {data_retention: 7d}}")),
    ] {
        let (client, _fake) = Place::fake().await;
        applied(&client, &was).await;
        let refused = plan(&client, &shall).await.refusals;
        assert!(refused.len() == 1 && refused[0].flag.is_none() && refused[0].why.contains("protected"), "{refused:?}");
    }
}

/// Existing indices name their pipeline themselves, even after their template no longer does.
#[tokio::test]
async fn a_pipeline_stays_while_an_index_names_it() {
    let with = |settings: &str, pipelines: &[(&str, &str)]| {
        let template = TEMPLATE.replace("index.lifecycle.name: p", &format!("index.lifecycle.name: p{settings}"));
        let files = [
            ("policies/p.yaml", POLICY),
            ("templates/index/t.yaml", &template),
            ("templates/components/c.yaml", COMPONENT),
            ("streams.yaml", STREAMS),
        ];
        declared(&[&files[..], pipelines].concat())
    };
    let pipelines = [("pipelines/one.yaml", "{processors: []}"), ("pipelines/two.yaml", "{processors: []}")];
    let (client, fake) = Place::fake().await;
    applied(&client, &with(", index.default_pipeline: one, index.final_pipeline: two", &pipelines)).await;
    let without = with("", &[]);
    let refused = plan(&client, &without).await.refusals;
    let mut told: Vec<_> = refused.iter().map(|refusal| (refusal.name.as_str(), refusal.flag.is_none())).collect();
    told.sort_unstable();
    assert_eq!(told, [("one", true), ("two", true)], "{refused:?}");
    assert!(refused.iter().all(|refusal| refusal.why.contains("data stream logs-shop-a still uses it")), "{refused:?}");
    let deleted = client.send(Method::Delete, "/_ingest/pipeline/one", &[], None).await.unwrap_err().to_string();
    assert!(deleted.contains("cannot be deleted because it is the default pipeline for 1 index(es)"), "{deleted}");
    // The template removes its use first. After the index that names them is deleted, the pipelines are deleted too.
    applied(&client, &with("", &pipelines)).await;
    assert_eq!(plan(&client, &without).await.refusals.len(), 2);
    let now = fake.now();
    let old = fake.look(|cluster| cluster.data_streams["logs-shop-a"].indices[0].clone());
    fake.change(|cluster| cluster.roll("logs-shop-a", now));
    client.send(Method::Delete, &format!("/{}", segment(&old)), &[], None).await.unwrap();
    assert_eq!(applied(&client, &without).await, 2);
    assert!(fake.look(|cluster| cluster.pipelines.is_empty()));
}

#[tokio::test]
async fn used_objects_and_objects_of_others_are_not_deleted() {
    let cluster = Cluster { reserved: [("ilm".to_owned(), "operators".to_owned())].into(), ..Cluster::default() };
    let (client, fake) = Place::fake_of(cluster).await;
    applied(&client, &shop(POLICY, TEMPLATE, COMPONENT, STREAMS)).await;
    // Objects that are declared no longer but used by a stream: each refusal names the user, and no flag allows it.
    let nothing = declared(&[("pipelines/x.yaml", "{processors: []}")]);
    let refused = plan(&client, &nothing).await.refusals;
    let names: Vec<_> = refused.iter().map(|refusal| (refusal.kind, refusal.flag.is_some())).collect();
    assert_eq!(names, [("index_template", false), ("component_template", false), ("lifecycle_policy", false)]);
    assert!(refused[0].why.contains("data stream logs-shop-a"), "{refused:?}");
    // A component is removed from a template and deleted in the same plan.
    let without = declared(&[
        ("policies/p.yaml", POLICY),
        ("templates/index/t.yaml", &TEMPLATE.replace("composed_of: [c], ", "")),
        ("streams.yaml", STREAMS),
    ]);
    let gone = plan(&client, &without).await;
    assert_eq!(
        (gone.steps[0].action, gone.steps[1].action),
        (PlanAction::Update, PlanAction::Delete),
        "{}",
        plan::plan_text(&gone)
    );
    applied(&client, &without).await;
    assert!(fake.look(|cluster| cluster.component_templates.is_empty()));

    // Objects created by others do not change, declared or not.
    fake.change(|cluster| {
        let theirs = json!({"phases": {"hot": {"min_age": "0ms", "actions": {"rollover": {"max_age": "1d"}}}}, "_meta": {"managed": true}});
        for name in ["elastics", "operators", "strangers"] {
            let mut body = theirs.clone();
            if name != "elastics" {
                body["_meta"] = json!({});
            }
            let modified = jiff::Timestamp::UNIX_EPOCH;
            cluster.policies.insert(name.into(), elasticsearch_fake::Policy { body, version: 1, modified });
        }
    });
    assert!(plan(&client, &without).await.is_empty());
    let theirs = |name: &str| {
        let other = "{phases: {hot: {actions: {rollover: {max_age: 2d}}}}}";
        declared(&[
            ("policies/p.yaml", POLICY),
            ("templates/index/t.yaml", &TEMPLATE.replace("composed_of: [c], ", "")),
            ("streams.yaml", STREAMS),
            (&format!("policies/{name}.yaml"), other),
        ])
    };
    let left = plan(&client, &theirs("elastics")).await;
    assert!(left.is_empty() && left.left_alone[0].why.contains("_meta.managed"), "{left:?}");
    let told = plan::plan_text(&left);
    assert!(
        told.contains("the cluster differs from the declared files: 1 left unchanged") && !told.contains("No changes"),
        "{told}"
    );
    let left = plan(&client, &theirs("operators")).await;
    assert!(left.is_empty() && left.left_alone[0].why.contains("operator manages"), "{left:?}");
    assert!(!plan::plan_text(&left).contains("No changes"), "{left:?}");
    assert_eq!(plan(&client, &theirs("strangers")).await.steps.len(), 1);
}

#[tokio::test]
async fn an_unlicensed_action_is_refused_before_any_request() {
    let frozen = declared(&[
        ("policies/p.yaml", "{phases: {frozen: {min_age: 1d, actions: {searchable_snapshot: {snapshot_repository: r}}}}}"),
        ("snapshots/repositories/r.yaml", "{type: s3, settings: {bucket: b}}"),
    ]);
    let (client, _fake) = Place::fake().await;
    let refused = apply::run(&client, &frozen, &Allowed::default(), &|_, _| {}).await.unwrap_err();
    assert!(refused.exit == Exit::Refused && refused.told.contains("needs an Enterprise licence"), "{refused}");
    let (client, _fake) = Place::fake_of(Cluster { mode: Mode::Enterprise, ..Cluster::default() }).await;
    assert_eq!(applied(&client, &frozen).await, 2);
    assert!(plan(&client, &frozen).await.is_empty());
}

#[tokio::test]
async fn a_failed_step_lists_applied_and_untried_steps() {
    let (client, fake) = Place::fake().await;
    fake.change(|cluster| {
        // Another program's template has the name of a declared one.
        cluster
            .index_templates
            .insert("other".into(), json!({"index_patterns": ["logs-shop-*"], "priority": 200, "composed_of": []}));
    });
    let failed =
        apply::run(&client, &shop(POLICY, TEMPLATE, COMPONENT, STREAMS), &Allowed::default(), &|_, _| {}).await.unwrap_err();
    assert_eq!(failed.exit, Exit::Failed);
    for part in [
        "create index_template t: PUT /_index_template/t was answered 400 illegal_argument_exception",
        "the same priority [200]",
        "Applied before: create lifecycle_policy p, create component_template c",
        "Not tried: create data_stream logs-shop-a",
    ] {
        assert!(failed.told.contains(part), "{part}\n{failed}");
    }
}

/// One request creates a stream; further requests set its own settings.
#[tokio::test]
async fn a_stream_created_without_its_settings_is_reported() {
    let (client, fake) = Place::fake().await;
    let streams = "streams: {logs-shop-a: {lifecycle: {data_retention: 9d}, failure_store: {enabled: true}}}";
    let refusal = FaultKind::Request { status: 503, error: "process_cluster_event_timeout_exception", reason: "on purpose" };
    fake.change(|cluster| cluster.faults.add(InjectedFault::new(refusal).at("a/_options")));
    let desired = shop(POLICY, TEMPLATE, COMPONENT, streams);
    let failed = apply::run(&client, &desired, &Allowed::default(), &|_, _| {}).await.unwrap_err();
    let told = "create index_template t, the stream itself and lifecycle of create data_stream logs-shop-a. Not tried: nothing";
    assert!(failed.told.contains(told) && failed.exit == Exit::NotNow, "{failed}");
    fake.change(|cluster| cluster.faults.clear());
    assert_eq!(applied(&client, &desired).await, 1);
}

/// Fields that the exchange writes into the two streams selected by `event.dataset`: the templates set the type of every
/// field.
#[tokio::test]
async fn lines_of_access_and_audit_find_every_field_mapped() {
    let (client, fake) = Place::fake().await;
    applied(&client, &platform()).await;
    let line = json!({
        "@timestamp": "2026-11-27T08:59:59.123Z", "log.level": "info", "log.logger": "exchange::access", "message": "GET 200",
        "service.name": "exchange", "service.version": "0.1.0", "trace.id": "0af7651916cd43dd8448eb211c80319c",
        "event.action": "cancel-all", "event.outcome": "failure", "event.reason": "the market is closed",
        "event.original": "POST /admin/v1/markets", "event.duration": 1_250_000, "user.name": "operator-1",
        "url.path": "/api/v3/order", "http.request.method": "POST", "http.response.status_code": 409, "client.ip": "::1",
        "user_agent.original": "curl/8.0",
    });
    let types = [
        ("event.dataset", "keyword"),
        ("event.action", "keyword"),
        ("event.outcome", "keyword"),
        ("event.reason", "keyword"),
        ("event.original", "keyword"),
        ("event.duration", "long"),
        ("user.name", "keyword"),
        ("url.path", "keyword"),
        ("http.request.method", "keyword"),
        ("http.response.status_code", "short"),
        ("client.ip", "ip"),
        ("user_agent.original", "keyword"),
    ];
    for dataset in ["exchange.access", "exchange.audit"] {
        let stream = format!("logs-{dataset}-default");
        let mapped =
            || fake.look(|cluster| cluster.indices[cluster.data_streams[&stream].indices.last().unwrap()].mappings.clone());
        let before = mapped();
        for (field, kind) in types {
            let place = format!("/properties/{}/type", field.replace('.', "/properties/"));
            assert_eq!(before.pointer(&place), Some(&json!(kind)), "{stream}: {field}");
        }
        // Stored but not searchable: it may be of any length.
        assert_eq!(before["properties"]["event"]["properties"]["original"]["index"], false);
        let mut line = line.clone();
        line["event.dataset"] = dataset.into();
        let body = format!("{{\"create\":{{\"_index\":\"{stream}\",\"_id\":\"1\"}}}}\n{line}\n");
        let answer = fake
            .change(|cluster| cluster.answer(&ReceivedCall::new("POST", "/_bulk", body.into_bytes()), jiff::Timestamp::now()));
        assert_eq!(answer.body["errors"], false, "{}", answer.body);
        assert_eq!(mapped(), before, "every field has a declared type");
    }
}
