//! This module runs the public YAML cases of elasticsearch-clients-tests (Apache-2.0) for the APIs of the fake: real clients
//! are tested against the same cases. A step of another API is skipped with its name and counted.

use std::{collections::BTreeMap, path::Path, process::Command};

use logship::client::{
    CallError, Client, Method,
    headers::{CONTENT_TYPE, HeaderMap, HeaderValue},
    segment,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::shared;
use crate::place::{Place, print_line};

/// API names of the cases, with method and path. Braces contain an argument.
const APIS: &[(&str, &str, &str)] = &[
    ("bulk", "POST", "/_bulk"),
    ("cat.health", "GET", "/_cat/health"),
    ("cluster.delete_component_template", "DELETE", "/_component_template/{name}"),
    ("cluster.exists_component_template", "GET", "/_component_template/{name}"),
    ("cluster.get_component_template", "GET", "/_component_template/{name}"),
    ("cluster.get_settings", "GET", "/_cluster/settings"),
    ("cluster.health", "GET", "/_cluster/health/{index}"),
    ("cluster.put_component_template", "PUT", "/_component_template/{name}"),
    ("cluster.put_settings", "PUT", "/_cluster/settings"),
    ("count", "GET", "/{index}/_count"),
    ("health_report", "GET", "/_health_report"),
    ("ilm.delete_lifecycle", "DELETE", "/_ilm/policy/{policy}"),
    ("ilm.explain_lifecycle", "GET", "/{index}/_ilm/explain"),
    ("ilm.get_lifecycle", "GET", "/_ilm/policy/{policy}"),
    ("ilm.get_status", "GET", "/_ilm/status"),
    ("ilm.put_lifecycle", "PUT", "/_ilm/policy/{policy}"),
    ("ilm.remove_policy", "POST", "/{index}/_ilm/remove"),
    ("ilm.start", "POST", "/_ilm/start"),
    ("ilm.stop", "POST", "/_ilm/stop"),
    ("indices.create", "PUT", "/{index}"),
    ("indices.create_data_stream", "PUT", "/_data_stream/{name}"),
    ("indices.data_streams_stats", "GET", "/_data_stream/_stats"),
    ("indices.delete", "DELETE", "/{index}"),
    ("indices.delete_data_stream", "DELETE", "/_data_stream/{name}"),
    ("indices.delete_data_stream_options", "DELETE", "/_data_stream/{name}/_options"),
    ("indices.delete_index_template", "DELETE", "/_index_template/{name}"),
    ("indices.exists_index_template", "GET", "/_index_template/{name}"),
    ("indices.get_data_stream", "GET", "/_data_stream/{name}"),
    ("indices.get_data_stream_mappings", "GET", "/_data_stream/{name}/_mappings"),
    ("indices.get_data_stream_options", "GET", "/_data_stream/{name}/_options"),
    ("indices.get_data_stream_settings", "GET", "/_data_stream/{name}/_settings"),
    ("indices.get_index_template", "GET", "/_index_template/{name}"),
    ("indices.put_data_stream_mappings", "PUT", "/_data_stream/{name}/_mappings"),
    ("indices.put_data_stream_options", "PUT", "/_data_stream/{name}/_options"),
    ("indices.put_data_stream_settings", "PUT", "/_data_stream/{name}/_settings"),
    ("indices.put_index_template", "PUT", "/_index_template/{name}"),
    ("indices.rollover", "POST", "/{alias}/_rollover"),
    ("indices.simulate_index_template", "POST", "/_index_template/_simulate_index/{name}"),
    ("indices.simulate_template", "POST", "/_index_template/_simulate"),
    ("ingest.delete_pipeline", "DELETE", "/_ingest/pipeline/{id}"),
    ("ingest.get_pipeline", "GET", "/_ingest/pipeline/{id}"),
    ("ingest.put_pipeline", "PUT", "/_ingest/pipeline/{id}"),
    ("ingest.simulate", "POST", "/_ingest/pipeline/{id}/_simulate"),
    ("license.get", "GET", "/_license"),
    ("snapshot.clone", "PUT", "/_snapshot/{repository}/{snapshot}/_clone/{target_snapshot}"),
    ("snapshot.create", "PUT", "/_snapshot/{repository}/{snapshot}"),
    ("snapshot.create_repository", "PUT", "/_snapshot/{repository}"),
    ("snapshot.delete", "DELETE", "/_snapshot/{repository}/{snapshot}"),
    ("snapshot.delete_repository", "DELETE", "/_snapshot/{repository}"),
    ("snapshot.get", "GET", "/_snapshot/{repository}/{snapshot}"),
    ("snapshot.get_repository", "GET", "/_snapshot"),
    ("snapshot.verify_repository", "POST", "/_snapshot/{repository}/_verify"),
];
/// Cases that mainly test an API that the program does not use, each with its reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("cat/component_templates.yml", "no cat API of templates is used"),
    ("cat/templates.yml", "no cat API of templates is used"),
    (
        "indices/10_data_lifecycle.yml",
        "a serverless case that needs the lifecycle of a plain index; put_ and delete_data_lifecycle are checked against the \
         API description",
    ),
    (
        "indices/20_data_lifecycle.yml",
        "needs the lifecycle of a plain index and its statistics; put_ and delete_data_lifecycle are checked against the API \
         description",
    ),
    ("indices/exists_template.yml", "legacy templates are not used"),
    ("indices/template.yml", "legacy templates are not used"),
    ("indices/migrate_modify_data_stream.yml", "nothing is migrated to data streams"),
    ("indices/rollover.yml", "aliases are not rolled over"),
    ("license/10_stack.yml", "no licence is installed"),
];

