//! Plan and apply: the platform's set, effects, guards, and what happens halfway.

use elasticsearch_fake::{Cluster, Mode};
use logship::{
    actual, apply,
    desired::Kind,
    exit::Exit,
    plan::{self, Action, Allowed, Effect, Plan, Step},
};
use serde_json::json;

use crate::place::{Place, apply as applied, declared, plan, platform};

fn step<'a>(plan: &'a Plan, kind: Kind, name: &str) -> &'a Step {
    plan.steps.iter().find(|step| step.kind == kind && step.name == name).unwrap_or_else(|| panic!("{}", plan::human(plan)))
}

#[tokio::test]
async fn the_platforms_set_is_applied_and_settles_for_every_kind() {
    let (client, fake) = Place::fake().await;
    let desired = platform();
    let first = plan(&client, &desired).await;
    for kind in Kind::ALL {
        assert!(first.steps.iter().any(|step| step.kind == kind && step.action == Action::Create), "{kind}");
    }
    assert_eq!(applied(&client, &desired).await, first.steps.len());
    let second = plan(&client, &desired).await;
    assert!(second.is_empty() && second.left_alone.is_empty(), "{}", plan::human(&second));
    assert_eq!(plan::machine(&second)["changes"], false);
    assert_eq!(applied(&client, &desired).await, 0);
    fake.look(|cluster| {
        let audit = &cluster.indices[cluster.data_streams["logs-exchange.audit-default"].indices.last().unwrap()];
        assert_eq!(audit.settings["index.lifecycle.name"], "logs-audit");
        assert_eq!(audit.mappings["dynamic"], "false");
        assert!(cluster.data_streams["logs-exchange.app-default"].failure_store);
    });
}

const TEMPLATE: &str = "{index_patterns: [logs-shop-*], priority: 200, data_stream: {}, composed_of: [c], template: {settings: {index.lifecycle.name: p}}}";
const COMPONENT: &str = "{template: {settings: {number_of_replicas: 1}}}";
const POLICY: &str = "{phases: {hot: {actions: {rollover: {max_age: 1d}}}, warm: {min_age: 2d, actions: {set_priority: {priority: 5}}}, delete: {min_age: 30d, actions: {delete: {}}}}}";
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
async fn each_change_says_when_it_is_felt_and_by_whom() {
    let (client, _fake) = Place::fake().await;
    applied(&client, &shop(POLICY, TEMPLATE, COMPONENT, STREAMS)).await;
    let touched = ["data stream logs-shop-a (1 indices)".to_owned()];

    let threshold = plan(&client, &shop(&POLICY.replace("max_age: 1d", "max_age: 2d"), TEMPLATE, COMPONENT, STREAMS)).await;
    let changed = step(&threshold, Kind::LifecyclePolicy, "p");
    assert_eq!((changed.effect, &changed.touches[..]), (Effect::Now, &touched[..]));
    assert_eq!(changed.changes[0].path, "phases.hot.actions.rollover.max_age");

    let actions = POLICY.replace("{set_priority: {priority: 5}}", "{set_priority: {priority: 5}, readonly: {}}");
    let another = plan(&client, &shop(&actions, TEMPLATE, COMPONENT, STREAMS)).await;
    assert_eq!(step(&another, Kind::LifecyclePolicy, "p").effect, Effect::NextPhase);
    let later = plan(&client, &shop(&POLICY.replace("min_age: 2d", "min_age: 3d"), TEMPLATE, COMPONENT, STREAMS)).await;
    assert_eq!(step(&later, Kind::LifecyclePolicy, "p").effect, Effect::Now);

    let settings = plan(&client, &shop(POLICY, TEMPLATE, &COMPONENT.replace('1', "0"), STREAMS)).await;
    let changed = step(&settings, Kind::ComponentTemplate, "c");
    assert_eq!((changed.effect, &changed.touches[..]), (Effect::NextRollover, &touched[..]));
    let told = plan::human(&settings);
    assert!(
        told.contains("template.settings.index.number_of_replicas: 1 -> 0") && told.contains("takes effect: next rollover"),
        "{told}"
    );
    let machine = plan::machine(&settings);
    assert_eq!(machine["steps"][0]["effect"], "next_rollover");
}

