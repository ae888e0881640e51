//! This module prints a plan for people and as JSON. It must not make decisions.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Plan, PlanAction};

/// Longest value shown in a line.
const SHOWN_CHARACTERS: usize = 80;

/// Returns the plan as text, with a summary at its end.
pub fn plan_text(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let sign = match step.action {
            PlanAction::Create => '+',
            PlanAction::Update => '~',
            PlanAction::Delete => '-',
        };
        let _ = writeln!(text, "{sign} {} {}", step.kind, step.name);
        for change in &step.changes {
            let _ = writeln!(text, "    {}: {} -> {}", change.path, shown(change.from.as_ref()), shown(change.to.as_ref()));
        }
        let _ = writeln!(text, "    takes effect: {} ({})", step.effect.name(), step.reason);
        if !step.touches.is_empty() {
            let _ = writeln!(text, "    touches: {}", step.touches.join(", "));
        }
    }
    for refusal in &plan.refusals {
        let flag = refusal.flag.as_ref().map_or_else(|| "no flag allows it".to_owned(), |flag| format!("allow it with {flag}"));
        let _ = writeln!(text, "! {} {} refused: {}; {flag}", refusal.kind, refusal.name, refusal.why);
    }
    for left in &plan.left_alone {
        let _ = writeln!(text, "= {} {} left unchanged: {}", left.kind, left.name, left.why);
    }
    let count = |action| plan.steps.iter().filter(|step| step.action == action).count();
    let summary = if plan.is_empty() && !plan.left_alone.is_empty() {
        format!(
            "Nothing to apply, but the cluster differs from the declared files: {} left unchanged, since others manage it.",
            plan.left_alone.len()
        )
    } else if plan.is_empty() {
        "No changes: the cluster matches the declared files.".to_owned()
    } else {
        format!(
            "{} to create, {} to update, {} to delete, {} refused.",
            count(PlanAction::Create),
            count(PlanAction::Update),
            count(PlanAction::Delete),
            plan.refusals.len()
        )
    };
    let _ = writeln!(text, "{summary}");
    text
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "(nothing)".to_owned() };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Returns the plan as JSON: `{"changes", "steps": [{"action", "kind", "name", "effect", "reason", "touches", "changes":
/// [{"path", "from", "to"}]}], "refusals": [{"kind", "name", "why", "flag"}], "left_alone": […]}`. An interface.
pub fn plan_json(plan: &Plan) -> Value {
    let steps = plan.steps.iter().map(|step| {
        let changes = step.changes.iter().map(|change| json!({"path": change.path, "from": change.from, "to": change.to}));
        json!({
            "action": step.action, "kind": step.kind.name(), "name": step.name, "effect": step.effect, "reason": step.reason,
            "touches": step.touches, "changes": changes.collect::<Vec<_>>(),
        })
    });
    json!({
        "changes": !plan.is_empty(), "steps": steps.collect::<Vec<_>>(), "refusals": plan.refusals, "left_alone": plan.left_alone,
    })
}
