//! This module computes the steps from the cluster's state to the declared state. Pure: it must not send requests or read a
//! clock.
//!
//! For each step, the plan contains the change, the affected streams and indices, and when it takes effect. A forbidden step
//! is a refusal, with the flag that would allow it, if any.

mod effect;
mod flags;
mod foreign;
mod guard;
mod keeping;
mod outlook;
mod show;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    actual::{Actual, used_by},
    canonical::{Difference, canonical, differences},
    desired::{Desired, ObjectKind, is_built_in, resolve},
};

pub use flags::check_allowed as check_flags;
use outlook::Outlook;
pub use show::{plan_json, plan_text};

/// The action on an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanAction {
    Create,
    Update,
    Delete,
}

impl PlanAction {
    pub const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanEffect {
    /// At once: new documents, the next check of conditions, the next schedule.
    Now,
    /// When an index next enters the phase. An index in the phase retains its cached definition.
    NextPhase,
    /// With the backing index created by the next rollover.
    NextRollover,
}

impl PlanEffect {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextPhase => "next phase",
            Self::NextRollover => "next rollover",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanStep {
    pub action: PlanAction,
    pub kind: ObjectKind,
    pub name: String,
    /// Empty if the object is created or deleted.
    pub changes: Vec<Difference>,
    pub effect: PlanEffect,
    /// The reason for the effect.
    pub reason: String,
    /// The affected streams and indices.
    pub touches: Vec<String>,
    /// The body to send. `None` if the name is enough.
    pub body: Option<Value>,
}

/// A difference that is ignored, or a step that is forbidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanRefusal {
    pub kind: &'static str,
    pub name: String,
    pub why: String,
    /// The flag that would allow it. `None`: no flag does.
    pub flag: Option<String>,
}

/// Names given on the command line to override a guard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Policies and streams whose retention may shrink.
    pub shorter_retention: BTreeSet<String>,
    /// Other owners whose objects may be changed and deleted.
    pub take_over: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// In the order in which they are applied.
    pub steps: Vec<PlanStep>,
    /// Steps that a guard blocks. A plan with a refusal is not applied at all.
    pub refusals: Vec<PlanRefusal>,
    /// Objects that others manage, which stay unchanged.
    pub left_alone: Vec<PlanRefusal>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.refusals.is_empty()
    }

    fn deletes(&self, kind: ObjectKind, name: &str) -> bool {
        self.steps.iter().any(|step| step.action == PlanAction::Delete && step.kind == kind && step.name == name)
    }
}

/// Computes the steps from `actual` to `desired`.
pub fn plan(desired: &Desired, actual: &Actual, allowed: &Allowed) -> Plan {
    let mut plan = Plan::default();
    for ((kind, name), body) in &desired.objects {
        object(desired, actual, allowed, *kind, name, body, &mut plan);
    }
    streams(desired, actual, allowed, &mut plan);
    missing(desired, actual, &mut plan);
    // Deletions of unused objects come last, users before the objects they use.
    for ((kind, name), held) in actual.objects.iter().rev() {
        if desired.body(*kind, name).is_some() {
            continue;
        }
        plan.left_alone.extend(foreign::unnamed(desired, *kind, name, held));
        if foreign::owned(desired, allowed, held) {
            deletion(desired, actual, allowed, *kind, name, &mut plan);
        }
    }
    plan
}

fn object(desired: &Desired, actual: &Actual, allowed: &Allowed, kind: ObjectKind, name: &str, body: &Value, plan: &mut Plan) {
    if let Some(why) = guard::licence(actual, kind, body) {
        plan.refusals.push(PlanRefusal { kind: kind.name(), name: name.to_owned(), why, flag: None });
        return;
    }
    let wanted = canonical(kind, body);
    let Some(held) = actual.objects.get(&(kind, name.to_owned())) else {
        plan.steps.push(PlanStep {
            action: PlanAction::Create,
            kind,
            name: name.to_owned(),
            changes: Vec::new(),
            effect: PlanEffect::Now,
            reason: effect::of_creation(kind).to_owned(),
            touches: Vec::new(),
            body: Some(body.clone()),
        });
        return;
    };
    let there = canonical(kind, &held.body);
    let changes = differences(&there, &wanted);
    if changes.is_empty() {
        return;
    }
    if let Some(refusal) = foreign::foreign(desired, actual, allowed, kind, name, held) {
        plan.left_alone.push(refusal);
        return;
    }
    match guard::shorter(desired, actual, allowed, kind, name, &there, &wanted) {
        Some(refusal) => plan.refusals.push(refusal),
        None => {
            let (effect, reason) = effect::of_update(kind, &changes, &there, &wanted);
            let touches = effect::touched(actual, kind, name);
            let (action, name, body) = (PlanAction::Update, name.to_owned(), Some(body.clone()));
            plan.steps.push(PlanStep { action, kind, name, changes, effect, reason, touches, body });
        }
    }
}