#[tokio::test]
async fn retention_shrinks_only_by_name_and_a_protected_streams_never() {
    let (client, fake) = Place::fake().await;
    applied(&client, &shop(POLICY, TEMPLATE, COMPONENT, STREAMS)).await;
    let shorter = POLICY.replace("min_age: 30d", "min_age: 7d");
    let desired = shop(&shorter, TEMPLATE, COMPONENT, STREAMS);
    fake.forget_calls();
    let refused = apply::run(&client, &desired, &Allowed::default(), &|_, _| {}).await.unwrap_err();
    assert_eq!(refused.exit, Exit::Refused);
    assert!(refused.told.contains("shrink from 30d to 7d") && refused.told.contains("--allow-shorter-retention p"), "{refused}");
    assert!(fake.calls().iter().all(|(call, _)| call.method == "GET"), "nothing was sent");
    let allowed = Allowed { shorter_retention: ["p".to_owned()].into() };
    assert_eq!(apply::run(&client, &desired, &allowed, &|_, _| {}).await.unwrap(), 1);

    let protected = "streams: {logs-shop-a: {protected: true}}";
    let shortest = shop(&shorter.replace("min_age: 7d", "min_age: 3d"), TEMPLATE, COMPONENT, protected);
    let refused = apply::run(&client, &shortest, &allowed, &|_, _| {}).await.unwrap_err();
    assert!(refused.told.contains("protected") && refused.told.contains("no flag allows it"), "{refused}");
    // Nor by another policy for its template.
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
    let refused = plan::plan(&moved, &actual::read(&client).await.unwrap(), &allowed).refusals;
    assert!(refused.iter().any(|refusal| refusal.kind == "data_stream" && refusal.flag.is_none()), "{refused:?}");
    // Nor by a lifecycle of its own that goes before the policy.
    let preferred = declared(&[
        ("policies/p.yaml", &shorter),
        (
            "templates/index/t.yaml",
            &TEMPLATE.replace("{index.lifecycle.name: p}", "{index.lifecycle.name: p, index.lifecycle.prefer_ilm: false}"),
        ),
        ("templates/components/c.yaml", COMPONENT),
        ("streams.yaml", "streams: {logs-shop-a: {protected: true, lifecycle: {data_retention: 1d}}}"),
    ]);
    let refused = plan::plan(&preferred, &actual::read(&client).await.unwrap(), &allowed).refusals;
    assert!(refused.iter().any(|refusal| refusal.kind == "data_stream" && refusal.flag.is_none()), "{refused:?}");
    // And a stream's own lifecycle.
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

#[tokio::test]
async fn nothing_in_use_goes_and_what_others_manage_stays() {
    let cluster = Cluster { reserved: [("ilm".to_owned(), "operators".to_owned())].into(), ..Cluster::default() };
    let (client, fake) = Place::fake_of(cluster).await;
    applied(&client, &shop(POLICY, TEMPLATE, COMPONENT, STREAMS)).await;
    // Declared no longer, but a stream lives by them: each says what still uses it, and no flag helps.
    let nothing = declared(&[("pipelines/x.yaml", "{processors: []}")]);
    let refused = plan(&client, &nothing).await.refusals;
    let names: Vec<_> = refused.iter().map(|refusal| (refusal.kind, refusal.flag.is_some())).collect();
    assert_eq!(names, [("index_template", false), ("component_template", false), ("lifecycle_policy", false)]);
    assert!(refused[0].why.contains("data stream logs-shop-a"), "{refused:?}");
    // A component leaves a template and goes in the same plan.
    let without = declared(&[
        ("policies/p.yaml", POLICY),
        ("templates/index/t.yaml", &TEMPLATE.replace("composed_of: [c], ", "")),
        ("streams.yaml", STREAMS),
    ]);
    let gone = plan(&client, &without).await;
    assert_eq!((gone.steps[0].action, gone.steps[1].action), (Action::Update, Action::Delete), "{}", plan::human(&gone));
    applied(&client, &without).await;
    assert!(fake.look(|cluster| cluster.component_templates.is_empty()));

    // What nobody here made is not touched, declared or not.
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
    let left = plan(&client, &theirs("operators")).await;
    assert!(left.is_empty() && left.left_alone[0].why.contains("operator manages"), "{left:?}");
    assert_eq!(plan(&client, &theirs("strangers")).await.steps.len(), 1);
}

#[tokio::test]
async fn an_action_beyond_the_licence_is_refused_before_anything_is_sent() {
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
async fn a_step_that_fails_says_what_was_done_and_what_was_not() {
    let (client, fake) = Place::fake().await;
    fake.change(|cluster| {
        // Somebody else's template stands where ours wants to be.
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
