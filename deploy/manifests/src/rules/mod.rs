//! This module is the table of rules about rendered objects. A rule returns every fault that it finds. A waiver with a reason excuses
//! one fault; a waiver that excuses nothing is itself a fault. A rule must not read a file.

mod argocd;
mod content;
mod jobs;
mod network;
pub mod overlays;
mod pods;
mod references;
mod secured;

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{settings::Roles, world::RenderedEnvironment};

/// A violated rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleViolation {
    /// Kind and name of the object.
    pub object: String,
    pub text: String,
}

/// What the rules compare the objects with.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Settings of the programs; empty where the programs are not built.
    pub settings: Roles,
    /// Names of PrometheusRules that `dashboards/` must become.
    pub rules: Vec<String>,
    /// Boards of `dashboards/grafana`.
    pub boards: Vec<String>,
    /// The only registry of images.
    pub registry: String,
}

/// A rule: its name, and what it finds.
pub struct Rule {
    pub name: &'static str,
    pub find: fn(&RenderedEnvironment, &Facts) -> Vec<RuleViolation>,
}

/// Every rule about one environment.
pub const RULES: &[Rule] = &[
    Rule { name: "images by digest from one registry", find: pods::images },
    Rule { name: "probes", find: pods::probes },
    Rule { name: "requests and memory limit", find: pods::resources },
    Rule { name: "time to stop", find: pods::grace },
    Rule { name: "rollout without a gap", find: pods::rollout },
    Rule { name: "service links disabled", find: pods::links },
    Rule { name: "restricted pods", find: secured::pods },
    Rule { name: "namespace enforces restricted", find: secured::namespaces },
    Rule { name: "no Secret in the repository", find: secured::secrets },
    Rule { name: "disruption budgets permit evictions", find: jobs::budgets },
    Rule { name: "scheduled jobs are bounded", find: jobs::scheduled },
    Rule { name: "hooks are bounded and named by commit", find: jobs::hooks },
    Rule { name: "selectors match pods", find: references::selectors },
    Rule { name: "named ports exist", find: references::ports },
    Rule { name: "Secrets and ConfigMaps exist earlier", find: references::made_earlier },
    Rule { name: "accounts exist", find: references::accounts },
    Rule { name: "settings are known and complete", find: content::settings },
    Rule { name: "scrape jobs are expected targets", find: content::targets },
    Rule { name: "dashboards and rules arrive once", find: content::observability },
    Rule { name: "one major version of PostgreSQL", find: content::postgresql },
    Rule { name: "default deny both ways", find: network::default_deny },
    Rule { name: "connections", find: network::connections },
    Rule { name: "data is never pruned", find: argocd::data },
    Rule { name: "Applications retry with a limit", find: argocd::applications },
    Rule { name: "custom resources may come later", find: argocd::custom_resources },
];

/// Rules about manifests of ours for backing services.
pub const INFRASTRUCTURE_RULES: &[Rule] = &[
    Rule { name: "images by digest from one registry", find: pods::images },
    Rule { name: "probes", find: pods::probes },
    Rule { name: "requests and memory limit", find: pods::resources },
    Rule { name: "time to stop", find: pods::grace },
    Rule { name: "rollout without a gap", find: pods::rollout },
    Rule { name: "service links disabled", find: pods::links },
    Rule { name: "restricted pods", find: secured::pods },
    Rule { name: "no Secret in the repository", find: secured::secrets },
    Rule { name: "disruption budgets permit evictions", find: jobs::budgets },
    Rule { name: "selectors match pods", find: references::selectors },
    Rule { name: "named ports exist", find: references::ports },
    Rule { name: "default deny both ways", find: network::default_deny },
    Rule { name: "data is never pruned", find: argocd::data },
    Rule { name: "custom resources may come later", find: argocd::custom_resources },
];

/// An excused fault.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    pub rule: String,
    pub object: String,
    /// A part of the fault's text.
    pub contains: String,
    pub reason: String,
}

/// The waivers of `deploy/manifests/waivers.yaml`.
///
/// # Errors
/// Returns an error if the file is invalid, or a waiver has no reason.
pub fn waivers(path: &Path) -> Result<Vec<Waiver>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let waivers: Vec<Waiver> = serde_yaml_ng::from_str(&text).with_context(|| format!("parsing {}", path.display()))?;
    for waiver in &waivers {
        anyhow::ensure!(!waiver.reason.trim().is_empty(), "the waiver of {:?} for {} has no reason", waiver.rule, waiver.object);
    }
    Ok(waivers)
}

/// Faults of every rule, as `(rule, fault)`, without the waived ones. Also returns which waivers were used.
pub fn judge(
    world: &RenderedEnvironment,
    facts: &Facts,
    waivers: &[Waiver],
    table: &[Rule],
) -> (Vec<(&'static str, Vec<RuleViolation>)>, Vec<bool>) {
    let mut used = vec![false; waivers.len()];
    let mut results = Vec::new();
    for rule in table {
        let mut faults = (rule.find)(world, facts);
        faults.sort();
        faults.dedup();
        faults.retain(|fault| {
            let waiver = waivers.iter().position(|waiver| {
                waiver.rule == rule.name && waiver.object == fault.object && fault.text.contains(&waiver.contains)
            });
            if let Some(waiver) = waiver {
                used[waiver] = true;
            }
            waiver.is_none()
        });
        results.push((rule.name, faults));
    }
    (results, used)
}

fn fault(object: impl Into<String>, text: impl Into<String>) -> RuleViolation {
    RuleViolation { object: object.into(), text: text.into() }
}

/// Seconds of a duration such as `20s`, `5m` or `500ms`.
fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "ms" => Some(number.div_ceil(1000)),
        "s" => Some(number),
        "m" => Some(number * 60),
        "h" => Some(number * 3600),
        _ => None,
    }
}
