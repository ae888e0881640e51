//! Ingest pipelines: kept and answered, not run.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Cluster, compose};
use crate::{
    answer::{Answer, Refused},
    call::Call,
    pattern,
};

/// Processors of a plain installation, each with what it cannot do without.
const PROCESSORS: &[(&str, &[&str])] = &[
    ("append", &["field"]),
    ("bytes", &["field"]),
    ("convert", &["field", "type"]),
    ("csv", &["field", "target_fields"]),
    ("date", &["field", "formats"]),
    ("date_index_name", &["field", "date_rounding"]),
    ("dissect", &["field", "pattern"]),
    ("dot_expander", &["field"]),
    ("drop", &[]),
    ("enrich", &["field", "target_field", "policy_name"]),
    ("fail", &["message"]),
    ("fingerprint", &["fields"]),
    ("foreach", &["field", "processor"]),
    ("geoip", &["field"]),
    ("grok", &["field", "patterns"]),
    ("gsub", &["field", "pattern", "replacement"]),
    ("html_strip", &["field"]),
    ("join", &["field", "separator"]),
    ("json", &["field"]),
    ("kv", &["field", "field_split", "value_split"]),
    ("lowercase", &["field"]),
    ("pipeline", &["name"]),
    ("remove", &[]),
    ("rename", &["field", "target_field"]),
    ("reroute", &[]),
    ("script", &[]),
    ("set", &["field"]),
    ("sort", &["field"]),
    ("split", &["field", "separator"]),
    ("terminate", &[]),
    ("trim", &["field"]),
    ("uppercase", &["field"]),
    ("uri_parts", &["field"]),
    ("urldecode", &["field"]),
    ("user_agent", &["field"]),
];

impl Cluster {
    pub(super) fn get_pipelines(&self, names: &str) -> Answer {
        let found = self.pipelines.iter().filter(|(name, _)| pattern::listed(names, name));
        let found: Map<_, _> = found.map(|(name, body)| (name.clone(), body.clone())).collect();
        // Elasticsearch says 404 with an empty object where nothing of that name is.
        let status = if found.is_empty() && !names.contains('*') { 404 } else { 200 };
        Answer { status, body: found.into() }
    }

    pub(super) fn put_pipeline(&mut self, name: &str, call: &Call, now: Timestamp) -> Refused<Answer> {
        let body = call.required_json()?;
        let parse = |reason: String| Answer::error(400, "parse_exception", reason);
        let known = ["description", "processors", "on_failure", "version", "_meta", "deprecated", "field_access_pattern"];
        if let Some(unknown) = body.as_object().and_then(|body| compose::unknown(body, &known)) {
            return Err(parse(format!(
                "pipeline [{name}] doesn't support one or more provided configuration parameters [{unknown}]"
            )));
        }
        if !body["processors"].is_array() {
            return Err(parse("[processors] required property is missing".into()));
        }
        for list in ["processors", "on_failure"] {
            for processor in body[list].as_array().into_iter().flatten() {
                let Some((kind, options)) = processor.as_object().and_then(|processor| processor.iter().next()) else {
                    return Err(parse(format!("[{list}] property isn't a list of processors")));
                };
                let Some((_, needed)) = PROCESSORS.iter().find(|(known, _)| known == kind) else {
                    return Err(parse(format!("No processor type exists with name [{kind}]")));
                };
                if let Some(missing) = needed.iter().find(|key| options[**key].is_null()) {
                    return Err(parse(format!("[{missing}] required property is missing")));
                }
            }
        }
        let created = self.pipelines.get(name).and_then(|held| held["created_date_millis"].as_i64());
        let body = compose::dated(body, created.unwrap_or(now.as_millisecond()), now.as_millisecond());
        self.pipelines.insert(name.to_owned(), body);
        Ok(Answer::acknowledged())
    }

    pub(super) fn delete_pipelines(&mut self, names: &str) -> Refused<Answer> {
        let found: Vec<_> = self.pipelines.keys().filter(|name| pattern::listed(names, name)).cloned().collect();
        if found.is_empty() && !names.contains('*') {
            return Err(Answer::missing(format!("pipeline [{names}] is missing")));
        }
        for index in self.indices.values() {
            for setting in ["index.default_pipeline", "index.final_pipeline"] {
                if let Some(used) = index.settings.get(setting).filter(|used| found.contains(used)) {
                    let reason = format!("pipeline [{used}] cannot be deleted because it is the default pipeline for an index");
                    return Err(Answer::illegal_argument(reason));
                }
            }
        }
        self.pipelines.retain(|name, _| !found.contains(name));
        Ok(Answer::acknowledged())
    }

    /// Documents as they are: what a processor does is not modelled, and a pipeline with one is refused.
    pub(super) fn simulate_pipeline(&self, name: &str, call: &Call) -> Refused<Answer> {
        let Some(pipeline) = self.pipelines.get(name) else {
            return Err(Answer::illegal_argument(format!("pipeline [{name}] does not exist")));
        };
        if pipeline["processors"].as_array().is_some_and(|processors| !processors.is_empty()) {
            return Err(Answer::not_modelled("what processors do"));
        }
        let body = call.required_json()?;
        let documents = body["docs"].as_array().into_iter().flatten().map(|document| json!({"doc": document}));
        Ok(Answer::ok(json!({"docs": documents.collect::<Vec<Value>>()})))
    }
}
