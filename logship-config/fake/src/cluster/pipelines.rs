//! Ingest pipelines: kept and answered, not run.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Cluster, compose};
use crate::{
    answer::{FakeAnswer, Refused},
    call::ReceivedCall,
    pattern,
};

/// Processors of a plain installation, each with its mandatory keys and its optional keys in addition to [`COMMON`].
const PROCESSORS: &[(&str, &[&str], &[&str])] = &[
    ("append", &["field"], &["allow_duplicates", "copy_from", "ignore_empty_values", "media_type", "value"]),
    ("bytes", &["field"], &["ignore_missing", "target_field"]),
    ("convert", &["field", "type"], &["ignore_missing", "target_field"]),
    ("csv", &["field", "target_fields"], &["empty_value", "ignore_missing", "quote", "separator", "trim"]),
    ("date", &["field", "formats"], &["locale", "output_format", "target_field", "timezone"]),
    (
        "date_index_name",
        &["field", "date_rounding"],
        &["date_formats", "index_name_format", "index_name_prefix", "locale", "timezone"],
    ),
    ("dissect", &["field", "pattern"], &["append_separator", "ignore_missing"]),
    ("dot_expander", &["field"], &["override", "path"]),
    ("drop", &[], &[]),
    ("enrich", &["field", "target_field", "policy_name"], &["ignore_missing", "max_matches", "override", "shape_relation"]),
    ("fail", &["message"], &[]),
    ("fingerprint", &["fields"], &["ignore_missing", "method", "salt", "target_field"]),
    ("foreach", &["field", "processor"], &["ignore_missing"]),
    (
        "geoip",
        &["field"],
        &[
            "database_file",
            "download_database_on_pipeline_creation",
            "first_only",
            "ignore_missing",
            "properties",
            "target_field",
        ],
    ),
    (
        "grok",
        &["field", "patterns"],
        &["ecs_compatibility", "ignore_missing", "pattern_definitions", "trace_match", "validate_only"],
    ),
    ("gsub", &["field", "pattern", "replacement"], &["ignore_missing", "target_field"]),
    ("html_strip", &["field"], &["ignore_missing", "target_field"]),
    ("join", &["field", "separator"], &["target_field"]),
    (
        "json",
        &["field"],
        &["add_to_root", "add_to_root_conflict_strategy", "allow_duplicate_keys", "strict_json_parsing", "target_field"],
    ),
    (
        "kv",
        &["field", "field_split", "value_split"],
        &["exclude_keys", "ignore_missing", "include_keys", "prefix", "strip_brackets", "target_field", "trim_key", "trim_value"],
    ),
    ("lowercase", &["field"], &["ignore_missing", "target_field"]),
    ("pipeline", &["name"], &["ignore_missing_pipeline"]),
    ("remove", &[], &["field", "ignore_missing", "keep"]),
    ("rename", &["field", "target_field"], &["ignore_missing"]),
    ("reroute", &[], &["dataset", "destination", "namespace"]),
    ("script", &[], &["id", "lang", "params", "source"]),
    ("set", &["field"], &["copy_from", "ignore_empty_value", "media_type", "override", "value"]),
    ("sort", &["field"], &["order", "target_field"]),
    ("split", &["field", "separator"], &["ignore_missing", "preserve_trailing", "target_field"]),
    ("terminate", &[], &[]),
    ("trim", &["field"], &["ignore_missing", "target_field"]),
    ("uppercase", &["field"], &["ignore_missing", "target_field"]),
    ("uri_parts", &["field"], &["ignore_missing", "keep_original", "remove_if_successful", "target_field"]),
    ("urldecode", &["field"], &["ignore_missing", "target_field"]),
    ("user_agent", &["field"], &["extract_device_type", "ignore_missing", "properties", "regex_file", "target_field"]),
];

const COMMON: [&str; 5] = ["description", "if", "ignore_failure", "on_failure", "tag"];

