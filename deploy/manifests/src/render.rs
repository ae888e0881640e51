//! This module renders the assembled tree with `kubectl kustomize`. It must not change an object.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    object::{Object, text},
    world::{Application, RenderedEnvironment},
};

/// The pinned kubectl of this checkout, or the one on the path.
pub fn kubectl(repository: &Path) -> PathBuf {
    let pinned = repository.join(".venv/bin/kubectl");
    if pinned.exists() { pinned } else { PathBuf::from("kubectl") }
}

/// Renders one kustomization. Files outside its folder are refused (kustomize's load restrictor).
///
/// # Errors
/// Returns kustomize's message if the kustomization does not render.
pub fn kustomize(kubectl: &Path, folder: &Path) -> Result<Vec<Object>> {
    let output = Command::new(kubectl)
        .args(["kustomize", "--load-restrictor", "LoadRestrictionsRootOnly"])
        .arg(folder)
        .output()
        .with_context(|| format!("running {}", kubectl.display()))?;
    if !output.status.success() {
        bail!("{} does not render: {}", folder.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    objects(&String::from_utf8(output.stdout).context("kustomize printed bytes that are not UTF-8")?)
}

/// Parses a stream of YAML documents.
///
/// # Errors
/// Returns an error if a document is not YAML.
pub fn objects(stream: &str) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(stream) {
        let value = Value::deserialize(document).context("parsing a YAML document")?;
        if !value.is_null() {
            objects.push(Object(value));
        }
    }
    Ok(objects)
}

/// Renders every Application of one environment in the assembled tree.
///
/// # Errors
/// Returns an error if a file is missing or a kustomization does not render.
pub fn render_environment(kubectl: &Path, tree: &Path, environment: &str) -> Result<RenderedEnvironment> {
    let path = tree.join(format!("argocd/environments/{environment}.yaml"));
    let stream = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut applications = Vec::new();
    for declared in objects(&stream)? {
        let folder = text(&declared.0, "/spec/source/path").to_owned();
        let name = folder.rsplit('/').next().unwrap_or_default().to_owned();
        let wave = declared.annotation("argocd.argoproj.io/sync-wave").parse().unwrap_or_default();
        let mut objects = kustomize(kubectl, &tree.join(&folder))?;
        // Argo CD puts objects without a namespace into that of the destination.
        let namespace = text(&declared.0, "/spec/destination/namespace");
        for object in &mut objects {
            if object.namespace().is_empty()
                && let Some(metadata) = object.0.pointer_mut("/metadata").and_then(Value::as_object_mut)
            {
                metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
            }
        }
        applications.push(Application { declared, name, wave, objects });
    }
    applications.sort_by_key(|application| application.wave);
    Ok(RenderedEnvironment { environment: environment.to_owned(), applications })
}
