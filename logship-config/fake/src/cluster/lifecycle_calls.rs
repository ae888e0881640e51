//! Calls about where indices are in their lifecycle: explained, tried again, moved, taken out.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, compose, lifecycle::step_of};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
};

impl Cluster {
    pub(super) fn explain(&self, names: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        let only_errors = call.flag("only_errors")? == Some(true);
        let only_managed = call.flag("only_managed")? == Some(true);
        let mut indices = json!({});
        for name in self.resolve(names)? {
            let index = &self.indices[&name];
            let Some(policy) = index.policy() else {
                if !only_errors && !only_managed {
                    indices[&name] = json!({"index": name, "managed": false});
                }
                continue;
            };
            let missing = !self.policies.contains_key(policy);
            let failed = missing || index.progress.as_ref().is_some_and(|progress| progress.step == "ERROR");
            if only_errors && !failed {
                continue;
            }
            let began = index.rolled_over.unwrap_or(index.created).as_millisecond();
            let mut told = json!({
                "index": name, "managed": true, "policy": policy, "index_creation_date_millis": index.created.as_millisecond(),
                "time_since_index_creation": human(now.as_millisecond() - index.created.as_millisecond()), "lifecycle_date_millis": began,
                "age": human(now.as_millisecond() - began), "age_in_millis": now.as_millisecond() - began, "skip": false,
            });
            if missing {
                told["step_info"] =
                    json!({"type": "illegal_argument_exception", "reason": format!("policy [{policy}] does not exist")});
            }
            if let Some(progress) = &index.progress {
                told["phase"] = progress.phase.as_str().into();
                told["phase_time_millis"] = progress.phase_time.as_millisecond().into();
                told["action"] = progress.action.as_str().into();
                told["action_time_millis"] = progress.action_time.as_millisecond().into();
                told["step"] = progress.step.as_str().into();
                told["step_time_millis"] = progress.step_time.as_millisecond().into();
                if let Some(failed) = &progress.failed_step {
                    told["failed_step"] = failed.as_str().into();
                    let retryable = self.failures.get(&name).is_none_or(|failure| failure.retryable);
                    told["is_auto_retryable_error"] = retryable.into();
                }
                if progress.retries > 0 {
                    told["failed_step_retry_count"] = progress.retries.into();
                }
                if !progress.info.is_null() {
                    told["step_info"] = progress.info.clone();
                }
                if !progress.definition.is_null() {
                    told["phase_execution"] = json!({
                        "policy": policy, "phase_definition": progress.definition, "version": progress.version,
                        "modified_date_in_millis": progress.modified.as_millisecond(),
                    });
                }
            }
            indices[&name] = told;
        }
        Ok(FakeAnswer::ok(json!({"indices": indices})))
    }

    pub(super) fn retry(&mut self, names: &str, now: Timestamp) -> Refused<FakeAnswer> {
        for name in self.resolve(names)? {
            let progress = self.indices[&name].progress.clone();
            let Some((progress, step)) = progress.and_then(|progress| Some((progress.clone(), progress.failed_step?))) else {
                let reason = format!(
                    "cannot retry an action for an index [{name}] that has not encountered an error when running a Lifecycle Policy"
                );
                return Err(FakeAnswer::illegal_argument(reason));
            };
            let (phase, action, retries) = (progress.phase, progress.action, progress.retries);
            self.stand(&name, &phase, &action, &step, now);
            if let Some(progress) = self.indices.get_mut(&name).and_then(|index| index.progress.as_mut()) {
                progress.retries = retries + 1;
            }
        }
        self.tick(now);
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn move_step(&mut self, name: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        compose::strict(&body, "move_to_step_request", &["current_step", "next_step"])?;
        for key in ["current_step", "next_step"] {
            compose::strict(&body[key], "step_key", &["phase", "action", "name"])?;
        }
        let Some(index) = self.indices.get(name) else { return Err(FakeAnswer::index_not_found(name)) };
        let Some(policy) = index.policy().map(str::to_owned) else {
            return Err(FakeAnswer::illegal_argument(format!("index [{name}] is not managed by ILM")));
        };
        let at = index.progress.as_ref().map(|at| (at.phase.as_str(), at.action.as_str(), at.step.as_str()));
        let key = |key: &Value| -> (String, String, String) {
            let text = |part: &str| key[part].as_str().unwrap_or_default().to_owned();
            (text("phase"), text("action"), text("name"))
        };
        let (phase, action, step) = key(&body["current_step"]);
        if at != Some((&phase, &action, &step)) {
            let present = at.map_or_else(
                || "null".to_owned(),
                |(phase, action, name)| format!("{{\"phase\":\"{phase}\",\"action\":\"{action}\",\"name\":\"{name}\"}}"),
            );
            return Err(FakeAnswer::illegal_argument(format!(
                "index [{name}] is not on current step [{{\"phase\":\"{phase}\",\"action\":\"{action}\",\"name\":\"{step}\"}}], currently: [{present}]"
            )));
        }
        let (phase, action, step) = key(&body["next_step"]);
        let Some(held) = self.policies.get(&policy).cloned() else {
            return Err(FakeAnswer::illegal_argument(format!("policy [{policy}] does not exist")));
        };
        let definition = &held.body["phases"][&phase];
        if !definition.is_object() || !action.is_empty() && action != "complete" && definition["actions"].get(&action).is_none() {
            return Err(FakeAnswer::illegal_argument(format!(
                "step [{{\"phase\":\"{phase}\",\"action\":\"{action}\",\"name\":\"{step}\"}}] for index [{name}] with policy [{policy}] does not exist"
            )));
        }
        self.enter(name, &phase, &held, now);
        if !action.is_empty() {
            let step = if step.is_empty() { step_of(&action).to_owned() } else { step };
            self.stand(name, &phase, &action, &step, now);
        }
        self.tick(now);
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn remove_policy(&mut self, names: &str) -> Refused<FakeAnswer> {
        for name in self.resolve(names)? {
            if let Some(index) = self.indices.get_mut(&name) {
                index.settings.retain(|setting, _| !setting.starts_with("index.lifecycle."));
                index.progress = None;
            }
        }
        Ok(FakeAnswer::ok(json!({"has_failures": false, "failed_indexes": []})))
    }
}

/// A span of time as Elasticsearch shows it: `1.5d`.
fn human(millis: i64) -> String {
    let (size, unit) = match millis.unsigned_abs() {
        0..1000 => return format!("{millis}ms"),
        1000..60_000 => (1000.0, "s"),
        60_000..3_600_000 => (60_000.0, "m"),
        3_600_000..86_400_000 => (3_600_000.0, "h"),
        _ => (86_400_000.0, "d"),
    };
    let number = format!("{:.2}", millis as f64 / size);
    format!("{}{unit}", number.trim_end_matches('0').trim_end_matches('.'))
}
