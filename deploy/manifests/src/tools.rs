//! This module runs other projects' checkers over files: linters, schemas, servers' own configuration tests. It must not judge.

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::{object::Object, render};

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolRun {
    Passed,
    /// With what to correct.
    Failed(String),
    /// With the reason, and the command that makes the check possible.
    Skipped(String),
}

/// Runs a checker. A missing one is a skip that names its package.
pub fn run_tool(program: &Path, arguments: &[String], folder: &Path, package: &str) -> ToolRun {
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) if output.status.success() => ToolRun::Passed,
        Ok(output) => {
            let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            ToolRun::Failed(text.trim().to_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ToolRun::Skipped(format!("{} is not installed; run: {package}", program.display()))
        }
        Err(error) => ToolRun::Failed(format!("{} does not run on {ARCH}: {error}", program.display())),
    }
}

/// A program of `.venv`, or of the path.
pub fn python(repository: &Path, name: &str) -> PathBuf {
    let own = repository.join(".venv/bin").join(name);
    if own.exists() { own } else { PathBuf::from(name) }
}

/// JSON schemas of custom resources, by group/version and kind, from the definitions in a folder. Unknown fields are refused, as the
/// API server's strict validation does.
///
/// # Errors
/// Returns an error if a definition cannot be read.
pub fn schemas(folder: &Path) -> Result<Vec<(String, String, Value)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        for Object(definition) in render::objects(&fs::read_to_string(&path)?)? {
            if definition["kind"] != "CustomResourceDefinition" {
                continue;
            }
            let group = definition["spec"]["group"].as_str().unwrap_or_default();
            let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default();
            for version in crate::object::list(&definition, "/spec/versions") {
                let mut schema = version["schema"]["openAPIV3Schema"].clone();
                strict(&mut schema);
                if let Some(properties) = schema.pointer_mut("/properties").and_then(Value::as_object_mut) {
                    properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
                    properties.insert("kind".to_owned(), json!({"type": "string"}));
                    properties.insert("metadata".to_owned(), json!({"type": "object"}));
                }
                found.push((format!("{group}/{}", version["name"].as_str().unwrap_or_default()), kind.to_owned(), schema));
            }
        }
    }
    Ok(found)
}

/// Turns a structural schema of Kubernetes into a closed JSON schema.
fn strict(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    let open = members.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if members.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        members.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
        members.remove("type");
    }
    // Formats are Kubernetes' own, and patterns are Go's.
    members.remove("format");
    members.remove("pattern");
    if members.contains_key("properties") && !open && !members.contains_key("additionalProperties") {
        members.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for name in ["properties"] {
        if let Some(children) = members.get_mut(name).and_then(Value::as_object_mut) {
            children.values_mut().for_each(strict);
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(child) = members.get_mut(name) {
            strict(child);
        }
    }
}

/// Checks objects of one kind against its schema with check-jsonschema.
pub fn against_schema(repository: &Path, schema: &Value, objects: &[&Object], scratch: &Path) -> Result<ToolRun> {
    fs::create_dir_all(scratch)?;
    let file = scratch.join("schema.json");
    let mut document = schema.as_object().cloned().unwrap_or_else(Map::new);
    document.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
    fs::write(&file, serde_json::to_string(&document)?)?;
    let mut arguments = vec!["--schemafile".to_owned(), file.display().to_string()];
    for (place, object) in objects.iter().enumerate() {
        let path = scratch.join(format!("{place}-{}.json", object.name()));
        fs::write(&path, serde_json::to_string(&without_nulls(&object.0))?)?;
        arguments.push(path.display().to_string());
    }
    Ok(run_tool(&python(repository, "check-jsonschema"), &arguments, repository, "make install"))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, member)| !member.is_null())
            .map(|(name, member)| (name.clone(), without_nulls(member)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        leaf => leaf.clone(),
    }
}
