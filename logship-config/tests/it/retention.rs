//! This module tests that no setting deletes data sooner unless its name is on the command line, and that a protected stream
//! never allows it.

use elasticsearch_fake::Policy;
use logship::{
    apply,
    desired::Desired,
    exit::Exit,
    plan::{Allowed, plan_text},
};
use serde_json::json;

use crate::place::{Place, apply as applied, declared, plan};

const STREAM: &str = "logs-audit-a";
const DELETE_30: &str = "delete: {min_age: 30d, actions: {delete: {}}}";

/// Policies, the settings of the template, and the entry of the stream. `None`: the stream is declared no longer.
fn set(policies: &[(&str, &str)], inner: &str, stream: Option<&str>) -> Desired {
    let template = format!("{{index_patterns: [logs-audit-*], priority: 200, data_stream: {{}}, template: {{{inner}}}}}");
    let streams = stream.map_or_else(|| "streams: {}".to_owned(), |stream| format!("streams: {{{STREAM}: {{{stream}}}}}"));
    let policies: Vec<_> = policies.iter().map(|(name, policy)| (format!("policies/{name}.yaml"), *policy)).collect();
    let mut files = vec![
        ("templates/index/t.yaml", template.as_str()),
        ("streams.yaml", &streams),
        ("snapshots/repositories/r.yaml", "{type: s3, settings: {bucket: b}}"),
        ("snapshots/policies/nightly.yaml", "{schedule: 1d, name: n, repository: r}"),
        ("snapshots/policies/hourly.yaml", "{schedule: 1h, name: h, repository: r}"),
    ];
    files.extend(policies.iter().map(|(file, policy)| (file.as_str(), *policy)));
    declared(&files)
}

fn policy(rollover: &str, later: &str) -> String {
    format!("{{phases: {{hot: {{actions: {{rollover: {{{rollover}}}}}}}, {later}}}}}")
}

/// Checks that a change is refused with a flag that contains `name`, sends nothing, and is applied with that flag. No
/// `part`: the change is allowed.
async fn judged(case: &str, was: &Desired, shall: &Desired, name: &str, part: &str) {
    let (client, fake) = Place::fake().await;
    applied(&client, was).await;
    let told = plan(&client, shall).await;
    if part.is_empty() {
        assert!(told.refusals.is_empty() && !told.is_empty(), "{case}\n{}", plan_text(&told));
        return;
    }
    let flags: Vec<_> = told.refusals.iter().map(|refusal| refusal.flag.as_deref()).collect();
    let flag = format!("--allow-shorter-retention {name}");
    assert_eq!(flags, [Some(flag.as_str())], "{case}\n{}", plan_text(&told));
    assert!(told.refusals[0].why.contains(part), "{case}: {part}\n{}", plan_text(&told));
    fake.forget_calls();
    let refused = apply::run(&client, shall, &Allowed::default(), &|_, _| {}).await.unwrap_err();
    assert!(refused.exit == Exit::Refused && refused.told.contains(&flag), "{case}: {refused}");
    assert!(fake.calls().iter().all(|(call, _)| call.method == "GET"), "{case}");
    let allowed = Allowed { shorter_retention: [name.to_owned()].into(), ..Allowed::default() };
    assert!(apply::run(&client, shall, &allowed, &|_, _| {}).await.unwrap() > 0, "{case}");
}

/// The same for a protected stream, without a flag.
async fn judged_protected(case: &str, was: &Desired, shall: &Desired) {
    let (client, _fake) = Place::fake().await;
    applied(&client, was).await;
    let refused = plan(&client, shall).await.refusals;
    assert!(refused.len() == 1 && refused[0].flag.is_none() && refused[0].why.contains("protected"), "{case}: {refused:?}");
}

