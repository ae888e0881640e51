//! This module is the table of rules about rendered objects. A rule returns every fault that it finds. A waiver with a reason excuses
//! one fault; a waiver that excuses nothing is itself a fault. A rule must not read a file.

mod argocd;
mod content;
mod flows;
mod jobs;
mod network;
pub mod overlays;
mod pods;
mod references;
mod room;
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

type Find = fn(&RenderedEnvironment, &Facts) -> Vec<RuleViolation>;

/// Which objects a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleScope {
    /// One environment.
    Environment,
    /// One environment, and apart from it our manifests for backing services.
    Every,
    /// One environment together with its backing services.
    Whole,
}

/// A rule: its name, and what it finds.
pub struct Rule {
    pub name: &'static str,
    pub find: Find,
    pub scope: RuleScope,
}

const fn own(name: &'static str, find: Find) -> Rule {
    Rule { name, find, scope: RuleScope::Environment }
}

const fn every(name: &'static str, find: Find) -> Rule {
    Rule { name, find, scope: RuleScope::Every }
}

const fn whole(name: &'static str, find: Find) -> Rule {
    Rule { name, find, scope: RuleScope::Whole }
}

/// Every rule, each with its scope.
pub const RULES: &[Rule] = &[
    every("images by digest from one registry", pods::images),
    every("probes", pods::probes),
    every("requests and memory limit", pods::resources),
    every("time to stop", pods::grace),
    every("rollout without a gap", pods::rollout),
    every("service links disabled", pods::links),
    every("restricted pods", secured::pods),
    own("namespace enforces restricted", secured::namespaces),
    every("no Secret in the repository", secured::secrets),
    every("disruption budgets permit evictions", jobs::budgets),
    own("scheduled jobs are bounded", jobs::scheduled),
    own("hooks are bounded and named by commit", jobs::hooks),
    every("selectors match pods", references::selectors),
    every("named ports exist", references::ports),
    own("Secrets and ConfigMaps exist earlier", references::made_earlier),
    own("accounts exist", references::accounts),
    own("settings are known and complete", content::settings),
    own("scrape jobs are expected targets", content::targets),
    own("dashboards and rules arrive once", content::observability),
    own("one major version of PostgreSQL", content::postgresql),
    every("default deny both ways", network::default_deny),
    own("connections", network::connections),
    own("declared connections are allowed", flows::flows),
    whole("connections to backing services", network::backing_connections),
    whole("network rules are needed", network::needed),
    own("quotas have room", room::quotas),
    own("batch work has a lower priority", room::priorities),
    every("data is never pruned", argocd::data),
    own("Applications retry with a limit", argocd::applications),
    every("custom resources may come later", argocd::custom_resources),
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
    rules: impl Iterator<Item = &'static Rule>,
) -> (Vec<(&'static str, Vec<RuleViolation>)>, Vec<bool>) {
    let mut used = vec![false; waivers.len()];
    let mut results = Vec::new();
    for rule in rules {
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
