//! This module builds the tree of the manifests repository from this checkout: `argocd`, `infrastructure`, and per environment the
//! overlays with a copy of `deploy/base`. Dashboards, rules and Fluent Bit's files exist once, in `dashboards/` and
//! `logship-config/`; this module generates the objects that carry them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Not an object: each cluster has its own list of expected targets.
pub const REPLACED_RULES: &str = "recording/expected.yml";

/// Addresses of the links of alerts, which the rules name by path only.
const LINKS: &str = "deploy/base/observability/links.yaml";

/// Writes the whole tree into an empty or absent folder.
///
/// # Errors
/// Returns an error if the folder has content, or a file cannot be read or written.
pub fn tree(repository: &Path, folder: &Path) -> Result<()> {
    if folder.exists() && fs::read_dir(folder)?.next().is_some() {
        bail!("{} is not empty; name a folder that does not exist yet", folder.display());
    }
    let deploy = repository.join("deploy");
    copy(&deploy.join("argocd"), &folder.join("argocd"))?;
    copy(&deploy.join("infrastructure"), &folder.join("infrastructure"))?;
    for environment in crate::ENVIRONMENTS {
        let overlay = folder.join("overlays").join(environment);
        copy(&deploy.join("overlays").join(environment), &overlay)?;
        base(repository, &overlay.join("base"))?;
    }
    Ok(())
}

/// Writes a copy of `deploy/base` with the generated objects.
///
/// # Errors
/// Returns an error if a file cannot be read or written.
pub fn base(repository: &Path, folder: &Path) -> Result<()> {
    copy(&repository.join("deploy/base"), folder)?;
    let links = fs::read_to_string(repository.join(LINKS)).with_context(|| format!("reading {LINKS}"))?;
    let links: Value = serde_yaml_ng::from_str(&links).with_context(|| format!("parsing {LINKS}"))?;
    observability(&repository.join("dashboards"), &links, &folder.join("observability/generated"))?;
    shipper(&repository.join("logship-config/fluent-bit"), &folder.join("logging/generated"))
}

fn observability(dashboards: &Path, links: &Value, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut resources = Vec::new();
    for rules in rule_files(dashboards)? {
        let name = object_name(&rules);
        let text = fs::read_to_string(dashboards.join("prometheus").join(&rules))?;
        let mut spec: Value = serde_yaml_ng::from_str(&text).with_context(|| format!("parsing {rules}"))?;
        complete_links(&mut spec, links)?;
        let object = json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": name,
                "annotations": {"argocd.argoproj.io/sync-options": "SkipDryRunOnMissingResource=true"},
            },
            "spec": spec,
        });
        fs::write(folder.join(format!("{name}.yaml")), serde_yaml_ng::to_string(&object)?)?;
        resources.push(format!("{name}.yaml"));
    }
    let mut maps = Vec::new();
    for board in board_files(dashboards)? {
        fs::copy(dashboards.join("grafana").join(&board), folder.join(&board))?;
        maps.push(json!({
            "name": format!("dashboard-{}", board.trim_end_matches(".json")),
            "files": [board],
            // The label that Grafana's sidecar of kube-prometheus-stack looks for.
            "options": {"disableNameSuffixHash": true, "labels": {"grafana_dashboard": "1"}},
        }));
    }
    kustomization(folder, &json!({"resources": resources, "configMapGenerator": maps}))
}

/// Writes the addresses of `links` before the paths of each alert's runbook and board.
fn complete_links(spec: &mut Value, links: &Value) -> Result<()> {
    let address = |name: &str| links[name].as_str().with_context(|| format!("{LINKS}: {name}: is missing; write an address"));
    let (runbooks, boards) = (address("runbooks")?, address("boards")?);
    let groups = spec["groups"].as_array_mut().into_iter().flatten();
    for rule in groups.filter_map(|group| group["rules"].as_array_mut()).flatten() {
        for (name, address) in [("runbook_url", runbooks), ("dashboard_url", boards)] {
            let Some(link) = rule.get_mut("annotations").and_then(|annotations| annotations.get_mut(name)) else { continue };
            if let Some(path) = link.as_str().filter(|link| link.starts_with('/')) {
                *link = Value::from(format!("{}{path}", address.trim_end_matches('/')));
            }
        }
    }
    Ok(())
}

fn shipper(source: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let files = sorted(source, ".yaml")?;
    for file in &files {
        fs::copy(source.join(file), folder.join(file))?;
    }
    // With a hash in the name: Fluent Bit reads its files at the start only, so a change must restart it.
    kustomization(folder, &json!({"configMapGenerator": [{"name": "fluent-bit", "namespace": "logging", "files": files}]}))
}

fn kustomization(folder: &Path, content: &Value) -> Result<()> {
    let mut document = json!({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"});
    if let (Some(document), Some(content)) = (document.as_object_mut(), content.as_object()) {
        document.extend(content.clone());
    }
    let text = format!("# Generated by `manifests assemble`. Do not edit.\n{}", serde_yaml_ng::to_string(&document)?);
    Ok(fs::write(folder.join("kustomization.yaml"), text)?)
}

/// Rule files of `dashboards/prometheus`, as `alerts/api.yml`, without the list of expected targets.
///
/// # Errors
/// Returns an error if a folder cannot be read.
pub fn rule_files(dashboards: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for kind in ["alerts", "recording"] {
        let names = sorted(&dashboards.join("prometheus").join(kind), ".yml")?;
        files.extend(names.into_iter().map(|name| format!("{kind}/{name}")).filter(|file| file != REPLACED_RULES));
    }
    Ok(files)
}

/// Boards of `dashboards/grafana`.
///
/// # Errors
/// Returns an error if the folder cannot be read.
pub fn board_files(dashboards: &Path) -> Result<Vec<String>> {
    sorted(&dashboards.join("grafana"), ".json")
}

/// `alerts/api.yml` is the PrometheusRule `alerts-api`.
pub fn object_name(rules: &str) -> String {
    rules.trim_end_matches(".yml").replace(['/', '_'], "-")
}

fn sorted(folder: &Path, end: &str) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()?;
    let mut names: Vec<String> = names.into_iter().filter(|name| name.ends_with(end)).collect();
    names.sort();
    Ok(names)
}

/// Copies a folder. Symbolic links are left out: the tree must not depend on the checkout.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target: PathBuf = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_alerts_get_their_addresses() {
        let links = json!({"runbooks": "https://wiki.example.com/", "boards": "https://grafana.example.com"});
        let annotations = json!({"runbook_url": "/runbooks/A.md", "dashboard_url": "/d/a?viewPanel=1", "summary": "/d/ stays"});
        let mut spec = json!({"groups": [{"rules": [{"alert": "A", "annotations": annotations}, {"record": "b"}]}]});
        complete_links(&mut spec, &links).unwrap();
        let found = &spec["groups"][0]["rules"][0]["annotations"];
        assert_eq!(found["runbook_url"], "https://wiki.example.com/runbooks/A.md");
        assert_eq!(found["dashboard_url"], "https://grafana.example.com/d/a?viewPanel=1");
        assert_eq!(found["summary"], "/d/ stays");
        let fault = complete_links(&mut spec, &json!({"runbooks": "https://wiki.example.com"})).unwrap_err();
        assert!(fault.to_string().contains("boards"), "{fault}");
    }
}