#[tokio::test]
async fn a_shorter_policy_is_refused_when_changed_or_moved_to() {
    let days = |days: u32| DELETE_30.replace("30", &days.to_string());
    let aged = |rollover: &str, delete: u32| policy(rollover, &days(delete));
    let cold = |cold: &str| {
        policy("max_age: 1d", &format!("cold: {{min_age: {cold}, actions: {{}}}}, delete: {{actions: {{delete: {{}}}}}}"))
    };
    let young = |hot: &str| aged("max_age: 9d", 30).replace("hot: {", &format!("hot: {{min_age: {hot}, "));
    let still = format!("{{phases: {{hot: {{actions: {{set_priority: {{priority: 1}}}}}}, {DELETE_30}}}}}");
    let waits = |by: &str| {
        let wait = format!("actions: {{wait_for_snapshot: {{policy: {by}}}, ");
        aged("max_age: 1d", 30).replace("30d, actions: {", &format!("30d, {wait}"))
    };
    let mounted =
        |goes: bool| aged("max_age: 1d", 30).replace("delete: {}}", &format!("delete: {{delete_searchable_snapshot: {goes}}}}}"));
    let sampled =
        policy("max_age: 1d", &format!("warm: {{min_age: 2d, actions: {{downsample: {{fixed_interval: 1h}}}}}}, {DELETE_30}"));
    let plain = || aged("max_age: 1d", 30);
    let counted = |rollover: &str| aged(&format!("max_age: 9d, {rollover}"), 30);
    let cases = [
        (plain(), aged("max_age: 1d", 29), "retention would shrink from 30d to 29d"),
        (policy("max_age: 1d", "warm: {min_age: 1d, actions: {}}"), plain(), "retention would shrink from for ever to 30d"),
        (cold("30d"), cold("20d"), "retention would shrink from 30d to 20d"),
        (aged("max_age: 9d", 30), plain(), "first documents of an index would shrink from 39d to 31d"),
        (aged("max_docs: 5", 30), aged("max_docs: 5, max_age: 9d", 30), "sooner (max_age from none to 9d)"),
        (counted("max_docs: 50"), counted("max_docs: 5"), "sooner (max_docs from 50 to 5)"),
        (counted("max_size: 50gb"), counted("max_size: 9gb"), "sooner (max_size from 50gb to 9gb)"),
        (counted("max_docs: 5"), counted("max_docs: 5, max_primary_shard_size: 9gb"), "max_primary_shard_size from none to 9gb"),
        (counted("max_docs: 5"), counted("max_docs: 5, max_primary_shard_docs: 9"), "max_primary_shard_docs from none to 9"),
        (counted("min_docs: 50"), counted("min_docs: 5"), "sooner (min_docs from 50 to 5)"),
        (counted("min_primary_shard_size: 1gb"), aged("max_age: 9d", 30), "min_primary_shard_size from 1gb to none"),
        (young("5d"), young("1d"), "sooner (min_age from 5d to 1d)"),
        (plain(), still, "the rollover would be removed, and ages would be counted from an index's creation"),
        (waits("nightly"), plain(), "without waiting for a snapshot by nightly"),
        (waits("nightly"), waits("hourly"), "without waiting for a snapshot by nightly"),
        (mounted(false), mounted(true), "a searchable snapshot would be deleted with its index"),
        (plain(), sampled, "time until documents are downsampled would shrink from for ever to 2d"),
        // Changes with the same retention.
        (plain(), aged("max_age: 1d", 31), ""),
        (plain(), policy("max_age: 1d", "warm: {min_age: 1d, actions: {}}"), ""),
        (counted("max_docs: 5"), counted("max_docs: 50"), ""),
        (counted("max_docs: 5"), aged("max_docs: 5", 30), ""),
        (counted("max_docs: 5"), counted("max_docs: 5, max_primary_shard_docs: 200000000"), ""),
        (counted("min_docs: 5"), counted("min_docs: 50"), ""),
        (counted("max_docs: 50"), aged("max_age: 1d, max_docs: 5", 39), ""),
        (plain(), waits("nightly"), ""),
        (mounted(true), mounted(false), ""),
    ];
    let by = |policy: &str| format!("settings: {{index.lifecycle.name: {policy}}}");
    for (from, to, part) in &cases {
        let case = format!("{from}\n{to}");
        let was = set(&[("p", from)], &by("p"), Some(""));
        let changed = |stream| set(&[("p", to)], &by("p"), Some(stream));
        let moved = |stream| set(&[("p", from), ("q", to)], &by("q"), Some(stream));
        judged(&case, &was, &changed(""), "p", part).await;
        judged(&case, &was, &moved(""), STREAM, part).await;
        if !part.is_empty() {
            judged_protected(&case, &was, &changed("protected: true")).await;
            judged_protected(&case, &was, &moved("protected: true")).await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_moves_to_a_shorter_lifecycle_is_refused() {
    let of = |age: &str, days: u32| policy(&format!("max_age: {age}"), &DELETE_30.replace("30", &days.to_string()));
    let held = [("day", of("1d", 1)), ("month", of("1d", 30)), ("slow", of("30d", 30)), ("long", of("1d", 60))];
    let ever = policy("max_age: 1d", "warm: {min_age: 1d, actions: {}}");
    let mut policies: Vec<(&str, &str)> = held.iter().map(|(name, policy)| (*name, policy.as_str())).collect();
    policies.push(("ever", &ever));
    let by = |policy: &str, more: &str| format!("settings: {{index.lifecycle.name: {policy}{more}}}");
    let own = |lifecycle: &str| format!("lifecycle: {{{lifecycle}}}");
    let both = |policy: &str, prefers: &str, kept: &str| {
        format!(
            "{}, {}",
            by(policy, &format!(", index.lifecycle.prefer_ilm: {prefers}")),
            own(&format!("data_retention: {kept}"))
        )
    };
    let (month, off) = (own("data_retention: 30d"), own("enabled: false"));
    let counted = |setting: &str| by("month", &format!(", index.lifecycle.{setting}"));
    let plain = by("month", "");
    // The template's settings and the stream's entry, before and after, and the message.
    let cases = [
        (month.clone(), "", month.clone(), own("data_retention: 7d"), "retention would shrink from 30d to 7d"),
        (off.clone(), "", off.clone(), month.clone(), "retention would shrink from for ever to 30d"),
        (month.clone(), "lifecycle: {data_retention: 30d, enabled: false}", month.clone(), String::new(), "from for ever to 30d"),
        (both("long", "true", "30d"), "", both("long", "false", "30d"), String::new(), "from 60d to 30d"),
        (both("month", "false", "60d"), "", both("month", "true", "60d"), String::new(), "from 60d to 30d"),
        (by("slow", ""), "", month.clone(), String::new(), "first documents of an index would shrink from 60d to 37d"),
        // A lifecycle that is switched off manages no index, preferred or not.
        (plain.clone(), "", by("day", ", index.lifecycle.prefer_ilm: false"), off.clone(), "from 30d to 1d"),
        // Existing indices retain the settings they were created with, but a stream's lifecycle applies to them at once.
        (off.clone(), "", by("ever", ""), own("data_retention: 1d"), "from for ever to 1d"),
        (by("month", ", index.lifecycle.prefer_ilm: false"), "", plain.clone(), own("data_retention: 1d"), "from 30d to 1d"),
        (plain.clone(), "", counted("origination_date: 5"), String::new(), "counted by index.lifecycle.origination_date"),
        (plain.clone(), "", counted("parse_origination_date: true"), String::new(), "index.lifecycle.parse_origination_date"),
        (plain.clone(), "", counted("indexing_complete: true"), String::new(), "counted by index.lifecycle.indexing_complete"),
        (counted("skip: true"), "", plain.clone(), String::new(), "which index.lifecycle.skip prevented"),
        // The mark is removed together with the action it prevents.
        (by("long", ""), "protected: true", plain.clone(), String::new(), "from 60d to 30d"),
        (plain.clone(), "", by("long", ""), String::new(), ""),
        (month.clone(), "", month.clone(), own("data_retention: 60d"), ""),
        (plain.clone(), "", by("month", ", index.lifecycle.prefer_ilm: false"), String::new(), ""),
        (plain.clone(), "", counted("parse_origination_date: false"), String::new(), ""),
        (by("ever", ""), "", by("ever", ", index.lifecycle.origination_date: 5"), String::new(), ""),
    ];
    for (inner, stream, then, says, part) in &cases {
        let case = format!("{inner} {stream}\n{then} {says}");
        let was = set(&policies, inner, Some(stream));
        judged(&case, &was, &set(&policies, then, Some(says)), STREAM, part).await;
        if !part.is_empty() {
            let protected = if says.is_empty() { "protected: true".to_owned() } else { format!("protected: true, {says}") };
            judged_protected(&case, &was, &set(&policies, then, Some(&protected))).await;
        }
    }
    // A stream that is declared no longer still exists, and its template sets the settings of its next index.
    let (was, gone) = (set(&policies, &by("long", ""), Some("protected: true")), set(&policies, &plain, None));
    judged("declared no longer", &was, &gone, STREAM, "from 60d to 30d").await;
    judged("declared no longer", &was, &set(&policies, &by("ever", ""), None), STREAM, "").await;
}

/// Indices created under another policy use it until they are deleted.
#[tokio::test]
async fn the_policy_of_a_protected_streams_old_index_is_protected() {
    let of = |days: &str| policy("max_age: 1d", &DELETE_30.replace("30", days));
    let (old, older, new) = (of("60"), of("59"), of("90"));
    let by = |policy: &str| format!("settings: {{index.lifecycle.name: {policy}}}");
    let (client, _fake) = Place::fake().await;
    applied(&client, &set(&[("old", &old)], &by("old"), Some("protected: true"))).await;
    applied(&client, &set(&[("old", &old), ("new", &new)], &by("new"), Some("protected: true"))).await;
    let refused = plan(&client, &set(&[("old", &older), ("new", &new)], &by("new"), Some("protected: true"))).await.refusals;
    assert!(refused.len() == 1 && refused[0].name == "old" && refused[0].flag.is_none(), "{refused:?}");
}

/// An undeclared component may set it too: a built-in one, or one of another program.
#[tokio::test]
async fn a_component_that_is_not_declared_may_name_a_shorter_policy() {
    let (client, fake) = Place::fake().await;
    let inner = "lifecycle: {data_retention: 30d}";
    applied(&client, &set(&[], inner, Some(""))).await;
    fake.change(|cluster| {
        let body = json!({"phases": {"delete": {"min_age": "1d", "actions": {"delete": {}}}}});
        cluster.policies.insert("theirs".into(), Policy { body, version: 1, modified: jiff::Timestamp::UNIX_EPOCH });
        let component = json!({"template": {"settings": {"index": {"lifecycle": {"name": "theirs"}}}}});
        cluster.component_templates.insert("logs@custom".into(), component);
    });
    let mut composed = set(&[], inner, Some(""));
    for body in composed.objects.values_mut().filter(|body| body["index_patterns"].is_array()) {
        body["composed_of"] = json!(["logs@custom"]);
    }
    let refused = plan(&client, &composed).await.refusals;
    assert!(refused.len() == 1 && refused[0].why.contains("retention would shrink from 30d to 1d"), "{refused:?}");
}