/// Refuses references to objects that are neither declared nor in the cluster: `check` accepts names of Elasticsearch's and
/// Fleet's own objects.
fn missing(desired: &Desired, actual: &Actual, plan: &mut Plan) {
    for ((kind, name), body) in &desired.objects {
        let optional = resolve::texts(&body["ignore_missing_component_templates"]);
        for key in used_by(*kind, body).into_iter().filter(|(kind, name)| is_built_in(*kind, name)) {
            let known = desired.objects.contains_key(&key) || actual.objects.contains_key(&key);
            if !known && !optional.contains(&key.1.as_str()) {
                let why =
                    format!("it names the {} {}, which is neither declared nor in the cluster; install it first", key.0, key.1);
                plan.refusals.push(PlanRefusal { kind: kind.name(), name: name.clone(), why, flag: None });
            }
        }
    }
}

fn deletion(desired: &Desired, actual: &Actual, allowed: &Allowed, kind: ObjectKind, name: &str, plan: &mut Plan) {
    let held = &actual.objects[&(kind, name.to_owned())];
    if let Some(refusal) = foreign::foreign(desired, actual, allowed, kind, name, held) {
        plan.left_alone.push(refusal);
        return;
    }
    if let Some(refusal) = guard::in_use(desired, actual, allowed, plan, kind, name, held) {
        plan.refusals.push(refusal);
        return;
    }
    plan.steps.push(PlanStep {
        action: PlanAction::Delete,
        kind,
        name: name.to_owned(),
        changes: Vec::new(),
        effect: PlanEffect::Now,
        reason: "it is declared no longer, and nothing uses it".to_owned(),
        touches: Vec::new(),
        body: None,
    });
}

/// `{lifecycle, failure_store}`, without unset values.
fn stream_body(lifecycle: Option<&Value>, failure_store: Option<&Value>) -> Value {
    let parts = [("lifecycle", lifecycle), ("failure_store", failure_store)];
    let set = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone())));
    Value::Object(set.collect::<Map<_, _>>())
}

fn streams(desired: &Desired, actual: &Actual, allowed: &Allowed, plan: &mut Plan) {
    let kind = ObjectKind::DataStream;
    let outlook = Outlook::new(desired, actual, allowed);
    for (name, stream) in &desired.streams {
        let resolved = resolve::stream(desired, name, stream);
        let wanted = canonical(kind, &stream_body(resolved.lifecycle.as_ref(), resolved.failure_store.as_ref()));
        let Some(held) = actual.streams.get(name) else {
            let reason = effect::of_creation(kind).to_owned();
            // Settings of the stream beyond its template are set after its creation.
            let body = Some(stream_body(stream.lifecycle.as_ref(), stream.failure_store.as_ref()));
            let (action, effect, touches) = (PlanAction::Create, PlanEffect::Now, Vec::new());
            plan.steps.push(PlanStep { action, kind, name: name.clone(), changes: Vec::new(), effect, reason, touches, body });
            continue;
        };
        let there = canonical(kind, &stream_body(held.lifecycle.as_ref(), held.failure_store.as_ref()));
        let changes = differences(&there, &wanted);
        let shorter = guard::shorter_stream(desired, actual, &outlook, allowed, name, &there, &wanted);
        if let Some(refusal) = shorter {
            plan.refusals.push(refusal);
        } else if !changes.is_empty() {
            let (effect, reason) = (PlanEffect::Now, "the stream's own settings apply at once".to_owned());
            // Only differences are sent. `null` removes a setting.
            let mut body = json!({});
            for (part, set) in [("lifecycle", &resolved.lifecycle), ("failure_store", &resolved.failure_store)] {
                if changes.iter().any(|change| change.path == part || change.path.starts_with(&format!("{part}."))) {
                    body[part] = json!(set);
                }
            }
            let touches = vec![format!("{} indices", held.indices.len())];
            let (action, name, body) = (PlanAction::Update, name.clone(), Some(body));
            plan.steps.push(PlanStep { action, kind, name, changes, effect, reason, touches, body });
        }
    }
    // Streams that are not declared, or no longer, get their next index from the same templates.
    for (name, held) in actual.streams.iter().filter(|(name, _)| !desired.streams.contains_key(*name)) {
        let there = canonical(kind, &stream_body(held.lifecycle.as_ref(), held.failure_store.as_ref()));
        plan.refusals.extend(guard::shorter_stream(desired, actual, &outlook, allowed, name, &there, &there));
    }
}
