//! This module finds what a tree of the manifests repository still lacks before Argo CD applies it: digests of zeros, and names of the
//! documentation's domains. Both are required settings that only the operator knows.
//!
//! - Overlays are rendered, so that a value which an overlay replaces is not reported.
//! - Of `infrastructure` only the parts that `argocd/infrastructure.yaml` lists are read: the others are alternatives.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    object::{list, text},
    render,
};

/// Lists the parts that Argo CD installs.
const LISTED: &str = "argocd/infrastructure.yaml";
/// Installed by hand, before Argo CD can list anything.
const BY_HAND: &str = "argo-cd";
/// Domains that nobody can own (RFC 2606).
const EXAMPLES: [&str; 3] = ["example.com", "example.org", "example.net"];
const DIGEST: &str = "sha256:";
const DIGITS: usize = 64;
/// Lines between an image's name and its digest in a values file.
const NAME_ABOVE: usize = 5;

/// Where digests of zeros are repaired.
pub const REMEDY: &str = "run deploy/infrastructure/mirror and write the digest that it prints";

/// Everything that a tree lacks, a line each, as `<place>: <what>; <remedy>`.
///
/// # Errors
/// Returns an error if the folder is not such a tree, or something in it does not render.
pub fn of_tree(kubectl: &Path, tree: &Path) -> Result<Vec<String>> {
    ensure!(
        tree.join(LISTED).is_file() && tree.join("overlays").is_dir(),
        "{} is not a tree of the manifests repository; write one with `manifests assemble`",
        tree.display()
    );
    let mut found = Vec::new();
    for file in yaml_files(&tree.join("argocd"), true)? {
        found.extend(in_file(tree, &file, true)?);
    }
    found.extend(in_parts(tree, true)?);
    for environment in crate::ENVIRONMENTS {
        let overlay = tree.join("overlays").join(environment);
        let commit = fs::read_to_string(overlay.join("release/commit")).unwrap_or_default();
        let is_released = !commit.trim().bytes().all(|byte| byte == b'0');
        for folder in folders(&overlay)? {
            if !fs::read_to_string(folder.join("kustomization.yaml")).unwrap_or_default().contains("kind: Kustomization") {
                continue;
            }
            let place = folder.strip_prefix(tree).unwrap_or(&folder).display().to_string();
            for object in render::kustomize(kubectl, &folder)? {
                let object_place = format!("{place}: {}", object.label());
                in_value(&object.0, &mut String::new(), is_released, &mut |path, what| {
                    found.push(format!("{object_place}: {path}: {what}"))
                });
            }
        }
    }
    Ok(found)
}

/// Digests of zeros in the parts of `infrastructure` that Argo CD installs. A checkout without the list has none.
///
/// # Errors
/// Returns an error if a file cannot be read.
pub fn digests_of_parts(tree: &Path) -> Result<Vec<String>> {
    if tree.join(LISTED).is_file() { in_parts(tree, false) } else { Ok(Vec::new()) }
}

fn in_parts(tree: &Path, examples: bool) -> Result<Vec<String>> {
    let listed = fs::read_to_string(tree.join(LISTED)).with_context(|| format!("reading {LISTED}"))?;
    let mut parts: BTreeSet<String> = BTreeSet::from([BY_HAND.to_owned()]);
    for set in render::objects(&listed)? {
        let matrices = list(&set.0, "/spec/generators").iter().flat_map(|one| list(one, "/matrix/generators"));
        let elements = matrices.flat_map(|one| list(one, "/list/elements"));
        parts.extend(elements.map(|element| text(element, "/part").to_owned()).filter(|part| !part.is_empty()));
    }
    let mut found = Vec::new();
    for part in parts {
        let folder = tree.join("infrastructure").join(&part);
        if !folder.is_dir() {
            found.push(format!("infrastructure/{part}: does not exist; restore it, or remove it from {LISTED}"));
            continue;
        }
        for file in yaml_files(&folder, false)? {
            found.extend(in_file(tree, &file, examples)?);
        }
    }
    Ok(found)
}