fn processors(holder: &Value) -> Refused<()> {
    let parse = |reason: String| FakeAnswer::error(400, "parse_exception", reason);
    for list in ["processors", "on_failure"] {
        for processor in holder[list].as_array().into_iter().flatten() {
            // A second key in a processor's object is read as another processor.
            for (kind, given) in processor.as_object().into_iter().flatten() {
                let Some((_, needed, optional)) = PROCESSORS.iter().find(|(known, ..)| known == kind) else {
                    return Err(parse(format!("No processor type exists with name [{kind}]")));
                };
                if let Some(missing) = needed.iter().find(|key| given[**key].is_null()) {
                    return Err(parse(format!("[{missing}] required property is missing")));
                }
                let known: Vec<&str> = needed.iter().chain(*optional).copied().chain(COMMON).collect();
                if let Some(unknown) = given.as_object().and_then(|given| compose::unknown(given, &known)) {
                    return Err(parse(format!(
                        "processor [{kind}] doesn't support one or more provided configuration parameters [{unknown}]"
                    )));
                }
                if let Some(unknown) = given["if"].as_object().and_then(|script| compose::unknown(script, &SCRIPT)) {
                    return Err(parse(format!("[script] unknown field [{unknown}]")));
                }
                processors(given)?;
            }
        }
    }
    Ok(())
}

/// Of a condition that is not a plain text.
const SCRIPT: [&str; 5] = ["id", "lang", "options", "params", "source"];

impl Cluster {
    pub(super) fn get_pipelines(&self, names: &str) -> FakeAnswer {
        let found = self.pipelines.iter().filter(|(name, _)| pattern::listed(names, name));
        let found: Map<_, _> = found.map(|(name, body)| (name.clone(), body.clone())).collect();
        // Elasticsearch says 404 with an empty object where nothing of that name is.
        let status = if found.is_empty() && !names.contains('*') { 404 } else { 200 };
        FakeAnswer { status, body: found.into() }
    }

    pub(super) fn put_pipeline(&mut self, name: &str, call: &ReceivedCall, now: Timestamp) -> Refused<FakeAnswer> {
        let body = call.required_json()?;
        let parse = |reason: String| FakeAnswer::error(400, "parse_exception", reason);
        let known = ["description", "processors", "on_failure", "version", "_meta", "deprecated", "field_access_pattern"];
        if let Some(unknown) = body.as_object().and_then(|body| compose::unknown(body, &known)) {
            return Err(parse(format!(
                "pipeline [{name}] doesn't support one or more provided configuration parameters [{unknown}]"
            )));
        }
        if !body["processors"].is_array() {
            return Err(parse("[processors] required property is missing".into()));
        }
        processors(&body)?;
        let created = self.pipelines.get(name).and_then(|held| held["created_date_millis"].as_i64());
        let body = compose::dated(body, created.unwrap_or(now.as_millisecond()), now.as_millisecond());
        self.pipelines.insert(name.to_owned(), body);
        Ok(FakeAnswer::acknowledged())
    }

    pub(super) fn delete_pipelines(&mut self, names: &str) -> Refused<FakeAnswer> {
        let found: Vec<_> = self.pipelines.keys().filter(|name| pattern::listed(names, name)).cloned().collect();
        if found.is_empty() && !names.contains('*') {
            return Err(FakeAnswer::missing(format!("pipeline [{names}] is missing")));
        }
        for name in &found {
            let users = |role: &str| -> Vec<&str> {
                let setting = format!("index.{role}_pipeline");
                let users = self.indices.iter().filter(|(_, index)| index.settings.get(&setting) == Some(name));
                users.map(|(index, _)| index.as_str()).collect()
            };
            let told = ["default", "final"].map(|role| (role, users(role))).into_iter().filter(|(_, users)| !users.is_empty());
            let told: Vec<_> = told
                .map(|(role, users)| {
                    let (count, some) = (users.len(), users[..users.len().min(3)].join(","));
                    format!("the {role} pipeline for {count} index(es) including [{some}]")
                })
                .collect();
            if !told.is_empty() {
                let reason = format!("pipeline [{name}] cannot be deleted because it is {}", told.join(" and "));
                return Err(FakeAnswer::illegal_argument(reason));
            }
        }
        self.pipelines.retain(|name, _| !found.contains(name));
        Ok(FakeAnswer::acknowledged())
    }

    /// Returns documents unchanged. Processors are not modelled, and a pipeline with one is refused.
    pub(super) fn simulate_pipeline(&self, name: &str, call: &ReceivedCall) -> Refused<FakeAnswer> {
        let Some(pipeline) = self.pipelines.get(name) else {
            return Err(FakeAnswer::illegal_argument(format!("pipeline [{name}] does not exist")));
        };
        if pipeline["processors"].as_array().is_some_and(|processors| !processors.is_empty()) {
            return Err(FakeAnswer::not_modelled("what processors do"));
        }
        let body = call.required_json()?;
        let documents = body["docs"].as_array().into_iter().flatten().map(|document| json!({"doc": document}));
        Ok(FakeAnswer::ok(json!({"docs": documents.collect::<Vec<Value>>()})))
    }
}
