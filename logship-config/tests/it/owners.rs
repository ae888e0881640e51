//! This module tests several declared folders on one cluster: each changes and deletes only the objects of its own owner.

use logship::{
    desired::Desired,
    plan::{self, Allowed, Plan, PlanAction},
};
use serde_json::json;

use crate::place::{Place, apply, declared, plan};

const PIPELINE: &str = "{processors: []}";

/// Declarations of an owner: a pipeline and a policy for each name.
fn set(owner: Option<&str>, names: &[&str]) -> Desired {
    let mut files = Vec::new();
    for name in names {
        files.push((format!("pipelines/{name}.yaml"), PIPELINE.to_owned()));
        files.push((format!("policies/{name}.yaml"), "{phases: {}}".to_owned()));
    }
    files.extend(owner.map(|owner| ("owner.yaml".to_owned(), format!("owner: {owner}"))));
    logship::desired::load_desired(&files.into_iter().collect()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn deletes(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().filter(|step| step.action == PlanAction::Delete).map(|step| step.name.as_str()).collect()
}

#[tokio::test]
async fn a_second_folder_leaves_the_first_ones_objects() {
    let (client, fake) = Place::fake().await;
    apply(&client, &set(Some("one"), &["a", "b"])).await;
    apply(&client, &set(Some("two"), &["c"])).await;
    for (owner, names) in [("one", &["a", "b"][..]), ("two", &["c"])] {
        let settled = plan(&client, &set(Some(owner), names)).await;
        assert!(settled.is_empty() && settled.left_alone.is_empty(), "{owner}: {}", plan::plan_text(&settled));
    }
    // Each deletes its own objects only.
    assert_eq!(deletes(&plan(&client, &set(Some("one"), &["a"])).await), ["b", "b"]);
    assert_eq!(apply(&client, &set(Some("two"), &[])).await, 2);
    assert_eq!(fake.look(|cluster| cluster.pipelines.keys().cloned().collect::<Vec<_>>()), ["a", "b"]);
}

#[tokio::test]
async fn an_object_of_another_owner_does_not_change() {
    let (client, fake) = Place::fake().await;
    apply(&client, &set(Some("one"), &["a"])).await;
    let other = declared(&[
        ("owner.yaml", "owner: two"),
        ("pipelines/a.yaml", "{processors: [{drop: {}}]}"),
        ("policies/p.yaml", "{phases: {}}"),
    ]);
    let left = plan(&client, &other).await;
    assert_eq!((left.steps.len(), left.left_alone.len(), left.refusals.len()), (1, 1, 0), "{}", plan::plan_text(&left));
    assert!(left.left_alone[0].why.contains("belongs to the owner one"), "{left:?}");
    assert_eq!(left.left_alone[0].flag.as_deref(), Some("--take-over one"));
    apply(&client, &other).await;
    assert!(fake.look(|cluster| cluster.pipelines["a"]["processors"] == json!([])), "unchanged");
    // The flag takes all objects of that owner over: what is not declared is deleted.
    let allowed = Allowed { take_over: ["one".to_owned()].into(), ..Allowed::default() };
    logship::apply::run(&client, &other, &allowed, &|_, _| {}).await.unwrap();
    fake.look(|cluster| {
        assert_eq!(cluster.pipelines["a"]["_meta"]["managed_by"], "logship/two");
        assert_eq!(cluster.policies.keys().collect::<Vec<_>>(), ["p"]);
    });
}

/// An earlier release marked objects without a name, and so does a folder without `owner.yaml`.
#[tokio::test]
async fn without_an_owners_name_nothing_is_deleted() {
    let (client, fake) = Place::fake().await;
    apply(&client, &set(None, &["a", "b"])).await;
    let left = plan(&client, &set(None, &["a"])).await;
    assert!(left.is_empty() && left.left_alone.len() == 2, "{}", plan::plan_text(&left));
    assert!(left.left_alone[0].why.contains("add owner.yaml"), "{left:?}");
    // Declared objects get the mark of the new owner, and are then deleted by it.
    assert_eq!(apply(&client, &set(Some("one"), &["a"])).await, 2);
    assert_eq!(fake.look(|cluster| cluster.pipelines["b"]["_meta"]["managed_by"].clone()), "logship");
    assert_eq!(deletes(&plan(&client, &set(Some("one"), &[])).await), ["a", "a"]);
}

#[test]
fn an_owners_name_is_checked() {
    let faults = |text: &str| {
        let files = [("owner.yaml".to_owned(), text.to_owned())].into();
        logship::desired::load_desired(&files).err().map(|faults| faults.to_string()).unwrap_or_default()
    };
    assert_eq!(faults("owner: exchange-2"), "");
    for (text, part) in [
        ("owner: \"\"", "is empty"),
        ("owner:", "is missing"),
        ("owner: a/b", "is \"a/b\", not the name of an owner"),
        ("owner: Shop", "is \"Shop\""),
        ("owner: [a]", "not a text"),
        ("ownr: a", "did you mean owner?"),
    ] {
        assert!(faults(text).contains(part), "{text}: {}", faults(text));
    }
}

#[tokio::test]
async fn objects_of_elasticsearch_are_named_only_where_they_exist() {
    let (client, fake) = Place::fake().await;
    let template = "{index_patterns: [logs-shop-*], priority: 200, data_stream: {}, composed_of: [ecs@mappings], template: \
        {settings: {index.lifecycle.name: 30-days@lifecycle, index.default_pipeline: logs@default-pipeline, \
        index.final_pipeline: .fleet_final_pipeline-1}}}";
    let desired = declared(&[("templates/index/t.yaml", template), ("streams.yaml", "streams: {logs-shop-a: {}}")]);
    let refused = plan(&client, &desired).await.refusals;
    let whys: String = refused.iter().map(|refusal| refusal.why.as_str()).collect();
    for name in ["ecs@mappings", "30-days@lifecycle", "logs@default-pipeline", ".fleet_final_pipeline-1"] {
        assert!(whys.contains(&format!("{name}, which is neither declared nor in the cluster")), "{name}: {whys}");
    }
    fake.change(|cluster| {
        cluster.component_templates.insert("ecs@mappings".into(), json!({"template": {}, "_meta": {"managed": true}}));
        let modified = jiff::Timestamp::UNIX_EPOCH;
        let body = json!({"phases": {}, "_meta": {"managed": true}});
        cluster.policies.insert("30-days@lifecycle".into(), elasticsearch_fake::Policy { body, version: 1, modified });
        for name in ["logs@default-pipeline", ".fleet_final_pipeline-1"] {
            cluster.pipelines.insert(name.into(), json!({"processors": [], "_meta": {"managed": true}}));
        }
    });
    assert_eq!(plan(&client, &desired).await.refusals, []);
}
