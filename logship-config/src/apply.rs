//! This module applies a plan step by step. It sends nothing if a guard refuses a step or the cluster cannot accept changes.
//! A failed step ends the run. The error then lists the applied steps, the failed step and the steps not tried.

use serde_json::{Value, json};

use crate::{
    actual::{self, Actual},
    client::{CallError, Client, Method, segment},
    desired::{Desired, ObjectKind},
    exit::{CommandFailure, Exit},
    plan::{self, Allowed, Plan, PlanAction, PlanStep},
};

/// Reads the cluster, shows the plan, applies it and verifies that a second plan is empty. Returns the number of steps.
///
/// # Errors
/// Returns a failure if the plan is refused, a step fails, or the cluster differs from the declared files afterwards.
pub async fn run(
    client: &Client,
    desired: &Desired,
    allowed: &Allowed,
    show: &dyn Fn(&Actual, &Plan),
) -> Result<usize, CommandFailure> {
    let actual = actual::read_cluster(client).await?;
    check_flags(desired, &actual, allowed)?;
    let plan = plan::plan(desired, &actual, allowed);
    show(&actual, &plan);
    if let Some(refused) = plan.refusals.first() {
        let flag = refused.flag.as_ref().map_or_else(|| "no flag allows it".to_owned(), |flag| format!("{flag} allows it"));
        let more = match plan.refusals.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let told = format!("{} {} is refused: {}; {flag}{more}. Nothing was changed", refused.kind, refused.name, refused.why);
        return Err(CommandFailure::new(Exit::Refused, told));
    }
    if plan.steps.is_empty() {
        return Ok(0);
    }
    takes_changes(&actual)?;
    for (place, step) in plan.steps.iter().enumerate() {
        let mut parts = Vec::new();
        carry_out(client, step, &mut parts).await.map_err(|error| halfway(&plan, place, &parts, &error))?;
    }
    let second = plan::plan(desired, &actual::read_cluster(client).await?, allowed);
    if second.is_empty() {
        return Ok(plan.steps.len());
    }
    let told = format!(
        "all steps were applied, but the cluster still differs from the declared files:\n{}another process may be changing \
         it; run plan again",
        plan::plan_text(&second)
    );
    Err(CommandFailure::new(Exit::Failed, told))
}

/// # Errors
/// Returns a failure that names a flag with an unknown name.
pub fn check_flags(desired: &Desired, actual: &Actual, allowed: &Allowed) -> Result<(), CommandFailure> {
    plan::check_flags(desired, actual, allowed).map_err(|wrong| CommandFailure::new(Exit::Configuration, wrong))
}

/// A red or read-only cluster applies a change partly or not at all.
fn takes_changes(actual: &Actual) -> Result<(), CommandFailure> {
    let not_now = |told: String| Err(CommandFailure::new(Exit::NotNow, format!("{told}. Nothing was changed")));
    if let Some(why) = &actual.blocked {
        return not_now(format!("the cluster is read-only: {why}"));
    }
    if actual.health == "red" {
        return not_now("the cluster's health is red; check GET _cluster/allocation/explain and retry when it is not red".into());
    }
    Ok(())
}

/// `parts` of the failed step are done.
fn halfway(plan: &Plan, place: usize, parts: &[&str], error: &CallError) -> CommandFailure {
    let names = |steps: &[PlanStep], parts: Option<String>| match (steps, parts) {
        ([], None) => "nothing".to_owned(),
        (steps, parts) => steps.iter().map(named).chain(parts).collect::<Vec<_>>().join(", "),
    };
    let (done, rest) = plan.steps.split_at(place);
    let failed = named(&rest[0]);
    let begun = (!parts.is_empty()).then(|| format!("{} of {failed}", parts.join(" and ")));
    let told = format!("{failed}: {error}. Applied before: {}. Not tried: {}", names(done, begun), names(&rest[1..], None));
    CommandFailure::new(error.exit(), told)
}

fn named(step: &PlanStep) -> String {
    format!("{} {} {}", step.action.name(), step.kind, step.name)
}

/// Returns the path of an object.
pub fn path(kind: ObjectKind, name: &str) -> String {
    let collection = match kind {
        ObjectKind::Pipeline => "_ingest/pipeline",
        ObjectKind::Repository => "_snapshot",
        ObjectKind::SnapshotPolicy => "_slm/policy",
        ObjectKind::LifecyclePolicy => "_ilm/policy",
        ObjectKind::ComponentTemplate => "_component_template",
        ObjectKind::IndexTemplate => "_index_template",
        ObjectKind::DataStream => "_data_stream",
    };
    format!("/{collection}/{}", segment(name))
}

/// Records in `parts` the finished requests of a step that takes several.
async fn carry_out(client: &Client, step: &PlanStep, parts: &mut Vec<&'static str>) -> Result<(), CallError> {
    let path = path(step.kind, &step.name);
    match (step.action, step.kind) {
        (PlanAction::Delete, _) => client.send(Method::Delete, &path, &[], None).await.map(drop),
        (PlanAction::Create, ObjectKind::DataStream) => {
            client.send(Method::Put, &path, &[], None).await?;
            parts.push("the stream itself");
            set_stream(client, &path, step.body.as_ref(), parts).await
        }
        (PlanAction::Update, ObjectKind::DataStream) => set_stream(client, &path, step.body.as_ref(), parts).await,
        (PlanAction::Create | PlanAction::Update, kind) => {
            let body = step.body.clone().unwrap_or_default();
            let body = if kind == ObjectKind::LifecyclePolicy { json!({"policy": body}) } else { body };
            client.send(Method::Put, &path, &[], Some(&body)).await.map(drop)
        }
    }
}

/// Sets a stream's own settings. `null` removes them.
async fn set_stream(client: &Client, path: &str, body: Option<&Value>, parts: &mut Vec<&'static str>) -> Result<(), CallError> {
    for (part, of) in [("lifecycle", "_lifecycle"), ("failure_store", "_options")] {
        let path = format!("{path}/{of}");
        match body.and_then(|body| body.get(part)) {
            None => continue,
            Some(Value::Null) => drop(client.send(Method::Delete, &path, &[], None).await?),
            Some(set) => {
                let set = if part == "failure_store" { json!({"failure_store": set}) } else { set.clone() };
                client.send(Method::Put, &path, &[], Some(&set)).await?;
            }
        }
        parts.push(part);
    }
    Ok(())
}