const NEEDS_A_STORE: &str = "snapshot/10_basic.yml";

#[tokio::test]
async fn public_cases_pass() {
    let Some(folder) = shared("public YAML cases") else { return };
    let unpacked = tempfile::tempdir().unwrap();
    let archive = Path::new(&folder).join("elasticsearch-yaml-cases.tar.gz");
    let done = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(unpacked.path()).status().unwrap();
    assert!(done.success());
    let root = unpacked.path().join("tests");
    let (mut passed, mut assertions, mut skipped) = (0, 0, 0);
    for file in files(&root) {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        if let Some((_, reason)) = LEFT_OUT.iter().find(|(left, _)| *left == name) {
            print_line(&format!("skipped: {name}: {reason}"));
            skipped += 1;
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let place = Place::any().await;
        if place.fake.is_none() && name == NEEDS_A_STORE {
            print_line(&format!("skipped: {name}: its repository needs a folder configured in the real cluster (path.repo)"));
            skipped += 1;
            continue;
        }
        let mut run = Run { client: &place.client, file: name, last: Value::Null, assertions: 0 };
        let documents: Vec<Value> =
            serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect();
        // Setup first, then each case. Each file has its own fake, so teardown is only another case.
        for section in ["setup", "", "teardown"] {
            for (title, steps) in documents.iter().filter_map(Value::as_object).flatten() {
                let kind = if title == "setup" || title == "teardown" { title.as_str() } else { "" };
                if kind == section && title != "requires" {
                    run.steps(steps).await;
                }
            }
        }
        passed += 1;
        assertions += run.assertions;
    }
    print_line(&format!("{passed} public case files passed with {assertions} assertions, {skipped} skipped"));
    assert!(passed >= 14 && assertions >= 40, "{passed} files, {assertions} assertions");
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

struct Run<'a> {
    client: &'a Client,
    file: String,
    last: Value,
    assertions: u32,
}

impl Run<'_> {
    async fn steps(&mut self, steps: &Value) {
        let mut known = true;
        for step in steps.as_array().into_iter().flatten() {
            let (what, with) = step.as_object().and_then(|step| step.iter().next()).unwrap();
            match what.as_str() {
                "do" => known = self.call(with).await,
                // Assertions about a skipped answer are not checked.
                _ if !known => {}
                "match" => self.matches(with),
                "is_true" => self.truth(with, true),
                "is_false" => self.truth(with, false),
                "length" => self.length(with),
                other => panic!("{}: {other} is not understood", self.file),
            }
        }
    }

    /// Returns false if the API is not one of the fake's.
    async fn call(&mut self, with: &Value) -> bool {
        let (api, arguments) = with.as_object().unwrap().iter().find(|(name, _)| *name != "catch").unwrap();
        let Some((_, method, pattern)) = APIS.iter().find(|(name, ..)| name == api) else {
            print_line(&format!("skipped: {}: the program does not use the API {api}", self.file));
            return false;
        };
        let mut arguments: BTreeMap<String, Value> = arguments.as_object().cloned().unwrap_or_default().into_iter().collect();
        let body = arguments.remove("body");
        // The items of a list are sent as lines.
        let lines =
            body.as_ref().and_then(Value::as_array).map(|items| items.iter().map(|item| format!("{item}\n")).collect::<String>());
        let body = body.map(|body| match body.as_str() {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => body,
        });
        let tolerated: Vec<u64> = match arguments.remove("ignore") {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_u64).collect(),
            Some(one) => one.as_u64().into_iter().collect(),
            None => Vec::new(),
        };
        let path: Vec<String> = pattern
            .split('/')
            .filter_map(|part| match part.strip_prefix('{') {
                Some(name) => arguments.remove(name.trim_end_matches('}')).map(|value| segment(value.as_str().unwrap())),
                None => Some(part.to_owned()),
            })
            .collect();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let query: Vec<(String, String)> = arguments.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let method = match *method {
            "GET" => Method::Get,
            "PUT" => Method::Put,
            "POST" => Method::Post,
            _ => Method::Delete,
        };
        let sent = match lines {
            Some(lines) => self.lines(&path.join("/"), &query, lines).await,
            None => self.client.send(method, &path.join("/"), &query, body.as_ref()).await,
        };
        self.last = match sent {
            Ok(answer) => answer,
            Err(CallError::Refused(reply)) if tolerated.contains(&u64::from(reply.status)) => json!({}),
            Err(error) => panic!("{}: {api}: {error}", self.file),
        };
        true
    }

    async fn lines(&self, path: &str, query: &[(&str, &str)], lines: String) -> Result<Value, CallError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        let reply = self.client.post_bytes(path, query, headers, lines.into(), std::time::Duration::from_secs(30)).await?;
        let told: Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(reply.status == 200 && told["errors"] == false, "{}: {told}", self.file);
        Ok(told)
    }

    /// Returns a place in the last answer: `a.0.b`, with dots in names escaped.
    fn at(&self, place: &str) -> Value {
        if place.is_empty() || place == "$body" {
            return self.last.clone();
        }
        let escaped = place.replace("\\.", "\u{1}");
        escaped.split('.').fold(self.last.clone(), |value, step| {
            let step = step.replace('\u{1}', ".");
            match &value {
                Value::Array(items) => step.parse::<usize>().ok().and_then(|at| items.get(at)).cloned().unwrap_or_default(),
                other => other.get(&step).cloned().unwrap_or_default(),
            }
        })
    }

    fn matches(&mut self, with: &Value) {
        for (place, wanted) in with.as_object().unwrap() {
            self.assertions += 1;
            let is = self.at(place);
            let right = match wanted.as_str().and_then(|text| text.trim().strip_prefix('/')?.strip_suffix('/')) {
                Some(pattern) => {
                    let text = is.as_str().map_or_else(|| is.to_string(), str::to_owned);
                    regex::Regex::new(pattern).unwrap().is_match(&text)
                }
                None => is == *wanted,
            };
            assert!(right, "{}: {place} is {is}, not {wanted}", self.file);
        }
    }

    fn truth(&mut self, place: &Value, wanted: bool) {
        self.assertions += 1;
        let is = self.at(place.as_str().unwrap_or_default());
        let truth = !matches!(&is, Value::Null | Value::Bool(false)) && is != "" && is != 0;
        assert_eq!(truth, wanted, "{}: {place} is {is}", self.file);
    }

    fn length(&mut self, with: &Value) {
        for (place, wanted) in with.as_object().unwrap() {
            self.assertions += 1;
            let is = self.at(place);
            let length = is.as_array().map(Vec::len).or(is.as_object().map(serde_json::Map::len)).unwrap_or(0);
            assert_eq!(Some(length as u64), wanted.as_u64(), "{}: {place}", self.file);
        }
    }
}
