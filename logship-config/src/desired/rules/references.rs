//! This module checks references between declared objects: existing policies, components, pipelines and repositories,
//! templates that shadow each other, streams without a template.

use serde_json::Value;
use service_kit::yaml::{FileFault, YamlDocument};

use super::built_in::is_built_in;
use crate::desired::{
    DeclaredFault, Desired, ObjectKind,
    resolve::{self, PHASES},
};

/// Built-in templates of priority 100 match the other names.
const BUILT_IN_PATTERNS: [&str; 3] = ["logs-*-*", "metrics-*-*", "synthetics-*-*"];
const BUILT_IN_PRIORITY: u64 = 100;

type Locate<'l> = &'l dyn Fn(ObjectKind, &str) -> Option<(&'l str, &'l YamlDocument)>;

struct References<'l> {
    locate: Locate<'l>,
    found: Vec<DeclaredFault>,
}

impl References<'_> {
    fn push(&mut self, kind: ObjectKind, name: &str, at: &[&str], wrong: String, remedy: String) {
        let Some((file, document)) = (self.locate)(kind, name) else { return };
        let fault = FileFault { line: document.line(at), path: at.join("."), wrong, remedy };
        self.found.push(DeclaredFault { file: file.to_owned(), fault });
    }
}

pub fn references<'l>(desired: &Desired, locate: Locate<'l>) -> Vec<DeclaredFault> {
    let mut faults = References { locate, found: Vec::new() };
    let declared = |kind, name: &str| desired.body(kind, name).is_some();
    policies(desired, &mut faults);
    for (name, body) in desired.of(ObjectKind::SnapshotPolicy) {
        let repository = body["repository"].as_str().unwrap_or_default();
        if !declared(ObjectKind::Repository, repository) {
            let (wrong, remedy) = missing(ObjectKind::Repository, repository);
            faults.push(ObjectKind::SnapshotPolicy, name, &["repository"], wrong, remedy);
        }
    }
    for kind in [ObjectKind::ComponentTemplate, ObjectKind::IndexTemplate] {
        for (name, body) in desired.of(kind) {
            template_settings(desired, kind, name, body, &mut faults);
        }
    }
    for (name, body) in desired.of(ObjectKind::Pipeline) {
        for called in called_pipelines(&body["processors"]).into_iter().chain(called_pipelines(&body["on_failure"])) {
            if !declared(ObjectKind::Pipeline, &called) && !is_built_in(ObjectKind::Pipeline, &called) {
                let (wrong, remedy) = missing(ObjectKind::Pipeline, &called);
                faults.push(ObjectKind::Pipeline, name, &["processors"], wrong, remedy);
            }
        }
    }
    index_templates(desired, &mut faults);
    streams(desired, &mut faults);
    faults.found
}

fn missing(kind: ObjectKind, name: &str) -> (String, String) {
    let folder = kind.folder().unwrap_or_default();
    (format!("names {name:?}, a {kind} that is not declared"), format!("add {folder}/{name}.yaml, or correct the name"))
}

fn policies(desired: &Desired, faults: &mut References) {
    for (name, body) in desired.of(ObjectKind::LifecyclePolicy) {
        for phase in PHASES {
            let actions = &body["phases"][phase]["actions"];
            for (action, key, kind) in [
                ("searchable_snapshot", "snapshot_repository", ObjectKind::Repository),
                ("wait_for_snapshot", "policy", ObjectKind::SnapshotPolicy),
            ] {
                if let Some(other) = actions[action][key].as_str()
                    && desired.body(kind, other).is_none()
                {
                    let (wrong, remedy) = missing(kind, other);
                    faults.push(ObjectKind::LifecyclePolicy, name, &["phases", phase, "actions", action, key], wrong, remedy);
                }
            }
        }
    }
}

fn template_settings(desired: &Desired, kind: ObjectKind, name: &str, body: &Value, faults: &mut References) {
    let settings = resolve::flat_settings(&body["template"]["settings"]);
    for (setting, of) in [
        ("index.lifecycle.name", ObjectKind::LifecyclePolicy),
        ("index.default_pipeline", ObjectKind::Pipeline),
        ("index.final_pipeline", ObjectKind::Pipeline),
    ] {
        if let Some(other) = settings.get(setting).filter(|other| *other != "_none")
            && desired.body(of, other).is_none()
            && !is_built_in(of, other)
        {
            let (wrong, remedy) = missing(of, other);
            faults.push(kind, name, &["template", "settings"], format!("{setting} {wrong}"), remedy);
        }
    }
}

