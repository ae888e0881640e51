//! Component templates.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, compose};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
    pattern,
};

impl Cluster {
    pub(super) fn get_component_templates(&self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.component_templates.iter().filter(|(name, _)| pattern::listed(names, name)).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::missing(format!("component template matching [{names}] not found")));
        }
        let found: Vec<_> = found.iter().map(|(name, template)| json!({"name": name, "component_template": template})).collect();
        Ok(FakeAnswer::ok(json!({"component_templates": found})))
    }

    pub(super) fn put_component_template(&mut self, name: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        let mut body = call.required_json()?;
        super::rules::no_nulls("component_template", &body)?;
        let strict =
            |reason: String| FakeAnswer::error(400, "x_content_parse_exception", format!("[1:2] [component_template] {reason}"));
        let sections = body.as_object().ok_or_else(|| strict("Expected START_OBJECT".into()))?;
        if let Some(unknown) = compose::unknown(sections, &["template", "version", "_meta", "deprecated"]) {
            return Err(strict(format!("unknown field [{unknown}]")));
        }
        if !body["template"].is_object() {
            return Err(FakeAnswer::illegal_argument("Required [template]"));
        }
        if call.flag("create")? == Some(true) && self.component_templates.contains_key(name) {
            return Err(FakeAnswer::illegal_argument(format!("component template [{name}] already exists")));
        }
        super::rules::template(&body["template"])?;
        body["template"] = compose::spelled(body["template"].take());
        let created = self.component_templates.get(name).and_then(|held| held["created_date_millis"].as_i64());
        let body = compose::dated(body, created.unwrap_or(now.as_millisecond()), now.as_millisecond());
        self.component_templates.insert(name.to_owned(), body);
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn delete_component_templates(&mut self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.component_templates.keys().filter(|name| pattern::listed(names, name)).cloned().collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::missing(names.to_owned()));
        }
        let uses = |body: &Value| {
            let composed = body["composed_of"].as_array().into_iter().flatten();
            composed.filter_map(Value::as_str).any(|used| found.iter().any(|name| name == used))
        };
        let users: Vec<_> = self.index_templates.iter().filter(|(_, body)| uses(body)).map(|(name, _)| name.as_str()).collect();
        if !users.is_empty() {
            let reason = format!(
                "component templates [{names}] cannot be removed as they are still in use by index templates [{}]",
                users.join(", ")
            );
            return Err(FakeAnswer::illegal_argument(reason));
        }
        self.component_templates.retain(|name, _| !found.contains(name));
        Ok(FakeAnswer::acknowledged())
    }
}
