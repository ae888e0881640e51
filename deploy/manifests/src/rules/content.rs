//! This module has the rules about content: settings of the programs, scrape jobs, dashboards and rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Facts, RuleViolation, fault};
use crate::{
    object::{Container, Pod, list, mapping, text},
    settings::ProgramSettings,
    world::RenderedEnvironment,
};

/// Variables of a container with their values; those from a Secret or a field have an empty value.
pub(super) fn environment(world: &RenderedEnvironment, pod: Pod<'_>, container: Container<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for source in list(container.value, "/envFrom") {
        let map = world.find("ConfigMap", text(source, "/configMapRef/name"));
        if let Some(map) = map.filter(|map| map.namespace() == pod.owner.namespace()) {
            let data = mapping(&map.0, "/data").iter();
            found.extend(data.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())));
        }
    }
    for variable in list(container.value, "/env") {
        found.push((text(variable, "/name").to_owned(), text(variable, "/value").to_owned()));
    }
    found
}

/// The settings of a container's role; `None` if it is not ours.
fn role<'a>(facts: &'a Facts, container: Container<'_>) -> Option<(&'a str, &'a ProgramSettings)> {
    let program = container.image_name();
    let argument = list(container.value, "/args").first().and_then(Value::as_str).unwrap_or_default();
    let exact = facts.settings.iter().find(|((of, role), _)| of == program && role == argument);
    let any = || facts.settings.iter().find(|((of, role), _)| of == program && role.is_empty());
    exact.or_else(any).map(|((program, _), settings)| (program.as_str(), settings))
}

pub fn settings(world: &RenderedEnvironment, facts: &Facts) -> Vec<RuleViolation> {
    let mut faults = Vec::new();
    for (_, pod) in world.pods() {
        for container in pod.containers() {
            let program = container.image_name();
            if !crate::PROGRAMS.contains(&program) {
                continue;
            }
            let Some((program, known)) = role(facts, container) else {
                let argument = list(container.value, "/args").first().cloned().unwrap_or_default();
                faults.push(fault(pod.owner.label(), format!("{program} has no role {argument} with settings")));
                continue;
            };
            let variables = environment(world, pod, container);
            let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
            let prefix = format!("{}_", program.to_uppercase());
            let placeholders = if program == "alertbot" { placeholders(world) } else { Vec::new() };
            for name in names.iter().filter(|name| name.starts_with(&prefix)) {
                let named = placeholders.iter().any(|one| name == one || name.strip_suffix("_FILE") == Some(one));
                if !named && !known.knows(name) {
                    faults.push(fault(pod.owner.label(), format!("sets {name}, which `{program} --help` does not list")));
                }
            }
            let missing = known.missing(&names).map(str::to_owned);
            let unset = placeholders
                .iter()
                .filter(|one| !names.iter().any(|name| name == one || name.strip_suffix("_FILE") == Some(one)));
            for name in missing.chain(unset.cloned()) {
                faults.push(fault(pod.owner.label(), format!("does not set {name}, which {program} requires")));
            }
        }
    }
    faults
}

/// Names in `${…}` of the alert bot's configuration.
fn placeholders(world: &RenderedEnvironment) -> Vec<String> {
    let map = world.find("ConfigMap", "alertbot");
    let file = map.map_or("", |map| text(&map.0, "/data/alertbot.yaml"));
    let lines = file.lines().filter(|line| !line.trim_start().starts_with('#'));
    let parts = lines.flat_map(|line| line.split("${").skip(1));
    parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name.to_owned()).collect()
}

/// Every expected target is scraped, and the other way round: an alert compares both.
pub fn targets(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut expected = BTreeSet::new();
    let mut scraped = BTreeSet::new();
    for (_, object) in world.objects() {
        let namespace = object.namespace();
        match object.kind() {
            "PrometheusRule" if object.name() == "expected-targets" => {
                let rules = list(&object.0, "/spec/groups").iter().flat_map(|group| list(group, "/rules"));
                expected
                    .extend(rules.map(|rule| (text(rule, "/labels/namespace").to_owned(), text(rule, "/labels/job").to_owned())));
            }
            "PodMonitor" | "ServiceMonitor" => {
                let endpoints = list(&object.0, "/spec/podMetricsEndpoints").iter().chain(list(&object.0, "/spec/endpoints"));
                for endpoint in endpoints {
                    let job = list(endpoint, "/relabelings").iter().find(|one| text(one, "/targetLabel") == "job");
                    scraped.insert((namespace.to_owned(), job.map_or("", |job| text(job, "/replacement")).to_owned()));
                }
            }
            _ => {}
        }
    }
    let lacking =
        expected.difference(&scraped).map(|(namespace, job)| format!("{job} of {namespace} is expected and not scraped"));
    let unexpected =
        scraped.difference(&expected).map(|(namespace, job)| format!("{job:?} of {namespace} is scraped and not expected"));
    lacking.chain(unexpected).map(|text| fault("PrometheusRule expected-targets", text)).collect()
}

pub fn observability(world: &RenderedEnvironment, facts: &Facts) -> Vec<RuleViolation> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, object) in world.objects() {
        match object.kind() {
            "PrometheusRule" => *counts.entry(format!("rules {}", object.name())).or_default() += 1,
            "ConfigMap" if mapping(&object.0, "/metadata/labels").contains_key("grafana_dashboard") => {
                for board in mapping(&object.0, "/data").keys() {
                    *counts.entry(format!("board {board}")).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    counts.remove("rules expected-targets");
    let wanted: BTreeSet<String> = facts
        .rules
        .iter()
        .map(|name| format!("rules {name}"))
        .chain(facts.boards.iter().map(|name| format!("board {name}")))
        .collect();
    let mut faults = Vec::new();
    for name in &wanted {
        let count = counts.get(name).copied().unwrap_or_default();
        if count != 1 {
            faults.push(fault(name.as_str(), format!("arrives {count} times")));
        }
    }
    faults.extend(counts.keys().filter(|name| !wanted.contains(*name)).map(|name| fault(name.as_str(), "is not in dashboards/")));
    faults
}

/// Client tools older than the server refuse to dump; the drill's server must be as new as the backup's.
pub fn postgresql(world: &RenderedEnvironment, _: &Facts) -> Vec<RuleViolation> {
    let mut majors = BTreeSet::new();
    for (_, pod) in world.pods() {
        for container in pod.containers() {
            for (name, value) in environment(world, pod, container) {
                if name == "BACKUP_CLIENT_FOLDER" {
                    majors.extend(value.split('/').filter_map(|part| part.parse::<u32>().ok()));
                }
            }
        }
    }
    if majors.len() > 1 {
        return vec![fault("CronJob backup-run", format!("the containers use different majors of PostgreSQL: {majors:?}"))];
    }
    Vec::new()
}
