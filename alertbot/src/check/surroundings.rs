//! This module checks the environment of a valid file: the folder of the store, and links that Telegram drops.

use std::{collections::BTreeSet, path::Path};

use alertbot_core::{
    alert::read_body,
    message::{
        links::{DASHBOARD, RUNBOOK, is_relative},
        markup::has_plain_host,
    },
};
use service_kit::yaml::FileFault;

use crate::{config::Config, routing::Routing};

/// Reports a path at which the database cannot be created.
pub fn store(config: &Config) -> Vec<FileFault> {
    let path = &config.store.path;
    let fault = |wrong: String, remedy: &str| vec![FileFault::new(config.store.line, "store.path", &wrong, remedy)];
    if path.is_dir() {
        return fault(format!("({}) is a folder", path.display()), "name a file in it, as alertbot.db");
    }
    match nearest(path) {
        Some(there) if !there.is_dir() => {
            fault(format!("({}) is below {}, which is not a folder", path.display(), there.display()), "correct the path")
        }
        _ => Vec::new(),
    }
}

/// Reports settings that may be intended.
pub fn warnings(config: &Config) -> Vec<String> {
    let folder = config.store.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let missing = folder.filter(|folder| !folder.exists());
    let missing = missing.map(|folder| {
        format!("store.path: the folder {} does not exist; `serve` creates it and needs the permission", folder.display())
    });
    let links = &config.links;
    let configured = [
        ("runbooks", &links.runbooks),
        ("dashboards", &links.dashboards),
        ("logs", &links.logs),
        ("expressions", &links.expressions),
        ("silences", &links.silences),
    ];
    let dropped = configured.into_iter().filter_map(|(key, address)| {
        let address = address.as_deref().filter(|address| has_plain_host(address))?;
        Some(format!("links.{key}: Telegram drops links to {address}, because its host has no dot; set an address with a domain"))
    });
    missing.into_iter().chain(dropped).collect()
}

/// Links of a payload that its message lacks or that Telegram drops: relative ones without a configured address, and those whose
/// host has no dot.
pub fn dropped_links(routing: &Routing, body: &[u8]) -> Vec<String> {
    let Ok(payload) = read_body(body) else { return Vec::new() };
    let bases = &routing.config.links;
    let annotations = || payload.alerts.iter().flat_map(|alert| alert.annotations.iter());
    let relative: BTreeSet<&str> = annotations()
        .filter(|(name, value)| bases.of_annotation(name).is_some_and(Option::is_none) && is_relative(value.trim()))
        .map(|(name, _)| name)
        .collect();
    let addresses = payload.alerts.iter().map(|alert| alert.generator_url.as_str());
    let addresses = addresses.filter(|url| bases.expressions.is_none() || !url.contains("/graph?"));
    let alertmanager = Some(payload.external_url.as_str()).filter(|_| bases.silences.is_none());
    let addresses = addresses.chain(annotations().map(|(_, value)| value)).chain(alertmanager);
    let hosts: BTreeSet<&str> = addresses.filter(|address| has_plain_host(address)).map(origin).collect();
    let dropped = |origin: &str| {
        format!(
            "links to {origin} are shown as text: Telegram drops links to hosts without a dot; set `links`, or \
             --web.external-url of Prometheus and Alertmanager to an address with a domain"
        )
    };
    let incomplete = |name: &str| {
        let key = if RUNBOOK.contains(&name) {
            "runbooks"
        } else if DASHBOARD.contains(&name) {
            "dashboards"
        } else {
            "logs"
        };
        format!("the annotation {name} is a relative address, and messages omit it; set links.{key}")
    };
    hosts.into_iter().map(dropped).chain(relative.into_iter().map(incomplete)).collect()
}

fn origin(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find(['/', '?', '#']).map_or(address.len(), |at| host + at);
    &address[..end]
}

/// The nearest part of a path that exists, without the path.
fn nearest(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|part| !part.as_os_str().is_empty() && part.exists())
}