/// Faults of a file as people write it: comments do not count.
fn in_file(tree: &Path, file: &Path, examples: bool) -> Result<Vec<String>> {
    let content = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let place = file.strip_prefix(tree).unwrap_or(file).display().to_string();
    let lines: Vec<&str> = content.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        if has_zeros(line) {
            let above = lines[number.saturating_sub(NAME_ABOVE)..number].iter().rev();
            let own = line.split_once('@').map(|(name, _)| name);
            let name = own.or_else(|| above.copied().find(|line| line.contains("repository:") || line.contains("newName:")));
            let name = name.map_or("an image", |name| name.rsplit([' ', '"']).next().unwrap_or(name));
            found.push(format!("{place}:{}: the digest of {name} is the placeholder of zeros; {REMEDY}", number + 1));
        }
        if examples && let Some(name) = example(line) {
            found.push(format!("{place}:{}: {name} is an example; write your own name", number + 1));
        }
    }
    Ok(found)
}

/// Calls `add` with the path and the fault of every text in a rendered object.
fn in_value(value: &Value, path: &mut String, is_released: bool, add: &mut dyn FnMut(&str, String)) {
    let length = path.len();
    let below = |path: &mut String, name: &str| {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                below(path, name);
                in_value(member, path, is_released, add);
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                below(path, &number.to_string());
                in_value(item, path, is_released, add);
                path.truncate(length);
            }
        }
        Value::String(text) => {
            // The first release writes the digests of our own programs.
            if has_zeros(text) && (is_released || !is_program(text)) {
                let name = text.split('@').next().unwrap_or(text);
                add(path, format!("the digest of {name} is the placeholder of zeros; {REMEDY}"));
            }
            let own = |line: &&str| !line.trim_start().starts_with('#');
            if let Some(name) = text.lines().filter(own).find_map(example) {
                add(path, format!("{name} is an example; write your own name"));
            }
        }
        _ => {}
    }
}

fn is_program(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    crate::PROGRAMS.contains(&name.rsplit('/').next().unwrap_or_default())
}

fn has_zeros(text: &str) -> bool {
    text.match_indices(DIGEST).any(|(place, _)| {
        let digits: &str = &text[place + DIGEST.len()..];
        let zeros = digits.bytes().take_while(|byte| *byte == b'0').count();
        zeros >= DIGITS || (zeros > 0 && zeros == digits.bytes().take_while(u8::is_ascii_alphanumeric).count())
    })
}

/// The host name of a documentation's domain in a line.
fn example(line: &str) -> Option<&str> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
    line.split(|character| !is_part(character)).find(|word| {
        let word = word.trim_end_matches('.');
        EXAMPLES.iter().any(|domain| word.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.')))
    })
}

fn folders(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = entries(folder)?;
    found.retain(|path| path.is_dir());
    Ok(found)
}

fn yaml_files(folder: &Path, deep: bool) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() && deep {
            found.extend(yaml_files(&path, deep)?);
        } else if path.is_file() && path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            found.push(path);
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_whole_host_names() {
        for (line, name) in [
            ("host: api.example.com", Some("api.example.com")),
            ("url: https://gitlab.example.com/x.git", Some("gitlab.example.com")),
            ("- hosts: [example.org]", Some("example.org")),
            ("host: api.myexample.com", None),
            ("host: example.com.au", None),
            ("image: mirror/example", None),
        ] {
            assert_eq!(example(line), name, "{line}");
        }
    }

    #[test]
    fn zeros_are_a_placeholder_at_any_length() {
        let zeros = "0".repeat(DIGITS);
        assert!(has_zeros(&format!("digest: sha256:{zeros}")) && has_zeros("digest: \"sha256:000\""));
        assert!(!has_zeros(&format!("digest: sha256:{}1", &zeros[1..])) && !has_zeros("sha256:") && !has_zeros(&zeros));
    }
}
