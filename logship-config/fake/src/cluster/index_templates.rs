//! Index templates: which settings, mappings and data streams a new name gets.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cluster, compose};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
    pattern,
};

const KEYS: [&str; 10] = [
    "index_patterns",
    "composed_of",
    "template",
    "version",
    "priority",
    "_meta",
    "allow_auto_create",
    "data_stream",
    "deprecated",
    "ignore_missing_component_templates",
];

fn patterns(template: &Value) -> impl Iterator<Item = &str> {
    template["index_patterns"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

impl Cluster {
    pub(super) fn get_index_templates(&self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.index_templates.iter().filter(|(name, _)| pattern::listed(names, name)).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::missing(format!("index template matching [{names}] not found")));
        }
        let found: Vec<_> = found.iter().map(|(name, template)| json!({"name": name, "index_template": template})).collect();
        Ok(FakeAnswer::ok(json!({"index_templates": found})))
    }

    pub(super) fn has_index_template(&self, names: &str) -> FakeAnswer {
        let found = self.index_templates.keys().any(|name| pattern::listed(names, name));
        FakeAnswer { status: if found { 200 } else { 404 }, body: Value::Null }
    }

    pub(super) fn put_index_template(&mut self, name: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        super::rules::no_nulls("index_template", &body)?;
        let body = self.read_index_template(name, body)?;
        if call.flag("create")? == Some(true) && self.index_templates.contains_key(name) {
            return Err(FakeAnswer::illegal_argument(format!("index template [{name}] already exists")));
        }
        let priority = body["priority"].as_u64().unwrap_or(0);
        for (other, held) in self.index_templates.iter().filter(|(other, _)| *other != name) {
            let same = held["priority"].as_u64().unwrap_or(0) == priority;
            if same && patterns(&body).any(|one| patterns(held).any(|two| pattern::overlap(one, two))) {
                let list = |template: &Value| patterns(template).collect::<Vec<_>>().join(", ");
                return Err(FakeAnswer::illegal_argument(format!(
                    "index template [{name}] has index patterns [{}] matching patterns from existing templates [{other}] with patterns \
                     ({other} => [{}]) that have the same priority [{priority}], multiple index templates may not match during index \
                     creation, please use a different priority",
                    list(&body),
                    list(held)
                )));
            }
        }
        let created = self.index_templates.get(name).and_then(|held| held["created_date_millis"].as_i64());
        let body = compose::dated(body, created.unwrap_or(now.as_millisecond()), now.as_millisecond());
        self.index_templates.insert(name.to_owned(), body);
        Ok(FakeAnswer::acknowledged())
    }

    /// The body as stored and returned.
    fn read_index_template(&self, name: &str, mut body: Value) -> Refused<Value> {
        let strict =
            |reason: String| FakeAnswer::error(400, "x_content_parse_exception", format!("[1:2] [index_template] {reason}"));
        let sections = body.as_object().ok_or_else(|| strict("Expected START_OBJECT".into()))?;
        if let Some(unknown) = compose::unknown(sections, &KEYS) {
            return Err(strict(format!("unknown field [{unknown}]")));
        }
        if let Some(pattern) = body["index_patterns"].as_str() {
            body["index_patterns"] = json!([pattern]);
        }
        if patterns(&body).next().is_none() {
            return Err(FakeAnswer::illegal_argument("Required [index_patterns]"));
        }
        let optional: Vec<&str> =
            body["ignore_missing_component_templates"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let composed = body["composed_of"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<&str> =
            composed.filter(|used| !self.component_templates.contains_key(*used) && !optional.contains(used)).collect();
        if !missing.is_empty() {
            let reason =
                format!("index template [{name}] specifies component templates [{}] that do not exist", missing.join(", "));
            return Err(FakeAnswer::error(
                400,
                "invalid_index_template_exception",
                format!("index_template [{name}] invalid, cause [{reason}]"),
            ));
        }
        compose::strict(
            &body["data_stream"],
            "data_stream_template",
            &["hidden", "allow_custom_routing", "replicated", "failure_store"],
        )?;
        if body["data_stream"].is_object() {
            let mut stream = json!({"hidden": false, "allow_custom_routing": false});
            compose::merge(&mut stream, &body["data_stream"]);
            body["data_stream"] = stream;
        }
        if body["template"].is_object() {
            super::rules::template(&body["template"])?;
            body["template"] = compose::spelled(body["template"].take());
        }
        if let Some(policy) = self.compose(&body)["settings"]["index"]["lifecycle"]["name"].as_str()
            && policy.is_empty()
        {
            return Err(FakeAnswer::illegal_argument("index.lifecycle.name is empty"));
        }
        if body["composed_of"].is_null() {
            body["composed_of"] = json!([]);
        }
        if let Some(body) = body.as_object_mut() {
            body.retain(|_, value| !value.is_null());
        }
        Ok(body)
    }

    pub(super) fn delete_index_templates(&mut self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.index_templates.keys().filter(|name| pattern::listed(names, name)).cloned().collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::error(404, "index_template_missing_exception", format!("index_template [{names}] missing")));
        }
        let describes = |stream: &str, template: &Value| patterns(template).any(|pattern| pattern::matches(pattern, stream));
        // A stream that another template describes too can do without.
        let needs = |stream: &str| {
            let mut describing = self.index_templates.iter().filter(|(_, template)| describes(stream, template)).peekable();
            describing.peek().is_some() && describing.all(|(name, _)| found.contains(name))
        };
        let streams: Vec<_> = self.data_streams.keys().filter(|stream| needs(stream)).map(String::as_str).collect();
        if !streams.is_empty() {
            let reason = format!(
                "unable to remove composable templates [{}] as they are in use by a data streams [{}]",
                found.join(", "),
                streams.join(", ")
            );
            return Err(FakeAnswer::illegal_argument(reason));
        }
        self.index_templates.retain(|name, _| !found.contains(name));
        Ok(FakeAnswer::acknowledged())
    }

    /// The settings and mappings of a new index with this name, or of the template in the body.
    pub(super) fn simulate_template(&self, body: Value) -> Refused<FakeAnswer> {
        let body = self.read_index_template("simulated", body)?;
        let overlapping = self
            .index_templates
            .iter()
            .filter(|(_, held)| patterns(&body).any(|one| patterns(held).any(|two| pattern::overlap(one, two))));
        let overlapping: Vec<_> =
            overlapping.map(|(name, held)| json!({"name": name, "index_patterns": held["index_patterns"]})).collect();
        Ok(FakeAnswer::ok(json!({"template": self.compose(&body), "overlapping": overlapping})))
    }

    pub(super) fn simulate_index(&self, name: &str) -> FakeAnswer {
        match self.template_for(name) {
            Some((_, body)) => FakeAnswer::ok(json!({"template": self.compose(body), "overlapping": []})),
            None => FakeAnswer::ok(json!({"overlapping": []})),
        }
    }

    /// The template of highest priority that a new index or data stream called `name` gets.
    pub(super) fn template_for(&self, name: &str) -> Option<(&String, &Value)> {
        let applying =
            self.index_templates.iter().filter(|(_, template)| patterns(template).any(|pattern| pattern::matches(pattern, name)));
        applying.max_by_key(|(_, template)| template["priority"].as_u64().unwrap_or(0))
    }
}