/// Returns the names that `pipeline` processors call, also on failure. Names built from a document's fields are unknown
/// here.
fn called_pipelines(processors: &Value) -> Vec<String> {
    let mut called = Vec::new();
    for processor in processors.as_array().into_iter().flatten().filter_map(Value::as_object) {
        for (name, options) in processor {
            let target = options["name"].as_str().filter(|_| name == "pipeline").filter(|target| !target.contains("{{"));
            called.extend(target.filter(|_| options["ignore_missing_pipeline"] != true).map(str::to_owned));
            called.extend(called_pipelines(&options["on_failure"]));
        }
    }
    called
}

fn index_templates(desired: &Desired, faults: &mut References) {
    let templates: Vec<_> = desired.of(ObjectKind::IndexTemplate).collect();
    for (place, (name, body)) in templates.iter().enumerate() {
        let optional = resolve::texts(&body["ignore_missing_component_templates"]);
        for (at, component) in resolve::texts(&body["composed_of"]).iter().enumerate() {
            let known = desired.body(ObjectKind::ComponentTemplate, component).is_some()
                || is_built_in(ObjectKind::ComponentTemplate, component);
            if !known && !optional.contains(component) {
                let (wrong, remedy) = missing(ObjectKind::ComponentTemplate, component);
                faults.push(ObjectKind::IndexTemplate, name, &["composed_of", &at.to_string()], wrong, remedy);
            }
        }
        let priority = body["priority"].as_u64().unwrap_or(0);
        for pattern in resolve::texts(&body["index_patterns"]) {
            let built_in = BUILT_IN_PATTERNS.iter().find(|other| resolve::overlap(pattern, other));
            if let Some(other) = built_in.filter(|_| priority <= BUILT_IN_PRIORITY) {
                let wrong = format!("is {priority}, but Elasticsearch's own template for {other} has {BUILT_IN_PRIORITY}");
                let remedy = format!("set a priority above {BUILT_IN_PRIORITY}, such as 200");
                faults.push(ObjectKind::IndexTemplate, name, &["priority"], wrong, remedy);
            }
            for (other, twin) in &templates[..place] {
                let same = twin["priority"].as_u64().unwrap_or(0) == priority;
                let clash = resolve::texts(&twin["index_patterns"]).iter().any(|theirs| resolve::overlap(pattern, theirs));
                if same && clash {
                    let wrong = format!("matches names that {other} also matches with the same priority {priority}");
                    faults.push(ObjectKind::IndexTemplate, name, &["index_patterns"], wrong, "set different priorities".into());
                }
            }
        }
    }
}

fn streams(desired: &Desired, faults: &mut References) {
    for (name, stream) in &desired.streams {
        let at = ["streams", name.as_str()];
        let Some(template) = resolve::template_for(desired, name) else {
            let remedy = "add an index template with data_stream: {} that matches it".to_owned();
            faults.push(ObjectKind::DataStream, name, &at, "matches no declared index template".into(), remedy);
            continue;
        };
        if desired.body(ObjectKind::IndexTemplate, template).is_none_or(|body| !body["data_stream"].is_object()) {
            let wrong = format!("gets the index template {template}, which creates no data streams");
            faults.push(ObjectKind::DataStream, name, &at, wrong, "add data_stream: {} to that template".into());
        }
        let resolved = resolve::stream(desired, name, stream);
        if resolved.policy.is_none() && resolved.lifecycle.is_none() {
            let wrong = "has neither an index lifecycle policy nor a data stream lifecycle: it would grow without limit".into();
            let remedy = "set index.lifecycle.name in its template, or lifecycle here".into();
            faults.push(ObjectKind::DataStream, name, &at, wrong, remedy);
        }
        if stream.budget.is_some() && resolved.policy.is_none() {
            let wrong = "has no index lifecycle policy with a rollover, so it has no indices that could be deleted".into();
            faults.push(
                ObjectKind::DataStream,
                name,
                &["streams", name, "budget"],
                wrong,
                "remove the budget, or use a policy".into(),
            );
        }
    }
}
