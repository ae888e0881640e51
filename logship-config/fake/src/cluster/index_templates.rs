//! Index templates: which settings, mappings and data streams a new name gets.

use serde_json::{Value, json};

use super::Cluster;
use crate::{
    answer::{Answer, Refused},
    call::Call,
    pattern,
};

impl Cluster {
    pub(super) fn get_index_templates(&self, names: &str) -> Refused<Answer> {
        let found: Vec<_> = self.index_templates.iter().filter(|(name, _)| pattern::listed(names, name)).collect();
        if found.is_empty() && !names.contains('*') {
            return Err(Answer::missing(format!("index template matching [{names}] not found")));
        }
        let found: Vec<_> = found.iter().map(|(name, template)| json!({"name": name, "index_template": template})).collect();
        Ok(Answer::ok(json!({"index_templates": found})))
    }

    pub(super) fn put_index_template(&mut self, name: &str, call: &Call) -> Refused<Answer> {
        let body = call.required_json()?;
        if call.flag("create")? == Some(true) && self.index_templates.contains_key(name) {
            return Err(Answer::illegal_argument(format!("index template [{name}] already exists")));
        }
        let patterns = body["index_patterns"].as_array().filter(|patterns| !patterns.is_empty());
        if patterns.is_none() {
            return Err(Answer::error(
                400,
                "x_content_parse_exception",
                "[index_template] Required one of fields [index_patterns], but none were specified.",
            ));
        }
        self.index_templates.insert(name.to_owned(), body);
        Ok(Answer::acknowledged())
    }

    pub(super) fn delete_index_templates(&mut self, names: &str) -> Refused<Answer> {
        let found: Vec<_> = self.index_templates.keys().filter(|name| pattern::listed(names, name)).cloned().collect();
        if found.is_empty() && !names.contains('*') {
            return Err(Answer::error(404, "index_template_missing_exception", format!("index_template [{names}] missing")));
        }
        if let Some((stream, held)) = self.data_streams.iter().find(|(_, stream)| found.contains(&stream.template)) {
            return Err(Answer::illegal_argument(format!(
                "unable to remove composable templates [{}] as they are in use by a data streams [{stream}]",
                held.template
            )));
        }
        self.index_templates.retain(|name, _| !found.contains(name));
        Ok(Answer::acknowledged())
    }

    /// The template of highest priority that a new index or data stream called `name` gets.
    pub(super) fn template_for(&self, name: &str) -> Option<(&String, &Value)> {
        let applies = |template: &Value| {
            let patterns = template["index_patterns"].as_array().into_iter().flatten();
            patterns.filter_map(Value::as_str).any(|pattern| pattern::matches(pattern, name))
        };
        let applying = self.index_templates.iter().filter(|(_, template)| applies(template));
        applying.max_by_key(|(_, template)| template["priority"].as_u64().unwrap_or(0))
    }
}
